"""Rows that are the same in memory and in a source, and a run on them."""

import threading

import jax
import numpy as np
from same_bits import assert_same_bits, values  # noqa: F401, for the tests

import fnn
from fnn import streams

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(230, 3)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(3, 2)) + 0.1 * RANDOM.normal(size=(230, 2))).astype(np.float32)
WEIGHTS = RANDOM.uniform(0.5, 2, 230).astype(np.float32)
HELD_OUT = X[:50], Y[:50]
NET = fnn.mlp((3, 8, 2), activation="tanh", dropout=0.2)
OPT = fnn.adam(1e-2)
KEY = jax.random.key(7)


def source(*arrays, block_rows=24, buffer_rows=64):
    """Of 10 blocks, which make 4 buffers, the last of them of 38 rows."""
    return streams.from_arrays(*(arrays or (X, Y)), block_rows=block_rows, buffer_rows=buffer_rows)


def blocks(epoch, rows=24):
    """The blocks of a function, other ones in each epoch."""
    order = np.random.default_rng(epoch).permutation(len(X))
    for start in range(0, len(X), rows):
        chosen = order[start : start + rows]
        yield X[chosen], Y[chosen]


def train(data, **options):
    defaults = {"key": KEY, "epochs": 3, "batch_size": 32, "progress": False}
    return fnn.train(NET, fnn.squared_error, OPT, data, **defaults | options)


def assert_close(a, b):
    for one, other in zip(values(a), values(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def assert_no_thread_is_left():
    names = [thread.name for thread in threading.enumerate()]
    assert "fnn-read-ahead" not in names
