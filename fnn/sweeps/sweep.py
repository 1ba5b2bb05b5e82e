"""`sweep`: many runs at once, each a lane of one compiled program."""

import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from fnn import checks
from fnn.arguments import told
from fnn.checkpoints import Found
from fnn.files import CheckpointError
from fnn.partition import host_numbers
from fnn.segments import capacity_for, checked_outside, in_segments, is_over
from fnn.stopping import EarlyStopping
from fnn.sweeps.chunks import Runs
from fnn.sweeps.halving import Halving
from fnn.sweeps.host import from_host
from fnn.sweeps.layout import VECTOR
from fnn.sweeps.result import Sweep
from fnn.sweeps.setup import checked_setup
from fnn.training.state import FitState
from fnn.training.step import TrainState
from fnn.types import Loss, Metric, Network, Optimizer

__all__ = ["sweep"]

# A call of the program takes about this long where lanes may stop: long beside what the host
# does in between; but it is at most such a share of the epochs, so that lanes that have stopped
# are soon out of the way. Else only the bar and Ctrl-C wait for all chunks' calls together.
_CALL_SECONDS, _CALLS, _ALL_SECONDS = 0.03, 16, 0.25


def sweep(  # noqa: D417, `fit` describes the others
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
    shared_order: bool = True,
    halving: Halving | None = None,
    labels: Mapping[str, Any] | None = None,
    allow_padding: bool = False,
    at_once: int | None = None,
    progress: bool | None = None,
    callback: Callable[[int, dict[str, Any]], Any] | None = None,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    every: int | None = None,
    keep: int = 2,
    on_save_error: str = "warn",
) -> Sweep:
    """Many runs at once: `fit` for every value of whatever is swept, in one compiled program.

    Swept is every number of a config (network, optimizer, schedule, stopping rule) that has
    one axis more than one run's, whatever `lanes` marks elsewhere, and the key if it is a
    batch of keys. All have one length, the number of lanes: lane i is the run with the i-th
    value of each. `product` makes the columns of a grid.

    Lanes run in chunks of one program, on all devices and cores. Those that have stopped or
    diverged are taken out, and those that live fill fewer chunks, so ended lanes cost
    next to nothing. The first Ctrl-C or SIGTERM returns what is there; a second one does what
    it always does. Checkpoints are those of `train`: a sweep that is killed goes on from the
    newest, to the same bits on the same kind of machine.

    Args:
      net, loss, optimizer, data, epochs, batch_size, validation, metrics, monitor, mode, stop:
        As in `fit`, and swept where they hold the values of lanes. Structure (sizes,
        activations, functions) is that of all lanes; for widths there is `mlp(active=)`.
      key: As in `fit`; or one for each lane, `(lanes,)`.
      state: `Sweep.state` continues those runs: the lanes that stand at the latest epoch, as
        the others have ended. A `TrainState` of all lanes begins from its parameters. That of
        one run (as `fit` makes it) is the same start for all lanes.
      order_key: A PRNG key for the batch order; or one for each lane, `(lanes,)`. None: as
        the first lane's `fit` derives it from its key.
      shared_order: Whether all lanes see the batches in one order, so that data stay
        unbatched, which is faster. False: each lane has the order that `fit` derives.
      halving: A `halving` to end most lanes early.
      labels: By name, what else tells lanes apart, `(lanes,)` each: columns for the result's
        tables. A batch of keys is numbered as `seed`, if there is no such label.
      allow_padding: Whether layers may do more than four times the useful work, where
        `active` is swept: all lanes cost what the full size does.
      at_once: Lanes at once on each device and thread, >= 1. None: as many as suit memory and
        caches, and cut the lanes evenly. The last bits of results depend on it.
      progress: Whether to show a bar, with the lanes alive and the best monitor. It needs
        tqdm. None: on a terminal or in a notebook, if tqdm is installed.
      callback, max_seconds, checkpoint, every, keep, on_save_error: As in `train`. The latest
        values are the lanes alive and the best monitor.
    Returns:
      A `Sweep`. Lane i is `fit(..., key=keys[i], order_key=result.order_key)`: the same first
      parameters and batches, and the same numbers up to rounding.
    Raises:
      ValueError, TypeError: As `fit`; or nothing is swept, or what is swept has different
        lengths (each is named).
      CheckpointError: As `train`.
      ImportError: `progress=True` and there is no tqdm.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> runs = sweep(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(np.array([0.01, 0.1, 1e3])),
    ...              (x, 3 * x + 1), key=jax.random.key(0), epochs=50, progress=False)
    >>> table = runs.table()
    >>> print(table["learning_rate"], table["diverged_at"])
    [1.e-02 1.e-01 1.e+03] [-1 -1  3]
    >>> print(runs.best().params[0].weight.round(2))
    [[3.]]
    """
    name = "sweep"
    epochs = checks.count(name, "epochs", epochs, at_most=checks.INT32)
    if at_once is not None:
        at_once = checks.count(name, "at_once", at_once)
    checks.flag(name, "shared_order", shared_order)
    checks.flag(name, "allow_padding", allow_padding)
    rule = "halving must be a halving(...) or None"
    is_halving = halving is None or isinstance(halving, Halving)
    checks.require(is_halving, name, rule, repr(halving), TypeError)

    arguments = {"net": net, "loss": loss, "optimizer": optimizer, "data": data,
                 "validation": validation, "metrics": metrics, "stop": stop}  # fmt: skip
    options = {"batch_size": batch_size, "monitor": monitor, "mode": mode}
    with host_numbers():
        setup = checked_setup(
            name, arguments, options, key=key, state=state, order_key=order_key,
            shared_order=shared_order, labels=labels, allow_padding=allow_padding,
        )  # fmt: skip
    outside = checked_outside(
        name,
        lambda: told(
            **setup.problem._asdict(), swept=setup.columns, numbers=setup.varied.traced,
            begin=setup.begin_at, order_key=setup.order_key, at_once=at_once,
            halving=halving and (halving, epochs),  # whose rungs go by the epochs
        ),
        progress=progress, callback=callback, max_seconds=max_seconds, checkpoint=checkpoint,
        every=every, keep=keep, on_save_error=on_save_error,
    )  # fmt: skip
    found = None if outside.checkpoints is None else outside.checkpoints.newest()
    if found and at_once is None:  # bits depend on it, and the choice on how many epochs there are
        at_once = _at_once_of(found, setup.size)
    lanes_end = stop is not None or halving is not None
    runs = Runs(
        setup.problem,
        setup.varied,
        setup.like,
        setup.size,
        epochs=epochs,
        capacity=capacity_for(epochs),
        lanes_end=lanes_end,
        at_once=at_once,
    )
    outside = outside._replace(facts=runs.laid_out)
    if found and not runs.laid_out.items() <= found.metadata.items():
        warnings.warn(
            f"{name}: lanes lie otherwise over this machine than when {found.path} was made, so "
            "that results may differ in the last bits from one go",
            stacklevel=2,
        )
    if isinstance(setup.begin_at, FitState):
        competing = runs.resume(setup.begin_at)
        rule = "lanes that go on must stand at one epoch (but for those that halving left behind)"
        one_epoch = halving is not None or bool(competing.all())
        checks.require(one_epoch, name, rule, f"epochs {np.unique(runs.epoch).tolist()}")
    else:
        with jax.debug_nans(False):  # NaN here says that there was no epoch yet
            runs.begin(setup.begin_at)
        competing = np.ones(setup.size, bool)
    before = runs.epoch.copy()
    first = int(before.max())
    dropped_at = np.where(competing, -1, before)
    rungs = () if halving is None else [rung - first for rung in halving.rungs(first + epochs)]
    sign, monitor = setup.problem.plan.sign, setup.problem.plan.monitor
    done, stopped = 0, False
    begun = outside.restored(
        name,
        epochs,
        lambda done: runs.snapshot(done) | {"competing": competing, "dropped_at": dropped_at},
    )
    if begun is not None:
        tree, done, stopped = begun
        competing, dropped_at = tree.pop("competing"), tree.pop("dropped_at")
        runs.restore(tree, done)

    def snapshot() -> dict[str, Any]:
        return runs.snapshot() | {"competing": competing, "dropped_at": dropped_at}

    with ThreadPoolExecutor(runs.threads) as pool:

        def advance(asked: int) -> tuple[int, dict[str, Any]]:
            advanced = runs.advance(asked, pool)
            if halving is not None and runs.done in rungs:
                lanes = np.flatnonzero(competing)
                ended = lanes[~halving.kept(sign * runs.best[lanes])]
                competing[ended] = False
                ended = ended[runs.alive[ended]]
                dropped_at[ended] = first + runs.done
                runs.drop(ended)
            known = runs.best[~np.isnan(runs.best)]
            best = sign * (sign * known).min() if known.size else np.nan
            return advanced, {"lanes": int(runs.alive.sum()), f"best {monitor}": best}

        def seconds() -> float:
            by_calls = runs.rounds * _CALL_SECONDS
            return by_calls if lanes_end else max(by_calls, _ALL_SECONDS)

        at_most = max(1, epochs // _CALLS) if lanes_end else epochs
        if not is_over(name, outside, done, stopped, epochs):
            in_segments(
                name,
                advance,
                epochs,
                outside,
                snapshot,
                done=done,
                seconds=seconds,
                at_most=at_most,
                ends=rungs,
            )
    finished = ~runs.alive | (runs.done == epochs)
    last = from_host(runs.collected())
    return Sweep(
        history=runs.history,
        epochs=runs.epoch - before,
        state=last._replace(order_key=setup.order_key),
        finished=finished,
        dropped_at=dropped_at.astype(np.int32),
        columns=setup.columns,
        labels=setup.labels,
        padding=setup.padding,
        problem=setup.problem,
        varied=setup.varied,
    )


def _at_once_of(found: Found, lanes: int) -> int:
    """The lanes at once that were chosen for the work of a checkpoint."""
    at_once: Any = found.metadata.get("at_once")
    chosen = type(at_once) is int and 1 <= at_once < lanes + VECTOR
    rule = "at_once must be what a sweep of so many lanes chooses"
    checks.require(chosen, str(found.path), rule, repr(at_once), CheckpointError)
    return at_once
