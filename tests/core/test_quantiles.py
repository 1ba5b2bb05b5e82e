"""Quantiles against NumPy's, and normal scores against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fnn._core.quantiles import from_normal, quantiles_of, to_normal

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("rows", [1, 2, 7, 200])
def test_quantiles_are_numpy_s(rows):
    x = RANDOM.normal(size=(rows, 2, 3))
    shares = np.array([0, 0.1, 0.25, 0.5, 1 / 3, 0.9, 1])
    expected = np.quantile(x, shares, axis=0)
    np.testing.assert_allclose(quantiles_of(np, x, shares), expected, rtol=1e-12, atol=1e-14)
    traced = jax.jit(lambda x: quantiles_of(jnp, x, shares))(x.astype(np.float32))
    np.testing.assert_allclose(traced, expected, rtol=1e-5, atol=1e-6)


def test_in_float32_a_quantile_at_a_row_is_that_row():
    x = np.repeat(np.arange(4, dtype=np.float32), 50)
    found = quantiles_of(jnp, jnp.asarray(x), np.linspace(0, 1, 200))
    np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("xp", [np, jnp])
def test_equal_values_get_the_normal_score_of_their_mean_rank(xp):
    x = xp.asarray(np.repeat(np.arange(4.0, dtype=np.float32), [3, 5, 1, 2]))
    references = xp.asarray(np.linspace(0, 1, 11, dtype=np.float32))
    z = to_normal(xp, xp.asarray(np.float32([1.0, 2.0, -9.0, 3.0])), x, references)
    expected = stats.norm.ppf([0.5, 0.8, 1e-7, 1 - 1e-7])
    np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-6)
    back = from_normal(xp, xp.asarray(np.float32([0.0, 9.0, -9.0])), x, references)
    np.testing.assert_allclose(back, [1.0, 3.0, 0.0])
