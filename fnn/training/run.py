"""A whole run as one pure program: a loop over epochs of a scan over steps.

Nothing in it touches the world, so it can be put under `jit`, `vmap` and `grad`. All that
it needs to go on is a `FitState`.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import checks
from fnn.batches import deal, epoch_order, take, weighted_mean
from fnn.evaluation import measure, predict
from fnn.partition import Structure, merge, split
from fnn.stopping import EarlyStopping
from fnn.training.problem import Problem, checked_problem
from fnn.training.step import TrainState, init_state, train_step
from fnn.types import Loss, Metric, Network, Optimizer, Params

# validation outputs are collected this many rows at a time, which bounds memory
_VALIDATION_ROWS = 4096


class FitState(NamedTuple):
    """All that a run needs to go on: pass it to `fit(state=...)`."""

    train: TrainState
    order_key: jax.Array
    """The order of epoch e comes from `fold_in(order_key, e)`."""
    epoch: jax.Array
    """int32, `()`: epochs done."""
    best_params: Params
    """The parameters after the epoch at which the monitor was best."""
    best_value: dict[str, jax.Array]
    """The monitor's name and its value then, `()`; NaN before the first epoch."""
    best_epoch: jax.Array
    """int32, `()`: that epoch, from 0; -1 before the first. While the monitor has never been
    a number, the latest."""
    wait: jax.Array
    """int32, `()`: epochs in a row without improvement."""
    diverged_at: jax.Array
    """int32, `()`: the epoch that was undone; -1 if none."""
    diverged_step: jax.Array
    """int32, `()`: the step, counted over the run, at which numbers broke; -1 if none."""
    latest: dict[str, jax.Array]
    """The history's last row; NaN before the first epoch."""


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
    epochs = checks.count(name, "epochs", epochs)
    problem = checked_problem(
        name, net, loss, optimizer, data, batch_size=batch_size, validation=validation,
        metrics=metrics, monitor=monitor, mode=mode, stop=stop,
    )  # fmt: skip
    begin = checked_state(name, problem, key, state, order_key)
    # A loop of one trip is compiled differently: with two, bits agree however a run is cut.
    state, done, history = run_epochs(problem, begin, epochs, capacity=max(epochs, 2))
    return Fit({name: values[:epochs] for name, values in history.items()}, done, state)


class Beginning(NamedTuple):
    """Where a run begins that continues no other."""

    start: jax.Array | TrainState
    """A key to make parameters from, or the state that has them."""
    order_key: jax.Array | None


def checked_state(
    function: str,
    problem: Problem,
    key: jax.Array | None,
    state: FitState | TrainState | None,
    order_key: jax.Array | None,
) -> FitState | Beginning:
    """Where the run begins, its state checked against the network and the optimizer."""
    if order_key is not None:
        order_key = checks.key(function, order_key)
    if state is None:
        return Beginning(checks.key(function, key), order_key)
    rule = "state must be a FitState, a TrainState or None"
    is_state = isinstance(state, (FitState, TrainState))
    checks.require(is_state, function, rule, type(state).__name__, TypeError)
    continued = isinstance(state, FitState)
    # with its own keys, which may be of another kind than JAX's default
    keys = (state.train.key, state.order_key) if continued else (state.key, order_key)
    keys = [None if key is None else checks.key(function, key) for key in keys]
    expected = jax.eval_shape(lambda keys: begin_state(problem, Beginning(*keys)), keys)
    if continued:
        checks.same_structure(function, "state", expected, state)
        return state
    step = jnp.asarray(checks.integer(function, "step of state", state.step))
    state = state._replace(step=step, key=keys[0])
    checks.same_structure(function, "state", expected.train, state)
    return Beginning(state, order_key)


def begin_state(problem: Problem, begin: Beginning) -> FitState:
    """The state before the first epoch."""
    train = begin.start
    if not isinstance(train, TrainState):
        train = init_state(problem.net, problem.optimizer, train)
    order_key = begin.order_key
    if order_key is None:
        order_key = jax.random.fold_in(train.key, np.uint32(2**32 - 1))  # a step never made

    def first_row(train: TrainState) -> dict[str, jax.Array]:
        batch = take(problem.data, jnp.zeros(problem.plan.batch_size, np.int32), None)
        return _record(problem, *train_step(*problem[:3], train, batch))

    latest = {name: _unknown(like) for name, like in jax.eval_shape(first_row, train).items()}
    value = latest[problem.plan.monitor]
    never = jnp.full((), -1, np.int32)
    return FitState(
        train=train,
        order_key=order_key,
        epoch=jnp.zeros((), np.int32),
        best_params=train.params,
        best_value={problem.plan.monitor: jnp.full_like(value, jnp.nan)},
        best_epoch=never,
        wait=jnp.zeros((), np.int32),
        diverged_at=never,
        diverged_step=never,
        latest=latest,
    )


def begun(problem: Problem, begin: FitState | Beginning) -> FitState:
    """The state before the first epoch, for those who then run one segment after another."""
    if isinstance(begin, FitState):
        return begin
    traced, structure = split("fit", (problem, begin))
    with jax.debug_nans(False):  # NaN here says that there was no epoch yet
        return _begun(structure, traced)


@functools.partial(jax.jit, static_argnums=0)
def _begun(structure: Structure, traced: list) -> FitState:
    return begin_state(*merge(structure, traced))


def run_epochs(
    problem: Problem, begin: FitState | Beginning, epochs: int, *, capacity: int
) -> tuple[FitState, jax.Array, dict[str, jax.Array]]:
    """Up to `epochs` more epochs, traced, in one compiled program of `capacity` epochs.

    Returns:
      The state, the epochs run, and the histories, `capacity` long.
    """
    traced, structure = split("fit", (problem, begin, np.int32(epochs)))
    return _run_epochs(structure, traced, capacity)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _run_epochs(structure: Structure, traced: list, capacity: int):
    problem, state, epochs = merge(structure, traced)
    if isinstance(state, Beginning):
        state = begin_state(problem, state)
    first, last = state.epoch, state.epoch + epochs

    def body(state: FitState, epoch: jax.Array):
        live = (state.epoch < last) & ~_stopped(problem, state)
        state = jax.lax.cond(
            _any_lane(live), lambda s: _epoch(problem, s, epoch, live), lambda s: s, state
        )
        return state, state.latest

    epochs = first + jnp.arange(capacity, dtype=np.int32)
    state, history = jax.lax.scan(body, state, epochs)
    return state, state.epoch - first, history


@jax.custom_batching.custom_vmap
def _any_lane(live: jax.Array) -> jax.Array:
    """Whether any lane lives, one bool for all lanes.

    A batched predicate would turn `cond` into a select of both sides, and give every lane
    its own copy of the data; this one stays a single bool under any number of vmaps, so
    shared data stay shared, and an epoch is skipped once no lane needs it.
    """
    return live


@_any_lane.def_vmap
def _any_lane_of_many(axis_size: int, in_batched: list[bool], live: jax.Array):
    del axis_size, in_batched
    return _any_lane(jnp.any(live, axis=0)), False


def _epoch(problem: Problem, state: FitState, epoch: jax.Array, live: jax.Array) -> FitState:
    """The state after one more epoch, unless this lane has stopped or the epoch breaks.

    `epoch` is `state.epoch` of every lane that lives, and the same for all of them, so that
    lanes share their batches; `state.epoch` is not, once one of them has stopped.
    """
    data, plan = problem.data, problem.plan
    order = epoch_order(jax.random.fold_in(state.order_key, epoch), data.rows)
    rows, counts = deal(order, plan.batch_size)

    def step(train: TrainState, dealt):
        batch = take(data, *dealt)
        train, loss = train_step(*problem[:3], train, batch)
        weight = None if batch.weights is None else jnp.sum(batch.weights)
        return train, (loss, weight)

    train, (losses, weights) = jax.lax.scan(step, state.train, (rows, counts))
    latest = _record(problem, train, weighted_mean(losses, weights))
    good = _all_finite((losses, train.params))
    advanced = _advance(problem, state, train, latest)
    # the first loss that is not finite, or else the last step, which broke the parameters
    broken = jnp.append(~jnp.isfinite(losses), True)
    step_broken = jnp.minimum(jnp.argmax(broken), len(losses) - 1).astype(np.int32)
    undone = state._replace(diverged_at=state.epoch, diverged_step=state.train.step + step_broken)
    return _where(live, _where(good, advanced, undone), state)


def _advance(problem: Problem, state: FitState, train: TrainState, latest: dict) -> FitState:
    """The bookkeeping of an epoch that went well."""
    sign, monitor, stop = problem.plan.sign, problem.plan.monitor, problem.stop
    value, best = sign * latest[monitor], sign * state.best_value[monitor]
    unknown = jnp.isnan(best)
    better = unknown | (value < best)
    improved = better if stop is None else unknown | stop.improved(value, best)
    improved &= ~jnp.isnan(value)
    return state._replace(
        train=train,
        epoch=state.epoch + 1,
        best_params=_where(better, train.params, state.best_params),
        best_value={monitor: sign * jnp.where(better, value, best)},
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
        wait=jnp.where(improved, 0, state.wait + 1),
        latest=latest,
    )


def _record(problem: Problem, train: TrainState, loss: jax.Array) -> dict[str, jax.Array]:
    """A row of the history."""
    validation = problem.validation
    if validation is None:
        return {"loss": loss}
    outputs = predict(problem.net, train.params, validation.x, _VALIDATION_ROWS)
    return {"loss": loss, **measure(problem.net, problem.metrics, outputs, validation)}


def _stopped(problem: Problem, state: FitState) -> jax.Array:
    stopped = state.diverged_at >= 0
    if problem.stop is not None:
        best = problem.plan.sign * state.best_value[problem.plan.monitor]
        stopped |= problem.stop.reached(best, state.wait, state.epoch, problem.plan.sign)
    return stopped


def _all_finite(tree: Any) -> jax.Array:
    finite = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return functools.reduce(jnp.logical_and, finite)


def _where(condition: jax.Array, new: Any, old: Any) -> Any:
    """Leaf by leaf, `new` where the condition holds; leaves that are the same stay as they are."""
    return jax.tree.map(lambda a, b: a if a is b else jnp.where(condition, a, b), new, old)


def _unknown(like: jax.ShapeDtypeStruct) -> jax.Array:
    floating = jnp.issubdtype(like.dtype, jnp.floating)
    return jnp.full(like.shape, jnp.nan if floating else 0, like.dtype)
