"""Scalers against scikit-learn's, near to zero and far from it, on the host and traced."""

import re
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import MinMaxScaler as SklearnMinMax
from sklearn.preprocessing import QuantileTransformer
from sklearn.preprocessing import RobustScaler as SklearnRobust
from sklearn.preprocessing import StandardScaler as SklearnScaler

import fnn
from fnn.cross_validation.scaling import stacked
from fnn.scalers import (
    StandardScaler,
    min_max_scaler,
    quantile_scaler,
    robust_scaler,
    standard_scaler,
)

RANDOM = np.random.default_rng(0)

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


# The other three

ROWS = {
    **{name: x for name, x in FEATURES.items() if name != "one row"},
    **{name: x for name, x in FAR.items() if not name.startswith("nano")},
    "with ties": RANDOM.integers(0, 4, (200, 3)).astype(float),
    "many rows": RANDOM.gamma(1, size=(3000, 2)),
    "with some ties": RANDOM.integers(0, 1000, (500, 3)).astype(float),
}
NORMAL = partial(QuantileTransformer, output_distribution="normal", subsample=None)
KINDS = {
    "min_max": (min_max_scaler, SklearnMinMax),
    "min_max to an interval": (
        partial(min_max_scaler, feature_range=(-3, 5)),
        partial(SklearnMinMax, feature_range=(-3, 5)),
    ),
    "robust": (robust_scaler, SklearnRobust),
    "robust by deciles": (
        partial(robust_scaler, quantile_range=(10, 90)),
        partial(SklearnRobust, quantile_range=(10, 90)),
    ),
    "quantile": (quantile_scaler, lambda: NORMAL(n_quantiles=1000)),
    "few quantiles": (partial(quantile_scaler, quantiles=7), lambda: NORMAL(n_quantiles=7)),
}
of_kinds = pytest.mark.parametrize("kind", KINDS)
of_all = pytest.mark.parametrize("make", [standard_scaler, *(make for make, _ in KINDS.values())])


def fitted_pair(kind, x):
    """Ours and scikit-learn's."""
    make, theirs = KINDS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer rows than quantiles
        return make(x), theirs().fit(np.asarray(x, np.float64))


def beyond(x):
    """The rows, and some between and outside of them."""
    x = np.asarray(x, np.float64)
    low, high = x.min(axis=0), x.max(axis=0)
    between = low + RANDOM.uniform(size=(40, x.shape[1])) * (high - low)
    return np.concatenate([x, between, [low - 1, high + 1, low, high]])


@of_kinds
@pytest.mark.parametrize("name", ROWS)
def test_the_others_equal_scikit_learn_s_in_and_outside_of_their_rows(kind, name, x64):
    ours, theirs = fitted_pair(kind, ROWS[name])
    x = beyond(ROWS[name])
    np.testing.assert_allclose(ours(x), theirs.transform(x), rtol=1e-6, atol=1e-6)
    z = ours(x) if "quantile" not in kind else RANDOM.normal(size=(99, x.shape[1])) * 3
    np.testing.assert_allclose(ours.inverse(z), theirs.inverse_transform(z), rtol=1e-6, atol=1e-9)


@of_kinds
@pytest.mark.parametrize("name", FAR)
def test_far_from_zero_the_others_lose_nothing_in_float32(kind, name):
    ours, theirs = fitted_pair(kind, ROWS.get(name, FAR[name]))
    x = np.asarray(FAR[name])
    assert ours(x).dtype == np.float32
    np.testing.assert_allclose(ours(x), theirs.transform(x), rtol=2e-6, atol=2e-6)


@of_kinds
@pytest.mark.parametrize("name", ["of many sizes", "with constants", "with ties", "many rows"])
def test_traced_they_equal_scikit_learn_s_to_the_digits_of_float32(kind, name):
    x = ROWS[name].astype(np.float32)
    _, theirs = fitted_pair(kind, x)
    make = KINDS[kind][0]

    @jax.jit
    def both(x, new):
        scaler = make(x)
        z = scaler(new)
        return z, scaler.inverse(z), jax.vmap(scaler)(new)

    new = beyond(x).astype(np.float32)
    z, back, by_row = both(x, new)
    expected = theirs.transform(new.astype(np.float64))
    # next to an end of the rows, one unit of the last place of x changes much
    steep = np.abs(expected) > 3 if "quantile" in kind else np.zeros(expected.shape, bool)
    # of equal rows at the place of a quantile, scikit-learn's is beside them by rounding
    atol = 1e-2 if name == "with ties" else 2e-5
    np.testing.assert_allclose(np.where(steep, 0, z), np.where(steep, 0, expected), 2e-5, atol)
    np.testing.assert_array_equal(np.sign(z)[steep], np.sign(expected)[steep])
    np.testing.assert_allclose(by_row, z, rtol=1e-5, atol=1e-5)
    expected = theirs.inverse_transform(np.asarray(z, np.float64))
    off = np.abs(back - expected) / np.abs(new).max(axis=0)
    assert off.max() < 1e-5


def test_both_tails_of_a_traced_quantile_scaler_have_their_digits():
    x = np.linspace(0, 1, 1000, dtype=np.float32)[:, None]
    scaler = quantile_scaler(x)
    ends = np.float32([1e-6, 1e-5, 1e-4, 1e-3])
    low = jax.jit(lambda s, x: s(x))(scaler, ends[:, None])
    np.testing.assert_allclose(low, scaler(ends[:, None].astype(np.float64)), rtol=1e-5)
    high = jax.jit(lambda s, z: s.inverse(z))(scaler, -low)
    np.testing.assert_allclose(1 - np.asarray(high[:, 0], np.float64), ends, atol=1.2e-7)


@of_all
def test_a_scaler_is_fitted_anew_with_its_options(make):
    one, other = FEATURES["centred"], FEATURES["of many sizes"]
    again = make(one).fitted(other)
    assert again == make(other)
    assert type(again) is type(make(other))
    traced = jax.jit(lambda scaler, x: scaler.fitted(x))(make(one), other.astype(np.float32))
    np.testing.assert_allclose(traced(other), again(other), rtol=1e-4, atol=1e-4)


@of_all
def test_a_shifted_scaler_is_that_of_shifted_rows(make):
    x = FAR["time stamps"]
    scaler, by = make(x), np.round(x.mean(axis=0))
    near = x - by
    np.testing.assert_allclose(scaler.shifted(by)(near), make(near)(near), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(scaler.shifted(by)(near), scaler(x))
    by_jax = jax.jit(lambda s, by, x: s.shifted(by)(x))(scaler.shifted(by), by - by, near)
    np.testing.assert_allclose(by_jax, scaler(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(scaler.shifted(0.0)(x), scaler(x))
    with pytest.raises(ValueError, match=rf"^{scaler._function}: by must have shape \(3,\); got"):
        scaler.shifted(np.zeros(2))


@of_all
def test_a_linear_scaler_is_a_centre_a_factor_and_an_offset(make):
    x = np.asarray(FAR["time stamps"], np.float64)
    scaler = make(x)
    linear = scaler.affine()
    if isinstance(scaler, fnn.QuantileScaler):
        assert linear is None
        return
    centre, factor, offset = linear
    np.testing.assert_allclose((x - centre) * factor + offset, scaler(x), rtol=1e-6, atol=1e-6)
    assert {part.dtype for part in linear} == {np.dtype(np.float64)}
    with pytest.raises(ValueError, match=f"^{scaler._function}: arguments must be known"):
        jax.jit(lambda scaler: scaler.affine()[0])(scaler)


@of_all
def test_stacked_scalers_are_those_of_lanes(make):
    parts = [RANDOM.normal(size=(rows, 3)) for rows in (40, 37)]
    scalers = [make(x) for x in parts]
    x = RANDOM.normal(size=(20, 3)).astype(np.float32)
    many = jax.vmap(lambda scaler: scaler(x))(stacked(scalers))
    back = jax.vmap(lambda scaler: scaler.inverse(scaler(x)))(stacked(scalers))
    for lane, scaler in enumerate(scalers):
        np.testing.assert_allclose(many[lane], scaler(x), rtol=1e-4, atol=1e-5)
        inside = jnp.abs(many[lane]) < 5
        np.testing.assert_allclose(back[lane][inside], x[inside], rtol=1e-4, atol=1e-4)


@of_all
def test_features_of_any_rank_are_scaled_alike(make):
    images = RANDOM.normal(size=(20, 2, 3))
    scaler, flat = make(images), make(images.reshape(20, 6))
    np.testing.assert_array_equal(scaler(images).reshape(20, 6), flat(images.reshape(20, 6)))
    y = images[:, 0, 0]
    np.testing.assert_array_equal(make(y)(y), flat(images.reshape(20, 6))[:, 0])
    np.testing.assert_array_equal(jax.jit(lambda s, y: s(y))(make(y), y).shape, y.shape)


@of_all
def test_a_scaler_in_a_file_is_read_back(make, tmp_path):
    scaler = make(FEATURES["centred"])
    fnn.save(tmp_path / "scaler", scaler)
    assert fnn.load(tmp_path / "scaler", like=make(FEATURES["of many sizes"])) == scaler


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: min_max_scaler(x, feature_range=(1, 0)), "feature_range must be (low, high), "),
        (lambda x: min_max_scaler(x, feature_range=(0, 1, 2)), "feature_range must be (low, high)"),
        (lambda x: robust_scaler(x, quantile_range=(50, 101)), "quantile_range must be (lower, "),
        (lambda x: robust_scaler(x, quantile_range=(50, 50)), "quantile_range must be (lower, "),
        (lambda x: quantile_scaler(x, quantiles=0), "quantiles must be an integer >= 1"),
    ],
)
def test_options_that_make_no_scaler_are_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call(FEATURES["centred"])


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_a_scaler_finds_the_deviation_where_the_variance_is_no_number_of_float32(scale):
    x = np.array([[1.0], [3.0], [8.0]]) * scale
    scaler = standard_scaler(x.astype(np.float32))
    np.testing.assert_allclose(scaler.mean, x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaler.scale, x.std(axis=0), rtol=1e-6)
