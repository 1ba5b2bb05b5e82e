"""The lanes of a sweep divided between processes, each of which advances its own.

All processes call each method at the same place, and see the same reports of all lanes. Checkpoints
are those of a single process, so that a sweep continues on fewer processes, or on more.
"""

from concurrent.futures import Executor
from typing import Any

import jax
import numpy as np

from fnn._core.processes import from_all, largest
from fnn._host.segments import Pace
from fnn.sweeps.chunks import Runs
from fnn.sweeps.program import Varied
from fnn.sweeps.rows import copied_rows, rows_of
from fnn.training.problem import Problem
from fnn.training.state import FitState


class SpreadRuns:
    """As `Runs`, for the lanes of all processes."""

    def __init__(self, problem: Problem, varied: Varied, like: FitState, size: int, **options: Any):
        """Lays out the lanes of this process and compiles the program; runs nothing.

        It takes what `Runs` takes, of all lanes.
        """
        processes = jax.process_count()
        each = -(-size // processes)
        # Neighbours in a grid end at about the same time, so they are in different processes. Where
        # lanes do not divide evenly, the first ones run twice, so that all have as many.
        self._own = (jax.process_index() + processes * np.arange(each)) % size
        self._size, self.done = size, 0
        pairs = zip(varied.traced, varied.swept, strict=True)
        traced = [leaf[self._own] if own else leaf for leaf, own in pairs]
        self._runs = Runs(problem, varied._replace(traced=traced), like, each, **options)
        self._report()

    @property
    def pace(self) -> Pace:
        """That of this process."""
        return self._runs.pace

    @property
    def threads(self) -> int:
        """Those of this process."""
        return self._runs.threads

    @property
    def rounds(self) -> int:
        """Those of this process."""
        return self._runs.rounds

    @property
    def laid_out(self) -> dict[str, int]:
        """The layout in each process, on which the last bits of lanes depend."""
        return self._runs.laid_out

    @property
    def history(self) -> dict[str, np.ndarray]:
        """That of all lanes."""
        return self._of_all(self._runs.history)

    def begin(self, start: Any) -> None:
        """As in `Runs`, with a row for each lane of all processes."""
        self._runs.begin(copied_rows(start, self._own))
        self._report()

    def resume(self, state: FitState, latest: int) -> np.ndarray:
        """As in `Runs`, with a row for each lane of all processes."""
        competing = self._runs.resume(copied_rows(state, self._own), latest)
        self._report()
        return self._of_all(competing)

    def snapshot_like(self, done: int) -> dict[str, Any]:
        """What a snapshot after so many epochs looks like."""

        def longer(leaf: np.ndarray) -> np.ndarray:
            return np.empty((self._size, *leaf.shape[1:]), leaf.dtype)

        return jax.tree.map(longer, self._runs.snapshot_like(done))

    def snapshot(self) -> dict[str, Any]:
        """All that it takes to continue, the same in all processes."""
        return self._of_all(self._runs.snapshot())

    def restore(self, snapshot: dict[str, Any], done: int) -> None:
        """Continues from a snapshot of the same lanes, whatever processes made it."""
        self._runs.restore(rows_of(snapshot, self._own), done)
        self.done = done
        self._report()

    def advance(self, epochs: int, pool: Executor) -> int:
        """As in `Runs`: fewer epochs only where the lanes of all processes stop."""
        (advanced,) = largest(self._runs.advance(epochs, pool))
        self.done += advanced
        self._runs.done = self.done  # also where the lanes of this process have stopped
        self._report()
        return advanced

    def drop(self, lanes: np.ndarray) -> None:
        """Stops these lanes."""
        self._runs.drop(np.flatnonzero(np.isin(self._own, lanes)))
        self.alive[lanes] = False

    def collected(self) -> FitState:
        """The states of all lanes, without the order key. Stops all lanes."""
        return self._of_all(jax.device_get(self._runs.collected()))

    def _report(self) -> None:
        """Gathers the reports of all lanes."""
        runs = self._runs
        self.alive, self.epoch, self.best = self._of_all((runs.alive, runs.epoch, runs.best))

    def _of_all(self, tree: Any) -> Any:
        """The rows of all lanes, in order, from those of each process."""

        def in_order(leaf: np.ndarray) -> np.ndarray:  # (processes, lanes of each, ...)
            return leaf.swapaxes(0, 1).reshape(-1, *leaf.shape[2:])[: self._size]

        return jax.tree.map(in_order, from_all(tree))
