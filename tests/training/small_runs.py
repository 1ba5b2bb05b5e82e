"""A small network, its data, and how two runs are compared."""

import jax
import jax.numpy as jnp
import numpy as np

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 3)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(3, 2)) + 0.1 * RANDOM.normal(size=(50, 2))).astype(np.float32)
WEIGHTS = RANDOM.uniform(0.5, 2, 50).astype(np.float32)
DATA, HELD_OUT = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = fnn.mlp((3, 8, 2), activation="tanh", dropout=0.2)
OPT = fnn.adam(1e-2)
KEY = jax.random.key(7)


def values(tree):
    """Leaves as NumPy arrays, keys as their data."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return [
        np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        for leaf in jax.tree.leaves(tree)
    ]


def assert_same_bits(a, b):
    for one, other in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(one, other)
