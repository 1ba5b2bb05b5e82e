"""Data that `fit` and `evaluate` refuse, in which words, and when."""

import jax.numpy as jnp
import numpy as np
import pytest
from bad_data import DATA
from bad_input import ACCURACY, LABELS, NET, X, key, rows, run, spoilt

import fnn


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_nan_in_a_device_array_is_found_too(make, refuses):
    bad = make(spoilt(X, (1, 2), np.nan))
    words = "RUN: x of data must be finite everywhere; got nan at index (1, 2)"
    run(fnn.fit, refuses, {"data": (bad, LABELS)}, ValueError, words)


@rows(DATA)
@pytest.mark.parametrize("where", ["data", "validation"])
def test_no_run_starts_on(changes, error, words, where, refuses):
    run(fnn.fit, refuses, {where: changes}, error, words.replace("DATA", where))


@rows(DATA)
def test_nothing_is_evaluated_on(changes, error, words, refuses):
    params, words = NET.init(key()), words.replace("DATA", "data")
    refuses(error, words, fnn.evaluate, NET, params, changes, ACCURACY)
