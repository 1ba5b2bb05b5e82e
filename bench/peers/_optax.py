"""Training with Optax, for networks that are two functions `init(key)`, `apply(params, x)`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.tasks import Task

Step = Callable[..., tuple[Any, Any, jax.Array]]


def make_step(apply: Callable, optimizer: optax.GradientTransformation) -> Step:
    """The step `(params, opt_state, x, y, weights=None)` to parameters, state and loss."""

    def objective(params: Any, x: jax.Array, y: jax.Array, weights: jax.Array | None) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)
        return jnp.average(losses, weights=weights)

    def step(params: Any, opt_state: Any, x: jax.Array, y: jax.Array, weights=None):
        loss, grads = jax.value_and_grad(objective)(params, x, y, weights)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    return step


def scan_training(init: Callable, apply: Callable, task: Task, orders: np.ndarray | None):
    """The whole run `train(key, x, y)` to the loss of every step, to be jitted.

    A scan over epochs of a scan over steps. A scan's steps have one shape, so the last batch
    is filled up with rows of weight 0.
    """
    optimizer = optax.adam(task.learning_rate)
    step = make_step(apply, optimizer)

    def train(key: jax.Array, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array]:
        init_key, order_key = jax.random.split(key)
        if orders is None:
            epochs = jax.random.split(order_key, task.epochs)
            shuffle = functools.partial(jax.random.permutation, x=task.rows)
        else:
            epochs, shuffle = jnp.asarray(orders), lambda order: order

        def one_step(carry, batch):
            rows, weights = batch
            *carry, loss = step(*carry, x[rows], y[rows], weights)
            return tuple(carry), loss

        def one_epoch(carry, epoch):
            return jax.lax.scan(one_step, carry, _batches(task, shuffle(epoch)))

        params = init(init_key)
        (params, _), losses = jax.lax.scan(one_epoch, (params, optimizer.init(params)), epochs)
        return params, losses

    return train


def _batches(task: Task, order: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """Rows `(batches, batch_size)` and their weights, or None where all of them count."""
    shape = (len(task.batch_rows), task.batch_size)
    fill = shape[0] * shape[1] - task.rows
    if fill == 0:
        return order.reshape(shape), None
    weights = np.arange(shape[0] * shape[1], dtype=np.int32) < task.rows
    rows = jnp.concatenate([order, order[:fill]])
    return rows.reshape(shape), jnp.asarray(weights.reshape(shape), np.float32)
