"""The compiled program of a chunk: the run's own under `vmap`, over the devices there are."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from fnn.network import MLP
from fnn.partition import Structure, merge
from fnn.programs import Compiled, compiled
from fnn.sweeps.host import with_keys, without_keys
from fnn.sweeps.lanes_last import is_small, scanned_lanes_last, stored
from fnn.training.packing import Packing, packing_of
from fnn.training.problem import Problem
from fnn.training.run import Steps, carried, epochs_from, has_ended, scanned
from fnn.training.state import Beginning, FitState, begin_state
from fnn.training.step import TrainState
from fnn.types import Loss


class Varied(NamedTuple):
    """What is trained, by lanes: a lane's `Problem` and the key of its batch order, taken apart."""

    structure: Structure
    traced: list[Any]
    """Numbers and arrays; for those that every lane has its own of, `(lanes, ...)`."""
    swept: tuple[bool, ...]
    """Which these are."""


class Program(NamedTuple):
    """The static part of a chunk's program."""

    structure: Structure
    swept: tuple[bool, ...]
    capacity: int
    """How many epochs a call holds."""
    mesh: Mesh | None
    """The devices that share a chunk, if there are several."""
    own_memory: bool
    """Whether the devices have memory of their own, as accelerators do."""


class Report(NamedTuple):
    """What the host is told of a chunk's lanes after a segment, `(chunk, ...)`."""

    alive: Any
    """Whether a lane goes on."""
    epoch: Any
    """Epochs it has done."""
    best: Any
    """The best value of its monitor so far; NaN where it diverged."""
    history: dict[str, Any]
    """By name, `(chunk, capacity, ...)`."""


@compiled(0)
def begin(program: Program, traced: list, start: Any) -> FitState:
    """A chunk's states before the first epoch, carried, without the order's key."""

    def one(traced: list, start: Any) -> FitState:
        problem, order_key = merge(program.structure, with_keys(traced))
        state = begin_state(problem, Beginning(with_keys(start), order_key))
        state = carried(state, _packing_for(problem).pack)
        return without_keys(state._replace(order_key=None))

    return _for_lanes(program, one, 0)(traced, start)


@compiled(0, 1)
def converted(program: Program, way: str, traced: list, state: FitState) -> FitState:
    """A chunk's states by "pack" as its program carries them from one call to the next, by
    "unpack" as everyone else knows them.
    """

    def one(traced: list, state: FitState) -> FitState:
        problem, _ = merge(program.structure, with_keys(traced))
        return carried(state, getattr(_packing_for(problem), way))

    return _for_lanes(program, one, 0)(traced, state)


def _packing_for(problem: Problem) -> Packing:
    """How the run's parameters are carried."""
    return packing_of(problem.optimizer, jax.eval_shape(problem.net.init, jax.random.key(0)))


@compiled(0)
def goes_on(program: Program, traced: list, state: FitState) -> jax.Array:
    """Which lanes have not ended by themselves."""

    def one(traced: list, state: FitState) -> jax.Array:
        return ~has_ended(merge(program.structure, with_keys(traced))[0], state)

    return _for_lanes(program, one, 0)(traced, state)


def _advance(
    program: Program, traced: list, state: FitState, first: jax.Array, last: jax.Array
) -> tuple[FitState, Report]:
    """A chunk's states after the epochs from `first` to before `last`; they are carried."""

    def one(traced: list, state: FitState, first: jax.Array, last: jax.Array):
        problem, order_key = merge(program.structure, with_keys(traced))
        steps = _steps_for(program, problem)
        state = with_keys(state)._replace(order_key=order_key)
        packing = _packing_for(problem)
        state, history = epochs_from(problem, packing, state, first, last, program.capacity, steps)
        report = Report(~has_ended(problem, state), state.epoch, best_of(state), history)
        return without_keys(state._replace(order_key=None)), report

    return _for_lanes(program, one, 0, None, None)(traced, state, first, last)


def best_of(state: FitState) -> jax.Array:
    """The best value of the monitor so far, NaN where the run diverged."""
    (value,) = state.best_value.values()
    return jnp.where(state.diverged_at < 0, value, jnp.nan)


def _steps_for(program: Program, problem: Problem) -> Steps:
    """How the lanes of a chunk make an epoch's steps, by what the platform is fast at.

    A CPU pays for each number that is not part of a vector, and for each matrix that is copied: so
    the lanes of small networks lie last, and larger ones hand on `(units, rows)`. An accelerator
    pays for each kernel, and its compiler lays out matrices as it likes: there the run's own steps
    are the fewest kernels.
    """
    if program.own_memory:
        return scanned
    return scanned_lanes_last if along_vectors(problem) else scanned_features_first


@functools.cache
def advance_on(*, own_memory: bool, one_core: bool) -> Compiled:
    """The function that advances a chunk, to be compiled by `compiler_options` of the same."""
    options = compiler_options(own_memory=own_memory, one_core=one_core)
    return compiled(0, donate_argnums=2, compiler_options=options)(_advance)


def compiler_options(*, own_memory: bool, one_core: bool) -> dict[str, Any]:
    """How programs of lanes are compiled.

    Args:
      own_memory: Whether the devices have memory of their own.
      one_core: Whether a chunk has a core of its own, and keeps to it.
    """
    options: dict[str, Any] = {}
    if not own_memory:
        # or else vectors are at most half as long as the machine's longest
        options["xla_cpu_prefer_vector_width"] = 512
    if one_core:
        options["xla_cpu_multi_thread_eigen"] = False
    return options


def scanned_features_first(problem: Problem, *rest: Any) -> tuple[TrainState, tuple]:
    """`scanned`, for lanes that lie before rows and features."""
    if isinstance(problem.net, MLP):
        net = dataclasses.replace(problem.net, features_first=True)
        problem = problem._replace(net=net, loss=of_kept(problem.loss))
    return scanned(problem, *rest)


def of_kept(loss: Loss) -> Loss:
    """The loss of outputs whose slopes are stored as the layers' products read them."""
    return lambda outputs, targets: loss(_kept(outputs), targets)


@jax.custom_vjp
def _kept(outputs: jax.Array) -> jax.Array:
    """The outputs `(rows, out)`; what comes back to them is stored as `(out, rows)`. The compiler
    would have the last layer's products turn it, which takes them half as long again.
    """
    return outputs


_kept.defvjp(lambda outputs: (outputs, None), lambda _, slopes: (stored(slopes.T).T,))


def along_vectors(problem: Problem) -> bool:
    """Whether the lanes of a chunk lie along the last axis."""
    return is_small(problem.net, problem.plan.batch_size)


def _for_lanes(program: Program, function: Callable, *axes: int | None) -> Callable:
    """The function of a lane's numbers, and of arguments with such axes, for all lanes."""
    all_axes = ([0 if own else None for own in program.swept], *axes)
    mapped = jax.vmap(function, in_axes=all_axes)
    if program.mesh is None:
        return mapped
    specs = jax.tree.map(
        lambda axis: PartitionSpec() if axis is None else PartitionSpec("lanes"),
        all_axes,
        is_leaf=lambda axis: axis is None,
    )
    lanes = PartitionSpec("lanes")
    return jax.shard_map(
        mapped, mesh=program.mesh, in_specs=specs, out_specs=lanes, check_vma=False
    )
