"""`sweep`: many runs at once, each a lane of one compiled program."""

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.partition import host_numbers
from fnn._core.processes import fetched, in_touch, require_same, valid_in_all
from fnn._host.checkpoints import Found
from fnn._host.fingerprint import fingerprint
from fnn._host.segments import (
    HostArguments,
    HostOptions,
    capacity_for,
    is_finished,
    run_in_segments,
)
from fnn.files import CheckpointError
from fnn.sweeps.chunks import Runs
from fnn.sweeps.columns import marked, of_lane
from fnn.sweeps.halving import Competition, Halving
from fnn.sweeps.layout import VECTOR, over_processes
from fnn.sweeps.result import Sweep
from fnn.sweeps.rows import from_host
from fnn.sweeps.setup import Setup, checked_setup
from fnn.sweeps.spread import SpreadRuns
from fnn.training.problem import Plan
from fnn.training.state import FitState
from fnn.training.step import TrainState
from fnn.training.stopping import EarlyStopping
from fnn.types import Loss, Metric, Network, Optimizer

__all__ = ["sweep"]

# Where lanes may stop, a call of the program takes about this many seconds, long beside the host's
# work between calls, but at most this fraction of the epochs, so that stopped lanes are soon
# removed. Else a call may take longer: only the bar and Ctrl-C wait for it.
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
    accumulate: int = 1,
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

    A lane is one run of a sweep. Swept are every number of a config (network, optimizer, schedule,
    stopping rule) with one axis more than a single run has, whatever `lanes` marks elsewhere, and
    the key if it is a batch of keys. All have the same length, the number of lanes: lane i is the
    run with the i-th value of each. `product` makes the columns of a grid.

    Lanes run in chunks of one program, on all devices and cores, or on `jax.default_device` if it
    is a device. Where several processes run and it is not, all of them call `sweep` alike, each
    runs a part of the lanes, and all return the whole. Lanes that have stopped or diverged are
    removed, and the active ones are packed into fewer chunks, so that stopped lanes cost next to
    nothing. The first Ctrl-C or SIGTERM returns the results so far; a second one acts as usual.
    Checkpoints are those of `train`: a killed sweep continues from the newest, to the same bits on
    the same kind of machine.

    Args:
      net, loss, optimizer, data, epochs, batch_size, accumulate, validation, metrics, monitor,
        mode, stop: As in `fit`, and swept where they hold one value per lane. The structure (sizes,
        activations, functions) is the same for all lanes; widths are swept by `mlp(active=)`.
      key: As in `fit`; or one for each lane, `(lanes,)`.
      state: `Sweep.state` continues those runs: the lanes at the latest epoch, as the others have
        stopped. A `TrainState` of all lanes begins from its parameters; that of one run (as `fit`
        returns it) starts all lanes alike.
      order_key: A PRNG key for the batch order; or one for each lane, `(lanes,)`. None: as
        the first lane's `fit` derives it from its key.
      shared_order: Whether all lanes see the batches in one order, so that data stay
        unbatched, which is faster. False: each lane has the order that `fit` derives.
      halving: A `halving` to end most lanes early.
      labels: More columns for the result's tables, by names that none of theirs has, `(lanes,)`
        each. A batch of keys is numbered as `seed`, if there is no such label.
      allow_padding: Whether layers may do more than four times the useful work where `active` is
        swept: every lane costs as much as the full size.
      at_once: Lanes at once on each device and thread, >= 1. None: as many as suit memory and
        caches, and cut the lanes evenly. The last bits of results depend on it.
      progress: Whether to show a bar, with the active lanes and the best monitor. It needs
        tqdm. None: on a terminal or in a notebook, if tqdm is installed.
      callback, max_seconds, checkpoint, every, keep, on_save_error: As in `train`. The latest
        values are the number of active lanes and the best monitor.
    Returns:
      A `Sweep`. Lane i is `fit(..., key=keys[i], order_key=result.order_key)`: the same first
      parameters and batches, and the same numbers up to rounding.
    Raises:
      ValueError, TypeError: As `fit`; or nothing is swept, or what is swept has different
        lengths (each is named).
      CheckpointError: As `train`.
      ImportError: `progress=True` and tqdm is not installed.

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
    given = HostArguments(
        progress, callback, max_seconds, checkpoint, every, keep, on_save_error
    )  # fmt: skip
    # as each lane needs all rows
    data, validation, key, state, order_key = fetched((data, validation, key, state, order_key))
    is_spread = over_processes()
    options = {"batch_size": batch_size, "accumulate": accumulate, "monitor": monitor, "mode": mode}
    with valid_in_all(name, data, is_spread):
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
        with host_numbers():
            setup = checked_setup(
                name, arguments, options, key=key, state=state, order_key=order_key,
                shared_order=shared_order, labels=labels, allow_padding=allow_padding,
            )  # fmt: skip
        if halving is not None:
            rule = "the number of lanes must be a multiple of halving's group"
            lanes_and_group = f"{setup.size} lanes, group={halving.group}"
            checks.require(setup.size % halving.group == 0, name, rule, lanes_and_group)
            brackets, groups = halving.brackets, setup.size // halving.group
            rule = f"halving of {brackets} brackets must have as many lanes or groups of them"
            checks.require(groups >= brackets, name, rule, groups)
        given.check(name)

    @functools.cache  # it reads all data, for other processes and for checkpoints
    def described() -> dict[str, str]:
        return fingerprint(
            **setup.problem._asdict() | {"net": of_lane(marked(net), 0)},
            swept=setup.columns, numbers=setup.varied.traced,
            begin=setup.start_state, order_key=setup.order_key, at_once=at_once,
            halving=halving and (halving, epochs),  # whose rungs go by the epochs
        )  # fmt: skip

    if is_spread:
        more = {"epochs": epochs, "every": every, "checkpoint": checkpoint is None}
        more |= {"jax": jax.__version__}
        require_same(name, lambda: described() | fingerprint(**more))
    outside = given.checked(name, described, shared=is_spread)
    lanes_end = stop is not None or halving is not None
    with in_touch(name):
        runs, outside = _laid_out(name, setup, outside, epochs, lanes_end, at_once)
        competing = _begin(name, runs, setup, halving)
        before = runs.epoch.copy()
        competition = Competition(halving, competing, before, epochs)
        stopped = _restore(name, runs, competition, outside, epochs)
        if runs.done == 0:  # what is continued may have ended at a rung
            _drop_losers(runs, competition, setup.problem.plan)
    if not is_finished(name, outside, runs.done, stopped, epochs):
        _run(name, runs, competition, outside, setup.problem.plan, epochs, lanes_end)
    finished = ~runs.alive | (runs.done == epochs)
    with in_touch(name):
        last, history = from_host(runs.collected()), runs.history
    return Sweep(
        history=history,
        epochs=runs.epoch - before,
        state=last._replace(order_key=setup.order_key),
        finished=finished,
        dropped_at=competition.dropped_at.astype(np.int32),
        columns=setup.columns,
        labels=setup.labels,
        padding=setup.padding,
        problem=setup.problem,
        shift=setup.shift,
        varied=setup.varied,
    )


def _laid_out(
    function: str,
    setup: Setup,
    outside: HostOptions,
    epochs: int,
    lanes_end: bool,
    at_once: int | None,
) -> tuple[Runs | SpreadRuns, HostOptions]:
    """The lanes, laid out as in the newest checkpoint, and options whose checkpoints say how."""
    found = outside.newest(function, epochs)
    if found and at_once is None:  # bits depend on it, and the choice on how many epochs there are
        at_once = _at_once_of(found, setup.size)
    runs = (SpreadRuns if outside.shared else Runs)(
        setup.problem,
        setup.varied,
        setup.like,
        setup.size,
        epochs=epochs,
        capacity=capacity_for(epochs),
        lanes_end=lanes_end,
        at_once=at_once,
    )
    if found and not runs.laid_out.items() <= found.metadata.items():
        warnings.warn(
            f"{function}: lanes are laid out differently on this machine than when {found.path} "
            "was written, so results may differ in the last bits from one run without interruption",
            stacklevel=3,
        )
    return runs, outside._replace(facts=runs.laid_out)


def _begin(
    function: str, runs: Runs | SpreadRuns, setup: Setup, halving: Halving | None
) -> np.ndarray:
    """Puts all lanes where they begin. Returns which of them halving has not dropped before."""
    if not isinstance(setup.start_state, FitState):
        with jax.debug_nans(False):  # NaN here says that there was no epoch yet
            runs.begin(setup.start_state)
        return np.ones(setup.size, bool)
    competing = runs.resume(setup.start_state, latest=int(np.max(setup.start_state.epoch)))
    rule = "lanes to continue must be at one epoch (but for those that halving stopped)"
    one_epoch = halving is not None or bool(competing.all())
    checks.require(one_epoch, function, rule, f"epochs {np.unique(runs.epoch).tolist()}")
    return competing


def _restore(
    function: str,
    runs: Runs | SpreadRuns,
    competition: Competition,
    outside: HostOptions,
    epochs: int,
) -> bool:
    """Continues from the newest checkpoint, if any. Returns whether all lanes had stopped."""
    restored = outside.restored(
        function, epochs, lambda done: runs.snapshot_like(done) | competition.snapshot()
    )
    if restored is None:
        return False
    tree, done, stopped = restored
    competition.restore(tree)
    runs.restore(tree, done)
    return stopped


def _run(
    function: str,
    runs: Runs | SpreadRuns,
    competition: Competition,
    outside: HostOptions,
    plan: Plan,
    epochs: int,
    lanes_end: bool,
) -> None:
    """Runs the epochs that have not been run."""

    def seconds() -> float:
        by_calls = runs.rounds * _CALL_SECONDS
        return by_calls if lanes_end else max(by_calls, _ALL_SECONDS)

    with ThreadPoolExecutor(runs.threads) as pool:

        def advance(asked: int) -> tuple[int, dict[str, Any]]:
            advanced = runs.advance(asked, pool)
            _drop_losers(runs, competition, plan)
            known = runs.best[~np.isnan(runs.best)]
            best = plan.sign * (plan.sign * known).min() if known.size else np.nan
            return advanced, {"lanes": int(runs.alive.sum()), f"best {plan.monitor}": best}

        run_in_segments(
            function,
            advance,
            epochs,
            outside,
            lambda: runs.snapshot() | competition.snapshot(),
            done=runs.done,
            seconds=seconds,
            at_most=max(1, epochs // _CALLS) if lanes_end else epochs,
            ends=competition.rungs,
            known=runs.pace,
        )


def _drop_losers(runs: Runs | SpreadRuns, competition: Competition, plan: Plan) -> None:
    """Stops the lanes that are not chosen after the epochs run, if those are a rung."""
    runs.drop(competition.losers(runs.done, plan.sign * runs.best, runs.alive))


def _at_once_of(found: Found, lanes: int) -> int:
    """The lanes at once that were chosen for the work of a checkpoint."""
    at_once: Any = found.metadata.get("at_once")
    chosen = type(at_once) is int and 1 <= at_once < lanes + VECTOR
    rule = "at_once must be what a sweep of so many lanes chooses"
    checks.require(chosen, str(found.path), rule, repr(at_once), CheckpointError)
    return at_once
