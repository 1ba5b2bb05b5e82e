"""Lanes in chunks of one size, each run by one compiled program, on all devices and cores.

The program of a chunk is the run's own under `vmap`. In one program a lane's bits depend
neither on its place nor on its neighbours, so chunks can be made anew at any time: lanes
that have ended leave them, and those that live fill fewer chunks of the same program.
"""

import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from fnn.network import MLP
from fnn.partition import Structure, merge
from fnn.sweeps.host import (
    empty_rows,
    rows_of,
    to_host,
    with_keys,
    without_keys,
    write_rows,
)
from fnn.sweeps.lanes_last import is_small, scanned_lanes_last
from fnn.sweeps.layout import layout_of, within_memory
from fnn.training.problem import Problem
from fnn.training.run import epochs_from, has_ended, scanned
from fnn.training.state import Beginning, FitState, begin_state
from fnn.training.step import TrainState


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


@functools.partial(jax.jit, static_argnums=0)
def _begin(program: Program, traced: list, start: Any) -> FitState:
    """A chunk's states before the first epoch, without the order's key."""

    def one(traced: list, start: Any) -> FitState:
        problem, order_key = merge(program.structure, with_keys(traced))
        state = begin_state(problem, Beginning(with_keys(start), order_key))
        return without_keys(state._replace(order_key=None))

    return _for_lanes(program, one, 0)(traced, start)


@functools.partial(jax.jit, static_argnums=0)
def _goes_on(program: Program, traced: list, state: FitState) -> jax.Array:
    """Which lanes have not ended by themselves."""

    def one(traced: list, state: FitState) -> jax.Array:
        return ~has_ended(merge(program.structure, with_keys(traced))[0], state)

    return _for_lanes(program, one, 0)(traced, state)


def _advance(
    program: Program, traced: list, state: FitState, first: jax.Array, last: jax.Array
) -> tuple[FitState, Report]:
    """A chunk's states after the epochs from `first` to before `last`."""

    def one(traced: list, state: FitState, first: jax.Array, last: jax.Array):
        problem, order_key = merge(program.structure, with_keys(traced))
        steps = scanned_lanes_last if along_vectors(problem) else scanned_features_first
        state = with_keys(state)._replace(order_key=order_key)
        state, history = epochs_from(problem, state, first, last, program.capacity, steps)
        report = Report(~has_ended(problem, state), state.epoch, _best(state), history)
        return without_keys(state._replace(order_key=None)), report

    return _for_lanes(program, one, 0, None, None)(traced, state, first, last)


def _best(state: FitState) -> jax.Array:
    (value,) = state.best_value.values()
    return jnp.where(state.diverged_at < 0, value, jnp.nan)


_advance_on_all_cores = jax.jit(_advance, static_argnums=0)
# where several chunks are at work at once, each keeps to one core
_advance_on_one_core = jax.jit(
    _advance, static_argnums=0, compiler_options={"xla_cpu_multi_thread_eigen": False}
)


def scanned_features_first(problem: Problem, *rest: Any) -> tuple[TrainState, jax.Array]:
    """`scanned`, for lanes that lie before rows and features."""
    if isinstance(problem.net, MLP):
        net = dataclasses.replace(problem.net, features_first=True)
        problem = problem._replace(net=net)
    return scanned(problem, *rest)


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


class _Chunk(NamedTuple):
    lanes: np.ndarray
    """Which are in it; fewer than it has room for, if others only fill it up."""
    traced: list[Any]
    """Numbers and arrays, on the devices."""
    state: FitState | None
    """On the devices, without the order's key; None where the host keeps it."""


class Runs:
    """All runs of a sweep, a lane each: the living in chunks on devices, the others on the host.

    `alive`, `epoch` and `best` hold, lane by lane, what was last reported, `history` all of
    it; `done` counts epochs.
    """

    def __init__(
        self,
        problem: Problem,
        varied: Varied,
        like: FitState,
        size: int,
        *,
        epochs: int,
        capacity: int,
        lanes_end: bool,
        at_once: int | None,
    ):
        """Nothing is run yet, but the program is compiled.

        Args:
          problem: That of the first lane.
          varied: What the lanes have in common and what not.
          like: The state of a lane, or its shapes.
          size: The number of lanes.
          epochs: How many are to be run at most.
          capacity: How many epochs a call of the program holds.
          lanes_end: Whether lanes are going to end before the last epoch.
          at_once: Lanes in a chunk on each device; None to choose.
        """
        self.alive = np.ones(size, bool)
        self.epoch = np.zeros(size, np.int32)
        self.best = np.full(size, np.nan)
        self.history = {
            name: np.empty((size, epochs, *record.shape), record.dtype)
            for name, record in problem.plan.records
        }
        self.done = 0
        self._written = np.zeros(size, int)  # epochs of each lane's history
        self._first = 0
        self._chunks: list[_Chunk] = []
        self._store: Any = None  # the states of all lanes, on the host

        self._numbers = to_host(varied.traced)
        like = jax.eval_shape(without_keys, like._replace(order_key=None))
        state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
        layout = layout_of(
            size,
            state_bytes,
            along_vectors=along_vectors(problem),
            lanes_end=lanes_end,
            at_once=at_once,
        )
        while True:
            self._layout, mesh = layout, layout.mesh
            self._program = Program(varied.structure, varied.swept, capacity, mesh)
            pairs = zip(self._numbers, varied.swept, strict=True)
            shared = [None if own else leaf for leaf, own in pairs]
            self._shared = jax.device_put(shared, self._place(PartitionSpec()))
            self._advance, needed = self._compiled(like)
            layout = within_memory(layout, needed)
            if layout == self._layout:
                return

    @property
    def threads(self) -> int:
        """How many chunks are at work at once."""
        return self._layout.threads

    @property
    def rounds(self) -> int:
        """How many chunks each thread has."""
        return -(-len(self._chunks) // self.threads)

    def begin(self, start: Any) -> None:
        """All lanes to their first epoch.

        Args:
          start: On the host, a row per lane: keys or `TrainState`s.
        """
        for lanes in self._dealt(np.arange(len(self.alive))):
            traced, rows = self._traced(lanes), self._rows(lanes)
            state = _begin(self._program, traced, self._put(rows_of(start, rows)))
            self._chunks.append(self._kept(_Chunk(lanes, traced, state)))

    def resume(self, state: FitState) -> np.ndarray:
        """All lanes to where they stood; those go on that stand at the latest epoch.

        Args:
          state: On the host, a row per lane, without the order's key.
        Returns:
          Which lanes could go on or have ended by themselves; the others were left behind.
        """
        self._store = jax.tree.map(np.array, state)
        self.epoch[:], self.best[:] = state.epoch, _best(state)
        self._first = int(self.epoch.max())
        self.alive[:] = self.epoch == self._first
        ended = ~np.asarray(_goes_on(self._program._replace(mesh=None), self._numbers, state))
        self._deal()
        return self.alive | ended

    def advance(self, epochs: int, pool: Executor) -> int:
        """Runs so many more epochs; how many it were, fewer if all lanes have ended."""
        first = self._first + self.done
        list(pool.map(lambda index: self._run(index, first, epochs), range(len(self._chunks))))
        there = [chunk.lanes for chunk in self._chunks]
        advanced = max((self.epoch[lanes].max() for lanes in there), default=first) - first
        self.done += int(advanced)
        if self._fewer_chunks_do():
            self._deal()
        return int(advanced)

    def _fewer_chunks_do(self) -> bool:
        return -(-np.sum(self.alive) // self._layout.chunk) < len(self._chunks)

    def drop(self, lanes: np.ndarray) -> None:
        """Ends these lanes where they are."""
        if self.alive[lanes].any():
            self.alive[lanes] = False
            self._deal()

    def collected(self) -> FitState:
        """The states of all lanes on the host, without the order's key; all have ended here."""
        self.alive[:] = False
        self._deal()
        state, self._store = self._store, None
        for name, values in self.history.items():
            later = np.arange(values.shape[1]) >= self._written[:, None]
            values[later] = np.repeat(state.latest[name], later.sum(axis=1), axis=0)
        return state

    def _run(self, index: int, first: int, epochs: int) -> None:
        """Advances a chunk, and notes what it reports."""
        lanes, traced, state = self._chunks[index]
        if state is None:
            state = self._stored(lanes)
        state, report = self._advance(traced, state, np.int32(first), np.int32(first + epochs))
        self._chunks[index] = self._kept(_Chunk(lanes, traced, state))
        report = jax.device_get(report)
        rows = len(lanes)
        self.alive[lanes] = report.alive[:rows]
        self.epoch[lanes] = report.epoch[:rows]
        self.best[lanes] = report.best[:rows]
        for name, values in report.history.items():
            self.history[name][lanes, self.done : self.done + epochs] = values[:rows, :epochs]
        self._written[lanes] = self.done + epochs

    def _deal(self) -> None:
        """Makes the chunks anew, of the lanes that live."""
        for chunk in self._chunks:
            self._to_host(chunk)
        self._chunks = []
        for lanes in self._dealt(np.flatnonzero(self.alive)):
            state = self._put(self._stored(lanes)) if self._layout.resident else None
            self._chunks.append(_Chunk(lanes, self._traced(lanes), state))

    def _kept(self, chunk: _Chunk) -> _Chunk:
        """The chunk, its state where it belongs."""
        return chunk if self._layout.resident else self._to_host(chunk)

    def _to_host(self, chunk: _Chunk) -> _Chunk:
        """The chunk, its state on the host."""
        if chunk.state is not None:
            state = jax.device_get(chunk.state)
            if self._store is None:
                self._store = empty_rows(state, len(self.alive))
            write_rows(self._store, chunk.lanes, state)
        return chunk._replace(state=None)

    def _stored(self, lanes: np.ndarray) -> FitState:
        """The state of a chunk of these lanes, as the host has it."""
        return rows_of(self._store, self._rows(lanes))

    def _dealt(self, lanes: np.ndarray) -> list[np.ndarray]:
        """The lanes of each chunk."""
        return [lanes[i : i + self._layout.chunk] for i in range(0, len(lanes), self._layout.chunk)]

    def _rows(self, lanes: np.ndarray) -> np.ndarray:
        """The lanes, and the first one again as often as it takes to fill their chunk."""
        return np.pad(lanes, (0, self._layout.chunk - len(lanes)), constant_values=lanes[0])

    def _traced(self, lanes: np.ndarray) -> list[Any]:
        """The numbers and arrays of a chunk, on the devices."""
        rows = self._rows(lanes)
        own = [
            rows_of(numbers, rows) if shared is None else None
            for numbers, shared in zip(self._numbers, self._shared, strict=True)
        ]
        pairs = zip(self._put(own), self._shared, strict=True)
        return [values if shared is None else shared for values, shared in pairs]

    def _put(self, tree: Any) -> Any:
        """Rows of a chunk, on the devices."""
        return jax.device_put(tree, self._place(PartitionSpec("lanes")))

    def _place(self, spec: PartitionSpec) -> Sharding:
        mesh = self._program.mesh
        if mesh is None:
            return SingleDeviceSharding(self._layout.devices[0])
        return NamedSharding(mesh, spec)

    def _compiled(self, like: FitState) -> tuple[Callable, int]:
        """A chunk's program, and the bytes that it takes on a device."""
        chunk, place = self._layout.chunk, self._place(PartitionSpec("lanes"))

        def shape(leaf: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((chunk, *leaf.shape), leaf.dtype, sharding=place)

        traced = self._traced(np.zeros(1, int))
        number = jax.ShapeDtypeStruct((), np.int32)
        one_core = self._layout.threads > 1
        advance = _advance_on_one_core if one_core else _advance_on_all_cores
        lowered = advance.lower(self._program, traced, jax.tree.map(shape, like), number, number)
        compiled = lowered.compile()
        memory = compiled.memory_analysis()
        parts = ("temp", "argument", "output")
        return compiled, sum(getattr(memory, f"{part}_size_in_bytes", 0) for part in parts)
