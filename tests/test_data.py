"""Data before training: splits and class weights, against scikit-learn's."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import train_test_split as sklearn_split
from sklearn.utils.class_weight import compute_class_weight

from fnn.data import class_weights, train_test_split

RANDOM = np.random.default_rng(0)

# train_test_split


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("rows", [8, 101])
def test_every_row_is_in_one_part_exactly_once_and_alike_over_arrays(rows, stratified, key):
    x, y = np.arange(2 * rows).reshape(rows, 2), np.arange(rows) % 2
    index = np.arange(rows)
    stratify = y if stratified else None
    parts = train_test_split(x, index, y, key=key, stratify=stratify)
    x_train, x_test, train, test, y_train, y_test = parts
    assert sorted([*train, *test]) == list(index)
    for indices, features, labels in [(train, x_train, y_train), (test, x_test, y_test)]:
        np.testing.assert_array_equal(features, x[indices])
        np.testing.assert_array_equal(labels, y[indices])


@pytest.mark.parametrize("rows", [2, 3, 8, 101])
@pytest.mark.parametrize("test_size", [0.01, 0.1, 0.25, 0.3, 1 / 3, 0.5, 0.75, 0.99, 1, 2, 3, 7])
def test_the_sizes_and_what_is_refused_are_scikit_learn_s(rows, test_size, key):
    index = np.arange(rows)
    try:
        expected = [len(part) for part in sklearn_split(index, test_size=test_size)]
    except ValueError:
        with pytest.raises(ValueError, match=r"^train_test_split: both parts must have rows; got "):
            train_test_split(index, key=key, test_size=test_size)
    else:
        parts = train_test_split(index, key=key, test_size=test_size)
        assert [len(part) for part in parts] == expected


def test_a_quarter_is_tested_by_default_and_sizes_may_be_numpy_scalars(key):
    assert len(train_test_split(range(101), key=key)[1]) == 26
    assert len(train_test_split(range(101), key=key, test_size=np.int64(4))[1]) == 4
    assert len(train_test_split(range(101), key=key, test_size=np.float32(0.5))[1]) == 51


LABELS = {
    "skewed": RANDOM.choice(4, size=101, p=[0.6, 0.25, 0.1, 0.05]),
    "sorted": np.repeat([0, 1, 2], [60, 31, 10]),
    "small classes": np.repeat([3, 5, 9], [2, 2, 97]),
    "negative and wide": np.repeat([-5, 10**6], [24, 77]),
    "bools": np.arange(101) % 3 == 0,
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("test_size", [0.2, 0.25, 0.5, 13])
def test_stratified_parts_have_every_class_in_proportion_within_one_row(labels, test_size, key):
    rows = len(labels)
    ours = train_test_split(labels, key=key, test_size=test_size, stratify=labels)
    theirs = sklearn_split(labels, test_size=test_size, stratify=labels, random_state=0)
    classes, counts = np.unique(labels, return_counts=True)

    def off(part):
        """How many rows each class has too many, or too few."""
        return np.array([(part == label).sum() for label in classes]) - counts * len(part) / rows

    for part, other in zip(ours, theirs, strict=True):
        assert len(part) == len(other)
        assert np.abs(off(part)).max() < 1
        # of all such splits the closest; which of two equal classes gets a row is open
        np.testing.assert_allclose(np.abs(off(part)).sum(), np.abs(off(other)).sum())


@pytest.mark.parametrize("kind", [list, np.asarray, jnp.asarray, np.uint8])
def test_stratify_takes_labels_of_any_integer_kind(kind, key):
    labels = kind([0, 1, 0, 1, 0, 1, 0, 1])
    _, test = train_test_split(np.arange(8), key=key, stratify=labels)
    assert sorted(test % 2) == [0, 1]


@pytest.mark.parametrize("stratified", [False, True])
def test_the_split_is_a_function_of_the_key(stratified, key):
    index = np.arange(101)
    stratify = index % 3 if stratified else None

    def split(key):
        return np.concatenate(train_test_split(index, key=key, stratify=stratify))

    np.testing.assert_array_equal(split(key), split(jax.random.key(0)))
    np.testing.assert_array_equal(split(key), split(jax.random.PRNGKey(0)))
    assert (split(key) != split(jax.random.key(1))).any()


@pytest.mark.parametrize("stratified", [False, True])
def test_rows_and_their_order_are_drawn_evenly(stratified):
    rows, draws = 8, 200
    index = np.arange(rows)
    stratify = index // 4 if stratified else None
    keys = jax.random.split(jax.random.key(1), draws)
    parts = [train_test_split(index, key=key, stratify=stratify) for key in keys]
    train, test = (np.stack(column) for column in zip(*parts, strict=True))
    # each row's share of the draws, in standard deviations of a binomial
    for column, share in [(test.ravel(), 2 / rows), (test[:, 0], 1 / rows), (train[:, 0], 1 / rows),
                          (train[:, -1], 1 / rows)]:  # fmt: skip
        counts = np.bincount(column, minlength=rows)
        deviation = np.sqrt(draws * share * (1 - share))
        assert np.abs(counts - draws * share).max() < 4 * deviation


def test_numpy_arrays_stay_numpy_s_and_jax_arrays_stay_jax_s_dtypes_included(key):
    arrays = [np.ones((8, 2)), jnp.ones((8, 2, 3), jnp.bfloat16), np.array(["a", "b"] * 4)]
    parts = train_test_split(*arrays, list(range(8)), key=key)
    for array, train, test in zip(arrays, parts[0::2], parts[1::2], strict=False):
        for part, rows in [(train, 6), (test, 2)]:
            assert isinstance(part, type(array))
            assert part.dtype == array.dtype
            assert part.shape == (rows, *array.shape[1:])
    assert isinstance(parts[6], np.ndarray)


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ([], {}, ValueError, "there must be at least one array; got none"),
        ([3.0], {}, ValueError, "arrays must have rows; got a scalar"),
        ([range(8), range(7)], {}, ValueError, "arrays must have one length; got [8, 7]"),
        ([[]], {}, ValueError, "both parts must have rows; got 0 of 0 rows to test on"),
        ([[1]], {}, ValueError, "both parts must have rows; got 1 of 1 rows to test on"),
        ([[[1], [1, 2]]], {}, ValueError, "every array must be an array, all of its rows of "),
        ([range(8)], {"test_size": 0.0}, ValueError, "test_size must be a share in (0, 1), or "),
        ([range(8)], {"test_size": 1.0}, ValueError, "test_size must be a share in (0, 1), or "),
        ([range(8)], {"test_size": -0.5}, ValueError, "test_size must be a share in (0, 1), or "),
        ([range(8)], {"test_size": np.nan}, ValueError, "test_size must be a share in (0, 1), or"),
        ([range(8)], {"test_size": 0}, ValueError, "test_size must be an integer >= 1"),
        ([range(8)], {"test_size": -1}, ValueError, "test_size must be an integer >= 1"),
        ([range(8)], {"test_size": "a"}, TypeError, "test_size must be an integer >= 1"),
        ([range(8)], {"test_size": True}, TypeError, "test_size must be an integer >= 1"),
        ([range(8)], {"test_size": 8}, ValueError, "both parts must have rows; got 8 of 8 rows"),
        ([range(8)], {"key": 0}, TypeError, "key must be one PRNG key"),
        ([range(8)], {"stratify": [0, 1] * 3}, ValueError, "stratify must have 8 rows; got 6"),
        ([range(8)], {"stratify": [0] * 7 + [1]}, ValueError, "every class of stratify must have "),
        ([range(8)], {"stratify": [0.5] * 8}, TypeError, "stratify must be integers of shape "),
        ([range(8)], {"stratify": ["a"] * 8}, TypeError, "stratify must hold numbers (turn names"),
        ([range(8)], {"stratify": [[0]] * 8}, ValueError, "stratify must be integers of shape "),
        (
            [range(8)],
            {"stratify": [0, 0, 1, 1, 2, 2, 3, 3]},
            ValueError,
            "each part must have a row for each of 4 classes; got a part of 2 rows",
        ),
        (
            [range(8)],
            {"stratify": [0, 0, 1, 1, 2, 2, 3, 3], "test_size": 0.75},
            ValueError,
            "each part must have a row for each of 4 classes; got a part of 2 rows",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(arrays, options, error, message, key):
    with pytest.raises(error, match="^" + re.escape(f"train_test_split: {message}")):
        train_test_split(*arrays, **{"key": key} | options)


# class_weights


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1],
        [0, 0, 0, 1],
        [2, 1, 0, 2, 2, 2],
        np.repeat(np.arange(5), [1, 10, 100, 1000, 3]).astype(np.uint8),
        RANDOM.permutation(np.repeat(np.arange(3), [7, 2, 9])),
        np.array([True, False, True]),
        jnp.array([0, 2, 1, 1]),
    ],
    ids=["even", "skewed", "list", "bytes", "shuffled", "bools", "jax"],
)
def test_class_weights_equal_scikit_learn_s_balanced_ones(labels):
    known = np.asarray(labels).astype(int)
    classes = known.max() + 1
    expected = compute_class_weight("balanced", classes=np.arange(classes), y=known)
    weights = class_weights(labels, classes)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    np.testing.assert_allclose(np.sum(np.asarray(weights)[known]), len(known), rtol=1e-6)
    under_jit = jax.jit(class_weights, static_argnums=1)(jnp.asarray(labels), int(classes))
    np.testing.assert_allclose(under_jit, expected, rtol=1e-6)


def test_class_weights_are_float64_under_x64(x64):
    labels = np.repeat([0, 1, 2], [1, 3, 3])
    weights = class_weights(labels, 3)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights, expected, rtol=1e-14)


def test_a_class_without_rows_raises_and_has_weight_zero_where_that_is_not_known():
    labels = np.array([0, 0, 3, 3, 3])
    message = "class_weights: every class must have rows; got none of [1, 2]"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        class_weights(labels, 4)
    weights = jax.jit(class_weights, static_argnums=1)(labels, 4)
    np.testing.assert_allclose(weights, [5 / 8, 0, 0, 5 / 12], rtol=1e-6)


def test_class_weights_vmapped_over_label_sets_equal_single_ones():
    labels = np.array([[0, 0, 1, 2], [2, 1, 0, 1]])
    got = jax.vmap(lambda labels: class_weights(labels, 3))(labels)
    np.testing.assert_allclose(got, [class_weights(row, 3) for row in labels], rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "classes", "error", "message"),
    [
        ([0, 1, 2], 2, ValueError, "labels must be from 0 to 1; got 2"),
        ([0, -1], 2, ValueError, "labels must be from 0 to 1; got -1"),
        ([0.0, 1.0], 2, TypeError, "labels must be integers of shape (rows,), at least one; got "),
        (["a", "b"], 2, TypeError, "labels must hold numbers (turn names into integer labels with"),
        ([[0, 1]], 2, ValueError, "labels must be integers of shape (rows,), at least one; got "),
        (0, 1, ValueError, "labels must be integers of shape (rows,), at least one; got ()"),
        (np.zeros(0, int), 2, ValueError, "labels must be integers of shape (rows,), at least one"),
        ([0, 1], 0, ValueError, "num_classes must be an integer >= 1"),
        ([0, 1], 2.0, TypeError, "num_classes must be an integer >= 1"),
        ([0, 2**40], 2, ValueError, "labels must fit int32; got values from 0 to 1099511627776"),
    ],
)
def test_what_are_no_labels_of_so_many_classes_is_refused(labels, classes, error, message):
    with pytest.raises(error, match="^" + re.escape(f"class_weights: {message}")):
        class_weights(labels, classes)
