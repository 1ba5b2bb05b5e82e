"""A whole run as one pure program: a loop over epochs of a scan over steps.

Nothing in it touches the world, so it can be put under `jit`, `vmap` and `grad`. All that
it needs to go on is a `FitState`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import checks
from fnn.batches import Dealt, deal, epoch_order, take, weighted_mean
from fnn.evaluation import measure, predict
from fnn.partition import Structure, host_numbers, merge, split
from fnn.programs import compiled
from fnn.stopping import EarlyStopping
from fnn.training.control import any_lane, overwritten, stored_first
from fnn.training.packing import Packing, packing_of
from fnn.training.problem import Problem, checked_problem
from fnn.training.state import Beginning, FitState, begin_state, checked_state
from fnn.training.step import TrainState, advance
from fnn.types import Loss, Metric, Network, Optimizer, Params

# validation outputs are collected this many rows at a time, which bounds memory
_VALIDATION_ROWS = 4096


class Fit(NamedTuple):
    """The result of a run."""

    history: dict[str, jax.Array]
    """By name, a value per epoch of this call, `(epochs, ...)`. After a stop the last
    value is repeated, so that `[-1]` is always the last one."""
    epochs: jax.Array
    """int32, `()`: epochs run in this call; so many rows of the history are real."""
    state: FitState

    @property
    def params(self) -> Params:
        """The parameters after the last epoch."""
        return self.state.train.params

    @property
    def best_params(self) -> Params:
        """The parameters after the best epoch."""
        return self.state.best_params

    @property
    def best_epoch(self) -> jax.Array:
        """The epoch, from 0, at which the monitor was best; -1 if none was finished."""
        return self.state.best_epoch

    @property
    def diverged_at(self) -> jax.Array:
        """The epoch, from 0, that broke and was undone; -1 if none did."""
        return self.state.diverged_at


def fit(
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
) -> Fit:
    """A whole training run as one pure compiled program.

    Each epoch deals the rows out in a new random order, the last batch filled up with rows
    of weight 0, makes a step per batch, and measures on the validation data. The best
    parameters are kept. A run whose losses or parameters stop being finite goes back to
    the start of that epoch and ends there.

    Args:
      net: An `mlp`, a `Model`, or any object with pure `init` and `apply`.
      loss: `(outputs, targets)` to a loss per example; options bound with
        `functools.partial` are traced where they are numbers. What broadcasts inside of a
        loss of one's own cannot be checked: `(batch, 1)` less `(batch,)` is a matrix.
      optimizer: Ours or Optax's.
      data: `(x, y)` or `(x, y, weights)`: x `(rows, ...)`, y as the loss takes it, weights
        `(rows,)`, >= 0. A batch's loss is sum(w l) / sum(w).
      key: A PRNG key: first parameters, dropout, batch order. A `state` brings its own, and
        a `FitState` the `order_key` too; then these are not used.
      epochs: How many to run at most, >= 1. Static, the length of the histories. With
        `state`, how many more.
      batch_size: Rows per step, >= 1; at most all of them. Static.
      validation: Data as above, measured after each epoch; or None.
      metrics: By name, what to measure on `validation` besides the loss.
      monitor: What chooses the best parameters, and what `stop` watches: "loss",
        "validation_loss" or "validation_" and a metric's name. None: "validation_loss",
        or "loss" without validation.
      mode: "min" or "max", whichever is better; "auto" asks the metric.
      stop: An `early_stopping`, or None to run all epochs.
      state: A `FitState` continues that run, numbering and all, bit for bit as if it had
        not been interrupted: with the same validation, metrics and monitor, and if it had
        stopped by this `stop` or diverged, it has still. A `TrainState` (as `state.train` of
        a `FitState`) begins a new run from its parameters.
      order_key: A PRNG key for the batch order alone. None derives it from `key`.
    Returns:
      A `Fit`: histories "loss" (the weighted mean over the epoch's batches as they were
      trained on) and "validation_..." `(epochs,)`, parameters, best parameters, state.
    Raises:
      ValueError, TypeError: Arguments do not fit one another, or data are empty or not
        finite; before anything is compiled. Values of tracers go unchecked.

    The result can be differentiated, but where the run diverged its slope is NaN.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = fit(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(0.1), (x, 3 * x + 1),
    ...           key=jax.random.key(0), epochs=50)
    >>> layer = run.params[0]
    >>> print(layer.weight.round(2), layer.bias.round(2), run.history["loss"].shape)
    [[3.]] [1.] (50,)
    """
    name = "fit"
    epochs = checks.count(name, "epochs", epochs, at_most=checks.INT32)
    problem = checked_problem(
        name, net, loss, optimizer, data, batch_size=batch_size, validation=validation,
        metrics=metrics, monitor=monitor, mode=mode, stop=stop,
    )  # fmt: skip
    begin = checked_state(name, problem, key, state, order_key)
    # A loop of one trip is compiled differently: with two, bits agree however a run is cut.
    capacity = max(epochs, 2)
    state, done, history = run_epochs(problem, begin, epochs, capacity=capacity)
    if epochs < capacity:
        history = {n: jax.lax.slice_in_dim(v, 0, epochs) for n, v in history.items()}
    return Fit(history, done, state)


def run_epochs(
    problem: Problem, begin: FitState | Beginning, epochs: int, *, capacity: int
) -> tuple[FitState, jax.Array, dict[str, jax.Array]]:
    """Up to `epochs` more epochs, traced, in one compiled program of `capacity` epochs.

    Returns:
      The state, the epochs run, and the histories, `capacity` long.
    """
    traced, structure = split("fit", (problem, begin, np.int32(epochs)))
    with host_numbers():
        return _run_epochs(structure, traced, capacity)


@compiled(0, 2)
def _run_epochs(structure: Structure, traced: list, capacity: int):
    problem, state, epochs = merge(structure, traced)
    if isinstance(state, Beginning):
        state = begin_state(problem, state)
    first = state.epoch
    packing = packing_of(problem.optimizer, state.train.params)
    state = carried(state, packing.pack)
    state, history = epochs_from(problem, packing, state, first, first + epochs, capacity)
    return carried(state, packing.unpack), state.epoch - first, history


Steps = Callable[[Problem, Packing, TrainState, Dealt], tuple[TrainState, tuple]]
"""An epoch's steps: what is to be trained, how it is carried, from where, on which rows; to
where, and their `summary`."""


def scanned(
    problem: Problem, packing: Packing, train: TrainState, dealt: Dealt
) -> tuple[TrainState, tuple]:
    """The steps of an epoch, one after the other."""

    def step(train: TrainState, batch: tuple):
        rows, shares = batch
        x, y = take(problem.data, rows)
        return advance(*problem[:3], train, x, y, shares, packing.unpack, stored_first)

    train, losses = jax.lax.scan(step, train, (dealt.rows, dealt.shares))
    return train, summary(losses, dealt.weights, train.params)


def summary(losses: jax.Array, weights: Any, params: Params) -> tuple[jax.Array, jax.Array]:
    """Of an epoch the mean of its steps' losses, and the step that broke it, or else how many
    there are: the first whose loss is not finite, or the last, if after it the parameters are not.
    """
    count = np.int32(len(losses))
    steps = np.arange(count, dtype=np.int32)
    broken = jnp.min(jnp.where(jnp.isfinite(losses), count, steps))
    broken = jnp.where((broken == count) & ~_all_finite(params), count - 1, broken)
    return weighted_mean(losses, weights), broken


def epochs_from(
    problem: Problem,
    packing: Packing,
    state: FitState,
    first: jax.Array,
    last: jax.Array,
    capacity: int,
    steps: Steps = scanned,
) -> tuple[FitState, dict[str, jax.Array]]:
    """The state after the epochs from `first` to before `last`, and their histories.

    States are `carried`, packed. A run that stands at another epoch than `first`, or has ended, is
    left as it is. Under vmap, lanes for which `first` and the state's order key are the same share
    their batches.

    Returns:
      The state, and the histories, `capacity` long.
    """

    def body(state: FitState, epoch: jax.Array):
        live = (state.epoch == epoch) & (epoch < last) & ~has_ended(problem, state)
        state = jax.lax.cond(
            any_lane(live),
            lambda s: _epoch(problem, packing, s, epoch, live, steps),
            lambda s: s,
            state,
        )
        return state, state.latest

    epochs = first + jnp.arange(capacity, dtype=np.int32)
    return jax.lax.scan(body, state, epochs)


def has_ended(problem: Problem, state: FitState) -> jax.Array:
    """Whether a run has diverged or stopped, `()`."""
    ended = state.diverged_at >= 0
    if problem.stop is not None:
        best = problem.plan.sign * state.best_value[problem.plan.monitor]
        ended |= problem.stop.reached(best, state.wait, state.epoch, problem.plan.sign)
    return ended


def carried(state: FitState, convert: Callable[[Any], Any]) -> FitState:
    """The state with its parameters, and what the optimizer keeps of them, packed or unpacked."""
    train = state.train._replace(
        params=convert(state.train.params), opt_state=convert(state.train.opt_state)
    )
    return state._replace(train=train, best_params=convert(state.best_params))


def _epoch(
    problem: Problem,
    packing: Packing,
    state: FitState,
    epoch: jax.Array,
    live: jax.Array,
    steps: Steps,
) -> FitState:
    """The state after one more epoch, unless this lane has stopped or the epoch breaks.

    `epoch` is `state.epoch` of every lane that lives, and the same for all of them, so that
    lanes share their batches; `state.epoch` is not, once one of them has stopped.
    """
    order = epoch_order(jax.random.fold_in(state.order_key, epoch), problem.data.rows)
    dealt = deal(problem.data, order, problem.plan.batch_size)
    train, (loss, broken) = steps(problem, packing, state.train, dealt)
    good = broken == len(dealt.rows)
    latest = _record(problem, packing.unpack(train.params), loss)
    advanced = _advanced(problem, state, train, latest, live & good)
    undone = state._replace(
        best_params=advanced.best_params,
        diverged_at=jnp.where(live, state.epoch, state.diverged_at),
        diverged_step=jnp.where(live, state.train.step + broken, state.diverged_step),
    )
    return overwritten(advanced, ~(live & good), undone)


def _advanced(
    problem: Problem, state: FitState, train: TrainState, latest: dict, good: jax.Array
) -> FitState:
    """The bookkeeping of an epoch that went well; what did not is at least not the best."""
    sign, monitor, stop = problem.plan.sign, problem.plan.monitor, problem.stop
    value, best = sign * latest[monitor], sign * state.best_value[monitor]
    unknown = jnp.isnan(best)
    better = unknown | (value < best)
    improved = better if stop is None else unknown | stop.improved(value, best)
    improved &= ~jnp.isnan(value)
    return state._replace(
        train=train,
        epoch=state.epoch + 1,
        best_params=overwritten(state.best_params, better & good, train.params),
        best_value={monitor: sign * jnp.where(better, value, best)},
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
        wait=jnp.where(improved, 0, state.wait + 1),
        latest=latest,
    )


def _record(problem: Problem, params: Params, loss: jax.Array) -> dict[str, jax.Array]:
    """A row of the history."""
    validation = problem.validation
    if validation is None:
        return {"loss": loss}
    outputs = predict(problem.net, params, validation.x, _VALIDATION_ROWS)
    return {"loss": loss, **measure(problem.net, problem.metrics, outputs, validation)}


def _all_finite(tree: Any) -> jax.Array:
    # 0 x is 0 where x is finite, else NaN: one pass where asking each number takes two
    sums = [jnp.sum(leaf * 0) for leaf in jax.tree.leaves(tree)]
    return functools.reduce(jnp.logical_and, map(jnp.isfinite, sums))
