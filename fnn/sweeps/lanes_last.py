"""Many small networks trained side by side: lanes along the last axis.

`vmap` puts lanes first. A small network's arrays hold a handful of numbers each, and loops
over a handful do not vectorise. With the lanes along the last axis each operation of the
network is one over all lanes, which does; and the matrix products, too small to be called
as such, are sums in sight: some ten times as fast for 2-16-2.
"""

import collections
import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from fnn.batches import Dealt, take
from fnn.dtypes import at_least_float32
from fnn.network import MLP
from fnn.partition import merge, split
from fnn.training.packing import Packing
from fnn.training.problem import Problem
from fnn.training.run import summary
from fnn.training.step import TrainState, advance
from fnn.types import Network


class Lane(NamedTuple):
    """The values of an array in all lanes."""

    value: Any
    has_lanes: bool
    """Whether the last axis is that of the lanes; else all lanes have the same."""
    stored: bool = False
    """Whether it lies in memory, so that nothing is computed where it is read."""
    heavy: bool = False
    """Whether a product has gone into it that is not stored, and not to be computed twice."""


# multiplications in the largest product of a step; beyond, matrix products are faster
_SMALL = 4096
# sums of more terms are left to a loop: the program would grow with them
_TERMS = 64


def is_small(net: Network, batch_size: int) -> bool:
    """Whether lanes of this network are faster last than first, as far as we can tell."""
    if not isinstance(net, MLP):
        return False
    weights = max(a * b for a, b in itertools.pairwise(net.sizes))
    return weights * batch_size <= _SMALL


def scanned_lanes_last(
    problem: Problem, packing: Packing, train: TrainState, dealt: Dealt
) -> tuple[TrainState, tuple]:
    """`scanned` for use under `vmap`: the steps of an epoch, the lanes along the last axis.

    It cannot be differentiated.
    """
    traced, structure = split("sweep", (*problem[:3], problem.data))

    def step(traced: list, train: TrainState, batch: tuple) -> tuple[TrainState, jax.Array]:
        rows, shares = batch
        net, loss, optimizer, data = merge(structure, traced)
        # products are written out here anyway, and sums over rows then read what lies side by side
        net = dataclasses.replace(net, written_out=False, features_first=True)
        return advance(net, loss, optimizer, train, *take(data, rows), shares, packing.unpack)

    @jax.custom_batching.custom_vmap
    def scanned(traced: list, train: TrainState, dealt: Dealt) -> tuple[TrainState, tuple]:
        train, losses = lax.scan(functools.partial(step, traced), train, dealt[:2])
        return train, summary(losses, dealt.weights, train.params)

    @scanned.def_vmap
    def scanned_by_lanes(size: int, has_lanes: list, traced: list, train: Any, dealt: Dealt):
        args = jax.tree.map(
            lambda leaf, moved: jnp.moveaxis(leaf, 0, -1) if moved else leaf,
            [traced, train, dealt],
            has_lanes,
        )
        traced, train, dealt = args
        of_traced, of_train, of_dealt = has_lanes
        train = jax.tree.map(
            lambda leaf, there: leaf if there else _spread(leaf, size), train, of_train
        )
        marks = of_traced, jax.tree.map(lambda _: True, of_train), of_dealt[:2]

        def all_lanes(train: Any, batch: Any) -> tuple[Any, Any]:
            return of_lanes_last(step, size, marks, traced, train, batch)

        train, losses = lax.scan(all_lanes, train, dealt[:2])
        marks = True, of_dealt.weights, jax.tree.map(lambda _: True, train.params)
        of_epoch = of_lanes_last(summary, size, marks, losses, dealt.weights, train.params)
        results = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), (train, of_epoch))
        return results, jax.tree.map(lambda _: True, results)

    after, of_epoch = scanned(traced, train, dealt)
    # no step changes the key, and what is the same object is not written back
    return after._replace(key=train.key), of_epoch


def of_lanes_last(function: Callable, size: int, marks: tuple, *args: Any) -> Any:
    """What `jax.vmap(function, in_axes=-1, out_axes=-1)` is, with the lanes last throughout.

    Args:
      function: Of the arguments of one lane. It is not differentiated through.
      size: The number of lanes.
      marks: For each argument a tree of bools: whether a leaf has lanes, last.
      *args: The arguments.
    Returns:
      What the function returns, each leaf with lanes along its last axis.
    """
    leaves, structure = jax.tree.flatten(args)
    lanes = [Lane(*pair, True) for pair in zip(leaves, jax.tree.leaves(marks), strict=True)]
    of_one = [jax.ShapeDtypeStruct(_shape(lane), lane.value.dtype) for lane in lanes]

    def flat(*leaves: Any) -> Any:
        return function(*jax.tree.unflatten(structure, leaves))

    program, shapes = jax.make_jaxpr(flat, return_shape=True)(*of_one)
    results = _Interpreter(size).run(program.jaxpr, program.consts, lanes)
    results = [r.value if r.has_lanes else _spread(r.value, size) for r in results]
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


class _Interpreter:
    """Runs the program of one lane for all of them."""

    def __init__(self, size: int):
        self.size = size
        self._stored: dict[int, tuple[Any, Lane]] = {}

    def run(self, program: Jaxpr, consts: Sequence[Any], args: Sequence[Lane]) -> list[Lane]:
        known: dict[Any, Lane] = {}
        shared = [Lane(value, False, True) for value in consts]
        known |= dict(zip(program.constvars, shared, strict=True))
        reads = _reads(program)

        def read(var: Any) -> Lane:
            return Lane(var.val, False, True) if isinstance(var, Literal) else known[var]

        def note(variables: Sequence[Any], lanes: Sequence[Lane]) -> None:
            for var, lane in zip(variables, lanes, strict=True):
                known[var] = self._once(lane) if lane.heavy and reads[var] > 1 else lane

        note(program.invars, args)
        for equation in program.eqns:
            if not any(reads[var] for var in equation.outvars):
                continue
            note(equation.outvars, self.results(equation, [read(var) for var in equation.invars]))
        return [read(var) for var in program.outvars]

    def results(self, equation: JaxprEqn, args: list[Lane]) -> list[Lane]:
        """What one operation makes of its arguments."""
        name, params = equation.primitive.name, equation.params
        if not any(lane.has_lanes for lane in args):
            results = equation.primitive.bind(*[lane.value for lane in args], **params)
            return [Lane(r, False) for r in _listed(equation, results)]
        if name in _CALLS:
            program = next(params[p] for p in ("jaxpr", "call_jaxpr", "fun_jaxpr") if p in params)
            closed = isinstance(program, ClosedJaxpr)
            inner, consts = (program.jaxpr, program.consts) if closed else (program, ())
            return self.run(inner, consts, args)
        rule = "elementwise" if name in _ELEMENTWISE else name
        lanes_last = getattr(self, rule, None)
        results = lanes_last(equation, *args) if lanes_last else None
        if results is None:
            results = self.by_vmap(equation, *args)
        in_memory = name in _VIEWS and args[0].stored
        heavy = name == "dot_general" or any(lane.heavy for lane in args)
        return [Lane(r, True, in_memory, heavy) for r in _listed(equation, results)]

    # Rules: each gives the result with the lanes last, or None where it knows no better way.

    def by_vmap(self, equation: JaxprEqn, *args: Lane) -> Any:
        axes = [-1 if lane.has_lanes else None for lane in args]
        bind = functools.partial(equation.primitive.bind, **equation.params)
        return jax.vmap(bind, in_axes=axes, out_axes=-1)(*[lane.value for lane in args])

    def elementwise(self, equation: JaxprEqn, *args: Lane) -> Any:
        shape = (*_made(equation).shape, self.size)
        values = [_broadcast(lane, shape) for lane in args]
        return equation.primitive.bind(*values, **equation.params)

    def broadcast_in_dim(self, equation: JaxprEqn, lane: Lane, *sizes: Lane) -> Any:
        shape, dims = equation.params["shape"], equation.params["broadcast_dimensions"]
        if sizes:
            return None
        return lax.broadcast_in_dim(lane.value, (*shape, self.size), (*dims, len(shape)))

    def transpose(self, equation: JaxprEqn, lane: Lane) -> Any:
        axes = equation.params["permutation"]
        return lax.transpose(lane.value, (*axes, len(axes)))

    def reshape(self, equation: JaxprEqn, lane: Lane) -> Any:
        return lax.reshape(lane.value, (*equation.params["new_sizes"], self.size))

    def squeeze(self, equation: JaxprEqn, lane: Lane) -> Any:
        return lax.squeeze(lane.value, equation.params["dimensions"])

    def slice(self, equation: JaxprEqn, lane: Lane) -> Any:
        start, limit, strides = (
            equation.params[p] for p in ("start_indices", "limit_indices", "strides")
        )
        strides = None if strides is None else (*strides, 1)
        return lax.slice(lane.value, (*start, 0), (*limit, self.size), strides)

    def concatenate(self, equation: JaxprEqn, *args: Lane) -> Any:
        values = [lane.value if lane.has_lanes else _spread(lane.value, self.size) for lane in args]
        return lax.concatenate(values, equation.params["dimension"])

    def split(self, equation: JaxprEqn, lane: Lane) -> Any:
        return equation.primitive.bind(lane.value, **equation.params)

    def reduce_sum(self, equation: JaxprEqn, lane: Lane) -> Any:
        return self._reduced(equation, lane, operator.add)

    def reduce_max(self, equation: JaxprEqn, lane: Lane) -> Any:
        return self._reduced(equation, lane, lax.max)

    def reduce_min(self, equation: JaxprEqn, lane: Lane) -> Any:
        return self._reduced(equation, lane, lax.min)

    def dot_general(self, equation: JaxprEqn, *args: Lane) -> Any:
        """Every term of the sum in sight, or at least no call of a matrix product."""
        contracted, batch = equation.params["dimension_numbers"]
        if any(batch) or any(len(axes) != 1 for axes in contracted):
            return None
        shape, dtype = (*_made(equation).shape, self.size), _made(equation).dtype
        values = [
            self._once(lane).value.astype(at_least_float32(lane.value.dtype)) for lane in args
        ]
        a, b = (v if lane.has_lanes else v[..., None] for v, lane in zip(values, args, strict=True))
        ((axis_a,), (axis_b,)) = contracted

        def term(a: jax.Array, b: jax.Array) -> jax.Array:
            a = a.reshape(*a.shape[:-1], *[1] * (b.ndim - 1), a.shape[-1])
            return jnp.broadcast_to(a, shape) * jnp.broadcast_to(b, shape)

        if a.shape[axis_a] <= _TERMS:
            terms = map(term, _parts(a, [axis_a]), _parts(b, [axis_b]))
            return _added(list(terms), operator.add).astype(dtype)
        return jax.vmap(term, in_axes=(axis_a, axis_b))(a, b).sum(axis=0).astype(dtype)

    def _reduced(self, equation: JaxprEqn, lane: Lane, operation: Callable) -> Any:
        axes = equation.params["axes"]
        terms = math.prod(lane.value.shape[axis] for axis in axes)
        if not 1 <= terms <= _TERMS:
            return equation.primitive.bind(lane.value, **equation.params)
        # what is stored is not joined with the sum to one rounding, here but not there: lanes that
        # do not fill a vector would get other bits than those that do
        return _added(_parts(self._once(lane).value, axes), operation)

    def _once(self, lane: Lane) -> Lane:
        """The same, computed once and stored. The compiler would do it again for every term of a
        sum, as it joins what looks cheap with all that use it.
        """
        value = lane.value
        if lane.stored or not lane.has_lanes or not jnp.issubdtype(value.dtype, np.floating):
            return lane
        if id(value) not in self._stored:
            self._stored[id(value)] = value, Lane(stored(value), True, True)
        return self._stored[id(value)][1]


def stored(value: jax.Array) -> jax.Array:
    """The same, which the compiler stores before it computes what reads it."""
    return lax.platform_dependent(value, cpu=_called, default=lax.optimization_barrier)


def _called(value: jax.Array) -> jax.Array:
    # On CPU barriers are gone before operations are joined. But those on the two sides of a
    # function that has to stay one are never joined, and a function that does nothing is free.
    with set_xla_metadata(inlineable="false"):
        return _identity(value)


@jax.jit
def _identity(value: jax.Array) -> jax.Array:
    return value


def _reads(program: Jaxpr) -> collections.Counter:
    """By how many operations each value is read, those left out whose results nobody reads."""
    reads = collections.Counter(var for var in program.outvars if not isinstance(var, Literal))
    for equation in reversed(program.eqns):
        if any(reads[var] for var in equation.outvars):
            reads.update(var for var in equation.invars if not isinstance(var, Literal))
    return reads


def _broadcast(lane: Lane, shape: tuple[int, ...]) -> jax.Array:
    value = jnp.asarray(lane.value)
    value = value if lane.has_lanes else value[..., None]
    ones = (1,) * (len(shape) - value.ndim)
    return jnp.broadcast_to(value.reshape(*ones, *value.shape), shape)


def _shape(lane: Lane) -> tuple[int, ...]:
    """The shape that one lane's value has."""
    shape = jnp.shape(lane.value)
    return shape[:-1] if lane.has_lanes else shape


def _spread(value: Any, size: int) -> jax.Array:
    """The same for all lanes."""
    value = jnp.asarray(value)
    return jnp.broadcast_to(value[..., None], (*value.shape, size))


def _parts(value: jax.Array, axes: Sequence[int]) -> list[jax.Array]:
    """The value cut along these axes. It is read as it lies: what the compiler is asked to
    transpose it may store once more.
    """
    parts = [value]
    for axis in sorted(axes, reverse=True):
        parts = [
            lax.index_in_dim(part, k, axis, keepdims=False)
            for part in parts
            for k in range(value.shape[axis])
        ]
    return parts


def _added(terms: list[jax.Array], operation: Callable) -> jax.Array:
    while len(terms) > 1:  # in pairs, so that few terms wait for one another
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [functools.reduce(operation, pair) for pair in pairs]
    return terms[0]


def _made(equation: JaxprEqn) -> Any:
    """The shape and dtype of what an operation gives for one lane."""
    return equation.outvars[0].aval


def _listed(equation: JaxprEqn, results: Any) -> list[Any]:
    return list(results) if equation.primitive.multiple_results else [results]


_CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
          "custom_vjp_call_jaxpr", "checkpoint", "remat", "remat2"}  # fmt: skip

# what reads another's memory
_VIEWS = {"reshape", "squeeze", "slice", "split", "transpose"}

# fmt: off
_ELEMENTWISE = {
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh",
    "cbrt", "ceil", "clamp", "conj", "convert_element_type", "copy", "cos", "cosh", "digamma",
    "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "imag",
    "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min",
    "mul", "ne", "neg", "nextafter", "not", "or", "pow", "real", "reduce_precision", "rem",
    "round", "rsqrt", "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical",
    "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor",
}
# fmt: on
