"""fnn: `fnn.fit`, one call."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from bench.tasks import Task
from fnn.training.batches import epoch_order

TAKES_ORDERS = False

_ORDER_KEY = jax.random.key(1)


def orders(task: Task, epochs: int) -> np.ndarray:
    """The order in which it takes the rows in the first epochs, `(epochs, rows)`."""
    keys = [jax.random.fold_in(_ORDER_KEY, epoch) for epoch in range(epochs)]
    return np.stack([epoch_order(key, task.rows) for key in keys])


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    net, optimizer = fnn.mlp(task.sizes), fnn.adam(task.learning_rate)
    data = jnp.asarray(x), jnp.asarray(y)
    key = jax.random.key(0)
    state = None
    if params is not None:
        layers = tuple(fnn.Layer(jnp.asarray(weight), jnp.asarray(bias)) for weight, bias in params)
        state = fnn.TrainState(layers, optimizer.init(layers), jnp.zeros((), np.int32), key)

    def run() -> np.ndarray:
        result = fnn.fit(
            net,
            fnn.softmax_cross_entropy,
            optimizer,
            data,
            key=key,
            epochs=task.epochs,
            batch_size=task.batch_size,
            state=state,
            order_key=_ORDER_KEY,
        )
        return np.asarray(jax.block_until_ready(result).history["loss"])

    return run
