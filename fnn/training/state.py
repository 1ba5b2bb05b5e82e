"""The state of a run: all that it needs to begin or to continue."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.display import call_text, text_of
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, host_numbers, merge, split
from fnn._core.shapes import shapes_of
from fnn.networks.deep import is_stacked, unstacked
from fnn.networks.mlp import MLP
from fnn.optimizers.common import is_elementwise
from fnn.training.packing import Stacking
from fnn.training.problem import Problem
from fnn.training.step import TrainState, init_state
from fnn.types import Params


class FitState(NamedTuple):
    """All that a run needs to continue: pass it to `fit(state=...)`."""

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
    """int32, `()`: the epoch that was rolled back; -1 if none."""
    diverged_step: jax.Array
    """int32, `()`: the step, counted over the run, at which numbers broke; -1 if none."""
    latest: dict[str, jax.Array]
    """The history's last row; NaN before the first epoch."""

    def __repr__(self) -> str:
        step = getattr(self.train, "step", self.train)
        return text_of_run("FitState", self, epoch=self.epoch, step=step)


class InitialState(NamedTuple):
    """The start of a run that continues no other."""

    start: jax.Array | TrainState
    """The key of the first parameters, or a state that has them."""
    order_key: jax.Array | None


def checked_state(
    function: str,
    problem: Problem,
    key: jax.Array | None,
    state: FitState | TrainState | None,
    order_key: jax.Array | None,
) -> FitState | InitialState:
    """The start of a run, its state checked against the network and the optimizer."""
    if order_key is not None:
        order_key = checks.key(function, order_key)
    if state is None:
        return InitialState(checks.key(function, key), order_key)
    rule = "state must be a FitState, a TrainState or None"
    is_state = isinstance(state, (FitState, TrainState))
    checks.require(is_state, function, rule, type(state).__name__, TypeError)
    continued = isinstance(state, FitState)
    # with its own keys, which may be of another kind than JAX's default
    key = checks.key(function, state.train.key if continued else state.key)
    if continued:
        order_key = checks.key(function, state.order_key)
    expected = shapes_of(function, initial_state, (problem, InitialState(key, order_key)))
    if continued:
        checks.same_structure(function, "state", expected, state)
        return state
    step = jnp.asarray(checks.integer(function, "step of state", state.step))
    state = state._replace(step=step, key=key)
    checks.same_structure(function, "state", expected.train, state)
    return InitialState(state, order_key)


def text_of_run(name: str, state: FitState, **counts: Any) -> str:
    """The `repr` of a run: counts, the best epoch, the latest values, and whether it diverged."""
    shown = counts | {"best_epoch": state.best_epoch}
    if isinstance(state.latest, dict):
        shown |= state.latest
    if text_of(state.diverged_at) != "-1":
        shown["diverged_at"] = state.diverged_at
    return call_text(name, [], shown, ranks=dict.fromkeys(shown, 0), digits=4)


def initial_state(problem: Problem, begin: InitialState) -> FitState:
    """The state before the first epoch."""
    train = begin.start
    if not isinstance(train, TrainState):
        train = init_state(problem.net, problem.optimizer, train)
    order_key = begin.order_key
    if order_key is None:
        order_key = own_order_key(train.key)

    latest = {name: _unknown(like) for name, like in problem.plan.records}
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


def initial_packable_state(problem: Problem, begin: InitialState) -> FitState:
    """The state before the first epoch, with layers stacked where they will be packed."""
    if type(problem.net) is MLP and is_elementwise(problem.optimizer):
        problem = problem._replace(net=Stacking(problem.net))
    return initial_state(problem, begin)


def own_order_key(step_key: jax.Array) -> jax.Array:
    """The default key of a run's batch order, from the key of its `TrainState`."""
    return jax.random.fold_in(step_key, np.uint32(2**32 - 1))  # a step never made


def compiled_initial_state(problem: Problem, begin: FitState | InitialState) -> FitState:
    """The state before the first epoch by a compiled program, for runs in segments."""
    if isinstance(begin, FitState):
        return begin
    traced, structure = split("fit", (problem, begin))
    with host_numbers(), jax.debug_nans(False):  # NaN here says that there was no epoch yet
        return layer_by_layer(_compiled_initial_state(structure, traced))


@compiled(0)
def _compiled_initial_state(structure: Structure, traced: list) -> FitState:
    return initial_packable_state(*merge(structure, traced))


def layer_by_layer(state: FitState, axis: int = 0) -> FitState:
    """The state with stacked parameters layer by layer; `axis` as in `unstacked`."""
    return unstacked(state, axis) if is_stacked(state.train.params) else state


def _unknown(like: jax.ShapeDtypeStruct) -> jax.Array:
    floating = jnp.issubdtype(like.dtype, jnp.floating)
    return jnp.full(like.shape, jnp.nan if floating else 0, like.dtype)
