"""The compiled program of a run: a loop over epochs of a scan over steps.

It is pure, so it can be put under `jit`, `vmap` and `grad`. All that it needs to continue is a
`FitState`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core.dataset import selected, take
from fnn._core.devices import on_gpu
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, host_numbers, merge, split
from fnn._core.reductions import weighted_mean
from fnn.evaluation import measure, predict
from fnn.training.batches import EpochBatches, in_batches, order_of
from fnn.training.control import any_active, lanes_of, materialized, where_in_place
from fnn.training.packing import Packing
from fnn.training.placement import laid_out, packing_for, placed
from fnn.training.platform import in_sums, largest_summed_of
from fnn.training.problem import Problem
from fnn.training.state import FitState, InitialState, initial_packable_state, layer_by_layer
from fnn.training.step import TrainState, advance
from fnn.types import Params

# validation outputs are collected this many rows at a time, which bounds memory
VALIDATION_ROWS = 4096


def run_epochs(
    problem: Problem, begin: FitState | InitialState, epochs: int, *, capacity: int
) -> tuple[FitState, jax.Array, dict[str, jax.Array]]:
    """Up to `epochs` more epochs, traced, in one compiled program of `capacity` epochs.

    Returns:
      The state, the epochs run, and the histories, `capacity` long.
    """
    traced, structure = split("fit", (problem, begin, np.int32(epochs)))
    largest_summed = largest_summed_of(problem, lanes_of(traced) if on_gpu() else 1)
    with host_numbers():
        # taken out of their stacks here, as the program would grow with the layers
        state, done, history = _run_epochs(structure, traced, capacity, largest_summed)
        return layer_by_layer(state), done, history


@compiled(0, 2, 3)
def _run_epochs(structure: Structure, traced: list, capacity: int, largest_summed: int):
    problem, state, epochs = merge(structure, traced)
    if isinstance(state, InitialState):
        state = initial_packable_state(problem, state)
    first = state.epoch
    packing = packing_for(problem, state.train.params, largest_summed=largest_summed)
    state = placed(problem.data, repacked(state, packing.pack))
    last = first + epochs
    steps = functools.partial(scanned, largest_summed=largest_summed)
    state, history = epochs_from(problem, packing, state, first, last, capacity, steps)
    state = repacked(placed(problem.data, state), packing.unpack)
    return state, state.epoch - first, history


Steps = Callable[[Problem, Packing, TrainState, EpochBatches], tuple[TrainState, tuple]]
"""The steps of an epoch: from the problem, the packing, a state and batches to the next state and
the steps' `summary`."""


def scanned(
    problem: Problem,
    packing: Packing,
    train: TrainState,
    batches: EpochBatches,
    *,
    largest_summed: int = 0,
) -> tuple[TrainState, tuple]:
    """The steps of an epoch, one after the other. For `largest_summed` see `platform`."""
    problem, count = in_sums(problem, largest_summed), np.int32(len(batches.rows))

    def ready(grads: Params) -> Params:
        # stored before the optimizer reads them, which then updates all it keeps in one kernel
        return materialized(laid_out(problem.data, grads), on_cpu=False)

    def step(trained: tuple, batch: tuple):
        (params, opt_state), (rows, weights, index) = trained, batch
        before = TrainState(params, opt_state, train.step + index, train.key)
        x, y = take(problem.data, rows)
        after, loss = advance(
            *problem[:3], before, x, y, weights, packing.unpack, ready,
            accumulate=problem.plan.accumulate,
        )  # fmt: skip
        return (laid_out(problem.data, after.params), after.opt_state), loss

    # Steps are counted by the loop: a count per lane would cost an accelerator a kernel per step.
    numbered = batches.rows, batches.weights, np.arange(count, dtype=np.int32)
    (params, opt_state), losses = jax.lax.scan(step, (train.params, train.opt_state), numbered)
    train = TrainState(params, opt_state, train.step + count, train.key)
    return train, summary(losses, batches.totals, train.params)


def summary(losses: jax.Array, weights: Any, params: Params) -> tuple[jax.Array, jax.Array]:
    """The mean loss of an epoch's steps, and the index of the step that diverged.

    That is the first whose loss is not finite, or the last one if the parameters after it are not;
    the number of steps if none diverged.
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

    States are packed. A run that has stopped, or whose state is at another epoch than `first`, is
    returned unchanged. Under vmap, lanes of one `first` and one order key share their batches.

    Returns:
      The state, and the histories, `capacity` long.
    """

    def body(state: FitState, epoch: jax.Array):
        active = (state.epoch == epoch) & (epoch < last) & ~has_ended(problem, state)
        state = jax.lax.cond(
            any_active(active),
            lambda s: _epoch(problem, packing, s, epoch, active, steps),
            lambda s: s,
            state,
        )
        return state, state.latest

    epochs = first + jnp.arange(capacity, dtype=np.int32)
    return jax.lax.scan(body, state, epochs)


def has_ended(problem: Problem, state: FitState) -> jax.Array:
    """Whether a run has stopped or diverged, `()`."""
    ended = state.diverged_at >= 0
    if problem.stop is not None:
        best = problem.plan.sign * state.best_value[problem.plan.monitor]
        ended |= problem.stop.reached(best, state.wait, state.epoch, problem.plan.sign)
    return ended


def repacked(state: FitState, convert: Callable[[Any], Any]) -> FitState:
    """The state with its parameters and the optimizer's statistics packed or unpacked."""
    train = state.train._replace(
        params=convert(state.train.params), opt_state=convert(state.train.opt_state)
    )
    return state._replace(train=train, best_params=convert(state.best_params))


def _epoch(
    problem: Problem,
    packing: Packing,
    state: FitState,
    epoch: jax.Array,
    active: jax.Array,
    steps: Steps,
) -> FitState:
    """The state after one more epoch; the state before it if the lane is inactive or diverges.

    `epoch` is the same for all lanes, so that they share their batches, and is `state.epoch` of
    every active lane.
    """
    order = order_of(problem.data, jax.random.fold_in(state.order_key, epoch))
    batches = in_batches(problem.data, order, problem.plan.batch_size)
    train, (loss, broken) = steps(problem, packing, state.train, batches)
    good = broken == len(batches.rows)
    latest = _record(problem, packing.unpack(train.params), loss)
    return after_epoch(problem, state, train, latest, active, good, state.train.step + broken)


def after_epoch(
    problem: Problem,
    state: FitState,
    train: TrainState,
    latest: dict,
    active: jax.Array,
    good: jax.Array,
    broken: jax.Array,
) -> FitState:
    """The state after an epoch's steps and measures, rolled back where it is not good.

    `broken` is the step, counted over the run, at which it then broke.
    """
    advanced = _advanced(problem, state, train, latest, active & good)
    rolled_back = state._replace(
        best_params=advanced.best_params,
        diverged_at=jnp.where(active, state.epoch, state.diverged_at),
        diverged_step=jnp.where(active, broken, state.diverged_step),
    )
    return where_in_place(advanced, ~(active & good), rolled_back)


def _advanced(
    problem: Problem, state: FitState, train: TrainState, latest: dict, good: jax.Array
) -> FitState:
    """The state after an epoch, with its best parameters and counters updated where it is good."""
    sign, monitor, stop = problem.plan.sign, problem.plan.monitor, problem.stop
    value, best = sign * latest[monitor], sign * state.best_value[monitor]
    unknown = jnp.isnan(best)
    better = unknown | (value < best)
    improved = better if stop is None else unknown | stop.improved(value, best)
    improved &= ~jnp.isnan(value)
    return state._replace(
        train=train,
        epoch=state.epoch + 1,
        best_params=where_in_place(state.best_params, better & good, train.params),
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
    outputs = predict(problem.net, params, validation, VALIDATION_ROWS)
    return {"loss": loss, **measure(problem.net, problem.metrics, outputs, selected(validation))}


def _all_finite(tree: Any) -> jax.Array:
    # 0 x is 0 where x is finite, else NaN: one pass, where `isfinite` and `all` take two
    sums = [jnp.sum(leaf * 0) for leaf in jax.tree.leaves(tree)]
    return functools.reduce(jnp.logical_and, map(jnp.isfinite, sums))
