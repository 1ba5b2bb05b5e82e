import jax
import numpy as np
import pytest

from fnn.sums import row_sum

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1,), (7, 2), (1024,), (1025, 3), (60_000, 2)], ids=str)
def test_a_sum_over_rows_is_right_to_the_last_digits_of_float32(shape):
    values = RANDOM.uniform(0, 1, shape).astype(np.float32)
    exact = values.astype(np.float64).sum(axis=0)
    summed = jax.jit(lambda v, w: row_sum(v * w))(values, np.ones_like(values))
    np.testing.assert_allclose(summed, exact, rtol=1e-6)


def test_every_row_is_summed_whatever_their_number():
    for rows in (1023, 1024, 1025, 1089, 2000):
        assert float(row_sum(np.ones(rows, np.float32) * jax.numpy.float32(1))) == rows
