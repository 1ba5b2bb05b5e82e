import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import batches


@pytest.mark.parametrize(("rows", "batch_size"), [(10, 5), (10, 4), (7, 7), (1, 1), (1000, 64)])
def test_every_row_counts_exactly_once_in_an_epoch(key, rows, batch_size):
    order = batches.epoch_order(key, rows)
    dealt, counts = batches.deal(order, batch_size)
    assert dealt.shape == (-(-rows // batch_size), batch_size)
    counted = dealt.ravel() if counts is None else dealt[counts]
    assert sorted(counted.tolist()) == list(range(rows))
    assert (counts is None) == (rows % batch_size == 0)


def test_orders_are_random_and_follow_from_the_key(key):
    orders = jax.vmap(lambda k: batches.epoch_order(k, 6))(jax.random.split(key, 3000))
    assert np.array_equal(orders[0], batches.epoch_order(jax.random.split(key, 3000)[0], 6))
    # each row comes first, second, ... equally often: 500 of 3000, with sd 20
    for row in range(6):
        assert np.abs((orders == row).sum(axis=0) - 500).max() < 100


def test_rows_that_only_fill_a_batch_up_weigh_nothing():
    data = batches.Dataset(jnp.arange(3.0), jnp.arange(3), None)
    rows, counts = batches.deal(jnp.array([2, 0, 1]), 2)
    last = batches.take(data, rows[1], counts[1])
    assert last.x.tolist() == [1.0, 2.0]
    assert last.weights.tolist() == [1.0, 0.0]
    weighted = data._replace(weights=jnp.array([5.0, 6.0, 7.0]))
    assert batches.take(weighted, rows[1], counts[1]).weights.tolist() == [6.0, 0.0]
    assert batches.take(weighted, rows[0], counts[0]).weights.tolist() == [7.0, 5.0]


def test_the_weighted_mean_is_sum_wl_over_sum_w():
    losses, weights = jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 0.0, 3.0])
    assert float(batches.weighted_mean(losses, weights)) == pytest.approx(13 / 4)
    assert float(batches.weighted_mean(losses, None)) == pytest.approx(7 / 3)


def test_a_row_without_weight_has_no_say_even_if_its_loss_is_infinite():
    losses, weights = jnp.array([1.0, jnp.inf]), jnp.array([2.0, 0.0])
    assert float(batches.weighted_mean(losses, weights)) == 1.0


def test_a_batch_without_any_weight_has_loss_zero_and_no_gradient():
    def mean(losses):
        return batches.weighted_mean(losses, jnp.zeros(2))

    value, slope = jax.value_and_grad(mean)(jnp.array([1.0, 2.0]))
    assert float(value) == 0
    assert slope.tolist() == [0, 0]


def test_anything_that_numpy_takes_for_an_array_is_data():
    data = batches.dataset("fit", "data", ([[1, 2], [3, 4]], [0, 1], [1, 2]))
    assert data.x.shape == (2, 2)
    assert data.y.dtype == np.int32
    assert data.weights.dtype == np.float32
    assert data.rows == 2


def test_read_only_and_strided_arrays_are_data():
    x = np.arange(12.0).reshape(6, 2)[::2]
    x.flags.writeable = False
    assert batches.dataset("fit", "data", (x, x[:, 0])).rows == 3


def test_values_are_taken_at_jax_precision_or_refused():
    assert batches.dataset("fit", "data", (np.ones((1, 1)), [0])).x.dtype == np.float32
    with pytest.raises(ValueError, match="x of data must fit float32; got values from 1e"):
        batches.dataset("fit", "data", (np.full((1, 1), 1e300), [0]))
    with pytest.raises(ValueError, match="y of data must fit int32"):
        batches.dataset("fit", "data", (np.ones((1, 1)), [2**40]))
