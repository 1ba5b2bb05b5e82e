"""Targets far from zero, where float32 holds no digit of them, in networks that scale them."""

from functools import partial

import jax
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
FAR = 1.7e9
X = RANDOM.normal(size=(40, 2)).astype(np.float32)
# of spread 100, where a step of float32 is 128
NEAR = 100 * np.stack([np.sin(X[:, 0]), X[:, 1]], axis=1) + RANDOM.normal(size=(40, 2))
METRICS = {
    "mae": fnn.mean_absolute_error,
    "mse": fnn.mean_squared_error,
    "rmse": fnn.root_mean_squared_error,
    "r2": partial(fnn.r2, multioutput="variance_weighted"),
}
OPTIONS = {"key": jax.random.key(0), "epochs": 2, "metrics": METRICS}
ADAM = fnn.adam(1e-2)


def largest(outputs, targets, weights=None):
    """A metric that is not the same of numbers less a constant."""
    return outputs.max() + 0 * targets.max()


def with_scaler(y, make=fnn.standard_scaler):
    columns = y.reshape(len(y), -1)
    return fnn.mlp((2, 4, columns.shape[1]), activation="tanh", outputs=make(columns))


def assert_close(far, near):
    assert far.keys() == near.keys()
    for name, values in far.items():
        np.testing.assert_allclose(values, near[name], rtol=2e-6, atol=2e-6)


def assert_same_params(far, near):
    for a, b in zip(jax.tree.leaves(far), jax.tree.leaves(near), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def fitted(function, y, optimizer=ADAM, **options):
    return function(
        with_scaler(y), fnn.squared_error, optimizer, (X, y), validation=(X[:20], y[:20]),
        **OPTIONS | options,
    )  # fmt: skip


@pytest.mark.parametrize("function", [fnn.fit, partial(fnn.train, progress=False)])
@pytest.mark.parametrize("columns", [0, slice(None)], ids=["one column", "two"])
def test_a_run_on_targets_far_from_zero_is_that_on_near_ones(function, columns):
    y = NEAR[:, columns]
    far, near = fitted(function, FAR + y), fitted(function, y)
    assert_close(far.history, near.history)
    assert_same_params(far.params, near.params)


@pytest.mark.parametrize(
    "make", [fnn.standard_scaler, fnn.min_max_scaler, fnn.robust_scaler, fnn.quantile_scaler]
)
def test_evaluation_measures_in_raw_units_to_float32_of_the_spread(make):
    net = with_scaler(NEAR, make)
    params = net.init(jax.random.key(1))
    metrics = METRICS | {"loss": fnn.huber}
    near = fnn.evaluate(net, params, (X, NEAR), metrics)
    whole = FAR + np.round(NEAR).astype(np.int64)  # time stamps
    found = fnn.evaluate(with_scaler(FAR + NEAR, make), params, (X, FAR + NEAR), metrics)
    assert_close(found, near)
    of_stamps = fnn.evaluate(with_scaler(FAR + NEAR, make), params, (X, whole), metrics)
    assert abs(float(of_stamps["mae"] - near["mae"])) < 0.5


def test_a_metric_of_one_s_own_sees_raw_units():
    net = with_scaler(FAR + NEAR)
    params = net.init(jax.random.key(1))
    found = fnn.evaluate(net, params, (X, FAR + NEAR), {"largest": largest})["largest"]
    assert float(found) == float(net.apply(params, X).max()) > 1.6e9


@pytest.mark.long
def test_a_sweep_and_a_step_take_such_targets():
    rates = fnn.adam(np.array([1e-2, 1e-3]))
    far, near = (fitted(fnn.sweep, y, rates, progress=False) for y in (FAR + NEAR, NEAR))
    assert_close(far.history, near.history)
    start = fnn.init_state(with_scaler(NEAR), ADAM, jax.random.key(0))
    losses = [
        float(fnn.train_step(with_scaler(y), fnn.squared_error, ADAM, start, (X, y))[1])
        for y in (FAR + NEAR, NEAR)
    ]
    np.testing.assert_allclose(*losses, rtol=2e-6)


def test_lanes_with_scalers_of_their_own_take_them():
    histories = []
    for y in (NEAR, FAR + NEAR):
        scaler = fnn.scalers.stacked([fnn.standard_scaler(y), fnn.standard_scaler(y[:20])])
        net = fnn.mlp((2, 4, 2), activation="tanh", outputs=scaler)
        runs = fnn.sweep(
            net, fnn.squared_error, ADAM, (X, y), validation=(X, y), progress=False, **OPTIONS
        )
        histories.append(runs.history)
    assert_close(*histories)


def test_cross_validation_scores_and_predicts_them():
    far, near = (
        fnn.cross_validate(
            with_scaler(y), fnn.squared_error, ADAM, (X, y), folds=2, progress=False, **OPTIONS
        )
        for y in (FAR + NEAR, NEAR)
    )
    assert_close(far.scores, near.scores)
    assert near.out_of_fold().dtype == np.float32
    assert far.out_of_fold().dtype == np.float64
    np.testing.assert_allclose(far.out_of_fold() - FAR, near.out_of_fold(), rtol=1e-5, atol=1e-3)


def test_ordinary_targets_are_left_alone():
    """The same program and bits as of targets in float32."""
    net = with_scaler(NEAR)
    params = net.init(jax.random.key(1))
    one, other = (fnn.evaluate(net, params, (X, y), METRICS) for y in (NEAR, np.float32(NEAR)))
    assert all(float(one[name]) == float(other[name]) for name in METRICS)
