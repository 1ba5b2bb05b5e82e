"""Flax and Optax, as people write it: `jit` of `vmap` of the whole run, over seeds."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers._flax import network
from bench.peers._optax import scan_training
from bench.tasks import Task

TAKES_ORDERS = False


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, shared_order: bool = False
) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    init, apply = network(task, x, params)
    keys = jax.random.split(jax.random.key(0), task.lanes)
    first = jax.vmap(init)(keys) if params is None else init(keys[0])

    def train(key: jax.Array, first: dict, x: jax.Array, y: jax.Array):
        return scan_training(lambda _: first, apply, task, None)(key, x, y)

    axes = (None if shared_order else 0, 0, None, None)
    many = jax.jit(jax.vmap(train, in_axes=axes))
    key, x, y = keys[0] if shared_order else keys, jnp.asarray(x), jnp.asarray(y)

    def run() -> np.ndarray:
        _, losses = jax.block_until_ready(many(key, first, x, y))
        return np.stack([task.epoch_losses(lane) for lane in np.asarray(losses)])

    return run
