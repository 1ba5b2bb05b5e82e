import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn._core.dataset import Dataset, take
from fnn.training.batches import epoch_order, in_batches


def rows_only(rows, weights=None):
    return Dataset(np.arange(rows, dtype=np.float32), np.arange(rows), weights)


@pytest.mark.parametrize(("rows", "batch_size"), [(10, 5), (10, 4), (7, 7), (1, 1), (1000, 64)])
def test_every_row_counts_exactly_once_in_an_epoch(key, rows, batch_size):
    order = epoch_order(key, rows)
    numbers, weights, totals = in_batches(rows_only(rows), order, batch_size)
    assert numbers.shape == (-(-rows // batch_size), batch_size)
    counted = numbers.ravel() if weights is None else numbers[weights > 0]
    assert sorted(counted.tolist()) == list(range(rows))
    assert (weights is None) == (totals is None) == (rows % batch_size == 0)


def test_orders_are_random_and_follow_from_the_key(key):
    orders = jax.vmap(lambda k: epoch_order(k, 6))(jax.random.split(key, 3000))
    assert np.array_equal(orders[0], epoch_order(jax.random.split(key, 3000)[0], 6))
    # each row comes first, second, ... equally often: 500 of 3000, with sd 20
    for row in range(6):
        assert np.abs((orders == row).sum(axis=0) - 500).max() < 100


def test_padding_has_weight_zero():
    order = jnp.array([2, 0, 1])
    batches = in_batches(rows_only(3), order, 2)
    x, y = take(rows_only(3), batches.rows[1])
    assert x.tolist() == y.tolist() == [1, 2]
    assert batches.weights.tolist() == [[0.5, 0.5], [1.0, 0.0]]
    assert batches.totals.tolist() == [2, 1]
    batches = in_batches(rows_only(3, jnp.array([5.0, 6.0, 15.0])), order, 2)
    assert batches.weights.tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert batches.totals.tolist() == [20, 6]


@pytest.mark.parametrize("rows", [1, 2, 1000, 4096, 5000, 70_000])
def test_an_order_is_one_of_all_rows_and_another_for_another_key(key, rows):
    first, second = (epoch_order(jax.random.fold_in(key, i), rows) for i in range(2))
    assert sorted(first.tolist()) == list(range(rows))
    assert rows <= 2 or not np.array_equal(first, second)


def test_neighbouring_rows_are_shuffled_without_a_bias(key):
    """Rows that follow one another in an order ascend as often as not, also where bits are few."""
    rows = 70_000  # 15 random bits a sort: with one sort alone, every fourth row would share them
    order = np.asarray(epoch_order(key, rows))
    together = np.diff(order)
    # neighbours in the order ascend as often as not: the sd of the share is below 0.2 %
    assert abs((together > 0).mean() - 0.5) < 0.01
