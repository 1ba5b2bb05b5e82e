"""Data before training: splits, scaling and class weights, against scikit-learn's."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.model_selection import train_test_split as sklearn_split
from sklearn.preprocessing import StandardScaler as SklearnScaler
from sklearn.utils.class_weight import compute_class_weight

from fnn.data import StandardScaler, class_weights, standard_scaler, train_test_split

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


# standard_scaler

FEATURES = {
    "centred": RANDOM.normal(size=(50, 3)),
    "of many sizes": RANDOM.normal(size=(50, 3)) * [1e-4, 1.0, 1e4],
    "at an offset": RANDOM.normal(size=(50, 3)) + 3.0,
    "one row": RANDOM.normal(size=(1, 3)),
    "integers": RANDOM.integers(0, 255, size=(50, 3)),
    "bytes": RANDOM.integers(0, 255, size=(50, 3)).astype(np.uint8),
    "bools": RANDOM.integers(0, 2, size=(50, 3)).astype(bool),
    "with constants": RANDOM.normal(size=(50, 3)) * [1, 0, 0] + [0, 0.1, 1e4],
}


@pytest.mark.parametrize("x", FEATURES.values(), ids=FEATURES)
def test_scaling_equals_scikit_learn_s(x):
    fitted = SklearnScaler().fit(np.asarray(x, np.float32).astype(np.float64))
    scaler = standard_scaler(x)
    off = np.abs(scaler.mean - fitted.mean_)
    assert (off <= 1e-6 * fitted.scale_ + 1e-7 * np.abs(fitted.mean_)).all()
    np.testing.assert_allclose(scaler.scale, fitted.scale_, rtol=1e-6)
    expected = fitted.transform(np.asarray(x, np.float32).astype(np.float64))
    np.testing.assert_allclose(scaler(x), expected, rtol=1e-5, atol=1e-6)
    assert scaler(x).dtype == np.float32


@pytest.mark.parametrize("x", FEATURES.values(), ids=FEATURES)
def test_scaling_equals_scikit_learn_s_in_float64(x, x64):
    fitted = SklearnScaler().fit(x)
    scaler = standard_scaler(x)
    np.testing.assert_allclose(scaler.mean, fitted.mean_, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(scaler.scale, fitted.scale_, rtol=1e-12)
    np.testing.assert_allclose(scaler(x), fitted.transform(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(scaler.inverse(scaler(x)), x, rtol=1e-10, atol=1e-12)


def test_an_offset_of_ten_thousand_costs_no_digits():
    x = (RANDOM.normal(size=(50, 3)) * [1, 10, 0.1] + 1e4).astype(np.float32)
    fitted = SklearnScaler().fit(x.astype(np.float64))
    scaler = standard_scaler(x)
    np.testing.assert_allclose(scaler.mean, fitted.mean_, rtol=1e-6)
    np.testing.assert_allclose(scaler.scale, fitted.scale_, rtol=1e-6)
    # the mean is rounded to float32, as x itself is: by half of 1e-3 there
    rounding = 5e-4 / fitted.scale_
    assert (np.abs(scaler(x) - fitted.transform(x.astype(np.float64))) < 1.1 * rounding).all()


def test_constant_features_have_scale_one_and_become_zero():
    row = np.array([0.1, 1e4, 1e-30], np.float32)
    scaler = standard_scaler(np.tile(row, (50, 1)))
    np.testing.assert_array_equal(scaler.scale, 1)
    np.testing.assert_array_equal(scaler(np.tile(row, (50, 1))), 0)
    np.testing.assert_array_equal(scaler.inverse(np.zeros((50, 3))), np.tile(row, (50, 1)))


def test_inverse_undoes_the_scaling_of_rows_never_seen():
    scaler = standard_scaler(FEATURES["of many sizes"])
    x = RANDOM.normal(size=(50, 3)) * [1e-4, 1.0, 1e4]
    np.testing.assert_allclose(scaler.inverse(scaler(x)), x, rtol=1e-5, atol=1e-9)


def test_one_column_of_targets_and_features_of_any_rank_are_scaled():
    y = np.array([1.0, 3.0, 5.0, 7.0])
    scaler = standard_scaler(y)
    assert scaler.mean.shape == scaler.scale.shape == ()
    assert scaler.mean == 4
    np.testing.assert_allclose(scaler(y), (y - 4) / np.sqrt(5), rtol=1e-6)
    assert scaler(np.stack([y, y])).shape == (2, 4)

    images = RANDOM.normal(size=(20, 2, 3))
    scaler = standard_scaler(images)
    np.testing.assert_allclose(scaler.mean, images.mean(0), atol=1e-6)
    np.testing.assert_allclose(scaler.scale, images.std(0), rtol=1e-6)
    stack = scaler(np.stack([images, images]))
    assert stack.shape == (2, 20, 2, 3)
    np.testing.assert_allclose(stack[1, 7], scaler(images[7]), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_floats_are_scaled_in_float32(dtype):
    x = jnp.asarray([[250.0, 1.0], [252.0, 3.0], [254.0, 5.0]], dtype)
    scaler = standard_scaler(x)
    assert scaler(x).dtype == jax.jit(lambda x: standard_scaler(x).scale)(x).dtype == np.float32
    np.testing.assert_allclose(scaler.mean, [252, 3])
    np.testing.assert_allclose(scaler.scale, np.sqrt([8 / 3, 8 / 3]), rtol=1e-6)


def test_lists_are_accepted():
    assert standard_scaler([1, 3, 5, 7])(4) == 0


def test_a_scaler_is_a_pytree_under_jit_and_vmap():
    x = FEATURES["of many sizes"].astype(np.float32)
    scaler = standard_scaler(x)
    assert [leaf.shape for leaf in jax.tree.leaves(scaler)] == [(3,), (3,)]
    jitted = jax.jit(standard_scaler)(x)
    assert isinstance(jitted, StandardScaler)
    np.testing.assert_allclose(jitted.scale, scaler.scale, rtol=1e-6)
    scaled = jax.jit(lambda scaler, x: scaler(x))(scaler, x)
    np.testing.assert_allclose(scaled, scaler(x), rtol=1e-5, atol=1e-6)
    rows = jax.jit(jax.vmap(lambda row: scaler(row)))(x)
    np.testing.assert_allclose(rows, scaler(x), rtol=1e-6, atol=1e-7)


def test_vmapped_fitting_equals_single_fits():
    xs = np.stack([FEATURES["centred"], FEATURES["at an offset"]]).astype(np.float32)
    scalers = jax.jit(jax.vmap(standard_scaler))(xs)
    scaled = jax.jit(jax.vmap(lambda scaler, x: scaler(x)))(scalers, xs)
    for lane, x in enumerate(xs):
        single = standard_scaler(x)
        np.testing.assert_allclose(scalers.mean[lane], single.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scalers.scale[lane], single.scale, rtol=1e-6)
        np.testing.assert_allclose(scaled[lane], single(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((0, 3)), ValueError, "x must have at least one row; got (0, 3)"),
        (3.0, ValueError, "x must have at least one row; got ()"),
        ([[1.0, np.nan]], ValueError, "x must be finite everywhere; got nan at index (0, 1)"),
        ([[np.inf, 1.0]], ValueError, "x must be finite everywhere; got inf at index (0, 0)"),
        ([["a"]], TypeError, "x must hold numbers (turn names into integer labels"),
        ([[1j]], TypeError, "x must hold real numbers; got dtype complex128"),
        ([[1], [1, 2]], ValueError, "x must be an array, all of its rows of one shape; got "),
        (None, TypeError, "x must hold numbers"),
        (jax.random.key(0), TypeError, "x must hold real numbers; got dtype key<fry>"),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_what_cannot_be_scaled_is_refused(x, error, message):
    with pytest.raises(error, match="^" + re.escape(f"standard_scaler: {message}")):
        standard_scaler(x)


@pytest.mark.parametrize("shape", [(2,), (4, 2), (3, 1), (), (3, 4), (1,)])
def test_a_scaler_refuses_another_number_of_features(shape):
    scaler = standard_scaler(FEATURES["centred"])
    rule = re.escape(f"standard_scaler: x must have shape (..., 3); got {shape}")
    for call in (scaler, scaler.inverse, jax.jit(lambda x: scaler(x))):
        with pytest.raises(ValueError, match=f"^{rule}"):
            call(np.ones(shape, np.float32))
    with pytest.raises(ValueError, match=r"^standard_scaler: x must be finite everywhere; got nan"):
        scaler([[np.nan, 1.0, 2.0]])


FAR = {
    "time stamps": 1.7e9 + 100 * RANDOM.normal(size=(50, 3)),
    "time stamps as int64": np.int64(1.7e12 + 1e5 * RANDOM.normal(size=(50, 3))),
    "nanoseconds as int64": np.int64(1.7e18 + 1e11 * RANDOM.normal(size=(50, 3))),
}


@pytest.mark.parametrize("x", FAR.values(), ids=FAR)
def test_features_far_from_zero_are_scaled_as_scikit_learn_does(x):
    fitted, scaler = SklearnScaler().fit(x), standard_scaler(x)
    np.testing.assert_allclose(scaler.mean, fitted.mean_, rtol=1e-15)
    np.testing.assert_allclose(scaler.scale, fitted.scale_, rtol=1e-6)
    np.testing.assert_allclose(scaler(x), fitted.transform(x), rtol=0, atol=2e-6)
    assert scaler(x).dtype == np.float32


def test_scaling_back_gives_the_nearest_float32():
    x = FAR["time stamps"]
    scaler = standard_scaler(x)
    np.testing.assert_allclose(scaler.inverse(scaler(x)), x, rtol=1e-7)
    with pytest.raises(ValueError, match=r"^standard_scaler: the result must fit float32; got "):
        scaler.inverse(np.full((1, 3), 1e38))
    with pytest.raises(ValueError, match=r"^standard_scaler: x must fit float32; got "):
        standard_scaler(np.array([[1e39], [2e39]]))


def test_fitting_under_jit_agrees_with_fitting_on_the_host():
    x = (RANDOM.normal(size=(50, 3)) + 1e4).astype(np.float32)
    host, traced = standard_scaler(x), jax.jit(standard_scaler)(x)
    np.testing.assert_allclose(traced.mean, host.mean, rtol=1e-7)
    np.testing.assert_allclose(traced.scale, host.scale, rtol=1e-6)


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


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_scaler_finds_the_deviation_where_the_variance_is_no_number_of_float32(scale):
    x = np.array([[1.0], [3.0], [8.0]]) * scale
    scaler = standard_scaler(x.astype(np.float32))
    np.testing.assert_allclose(scaler.mean, x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaler.scale, x.std(axis=0), rtol=1e-6)
