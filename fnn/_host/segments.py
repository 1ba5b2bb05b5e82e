"""Work on the host in segments of epochs, in touch with the world: bars, signals, checkpoints."""

import contextlib
import math
import operator
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fnn._core import checks
from fnn._core.processes import in_touch, largest, raised_in_all, require_same
from fnn._host.checkpoints import Checkpoints, Found
from fnn.files import CheckpointError

# A segment is one call of the compiled program. It holds up to this many epochs, and as
# many are asked for as take about this many seconds: the pace of the bar and of Ctrl-C.
_CAPACITY = 64
_SECONDS = 0.25
# A call costs the host about a millisecond: shorter ones are not asked for to save epochs.
_SHORT_SECONDS = 0.015
_CHECKPOINT_SECONDS = 30.0


def capacity_for(epochs: int) -> int:
    """How many epochs the compiled program of a run of so many holds."""
    return max(2, min(epochs, _CAPACITY))


class HostOptions(NamedTuple):
    """What a run on the host does for the world outside, checked."""

    progress: bool | None
    callback: Callable[[int, dict[str, Any]], Any] | None
    seconds: float
    """How long it may take."""
    checkpoints: Checkpoints | None
    every: int | None
    """Epochs between checkpoints; None: `_CHECKPOINT_SECONDS` between them."""
    facts: dict[str, Any]
    """What else checkpoints say of themselves."""
    shared: bool
    """Whether several processes do this work together, each calling the same programs."""

    def restored(
        self, function: str, epochs: int, like: Callable[[int], Any]
    ) -> tuple[Any, int, bool] | None:
        """The contents of the newest checkpoint, if there is one, to continue from.

        Args:
          function: The name of the caller, for errors.
          epochs: How many are to be done in all.
          like: What it looks like, by the epochs done.
        Returns:
          That, the epochs done, and whether the work has ended by itself.
        Raises:
          ValueError, CheckpointError: As `train`.
        """
        if self.checkpoints is None or self.newest(function, epochs) is None:
            return None
        found = self.checkpoints.restored(lambda metadata: like(metadata["done"]))
        if found is None:
            return None
        tree, metadata = found
        return tree, metadata["done"], metadata["stopped"]

    def newest(self, function: str, epochs: int) -> Found | None:
        """The newest checkpoint, if there is one, of at most so many epochs; the same everywhere.

        Raises:
          ValueError, CheckpointError: As `train`.
        """
        if self.checkpoints is None:
            return None
        rule = "checkpoints must be readable in all processes"
        elsewhere = CheckpointError(f"{function}: {rule}; got an error in another")
        with raised_in_all(elsewhere, self.shared):
            found = self.checkpoints.newest()
            done = None if found is None else found.metadata["done"]
            if done is not None:
                rule = f"epochs must be at least the {done} of the checkpoint"
                checks.require(done <= epochs, function, rule, epochs)
        if self.shared:
            require_same(function, lambda: {"epochs done in checkpoint": str(done)})
        return found


class HostArguments(NamedTuple):
    """The arguments of `train` and `sweep` about the world, as they were given."""

    progress: bool | None
    callback: Callable[[int, dict[str, Any]], Any] | None
    max_seconds: float | None
    checkpoint: str | os.PathLike | None
    every: int | None
    keep: int
    on_save_error: str

    def check(self, function: str) -> None:
        """Raises ValueError or TypeError where one of them is wrong."""
        if self.progress is not None:
            checks.flag(function, "progress", self.progress)
            _tqdm(function, self.progress)
        rule = "callback must be a function of the epochs done and the latest values, or None"
        is_one = self.callback is None or callable(self.callback)
        checks.require(is_one, function, rule, repr(self.callback), TypeError)
        if self.max_seconds is not None:
            checks.one_real(function, "max_seconds", self.max_seconds, above=0)
        if self.every is not None:
            checks.count(function, "every", self.every)
        checks.count(function, "keep", self.keep)
        checks.word(function, "on_save_error", self.on_save_error, "warn", "raise")
        if self.checkpoint is None:
            rule = "every is about checkpoints, so checkpoint must be given"
            checks.require(self.every is None, function, rule, "checkpoint=None")
        else:
            checks.path(function, "checkpoint", self.checkpoint)

    def checked(
        self, function: str, arguments: Callable[[], dict[str, str]], *, shared: bool = False
    ) -> HostOptions:
        """The options that they mean, once `check` has found nothing wrong.

        Args:
          function: The caller's name, for errors.
          arguments: Makes the fingerprint of the other arguments, for checkpoints.
          shared: Whether several processes do this work together.
        """
        seconds = math.inf if self.max_seconds is None else float(self.max_seconds)
        every = None if self.every is None else operator.index(self.every)
        checkpoints = None
        if self.checkpoint is not None:
            described, strict = arguments(), self.on_save_error == "raise"
            rule = "checkpoint must be a folder that the first process can write to"
            elsewhere = CheckpointError(f"{function}: {rule}; got an error there")
            with raised_in_all(elsewhere, shared):
                checkpoints = Checkpoints(
                    function, self.checkpoint, described,
                    keep=operator.index(self.keep), strict=strict, shared=shared,
                )  # fmt: skip
        return HostOptions(self.progress, self.callback, seconds, checkpoints, every, {}, shared)


class Pace:
    """How fast a program is: seconds per epoch, as measured when it last began; infinite before.

    With it, later calls of the same program need not begin with one epoch to find that out.
    """

    def __init__(self):
        """Nothing is known yet."""
        self.seconds = math.inf


def run_in_segments(
    function: str,
    advance: Callable[[int], tuple[int, dict[str, Any]]],
    epochs: int,
    outside: HostOptions,
    snapshot: Callable[[], Any],
    *,
    done: int = 0,
    seconds: Callable[[], float] = lambda: _SECONDS,
    at_most: int = _CAPACITY,
    ends: Sequence[int] = (),
    known: Pace | None = None,
    part: Callable[[], int] = lambda: 0,
) -> int:
    """Runs epochs a few at a time, with a bar, until done, stopped or interrupted.

    Args:
      function: The name of the caller, for errors.
      advance: Runs so many more epochs, or fewer if all has stopped; how many it ran, and
        what to show beside the bar, numbers by name.
      epochs: How many in all.
      outside: What else to do.
      snapshot: What a checkpoint holds.
      done: How many were run before.
      seconds: How long the next call should take.
      at_most: How many epochs a call runs at most, or as many times that as keep it from being
        short; it ends at a multiple.
      ends: Numbers of epochs after which a call has to end.
      known: The pace of earlier runs of the same program, to begin with.
      part: How far the latest call has come within an epoch, in any units, as a long epoch may
        take several calls, of which some advance by none; 0 where it ended with one.
    Returns:
      How many epochs were run, those before included.
    """
    known = Pace() if known is None else known
    begun, pace = done, known.seconds
    saved = started = time.monotonic()
    every = outside.every or epochs  # where it is None, epochs are not what counts
    rule = "callbacks must not fail in any process"
    failed_elsewhere = RuntimeError(f"{function}: {rule}; got an error in another")

    def within_limits(asked: int) -> int:
        to_end = min((end - done for end in ends if end > done), default=epochs)
        to_end = min(to_end, every - done % every)
        most = max(1, int(_SHORT_SECONDS / pace / at_most)) * at_most
        return min(asked, epochs - done, capacity_for(epochs), to_end, most - done % at_most)

    asked = within_limits(max(1, int(seconds() / pace)))
    with (
        _bar(function, epochs, done, outside.progress) as show,
        _interruptible() as interrupted,
        in_touch(function),
    ):
        if outside.shared:
            (asked,) = largest(asked)
        while True:
            start = time.perf_counter()
            advanced, shown = advance(asked)
            pace = (time.perf_counter() - start) / asked
            if done == begun:
                known.seconds = pace
            done += advanced
            show(advanced, shown)
            within = part()
            stopped = advanced < asked and not within
            now = time.monotonic()
            leave = stopped or done == epochs or interrupted.is_set()
            leave |= now - started > outside.seconds
            by_time = outside.every is None or within  # also within an epoch that takes hours
            due = now - saved > _CHECKPOINT_SECONDS if by_time else done % every == 0
            # one measure errs
            asked = within_limits(max(1, min(8 * asked, int(seconds() / pace))))
            try:
                with raised_in_all(failed_elsewhere, outside.shared):
                    if outside.callback and (advanced or not within):
                        leave |= bool(outside.callback(done, shown))
                if outside.shared:
                    asked, leave, due = largest(asked, leave, due)
            except BaseException as error:
                # of several processes, only where all of them write
                due = leave = not outside.shared or isinstance(error, Exception)
                raise
            finally:
                if outside.checkpoints is not None and (due or leave):
                    metadata = {"done": done, "stopped": stopped, **outside.facts}
                    outside.checkpoints.write(done, snapshot(), metadata, within)
                    saved = time.monotonic()
            if leave:
                return done


def is_finished(function: str, outside: HostOptions, done: int, stopped: bool, epochs: int) -> bool:
    """Whether the work of a checkpoint is finished; warns if so."""
    over = stopped or done == epochs
    if over:
        folder = outside.checkpoints and outside.checkpoints.folder
        warnings.warn(f"{function}: {folder} holds this work, finished", stacklevel=3)
    return over


@contextlib.contextmanager
def _bar(
    function: str, epochs: int, done: int, progress: bool | None
) -> Iterator[Callable[[int, dict], None]]:
    """A function that shows more epochs done and the latest values."""
    tqdm = _tqdm(function, progress)
    if tqdm is None:
        yield lambda advanced, latest: None
        return
    # None hides it where there is no terminal
    hidden = None if progress is None else False
    with tqdm(total=epochs, initial=done, unit="epoch", disable=hidden) as bar:

        def show(advanced: int, values: dict[str, Any]) -> None:
            texts = {name: _short(value) for name, value in values.items()}
            bar.set_postfix(texts, refresh=False)
            bar.update(advanced)

        yield show


def _tqdm(function: str, progress: bool | None) -> Any:
    """What makes a bar; None if there is to be none, or tqdm is not installed."""
    if progress is False:
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        if progress:
            rule = "progress=True needs tqdm, to be had with: pip install 'fnn[progress]'"
            raise ImportError(f"{function}: {rule}") from None
        return None
    return tqdm


def _short(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{float(value):.4g}"


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second does what it did before."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # signals reach the main thread only
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    # not what is ignored (a script's work in the background), nor what Python has not set
    left = (None, signal.SIG_IGN)
    before = {number: handler for number, handler in before.items() if handler not in left}

    def note(signum: int, frame: Any) -> None:
        del frame
        interrupted.set()
        signal.signal(signum, before[signum])

    for number in before:
        signal.signal(number, note)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
