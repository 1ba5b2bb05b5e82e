"""A small network, its data, and how two runs are compared."""

import jax
import numpy as np
from same_bits import assert_same_bits, values  # noqa: F401, for the tests

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 3)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(3, 2)) + 0.1 * RANDOM.normal(size=(50, 2))).astype(np.float32)
WEIGHTS = RANDOM.uniform(0.5, 2, 50).astype(np.float32)
DATA, HELD_OUT = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = fnn.mlp((3, 8, 2), activation="tanh", dropout=0.2)
OPT = fnn.adam(1e-2)
KEY = jax.random.key(7)
