"""Flax and Optax, the whole run one jitted program written by hand."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers._flax import network
from bench.peers._optax import scan_training
from bench.tasks import Task

TAKES_ORDERS = True


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, orders=None
) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    train = jax.jit(scan_training(*network(task, x, params), task, orders))
    key, x, y = jax.random.key(0), jnp.asarray(x), jnp.asarray(y)

    def run() -> np.ndarray:
        _, losses = jax.block_until_ready(train(key, x, y))
        return task.epoch_losses(losses)

    return run
