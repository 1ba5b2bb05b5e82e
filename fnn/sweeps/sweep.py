"""`sweep`: many runs at once, each a lane of one compiled program."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from fnn import checks
from fnn.driver import capacity_for, in_segments
from fnn.stopping import EarlyStopping
from fnn.sweeps.chunks import Runs
from fnn.sweeps.halving import Halving
from fnn.sweeps.host import from_host
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
) -> Sweep:
    """Many runs at once: `fit` for every value of whatever is swept, in one compiled program.

    Swept is every number of a config (network, optimizer, schedule, stopping rule) that has
    one axis more than one run's, whatever `lanes` marks elsewhere, and the key if it is a
    batch of keys. All have one length, the number of lanes: lane i is the run with the i-th
    value of each. `product` makes the columns of a grid.

    Lanes run in chunks of one program, on all devices and cores. Those that have stopped or
    diverged are taken out, and those that live fill fewer chunks, so ended lanes cost
    next to nothing. The first Ctrl-C returns what is there; a second one raises KeyboardInterrupt.

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
    Returns:
      A `Sweep`. Lane i is `fit(..., key=keys[i], order_key=result.order_key)`: the same first
      parameters and batches, and the same numbers up to rounding.
    Raises:
      ValueError, TypeError: As `fit`; or nothing is swept, or what is swept has different
        lengths (each is named).
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
    epochs = checks.count(name, "epochs", epochs)
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
    setup = checked_setup(
        name, arguments, options, key=key, state=state, order_key=order_key,
        shared_order=shared_order, labels=labels, allow_padding=allow_padding,
    )  # fmt: skip
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
    if isinstance(setup.begin_at, FitState):
        competing = runs.resume(setup.begin_at)
        rule = "lanes that go on must stand at one epoch (but for those that halving left behind)"
        one_epoch = halving is not None or bool(competing.all())
        checks.require(one_epoch, name, rule, f"epochs {np.unique(runs.epoch).tolist()}")
    else:
        runs.begin(setup.begin_at)
        competing = np.ones(setup.size, bool)
    before = runs.epoch.copy()
    first = int(before.max())
    dropped_at = np.where(competing, -1, before)
    rungs = () if halving is None else [rung - first for rung in halving.rungs(first + epochs)]
    sign, monitor = setup.problem.plan.sign, setup.problem.plan.monitor

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
            best = sign * min(sign * known, default=np.nan)
            return advanced, {"lanes": int(runs.alive.sum()), f"best {monitor}": best}

        def seconds() -> float:
            by_calls = runs.rounds * _CALL_SECONDS
            return by_calls if lanes_end else max(by_calls, _ALL_SECONDS)

        at_most = max(1, epochs // _CALLS) if lanes_end else epochs
        in_segments(
            name,
            advance,
            epochs,
            progress=progress,
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
