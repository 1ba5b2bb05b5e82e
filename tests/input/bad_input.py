"""Runs that are right, of small networks on small data, for tables of what makes them wrong.

Each row of a table is a name, what is changed in a call that is right, and the error. In its
words RUN is the function called, and * is anything.
"""

import jax
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
ROWS = 12
X = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
VALUES = RANDOM.normal(size=(ROWS, 1)).astype(np.float32)
LABELS = np.arange(ROWS) % 4
NAMES = np.array(list("abcd"))[LABELS]
WEIGHTS = np.ones(ROWS, np.float32)

NET = fnn.mlp((3, 5, 4))
OTHER = fnn.mlp((3, 6, 4))
SOFTMAX = fnn.mlp((3, 5, 4), output="softmax")
LINE = fnn.mlp((3, 5, 1))
OPT = fnn.adam(1e-2)
ON_LABELS = {"net": NET, "loss": fnn.softmax_cross_entropy, "data": (X, LABELS)}
ON_VALUES = {"net": LINE, "loss": fnn.squared_error, "data": (X, VALUES)}
ACCURACY = {"accuracy": fnn.accuracy}


def key():
    return jax.random.key(0)


def spoilt(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


def transposed(function):
    """A function of targets and outputs: the wrong way round."""
    return lambda outputs, targets, *more: function(targets, outputs, *more)


def column(params, x):
    """A model of one's own that forgets the axis of outputs."""
    return LINE.apply(params, x)[:, 0]


class Unhashable:
    __hash__ = None
    init = staticmethod(NET.init)
    apply = staticmethod(NET.apply)


def rows(table):
    return pytest.mark.parametrize(
        ("changes", "error", "words"),
        table.values(),
        ids=[name.replace(" ", "_") for name in table],
    )


def made(changes):
    return changes() if callable(changes) else changes


def run(function, refuses, changes, error, words, **more):
    changes = {**ON_LABELS, "optimizer": OPT, "epochs": 2, "batch_size": 4, **more, **changes}
    changes.setdefault("key", key())
    positional = [changes.pop(name) for name in ("net", "loss", "optimizer", "data")]
    if function is fnn.train:
        changes["progress"] = False
    refuses(error, words, function, *positional, **changes)


NO_COUNT = "RUN: {} must be an integer >= 1, known before compilation; got {}"
NO_KEY = "RUN: key must be one PRNG key, such as jax.random.key(0); got {}"
LOGITS = "RUN: {} takes logits, so the mlp must end in 'identity' (it loses no digits); got {}"
PROBABLE = "RUN: {} takes probabilities, so the mlp must end in 'softmax' or 'sigmoid'; got {}"
NO_LOSS = "RUN: the loss must return one floating number per example, (12,); got {}"
NOT_HASHABLE = "RUN: what is not a number, an array or a pytree of them must be hashable; got {}"
LIKE_OUTPUTS = (
    "squared_error: targets must have the shape of outputs, {}, or without the last axis if 1; "
    "got {}"
)
