"""One step of training: `train_step` for a loop of one's own, `advance` for the compiled loop."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dataset import dataset
from fnn._core.dtypes import at_least_float32
from fnn._core.reductions import normalized, normalized_mean
from fnn.evaluation import check_losses, check_outputs
from fnn.networks.suitable import check_outputs_suit
from fnn.networks.units import centred, losses_of, scaled_outputs_of
from fnn.optimizers import apply_updates
from fnn.types import Loss, Network, Optimizer, Params


class TrainState(NamedTuple):
    """The state between training steps."""

    params: Params
    opt_state: Any
    step: jax.Array
    """int32, `()`: steps done."""
    key: jax.Array
    """The key of step t's dropout is `fold_in(key, t)`."""


def init_state(net: Network, optimizer: Optimizer, key: jax.Array) -> TrainState:
    """The state before the first step.

    Args:
      net: An `mlp`, a `Model`, or any object with pure `init` and `apply`.
      optimizer: Ours or Optax's.
      key: A PRNG key, for the first parameters and for dropout.
    Returns:
      A `TrainState` at step 0.
    Raises:
      TypeError: An argument is not as described here, or the parameters are not floating arrays.

    >>> int(init_state(fnn.mlp((2, 1)), fnn.sgd(0.1), jax.random.key(0)).step)
    0
    """
    checks.functions("init_state", "net", net, "init", "apply")
    checks.functions("init_state", "optimizer", optimizer, "init", "update")
    init_key, step_key = jax.random.split(checks.key("init_state", key))
    params = net.init(init_key)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        dtype = getattr(leaf, "dtype", type(leaf).__name__)
        trainable = hasattr(leaf, "dtype") and jnp.issubdtype(dtype, jnp.floating)
        got = f"{jax.tree_util.keystr(path)}: {dtype}"
        rule = "net.init must return floating arrays"
        checks.require(trainable, "init_state", rule, got, TypeError)
    return TrainState(params, optimizer.init(params), jnp.zeros((), np.int32), step_key)


def train_step(
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    state: TrainState,
    batch: Any,
    *,
    accumulate: int = 1,
) -> tuple[TrainState, jax.Array]:
    """One step of training: forward propagation, loss, gradient, update.

    Pure, but not jitted: use `jax.jit(fnn.train_step, static_argnums=1)`, with
    `static_argnames="accumulate"` where that is given.

    Args:
      net: An `mlp`, a `Model`, or any object with pure `init` and `apply`.
      loss: `(outputs, targets)` to a loss per example, `(batch,)`.
      optimizer: Ours or Optax's.
      state: From `init_state` or from the step before.
      batch: `(x, y)` or `(x, y, weights)`: x `(batch, ...)`, weights `(batch,)`, >= 0.
      accumulate: In how many parts the batch is computed, as in `fit`. Static.
    Returns:
      The next state, and the loss before the step: sum(w l) / sum(w), `()`.
    Raises:
      ValueError, TypeError: State and batch do not fit the network and the loss, or the
        batch is empty, not finite, or no multiple of `accumulate`. Values of tracers go
        unchecked.

    >>> net, opt = fnn.mlp((2, 1)), fnn.sgd(0.1)
    >>> state = init_state(net, opt, jax.random.key(0))
    >>> batch = np.zeros((3, 2)), np.ones(3)
    >>> state, loss = train_step(net, fnn.squared_error, opt, state, batch)
    >>> float(loss), state.params[0].bias.tolist()
    (1.0, [0.20000000298023224])
    """
    name = "train_step"
    rule = "state must be a TrainState, as init_state makes it"
    checks.require(isinstance(state, TrainState), name, rule, type(state).__name__, TypeError)
    checks.functions(name, "net", net, "init", "apply")
    checks.functions(name, "optimizer", optimizer, "init", "update")
    check_outputs_suit(name, net, loss)
    net, (batch,), _ = centred(net, batch)
    x, y, weights = dataset(name, "batch", batch)
    accumulate = checked_parts(name, "the rows of batch", len(x), accumulate)
    if weights is not None:
        weights = normalized(jnp.asarray(weights).astype(float))
    return advance(net, loss, optimizer, state, x, y, weights, accumulate=accumulate)


def checked_parts(function: str, name: str, rows: int, accumulate: Any) -> int:
    """The number of parts of a batch of so many rows."""
    accumulate = checks.count(function, "accumulate", accumulate)
    rule = f"{name} must be a multiple of accumulate"
    got = f"{rows} rows in {accumulate} parts"
    checks.require(rows % accumulate == 0, function, rule, got)
    return accumulate


def advance(
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    state: TrainState,
    x: Any,
    y: Any,
    weights: Any,
    seen: Callable[[Params], Params] = lambda params: params,
    ready: Callable[[Params], Params] = lambda grads: grads,
    *,
    accumulate: int = 1,
) -> tuple[TrainState, jax.Array]:
    """`train_step` of a checked batch.

    `weights` are normalized, None for equal ones. `seen` converts the state's parameters to the
    network's (unpacks them), `ready` is applied to the gradients before the optimizer.
    """
    key = jax.random.fold_in(state.key, state.step)

    def objective(params: Params, x: Any, y: Any, weights: Any, key: jax.Array) -> jax.Array:
        outputs = scaled_outputs_of(net, seen(params), x, key)
        check_outputs("train_step", outputs, len(x))
        losses = losses_of(net, loss, outputs, y)
        check_losses("train_step", losses, len(x))
        return normalized_mean(losses, weights)

    batch = x, y, weights, key
    value, grads = value_and_grads(objective, state.params, batch, accumulate)
    updates, opt_state = optimizer.update(ready(grads), state.opt_state, state.params)
    params = apply_updates(state.params, updates)
    return TrainState(params, opt_state, state.step + 1, state.key), value


def value_and_grads(
    objective: Callable, params: Params, batch: tuple, accumulate: int
) -> tuple[jax.Array, Params]:
    """The loss of a batch and its gradients, summed over parts, one after the other.

    The memory of one part is enough then. The batch is `(x, y, weights, key)`.
    """
    of_part = jax.value_and_grad(objective)
    if accumulate == 1:
        return of_part(params, *batch)

    def add(total: Params, part: tuple) -> tuple[Params, jax.Array]:
        value, grads = of_part(params, *part)
        return jax.tree.map(lambda sum_, g: sum_ + g.astype(sum_.dtype), total, grads), value

    # narrow floats would lose digits in a sum of many terms
    zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, at_least_float32(p.dtype)), params)
    x, y, weights, key = batch
    if weights is None:
        weights = np.full(len(x), 1 / len(x))
    grads, values = jax.lax.scan(add, zeros, in_parts((x, y, weights, key), accumulate))
    return jnp.sum(values), jax.tree.map(lambda g, p: g.astype(p.dtype), grads, params)


def in_parts(batch: tuple, parts: int) -> tuple:
    """A batch, arrays of one length and a key last, cut into parts: with a leading axis of them.

    Each part of several has its own key.
    """
    *arrays, key = batch

    def cut(rows: Any) -> jax.Array:
        # every `parts`-th row: rows that are sharded over devices stay where they are
        rows = jnp.asarray(rows)
        return jnp.moveaxis(rows.reshape(-1, parts, *rows.shape[1:]), 1, 0)

    numbers = np.arange(parts, dtype=np.int32)
    keys = key[None] if parts == 1 else jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
    return *map(cut, arrays), keys
