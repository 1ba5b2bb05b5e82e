"""Small sweeps and single runs, and how their outcomes are compared."""

import jax
import numpy as np
from same_bits import assert_same_bits, values  # noqa: F401, for the tests

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 3)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(3, 2)) + 0.1 * RANDOM.normal(size=(50, 2))).astype(np.float32)
LABELS = Y.argmax(axis=1)
DATA, HELD_OUT = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = fnn.mlp((3, 8, 2), activation="tanh")
KEY = jax.random.key(7)


def sweep(net=NET, loss=fnn.squared_error, optimizer=None, data=DATA, **options):
    """A small sweep; what is not given is as in `single`."""
    optimizer = fnn.adam(1e-2) if optimizer is None else optimizer
    options = {"key": KEY, "epochs": 4, "batch_size": 16, "progress": False, **options}
    return fnn.sweep(net, loss, optimizer, data, **options)


def single(net=NET, loss=fnn.squared_error, optimizer=None, data=DATA, **options):
    optimizer = fnn.adam(1e-2) if optimizer is None else optimizer
    options = {"key": KEY, "epochs": 4, "batch_size": 16, **options}
    return fnn.fit(net, loss, optimizer, data, **options)


def outcome(runs):
    """All that a sweep says of its lanes."""
    return runs.history, runs.epochs, runs.state


RATES = np.array([0.003, 0.01, 0.1])
WEIGHTS = RANDOM.uniform(0, 2, (3, 40)).astype(np.float32)
PIECES = RANDOM.uniform(0.01, 0.1, (3, 3))

EIGHT = np.geomspace(1e-3, 0.3, 8)

# each of the two test devices has so many lanes of a chunk
AT_ONCE = 1


def eight(**options):
    options = {"optimizer": fnn.adam(EIGHT), "at_once": AT_ONCE, "epochs": 8, **options}
    return sweep(validation=HELD_OUT, **options)


LAST = np.array([1, 8, 2, 8, 3, 3, 8, 2])
