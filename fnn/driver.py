"""Runs on the host, in segments of one compiled program, in touch with the world: `train`."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn import checks
from fnn.stopping import EarlyStopping
from fnn.training.problem import checked_problem
from fnn.training.run import Fit, run_epochs
from fnn.training.state import FitState, begun, checked_state
from fnn.training.step import TrainState
from fnn.types import Loss, Metric, Network, Optimizer

__all__ = ["train"]

# A segment is one call of the compiled program. It holds up to this many epochs, and as
# many are asked for as take about this many seconds: the pace of the bar and of Ctrl-C.
_CAPACITY = 64
_SECONDS = 0.25


def capacity_for(epochs: int) -> int:
    """How many epochs the compiled program of a run of so many holds."""
    return max(2, min(epochs, _CAPACITY))


def in_segments(
    function: str,
    advance: Callable[[int], tuple[int, dict[str, Any]]],
    epochs: int,
    *,
    progress: bool | None,
    seconds: Callable[[], float] = lambda: _SECONDS,
    at_most: int = _CAPACITY,
    ends: Sequence[int] = (),
) -> int:
    """Runs epochs a few at a time, with a bar, until done, stopped or interrupted.

    Args:
      function: Who asks, for the error.
      advance: Runs so many more epochs, or fewer if all has stopped; how many it ran, and
        what to show beside the bar, numbers by name.
      epochs: How many in all.
      progress: Whether to show a bar, as in `train`.
      seconds: How long the next call should take.
      at_most: How many epochs a call runs at most.
      ends: Numbers of epochs after which a call has to end.
    Returns:
      How many epochs were run.
    """
    done, asked = 0, 1
    with _bar(function, epochs, progress) as show, _interruptible() as interrupted:
        while True:
            to_end = min((end - done for end in ends if end > done), default=epochs)
            asked = min(asked, epochs - done, capacity_for(epochs), at_most, to_end)
            start = time.perf_counter()
            advanced, shown = advance(asked)
            took = time.perf_counter() - start
            done += advanced
            show(advanced, shown)
            if advanced < asked or done == epochs or interrupted.is_set():
                return done
            asked = max(1, min(8 * asked, int(asked * seconds() / took)))  # one measure errs


def train(  # noqa: D417, `fit` describes them
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    *,
    key: jax.Array | None = None,
    epochs: int,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Mapping[str, Metric | Loss] | None = None,
    monitor: str | None = None,
    mode: str = "auto",
    stop: EarlyStopping | None = None,
    state: FitState | TrainState | None = None,
    order_key: jax.Array | None = None,
    progress: bool | None = None,
) -> Fit:
    """`fit` with a progress bar, and Ctrl-C that returns what is there.

    The same arguments give the same result. It runs on the host in segments of a few
    epochs, so it cannot be put under `jit` or `vmap`; for that there is `fit`. The first
    Ctrl-C (or a notebook's interrupt) ends the run after the segment at hand and returns
    it, to be continued with `state=run.state`; a second one raises KeyboardInterrupt.

    Args:
      net, loss, optimizer, data, key, epochs, batch_size, validation, metrics, monitor:
        As in `fit`.
      mode, stop, state, order_key: As in `fit`.
      progress: Whether to show a bar, with the loss and the monitor. It needs tqdm (the
        extra `progress`). None: on a terminal or in a notebook, if tqdm is installed.
    Returns:
      A `Fit`, as from `fit`; its `epochs` are fewer than asked for if it was interrupted.
    Raises:
      ValueError, TypeError: As `fit`.
      ImportError: `progress=True` and there is no tqdm.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = train(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(0.1), (x, 3 * x + 1),
    ...             key=jax.random.key(0), epochs=50, progress=False)
    >>> print(run.params[0].weight.round(2), run.epochs)
    [[3.]] 50
    """
    name = "train"
    epochs = checks.count(name, "epochs", epochs)
    problem = checked_problem(
        name, net, loss, optimizer, data, batch_size=batch_size, validation=validation,
        metrics=metrics, monitor=monitor, mode=mode, stop=stop,
    )  # fmt: skip
    begin = checked_state(name, problem, key, state, order_key)
    checks.no_tracers(name, (problem, begin))
    current = begun(problem, begin)
    problem = problem._replace(
        data=jax.device_put(problem.data), validation=jax.device_put(problem.validation)
    )
    parts: list[dict[str, np.ndarray]] = []

    def advance(asked: int) -> tuple[int, dict[str, Any]]:
        nonlocal current
        capacity = capacity_for(epochs)
        current, advanced, history = run_epochs(problem, current, asked, capacity=capacity)
        advanced = int(advanced)  # waits for the segment
        parts.append({name: np.asarray(row)[:advanced] for name, row in history.items()})
        return advanced, {name: current.latest[name] for name in ("loss", problem.plan.monitor)}

    done = in_segments(name, advance, epochs, progress=progress)
    return Fit(_joined(parts, current, epochs), jnp.asarray(done, np.int32), current)


def _joined(
    parts: list[dict[str, np.ndarray]], state: FitState, epochs: int
) -> dict[str, jax.Array]:
    """The segments' histories in a row, the last value repeated up to `epochs`."""
    joined = {}
    for name, last in state.latest.items():
        rows = np.concatenate([part[name] for part in parts])
        rest = np.broadcast_to(np.asarray(last), (epochs - len(rows), *last.shape))
        joined[name] = jnp.asarray(np.concatenate([rows, rest]))
    return joined


@contextlib.contextmanager
def _bar(
    function: str, epochs: int, progress: bool | None
) -> Iterator[Callable[[int, dict], None]]:
    """A function that shows more epochs done and the latest values."""
    tqdm = None
    if progress is not False:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            if progress:
                rule = "progress=True needs tqdm, to be had with: pip install 'fnn[progress]'"
                raise ImportError(f"{function}: {rule}") from None
    if tqdm is None:
        yield lambda advanced, latest: None
        return
    # None hides it where there is no terminal
    with tqdm(total=epochs, unit="epoch", disable=None if progress is None else False) as bar:

        def show(advanced: int, values: dict[str, Any]) -> None:
            texts = {name: _short(value) for name, value in values.items()}
            bar.set_postfix(texts, refresh=False)
            bar.update(advanced)

        yield show


def _short(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"{float(value):.4g}"


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second is Python's own again."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # signals reach the main thread only
        return
    before = signal.getsignal(signal.SIGINT)

    def note(signum: int, frame: Any) -> None:
        del signum, frame
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
