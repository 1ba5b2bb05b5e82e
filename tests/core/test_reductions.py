import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn._core.reductions import row_sum, weighted_mean

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


def test_the_weighted_mean_is_sum_wl_over_sum_w():
    losses, weights = jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 0.0, 3.0])
    assert float(weighted_mean(losses, weights)) == pytest.approx(13 / 4)
    assert float(weighted_mean(losses, None)) == pytest.approx(7 / 3)


def test_a_row_without_weight_has_no_say_even_if_its_loss_is_infinite():
    losses, weights = jnp.array([1.0, jnp.inf]), jnp.array([2.0, 0.0])
    assert float(weighted_mean(losses, weights)) == 1.0


def test_a_batch_without_any_weight_has_loss_zero_and_no_gradient():
    def mean(losses):
        return weighted_mean(losses, jnp.zeros(2))

    value, slope = jax.value_and_grad(mean)(jnp.array([1.0, 2.0]))
    assert float(value) == 0
    assert slope.tolist() == [0, 0]


def test_weights_in_float32_lose_no_digits_of_losses_in_float64(x64):
    losses, weights = jnp.array([1.0, 2.0, 4.0]), jnp.array([0.1, 0.2, 0.4], np.float32)
    exact = np.average(losses, weights=np.asarray(weights).astype(float))
    assert float(weighted_mean(losses, weights)) == pytest.approx(exact, rel=1e-14)
