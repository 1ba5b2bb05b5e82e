import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import batches


def rows_only(rows, weights=None):
    return batches.Dataset(np.arange(rows, dtype=np.float32), np.arange(rows), weights)


@pytest.mark.parametrize(("rows", "batch_size"), [(10, 5), (10, 4), (7, 7), (1, 1), (1000, 64)])
def test_every_row_counts_exactly_once_in_an_epoch(key, rows, batch_size):
    order = batches.epoch_order(key, rows)
    dealt, shares, weights = batches.deal(rows_only(rows), order, batch_size)
    assert dealt.shape == (-(-rows // batch_size), batch_size)
    counted = dealt.ravel() if shares is None else dealt[shares > 0]
    assert sorted(counted.tolist()) == list(range(rows))
    assert (shares is None) == (weights is None) == (rows % batch_size == 0)


def test_orders_are_random_and_follow_from_the_key(key):
    orders = jax.vmap(lambda k: batches.epoch_order(k, 6))(jax.random.split(key, 3000))
    assert np.array_equal(orders[0], batches.epoch_order(jax.random.split(key, 3000)[0], 6))
    # each row comes first, second, ... equally often: 500 of 3000, with sd 20
    for row in range(6):
        assert np.abs((orders == row).sum(axis=0) - 500).max() < 100


def test_rows_that_only_fill_a_batch_up_weigh_nothing():
    order = jnp.array([2, 0, 1])
    dealt = batches.deal(rows_only(3), order, 2)
    x, y = batches.take(rows_only(3), dealt.rows[1])
    assert x.tolist() == y.tolist() == [1, 2]
    assert dealt.shares.tolist() == [[0.5, 0.5], [1.0, 0.0]]
    assert dealt.weights.tolist() == [2, 1]
    dealt = batches.deal(rows_only(3, jnp.array([5.0, 6.0, 15.0])), order, 2)
    assert dealt.shares.tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert dealt.weights.tolist() == [20, 6]


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


@pytest.mark.parametrize("rows", [1, 2, 1000, 4096, 5000, 70_000])
def test_an_order_is_one_of_all_rows_and_another_for_another_key(key, rows):
    first, second = (batches.epoch_order(jax.random.fold_in(key, i), rows) for i in range(2))
    assert sorted(first.tolist()) == list(range(rows))
    assert rows <= 2 or not np.array_equal(first, second)


def test_rows_that_stand_side_by_side_are_dealt_apart_without_a_bias(key):
    """Rows that follow one another in an order ascend as often as not, also where bits are few."""
    rows = 70_000  # 15 random bits a sort: with one sort alone, every fourth row would share them
    order = np.asarray(batches.epoch_order(key, rows))
    together = np.diff(order)
    # neighbours in the order ascend as often as not: the sd of the share is below 0.2 %
    assert abs((together > 0).mean() - 0.5) < 0.01


def test_weights_in_float32_lose_no_digits_of_losses_in_float64(x64):
    losses, weights = jnp.array([1.0, 2.0, 4.0]), jnp.array([0.1, 0.2, 0.4], np.float32)
    exact = np.average(losses, weights=np.asarray(weights).astype(float))
    assert float(batches.weighted_mean(losses, weights)) == pytest.approx(exact, rel=1e-14)
