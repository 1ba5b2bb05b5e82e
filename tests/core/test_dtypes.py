import jax.numpy as jnp
import numpy as np
import pytest

from fnn._core.dtypes import at_least_float32, wider


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (jnp.bfloat16, np.float32),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int32, np.float32),
        (np.bool_, np.float32),
    ],
)
def test_losses_and_statistics_are_computed_in_at_least_float32(dtype, expected):
    assert at_least_float32(np.dtype(dtype)) == expected


def test_integers_are_computed_with_at_jax_precision(x64):
    assert at_least_float32(np.dtype(np.int32)) == np.float64


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (np.float16, np.float16, np.float16),
        (np.float16, jnp.bfloat16, np.float32),
        (jnp.bfloat16, np.float32, np.float32),
        (np.float64, np.float32, np.float64),
    ],
)
def test_of_two_dtypes_the_wider_holds_both(one, other, expected):
    assert wider(one, other) == wider(other, one) == expected
