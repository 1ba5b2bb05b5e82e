"""An interpreter of jaxprs that keeps the lanes on the last axis. See the package's docstring."""

import collections
import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from fnn._core.dtypes import at_least_float32
from fnn.training.control import materialized

# sums of more terms are left to a loop, as the program would grow with them
_TERMS = 64


class Lane(NamedTuple):
    """An array of the program, for all lanes."""

    value: Any
    has_lanes: bool
    """Whether it has an axis of lanes, the last one; else all lanes share it."""
    in_memory: bool = False
    """Whether it is in memory already, so that reading it computes nothing."""
    has_product: bool = False
    """Whether computing it again would compute a product again."""


def of_lanes_last(function: Callable, size: int, marks: tuple, *args: Any) -> Any:
    """`jax.vmap(function, in_axes=-1, out_axes=-1)`, with the lanes last in every operation.

    Args:
      function: A function of one lane. The result cannot be differentiated.
      size: The number of lanes.
      marks: For each argument, a tree of bools: whether a leaf has a last axis of lanes.
      *args: The arguments.
    Returns:
      The results of the function, each leaf with a last axis of lanes.
    """
    leaves, structure = jax.tree.flatten(args)
    lanes = [Lane(*pair, True) for pair in zip(leaves, jax.tree.leaves(marks), strict=True)]
    of_one = [jax.ShapeDtypeStruct(_shape(lane), lane.value.dtype) for lane in lanes]

    def flat(*leaves: Any) -> Any:
        return function(*jax.tree.unflatten(structure, leaves))

    program, shapes = jax.make_jaxpr(flat, return_shape=True)(*of_one)
    results = _Interpreter(size).run(program.jaxpr, program.consts, lanes)
    results = [r.value if r.has_lanes else repeated(r.value, size) for r in results]
    return jax.tree.unflatten(jax.tree.structure(shapes), results)


class _Interpreter:
    """Evaluates the jaxpr of one lane for all lanes."""

    def __init__(self, size: int):
        self.size = size
        self._materialized_by_id: dict[int, tuple[Any, Lane]] = {}

    def run(self, program: Jaxpr, consts: Sequence[Any], args: Sequence[Lane]) -> list[Lane]:
        known: dict[Any, Lane] = {}
        shared = [Lane(value, False, True) for value in consts]
        known |= dict(zip(program.constvars, shared, strict=True))
        reads = _reads(program)

        def read(var: Any) -> Lane:
            return Lane(var.val, False, True) if isinstance(var, Literal) else known[var]

        def note(variables: Sequence[Any], lanes: Sequence[Lane]) -> None:
            for var, lane in zip(variables, lanes, strict=True):
                twice = lane.has_product and reads[var] > 1
                known[var] = self._materialized(lane) if twice else lane

        note(program.invars, args)
        for equation in program.eqns:
            if not _is_live(equation, reads):
                continue
            note(equation.outvars, self.results(equation, [read(var) for var in equation.invars]))
        return [read(var) for var in program.outvars]

    def results(self, equation: JaxprEqn, args: list[Lane]) -> list[Lane]:
        """The results of one operation."""
        name, params = equation.primitive.name, equation.params
        # the parameters of a function with a derivative of its own are no arguments of `bind`
        own_derivative = name in {"custom_jvp_call", "custom_vjp_call"}
        if not any(lane.has_lanes for lane in args) and not own_derivative:
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
        in_memory = name in _VIEWS and args[0].in_memory
        has_product = name == "dot_general" or any(lane.has_product for lane in args)
        return [Lane(r, True, in_memory, has_product) for r in _listed(equation, results)]

    # Rules, by the name of the primitive: the result with the lanes last, or None to use `vmap`.

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
        values = [
            lane.value if lane.has_lanes else repeated(lane.value, self.size) for lane in args
        ]
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
        """The product as an unrolled sum of terms, or a loop over them if they are many."""
        contracted, batch = equation.params["dimension_numbers"]
        if any(batch) or any(len(axes) != 1 for axes in contracted):
            return None
        shape, dtype = (*_made(equation).shape, self.size), _made(equation).dtype
        # narrow floats are added in float32, integers and complex numbers as they are
        wide = at_least_float32(dtype) if jnp.issubdtype(dtype, np.floating) else dtype
        values = [self._materialized(lane).value.astype(wide) for lane in args]
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
        # Values in memory are not fused with the sum, which could change the rounding of lanes that
        # do not fill a vector, and so their bits.
        return _added(_parts(self._materialized(lane).value, axes), operation)

    def _materialized(self, lane: Lane) -> Lane:
        """The lane's value, computed once and written to memory. The compiler would fuse what looks
        cheap into each of its users, and compute it again for every term of a sum.
        """
        value = lane.value
        if lane.in_memory or not lane.has_lanes or not jnp.issubdtype(value.dtype, np.floating):
            return lane
        if id(value) not in self._materialized_by_id:
            self._materialized_by_id[id(value)] = value, Lane(materialized(value), True, True)
        return self._materialized_by_id[id(value)][1]


def _reads(program: Jaxpr) -> collections.Counter:
    """The number of operations that read each value, not counting operations of unread results."""
    reads = collections.Counter(var for var in program.outvars if not isinstance(var, Literal))
    for equation in reversed(program.eqns):
        if _is_live(equation, reads):
            reads.update(var for var in equation.invars if not isinstance(var, Literal))
    return reads


def _is_live(equation: JaxprEqn, reads: collections.Counter) -> bool:
    """Whether an operation has an effect, as `jax.debug.print` has, or a result that is read."""
    return bool(equation.effects) or any(reads[var] for var in equation.outvars)


def _broadcast(lane: Lane, shape: tuple[int, ...]) -> jax.Array:
    value = jnp.asarray(lane.value)
    value = value if lane.has_lanes else value[..., None]
    ones = (1,) * (len(shape) - value.ndim)
    return jnp.broadcast_to(value.reshape(*ones, *value.shape), shape)


def _shape(lane: Lane) -> tuple[int, ...]:
    """The shape of the value in one lane."""
    shape = jnp.shape(lane.value)
    return shape[:-1] if lane.has_lanes else shape


def repeated(value: Any, size: int) -> jax.Array:
    """The value repeated for all lanes."""
    value = jnp.asarray(value)
    return jnp.broadcast_to(value[..., None], (*value.shape, size))


def _parts(value: jax.Array, axes: Sequence[int]) -> list[jax.Array]:
    """The slices of a value along these axes, by index, as a transpose may cost a copy."""
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
    """The shape and dtype of an operation's first result in one lane."""
    return equation.outvars[0].aval


def _listed(equation: JaxprEqn, results: Any) -> list[Any]:
    return list(results) if equation.primitive.multiple_results else [results]


_CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call",
          "custom_vjp_call_jaxpr", "checkpoint", "remat", "remat2"}  # fmt: skip

# operations whose result is a view of the argument's memory
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
