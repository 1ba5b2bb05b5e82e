"""The compiled program of a chunk of lanes: the program of a run under `vmap`."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, Sharding

from fnn._core.jit_cache import Compiled, Remembered, compiled
from fnn._core.partition import Structure, merge
from fnn._host.segments import Pace
from fnn.networks.dense import Products
from fnn.networks.mlp import MLP
from fnn.networks.rewritten import Rewritten
from fnn.sweeps.lanes_last.steps import is_small, scanned_lanes_last
from fnn.sweeps.layout import BY_LANE, SHARED, Layout
from fnn.sweeps.rows import over_lanes, with_keys, without_keys
from fnn.training.control import materialized
from fnn.training.epochs import Steps, epochs_from, has_ended, repacked, scanned
from fnn.training.packing import Packing, packing_of
from fnn.training.problem import Problem
from fnn.training.state import FitState, InitialState, initial_packable_state
from fnn.training.step import TrainState
from fnn.types import Loss


class Varied(NamedTuple):
    """The problems of all lanes and the keys of their orders, split into static and traced."""

    structure: Structure
    traced: list[Any]
    """Numbers and arrays; the swept ones are `(lanes, ...)`."""
    swept: tuple[bool, ...]
    """Which of them are swept."""


class Program(NamedTuple):
    """The static arguments of a chunk's program."""

    structure: Structure
    swept: tuple[bool, ...]
    capacity: int
    """The most epochs that a call can run."""
    mesh: Mesh | None
    """The devices that a chunk is sharded over; None for a single one."""
    own_memory: bool
    """Whether the devices have memory of their own, as accelerators do."""
    largest_summed: int = 0
    """See `largest_summed_of`."""


class Report(NamedTuple):
    """What the host needs to know of a chunk's lanes after a call, `(chunk, ...)`."""

    alive: Any
    """Whether a lane has neither stopped nor diverged."""
    epoch: Any
    """Epochs done."""
    best: Any
    """The best value of its monitor so far; NaN where it diverged."""
    history: dict[str, Any]
    """By name, `(chunk, capacity, ...)`."""


@compiled(0)
def begin(program: Program, traced: list, start: Any) -> FitState:
    """A chunk's packed states before the first epoch, without the order key."""

    def one(traced: list, start: Any) -> FitState:
        problem, order_key = merge(program.structure, with_keys(traced))
        state = initial_packable_state(problem, InitialState(with_keys(start), order_key))
        state = repacked(state, _packing_for(program, problem).pack)
        return without_keys(state._replace(order_key=None))

    return _for_lanes(program, one, 0)(traced, start)


@compiled(0, 1)
def converted(program: Program, way: str, traced: list, state: FitState) -> FitState:
    """A chunk's states, packed for its program (`way` is "pack") or unpacked ("unpack")."""

    def one(traced: list, state: FitState) -> FitState:
        problem, _ = merge(program.structure, with_keys(traced))
        return repacked(state, getattr(_packing_for(program, problem), way))

    return _for_lanes(program, one, 0)(traced, state)


def _packing_for(program: Program, problem: Problem) -> Packing:
    """The packing of a lane's parameters."""
    params = jax.eval_shape(problem.net.init, jax.random.key(0))
    return packing_of(problem.optimizer, params, problem.net, largest_summed=program.largest_summed)


@compiled(0)
def goes_on(program: Program, traced: list, state: FitState) -> jax.Array:
    """Which lanes have neither stopped nor diverged."""

    def one(traced: list, state: FitState) -> jax.Array:
        return ~has_ended(merge(program.structure, with_keys(traced))[0], state)

    return _for_lanes(program, one, 0)(traced, state)


def _advance(
    program: Program, traced: list, state: FitState, first: jax.Array, last: jax.Array
) -> tuple[FitState, Report]:
    """A chunk's packed states after the epochs from `first` to before `last`, and a report."""

    def one(traced: list, state: FitState, first: jax.Array, last: jax.Array):
        problem, order_key = merge(program.structure, with_keys(traced))
        steps = _steps_for(program, problem)
        state = with_keys(state)._replace(order_key=order_key)
        packing = _packing_for(program, problem)
        state, history = epochs_from(problem, packing, state, first, last, program.capacity, steps)
        report = Report(~has_ended(problem, state), state.epoch, best_of(state), history)
        return without_keys(state._replace(order_key=None)), report

    return _for_lanes(program, one, 0, None, None)(traced, state, first, last)


def best_of(state: FitState) -> jax.Array:
    """The best value of the monitor so far, NaN where the run diverged."""
    (value,) = state.best_value.values()
    return jnp.where(state.diverged_at < 0, value, jnp.nan)


def _steps_for(program: Program, problem: Problem) -> Steps:
    """The form of an epoch's steps that is fast on the platform.

    On a CPU, numbers outside of vectors and copies of matrices are slow: so small networks have the
    lanes on the last axis, and larger ones transpose their layers. On an accelerator the number of
    kernels counts, and its compiler chooses layouts: the steps of a single run take the fewest.
    """
    if program.own_memory:
        return functools.partial(scanned, largest_summed=program.largest_summed)
    return scanned_lanes_last if along_vectors(problem) else scanned_transposed


@functools.cache
def advance_on(*, own_memory: bool, one_core: bool) -> Compiled:
    """The function that advances a chunk, with the `compiler_options` of these arguments."""
    options = compiler_options(own_memory=own_memory, one_core=one_core)
    return compiled(0, donate_argnums=2, compiler_options=options)(_advance)


def compiler_options(*, own_memory: bool, one_core: bool) -> dict[str, Any]:
    """The compiler's options for programs of lanes.

    Args:
      own_memory: Whether the devices have memory of their own.
      one_core: Whether a call uses one core only, as other chunks run on the others.
    """
    options: dict[str, Any] = {}
    if not own_memory:
        # by default, vectors are at most half as long as the longest of the machine
        options["xla_cpu_prefer_vector_width"] = 512
    if one_core:
        options["xla_cpu_multi_thread_eigen"] = False
    return options


# more would hold too many memory maps, see `jit_cache`
_programs = Remembered(64)


class CompiledProgram(NamedTuple):
    """The program of a chunk, compiled."""

    advance: Callable
    """The function that advances it."""
    bytes: int
    """Its memory on a device."""
    paces: dict[int, Pace]
    """How fast it was, by the number of lanes."""


def compiled_for(
    program: Program, layout: Layout, numbers: list, like: FitState
) -> CompiledProgram:
    """The program that advances a chunk, compiled before it is called.

    The threads that call it do not see the caller's settings, such as the precision of products.
    JAX takes a millisecond to find what it has compiled before, and so it is remembered.

    Args:
      program: Its static arguments.
      layout: The layout of the lanes.
      numbers: Those of all lanes, as `Varied` has them, without typed keys.
      like: The state of a lane, or its shapes, without typed keys.
    """
    leaves, structure = jax.tree.flatten((numbers, like))
    swept = program.swept + (False,) * (len(leaves) - len(program.swept))  # `like` is of one lane
    pairs = zip(leaves, swept, strict=True)
    shapes = tuple([(leaf.shape[1:] if own else leaf.shape, leaf.dtype) for leaf, own in pairs])
    key = program, layout, structure, shapes
    return _programs(key, lambda: _compiled_for(*key))


def _compiled_for(
    program: Program, layout: Layout, structure: Any, shapes: tuple
) -> CompiledProgram:
    """`compiled_for`, by the shapes of one lane's own numbers, of shared ones and of a state."""
    numbers, like = jax.tree.unflatten(structure, [jax.ShapeDtypeStruct(*one) for one in shapes])
    by_lane, shared = layout.sharding(BY_LANE), layout.sharding(SHARED)

    def shaped(leaf: Any, place: Sharding, *chunk: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*chunk, *leaf.shape), leaf.dtype, sharding=place)

    def of_all(leaf: Any) -> jax.ShapeDtypeStruct:
        return shaped(leaf, shared)

    def of_chunk(leaf: Any) -> jax.ShapeDtypeStruct:
        return shaped(leaf, by_lane, layout.chunk)

    pairs = zip(numbers, program.swept, strict=True)
    traced = [jax.tree.map(of_chunk if own else of_all, part) for part, own in pairs]
    arguments = program, "pack", traced, jax.tree.map(of_chunk, like)
    jitted: Any = converted.of(*arguments)
    packed = jitted.eval_shape(*arguments)
    state = jax.tree.map(lambda leaf: shaped(leaf, by_lane), packed)
    number = jax.ShapeDtypeStruct((), np.int32)
    advance = advance_on(own_memory=layout.own_memory, one_core=layout.threads > 1)
    arguments = program, traced, state, number, number
    executable = advance.of(*arguments).lower(*arguments).compile()
    memory, parts = executable.memory_analysis(), ("temp", "argument", "output")
    size = sum(getattr(memory, f"{part}_size_in_bytes", 0) for part in parts)
    return CompiledProgram(executable, size, {})


def scanned_transposed(problem: Problem, *rest: Any) -> tuple[TrainState, tuple]:
    """`scanned` with layers that compute `(units, rows)`, for lanes on the first axis."""
    if type(problem.net) is MLP:  # a class derived from it may have an `apply` of its own
        net = Rewritten(problem.net, Products(transposed=True))
        problem = problem._replace(net=net, loss=of_kept(problem.loss))
    return scanned(problem, *rest)


def of_kept(loss: Loss) -> Loss:
    """The loss, with its gradient stored in the layout that the last layer's products read."""
    return lambda outputs, targets: loss(_kept(outputs), targets)


@jax.custom_vjp
def _kept(outputs: jax.Array) -> jax.Array:
    """The outputs `(rows, out)`, whose gradient is stored as `(out, rows)`. Otherwise the products
    of the last layer transpose it, and take half as long again.
    """
    return outputs


_kept.defvjp(lambda outputs: (outputs, None), lambda _, slopes: (materialized(slopes.T).T,))


def along_vectors(problem: Problem) -> bool:
    """Whether the lanes of a chunk are on the last axis."""
    return problem.plan.accumulate == 1 and is_small(problem.net, problem.plan.batch_size)


def _for_lanes(program: Program, function: Callable, *axes: int | None) -> Callable:
    """A function of one lane, vmapped over the swept numbers and arguments with these axes."""
    all_axes = ([0 if own else None for own in program.swept], *axes)
    mapped = over_lanes(function, all_axes)
    if program.mesh is None:
        return mapped
    specs = jax.tree.map(
        lambda axis: SHARED if axis is None else BY_LANE,
        all_axes,
        is_leaf=lambda axis: axis is None,
    )
    return jax.shard_map(
        mapped, mesh=program.mesh, in_specs=specs, out_specs=BY_LANE, check_vma=False
    )
