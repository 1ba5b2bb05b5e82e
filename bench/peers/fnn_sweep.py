"""fnn: `fnn.sweep`, one call."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from bench.tasks import Task

TAKES_ORDERS = False


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, stop: Any = None
) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    net, optimizer = fnn.mlp(task.sizes), fnn.adam(task.learning_rate)
    data = jnp.asarray(x), jnp.asarray(y)
    keys = jax.random.split(jax.random.key(0), task.lanes)
    state = None
    if params is not None:
        layers = tuple(fnn.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in params)
        opt_state = jax.vmap(optimizer.init)(layers)
        state = fnn.TrainState(layers, opt_state, jnp.zeros(task.lanes, np.int32), keys)

    def run() -> np.ndarray:
        runs = fnn.sweep(
            net,
            fnn.softmax_cross_entropy,
            optimizer,
            data,
            key=keys if state is None else None,
            epochs=task.epochs,
            batch_size=task.batch_size,
            state=state,
            stop=stop,
            progress=False,
        )
        jax.block_until_ready(runs.state)
        return np.asarray(runs.history["loss"])

    return run
