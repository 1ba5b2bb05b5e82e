"""Flax and Optax, a jitted step called in a Python loop."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bench.peers._flax import network
from bench.peers._optax import make_step
from bench.tasks import Task

TAKES_ORDERS = True


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, orders=None
) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    init, apply = network(task, x, params)
    optimizer = optax.adam(task.learning_rate)
    step_on_batch = make_step(apply, optimizer)
    x, y = jnp.asarray(x), jnp.asarray(y)
    ends = np.cumsum(task.batch_rows)[:-1]

    @jax.jit
    def begin(key: jax.Array) -> tuple[Any, Any]:
        params = init(key)
        return params, optimizer.init(params)

    @jax.jit(donate_argnums=(0, 1))
    def step(params: Any, opt_state: Any, x: jax.Array, y: jax.Array, rows: jax.Array):
        return step_on_batch(params, opt_state, x[rows], y[rows])

    def run() -> np.ndarray:
        init_key, *order_keys = jax.random.split(jax.random.key(0), 1 + task.epochs)
        params, opt_state = begin(init_key)
        losses = []
        for epoch in range(task.epochs):
            if orders is None:
                order = np.asarray(jax.random.permutation(order_keys[epoch], task.rows))
            else:
                order = orders[epoch]
            for rows in np.split(order, ends):
                params, opt_state, loss = step(params, opt_state, x, y, rows)
                losses.append(loss)
        jax.block_until_ready(params)
        return task.epoch_losses(jax.device_get(losses))

    return run
