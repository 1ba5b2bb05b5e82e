"""`train`: a run on the host, in segments of one compiled program."""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.dataset import on_devices, shards_of_batches
from fnn._core.processes import spans_processes, valid_in_all
from fnn._host.fingerprint import fingerprint, require_same_arguments
from fnn._host.segments import HostArguments, capacity_for, is_finished, run_in_segments
from fnn.training.epochs import run_epochs
from fnn.training.fit import Fit
from fnn.training.problem import Problem, checked_problem, over_devices
from fnn.training.state import FitState, checked_state, compiled_initial_state
from fnn.training.step import TrainState
from fnn.training.stopping import EarlyStopping
from fnn.training.streamed import StreamedRun, streams_of
from fnn.types import Loss, Metric, Network, Optimizer

__all__ = ["train"]


def train(  # noqa: D417, `fit` describes them
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    *,
    key: jax.Array | None = None,
    epochs: int,
    batch_size: int = 32,
    accumulate: int = 1,
    validation: Any = None,
    metrics: Mapping[str, Metric | Loss] | None = None,
    monitor: str | None = None,
    mode: str = "auto",
    stop: EarlyStopping | None = None,
    state: FitState | TrainState | None = None,
    order_key: jax.Array | None = None,
    shuffle: str | None = None,
    progress: bool | None = None,
    callback: Callable[[int, dict[str, Any]], Any] | None = None,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    every: int | None = None,
    keep: int = 2,
    on_save_error: str = "warn",
) -> Fit:
    """`fit` on the host: with a progress bar, checkpoints, and Ctrl-C that loses nothing.

    The same arguments give the same result. It runs on the host in segments of a few
    epochs, so it cannot be put under `jit` or `vmap`; for that there is `fit`. The first
    Ctrl-C (or a notebook's interrupt) or SIGTERM ends the run after the segment at hand and
    returns it, to be continued with `state=run.state`; a second one acts as usual.

    With `checkpoint`, the run can be killed at any moment. Called again with the same
    arguments, it continues from the newest checkpoint that is whole and ends with the same
    bits as if it had never been interrupted; a run that has ended is returned at once, with
    a warning that says so. `epochs` may be raised to continue beyond.

    `data`, and then `validation` too, may be a source of `fnn.streams`, which need not fit into
    memory. Its blocks are read anew in each epoch, while the device trains. A run is then stopped
    and saved within an epoch, too; what it returns ends with the last whole epoch.

    Args:
      net, loss, optimizer, key, epochs, batch_size, accumulate, metrics, monitor: As in `fit`.
      data, validation: As in `fit`, or sources. Of a validation, all outputs are kept on the
        device, and all targets on the host, until they are measured.
      mode, stop, state, order_key, shuffle: As in `fit`.
      progress: Whether to show a bar, with the loss and the monitor. It needs tqdm (the
        extra `progress`). None: on a terminal or in a notebook, if tqdm is installed.
      callback: Called between segments with the epochs done and the latest loss and monitor,
        by name; a true result ends the run. One with a method `on_epochs` gets the values of all
        epochs: see `fnn.loggers`.
      max_seconds: The time limit in seconds, > 0. The run ends after the segment that reaches it.
      checkpoint: A folder for the checkpoints of this run, made if it is not there; one
        process at a time. It holds no data and no functions, only their digests and names.
      every: Epochs between checkpoints, >= 1. None: one about every 30 seconds, as within an
        epoch of a source in any case. The end of the run always has one.
      keep: How many checkpoints to keep, >= 1.
      on_save_error: What to do where a checkpoint cannot be written (a full disk): "warn" and
        continue, or "raise". The older ones are left as they are in any case.
    Returns:
      A `Fit`, as from `fit`; its `epochs` are fewer than asked for if it was interrupted.
    Raises:
      ValueError, TypeError: As `fit`; or `checkpoint` holds a run of other arguments (network,
        optimizer, loss, data, ...); the error lists those that differ. Functions are known by
        their names and by what they have closed over. Or a source ends early, changes from one
        block or epoch to the next, or holds what is not finite; what reading it raises is raised
        as it is.
      CheckpointError: Nothing can be written to `checkpoint`, or all that it holds is damaged.
      ImportError: `progress=True` and tqdm is not installed.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = train(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(0.1), (x, 3 * x + 1),
    ...             key=jax.random.key(0), epochs=50, progress=False)
    >>> print(run.params[0].weight.round(2), run.epochs)
    [[3.]] 50
    """
    name = "train"
    given = HostArguments(
        progress, callback, max_seconds, checkpoint, every, keep, on_save_error
    )  # fmt: skip
    with valid_in_all(name, data):
        epochs = checks.count(name, "epochs", epochs, at_most=checks.INT32)
        given_net, streams = net, streams_of(name, net, data, validation, batch_size)
        if streams is not None:
            net, (data, validation) = streams.net, streams.examples
        problem = checked_problem(
            name, net, loss, optimizer, data, batch_size=batch_size, accumulate=accumulate,
            validation=validation, metrics=metrics, monitor=monitor, mode=mode, stop=stop,
        )  # fmt: skip
        begin = checked_state(name, problem, key, state, order_key)
        checks.no_tracers(name, (problem, begin))
        as_given = problem._asdict() | {"net": given_net}
        problem = over_devices(name, problem, shuffle)
        given.check(name)
    others = {"begin": begin, "epochs": epochs, "every": every, "checkpoint": checkpoint is None}
    require_same_arguments(name, problem._asdict() | others)
    # of a number of shards, not of devices, so that a run may continue on fewer or more
    as_given["shards"] = shards_of_batches(problem.data)
    if streams is not None:
        as_given |= streams.facts()
    outside = given.checked(
        name,
        lambda: fingerprint(**as_given, begin=begin),
        shared=spans_processes(problem.data),
    )
    if hasattr(callback, "on_epochs"):
        outside = outside._replace(callback=_shown_epochs(callback, lambda: parts[-1]))
    current, done, stopped = compiled_initial_state(problem, begin), 0, False
    parts = [_no_history(problem, 0)]
    work: Any = _Resident(problem, current, epochs)
    if streams is not None:
        work = StreamedRun(name, problem, streams, current)
    restored = outside.restored(
        name, epochs, lambda done: work.tree() | {"history": _no_history(problem, done)}
    )
    if restored is not None:
        tree, done, stopped = restored
        parts = [tree.pop("history")]
        work.restore(tree)

    def advance(asked: int) -> tuple[int, dict[str, Any]]:
        advanced, history = work.run(asked)
        if advanced or not work.part():
            parts.append({name: np.asarray(row)[:advanced] for name, row in history.items()})
        latest = work.state.latest
        return advanced, {name: latest[name] for name in ("loss", problem.plan.monitor)}

    def snapshot() -> dict[str, Any]:
        return work.tree() | {"history": _concatenated(parts)}

    if not is_finished(name, outside, done, stopped, epochs):
        with work.begun(epochs - done):
            done = run_in_segments(
                name, advance, epochs, outside, snapshot, done=done, part=work.part
            )
    current = work.state
    return Fit(_joined(parts, current, epochs), jax.device_put(np.int32(done)), current)


class _Resident:
    """A run on arrays, from where it stands."""

    def __init__(self, problem: Problem, state: FitState, epochs: int):
        self.state = state
        self._problem, self._capacity = problem, capacity_for(epochs)

    def tree(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"state": self.state}

    def restore(self, tree: dict[str, Any]) -> None:
        """Continues from a checkpoint."""
        self.state = tree["state"]

    def begun(self, epochs: int) -> contextlib.AbstractContextManager:
        """The data are on the device while it runs."""
        del epochs
        data, validation = map(on_devices, (self._problem.data, self._problem.validation))
        self._problem = self._problem._replace(data=data, validation=validation)
        return contextlib.nullcontext()

    def run(self, asked: int) -> tuple[int, dict[str, Any]]:
        """So many epochs, or fewer if it ends: how many, and their histories."""
        self.state, advanced, history = run_epochs(
            self._problem, self.state, asked, capacity=self._capacity
        )
        return int(advanced), history  # waits for the segment

    def part(self) -> int:
        """It always stands at the end of an epoch."""
        return 0


def _shown_epochs(callback: Any, rows: Callable[[], dict[str, np.ndarray]]) -> Callable:
    """The callback, to be called after it was shown the epochs of the latest segment."""

    def called(done: int, latest: dict[str, Any]) -> Any:
        history = rows()
        callback.on_epochs(done - len(history["loss"]), history)
        return callback(done, latest)

    return called


def _no_history(problem: Problem, epochs: int) -> dict[str, np.ndarray]:
    """The history of so many epochs, not yet known."""
    return {
        name: np.empty((epochs, *like.shape), like.dtype) for name, like in problem.plan.records
    }


def _concatenated(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _joined(
    parts: list[dict[str, np.ndarray]], state: FitState, epochs: int
) -> dict[str, jax.Array]:
    """The segments' histories in a row, the last value repeated up to `epochs`."""
    joined, known = {}, _concatenated(parts)
    for name, last in state.latest.items():
        rows = known[name]
        rest = np.broadcast_to(np.asarray(last), (epochs - len(rows), *last.shape))
        joined[name] = jax.device_put(np.concatenate([rows, rest]))
    return joined
