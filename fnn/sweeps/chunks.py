"""Lanes in chunks of one size, advanced by one compiled program, on all devices and cores.

In one program, a lane's bits depend neither on its position nor on its neighbours. So lanes can be
packed into new chunks at any time: stopped lanes are removed, and the active ones fill fewer chunks
of the same program.
"""

from concurrent.futures import Executor
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn._core.dtypes import float64_enabled
from fnn._core.partition import host_numbers
from fnn._host.segments import Pace
from fnn.sweeps.layout import BY_LANE, SHARED, layout_of, within_memory
from fnn.sweeps.program import (
    Program,
    Varied,
    along_vectors,
    begin,
    best_of,
    compiled_for,
    converted,
    goes_on,
)
from fnn.sweeps.rows import (
    copied_rows,
    empty_rows,
    rows_of,
    shapes_without_keys,
    to_host,
    without_keys,
)
from fnn.sweeps.store import Store
from fnn.training.platform import largest_summed_of
from fnn.training.problem import Problem
from fnn.training.state import FitState, layer_by_layer


class _Chunk(NamedTuple):
    lanes: np.ndarray
    """Their numbers; fewer than the chunk's size if it is padded."""
    traced: list[Any]
    """Numbers and arrays, on the devices."""
    state: FitState | None
    """Packed, on the devices, without the order key; None while the store has it."""


class Runs:
    """All lanes of a sweep: the active ones in chunks on the devices, the others in a store.

    `alive`, `epoch` and `best` are the latest reports by lane, `history` all of them; `done` counts
    epochs.
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
        """Lays the lanes out and compiles the program; runs nothing.

        Args:
          problem: The problem of the first lane.
          varied: The problems of all lanes.
          like: The state of a lane, or its shapes.
          size: The number of lanes.
          epochs: The most epochs to run.
          capacity: The most epochs that a call of the program can run.
          lanes_end: Whether lanes may stop before the last epoch.
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
        self._first, self._epochs = 0, epochs
        # threads do not see the precision of the caller's context
        self._float64 = jax.dtypes.canonicalize_dtype(float) == np.float64
        self._chunks: list[_Chunk] = []
        pairs = zip(varied.traced, varied.swept, strict=True)
        # shared arrays are used where they are
        self._numbers = [
            without_keys(leaf) if isinstance(leaf, jax.Array) and not own else to_host(leaf)
            for leaf, own in pairs
        ]
        self._like = like = shapes_without_keys(like._replace(order_key=None))
        state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
        layout = layout_of(
            size,
            state_bytes,
            along_vectors=along_vectors(problem),
            lanes_end=lanes_end,
            at_once=at_once,
        )
        while True:
            self._layout, most = layout, largest_summed_of(problem, layout.at_once)
            how = capacity, layout.mesh, layout.own_memory, most
            self._program = Program(varied.structure, varied.swept, *how)
            self._compiled = compiled_for(self._program, layout, self._numbers, like)
            layout = within_memory(layout, self._compiled.bytes)
            if layout == self._layout:
                break
        pairs = zip(self._numbers, varied.swept, strict=True)
        self._shared = layout.placed([None if own else leaf for leaf, own in pairs], SHARED)
        on_device = layout.own_memory and self._program.mesh is None
        self._store = Store(like, size, layout.sharding(SHARED) if on_device else None)

    @property
    def pace(self) -> Pace:
        """The pace of the program with this number of lanes."""
        return self._compiled.paces.setdefault(len(self.alive), Pace())

    @property
    def threads(self) -> int:
        """How many chunks run at the same time."""
        return self._layout.threads

    @property
    def rounds(self) -> int:
        """How many chunks each thread runs, one after the other."""
        return -(-len(self._chunks) // self.threads)

    def begin(self, start: Any) -> None:
        """Puts all lanes before their first epoch.

        Args:
          start: A row per lane, on the host or on an accelerator: keys or `TrainState`s.
        """
        start = start if self._store.is_on_device else to_host(start)
        for lanes in self._in_chunks(np.arange(len(self.alive))):
            traced, rows = self._traced(lanes), self._rows(lanes)
            with host_numbers():
                state = begin(self._program, traced, copied_rows(start, rows))
            self._chunks.append(self._kept(_Chunk(lanes, traced, state)))

    def resume(self, state: FitState, latest: int) -> np.ndarray:
        """Puts all lanes into these states; those at the latest epoch are active.

        Args:
          state: A row per lane, on the host or on an accelerator, without the order's key.
          latest: That epoch.
        Returns:
          Which lanes are active or have stopped by themselves; halving stopped the others.
        """
        state = state if self._store.is_on_device else to_host(state)
        self._store.fill(copied_rows(state, np.arange(len(self.alive))))
        self.epoch[:], self.best[:] = state.epoch, best_of(state)
        self._first = latest
        self.alive[:] = self.epoch == latest
        with host_numbers():
            ended = ~np.asarray(goes_on(self._program._replace(mesh=None), self._numbers, state))
        self._make_chunks()
        return self.alive | ended

    @property
    def laid_out(self) -> dict[str, int]:
        """The layout over the machine, on which the last bits of lanes depend."""
        at_once, devices = self._layout.at_once, len(self._layout.devices)
        return {"at_once": at_once, "threads": self.threads, "devices": devices}

    def snapshot(self) -> dict[str, Any]:
        """All that it takes to continue, on the host."""
        for chunk in self._chunks:
            self._to_store(chunk)
        return self.snapshot_like(self.done) | {"state": self._store.on_host()}

    def snapshot_like(self, done: int) -> dict[str, Any]:
        """What a snapshot after so many epochs looks like: arrays of its shapes and dtypes."""
        return {
            "state": empty_rows(self._like, len(self.alive)),
            "alive": self.alive,
            "epoch": self.epoch,
            "best": self.best,
            "written": self._written,
            "history": {name: values[:, :done] for name, values in self.history.items()},
        }

    def restore(self, snapshot: dict[str, Any], done: int) -> None:
        """Continues from a snapshot of the same lanes."""
        self._chunks, self.done = [], done
        self._store.fill(snapshot["state"])
        self.alive, self.epoch = snapshot["alive"], snapshot["epoch"]
        # lanes that stopped within a segment count its full length, of which the rest is not saved
        self.best, self._written = snapshot["best"], np.minimum(snapshot["written"], done)
        for name, values in snapshot["history"].items():
            self.history[name][:, :done] = values
        self._make_chunks()

    def advance(self, epochs: int, pool: Executor) -> int:
        """Runs this many more epochs and returns how many it were: fewer if all lanes stop."""
        first = self._first + self.done

        def run(index: int) -> None:
            with float64_enabled(self._float64):
                self._run(index, first, epochs)

        list(pool.map(run, range(len(self._chunks))))
        there = [chunk.lanes for chunk in self._chunks]
        advanced = max((self.epoch[lanes].max() for lanes in there), default=first) - first
        self.done += int(advanced)
        if self._fewer_chunks_do():
            self._make_chunks()
        return int(advanced)

    def _fewer_chunks_do(self) -> bool:
        return -(-np.sum(self.alive) // self._layout.chunk) < len(self._chunks)

    def drop(self, lanes: np.ndarray) -> None:
        """Stops these lanes."""
        if self.alive[lanes].any():
            self.alive[lanes] = False
            self._make_chunks()

    def collected(self) -> FitState:
        """The states of all lanes, without the order key. Stops all lanes."""
        self.alive[:] = False
        self._make_chunks()
        state = self._store.taken()
        for name, values in self.history.items():
            later = np.arange(values.shape[1]) >= self._written[:, None]
            if later.any():
                latest = jax.device_get(state.latest[name])
                values[later] = np.repeat(latest, later.sum(axis=1), axis=0)
        return state

    def _run(self, index: int, first: int, epochs: int) -> None:
        """Advances a chunk and records its report."""
        lanes, traced, state = self._chunks[index]
        with host_numbers():
            if state is None:
                state = converted(self._program, "pack", traced, self._stored(lanes))
            last = np.int32(first + epochs)
            state, report = self._compiled.advance(traced, state, np.int32(first), last)
        report = self._layout.fetched(report)
        chunk = _Chunk(lanes, traced, state)
        has_ended = self.done + epochs == self._epochs or not report.alive.any()
        # finished chunks go to the store while others run
        self._chunks[index] = self._to_store(chunk) if has_ended else self._kept(chunk)
        rows = len(lanes)
        self.alive[lanes] = report.alive[:rows]
        self.epoch[lanes] = report.epoch[:rows]
        self.best[lanes] = report.best[:rows]
        for name, values in report.history.items():
            self.history[name][lanes, self.done : self.done + epochs] = values[:rows, :epochs]
        self._written[lanes] = self.done + epochs

    def _make_chunks(self) -> None:
        """Packs the active lanes into new chunks."""
        for chunk in self._chunks:
            self._to_store(chunk)
        self._chunks = []
        for lanes in self._in_chunks(np.flatnonzero(self.alive)):
            traced, state = self._traced(lanes), None
            if self._layout.resident:
                state = converted(self._program, "pack", traced, self._put(self._stored(lanes)))
            self._chunks.append(_Chunk(lanes, traced, state))

    def _kept(self, chunk: _Chunk) -> _Chunk:
        """The chunk, with its state where the layout keeps it."""
        return chunk if self._layout.resident else self._to_store(chunk)

    def _to_store(self, chunk: _Chunk) -> _Chunk:
        """The chunk, with its state moved to the store."""
        if chunk.state is not None:
            state = converted(self._program, "unpack", chunk.traced, chunk.state)
            state = layer_by_layer(state, axis=1)
            if not self._store.is_on_device:
                state = self._layout.fetched(state)
            self._store.write(chunk.lanes, state)
        return chunk._replace(state=None)

    def _stored(self, lanes: np.ndarray) -> FitState:
        """The states of a chunk of these lanes, from the store."""
        return self._store.rows(self._rows(lanes))

    def _in_chunks(self, lanes: np.ndarray) -> list[np.ndarray]:
        """The lanes of each chunk."""
        return [lanes[i : i + self._layout.chunk] for i in range(0, len(lanes), self._layout.chunk)]

    def _rows(self, lanes: np.ndarray) -> np.ndarray:
        """The lanes, padded by the first one to a full chunk."""
        rows = np.full(self._layout.chunk, lanes[0])
        rows[: len(lanes)] = lanes
        return rows

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
        return self._layout.placed(tree, BY_LANE)
