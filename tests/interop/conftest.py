"""Other libraries run as their users have them."""

import os

import jax
import pytest

os.environ["KERAS_BACKEND"] = "jax"  # read when Keras is imported


@pytest.fixture(autouse=True)
def _as_users_have_it():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
