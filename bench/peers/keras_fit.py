"""Keras on JAX: `fit`."""

import os
from collections.abc import Callable

import numpy as np

from bench.tasks import Task

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is imported
import keras

TAKES_ORDERS = False


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(width, activation="relu") for width in task.sizes[1:-1]]
    layers = [keras.Input(task.sizes[:1]), *hidden, keras.layers.Dense(task.sizes[-1])]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(task.learning_rate, epsilon=1e-8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=True)
    if params is not None:
        model.set_weights([array for layer in params for array in layer])
    optimizer.build(model.trainable_variables)
    # a new model would be compiled anew, so every run sets this one back
    variables = model.variables + optimizer.variables
    begin = [variable.numpy() for variable in variables]

    def run() -> np.ndarray:
        keras.utils.set_random_seed(0)
        for variable, value in zip(variables, begin, strict=True):
            variable.assign(value)
        history = model.fit(x, y, batch_size=task.batch_size, epochs=task.epochs, verbose=0)
        return np.asarray(history.history["loss"])

    return run
