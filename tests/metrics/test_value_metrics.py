"""Metrics of values against scikit-learn's, which define them, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from metric_cases import OF_VALUES, ROWS, VALUE_METRICS, assert_close, differing, r2

from fnn import metrics


@jax.jit
def all_of_values(outputs, targets, weights):
    values = {}
    for name, (metric, _) in OF_VALUES.items():
        ways = ["uniform_average", "raw_values"] + ["variance_weighted"] * (name == "r2")
        for way in ways:
            values[name, way] = metric(outputs, targets, weights, multioutput=way)
    return values


def sklearn_of_values(outputs, targets, weights):
    outputs, targets = outputs.astype(np.float64), targets.astype(np.float64)
    return {
        (name, way): OF_VALUES[name][1](targets, outputs, sample_weight=weights, multioutput=way)
        for name, way in all_of_values.eval_shape(outputs, targets, weights)
    }


@pytest.mark.parametrize("offset", [0.0, -3.0, 1e3, 1e5])
@pytest.mark.parametrize("columns", [1, 3])
def test_metrics_of_values_equal_sklearns(columns, offset):
    rng = np.random.default_rng(columns)
    targets = (rng.normal(size=(ROWS, columns)) + offset).astype(np.float32)
    noise = rng.normal(size=targets.shape).astype(np.float32)
    constant = targets.copy()
    constant[:, -1] = offset
    for case, t, outputs in [
        ("random", targets, targets + 0.1 * noise),
        ("useless", targets, targets + 3 * noise),
        ("perfect", targets, targets),
        ("one output constant", constant, constant + 0.1 * noise),
        (
            "one output constant and perfect",
            constant,
            constant + 0.1 * noise * (constant != offset),
        ),
        ("all constant", np.full_like(targets, offset), targets),
    ]:
        for weights in (np.ones(ROWS), rng.random(ROWS), rng.integers(0, 3, ROWS)):
            weights = weights.astype(np.float32)
            actual = all_of_values(outputs, t, weights)
            expected = sklearn_of_values(outputs, t, weights.astype(np.float64))
            assert not differing(actual, expected), case


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_r2_keeps_its_digits_far_from_zero(offset):
    rng = np.random.default_rng(0)
    targets = (rng.normal(size=(1000, 1)) + offset).astype(np.float32)
    outputs = targets + (0.1 * rng.normal(size=(1000, 1))).astype(np.float32)
    expected = sk.r2_score(targets.astype(np.float64), outputs.astype(np.float64))
    assert_close(r2(outputs, targets), expected, rtol=1e-7, atol=0)


def test_r2_is_not_misled_by_a_far_row_of_weight_0():
    targets = np.array([1e9, 1, 2, 3, 4], np.float32)
    outputs, weights = np.array([[0], [1], [2], [3], [5]], np.float32), np.array([0, 1, 1, 1, 1])
    assert_close(r2(outputs, targets, weights), 0.8)


def test_r2_of_constant_targets_is_1_if_perfect_and_else_0():
    outputs = jnp.array([[0.1, 0.1], [0.1, 0.2], [0.1, 0.1]])
    scores = metrics.r2(outputs, jnp.full((3, 2), 0.1), multioutput="raw_values")
    assert scores.tolist() == [1, 0]


def test_r2_of_a_single_row_is_nan():
    outputs = jnp.ones((1, 2))
    assert np.isnan(metrics.r2(outputs, jnp.ones((1, 2))))
    assert np.isnan(metrics.r2(outputs, jnp.ones((1, 2)), multioutput="raw_values")).all()


@pytest.mark.parametrize("metric", VALUE_METRICS)
def test_values_take_integer_targets_and_flat_ones_for_one_output(metric):
    outputs, targets = jnp.array([[1.5], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    expected = metric(outputs, targets)
    for same in (targets.astype(int), targets[:, 0], targets[:, 0].astype(int), [1, 2, 3]):
        assert_close(metric(outputs, same), expected)


@pytest.mark.parametrize("metric", VALUE_METRICS)
def test_values_of_one_dimension_are_one_output(metric):
    outputs, targets = np.float32([1.5, 2.0, 4.0]), np.float32([1.0, 2.0, 3.0])
    weights = np.float32([1.0, 2.0, 0.5])
    (oracle,) = [oracle for ours, oracle in OF_VALUES.values() if ours is metric]
    expected = oracle(targets, outputs, sample_weight=weights)
    for held in (outputs, outputs.tolist(), jnp.asarray(outputs), outputs[:, None]):
        for true in (targets, targets[:, None], targets.astype(int)):
            assert_close(metric(held, true, weights), expected)
    assert metric(outputs, targets, multioutput="raw_values").shape == (1,)
    lanes = jax.vmap(metric, in_axes=(0, None))(np.stack([outputs, -outputs]), targets)
    assert_close(lanes, [oracle(targets, outputs), oracle(targets, -outputs)])


def test_values_of_one_dimension_are_measured_in_float64(x64):
    outputs, targets, weights = np.random.default_rng(0).random((3, ROWS))
    for metric, oracle in OF_VALUES.values():
        expected = oracle(targets, outputs, sample_weight=weights)
        assert_close(metric(outputs, targets, weights), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", VALUE_METRICS)
def test_a_row_is_no_column_of_values(metric):
    with pytest.raises(ValueError, match=r"\(3,\) or \(3, 1\); got shape \(1, 3\)"):
        metric(np.ones(3), np.ones((1, 3)))


def test_the_slope_of_a_root_is_0_where_there_is_no_error():
    slope = jax.grad(lambda outputs: metrics.root_mean_squared_error(outputs, [1, 2, 3]))
    np.testing.assert_array_equal(slope(jnp.float32([1, 2, 3])), np.zeros(3))
    np.testing.assert_allclose(slope(jnp.float32([2.0, 2.0, 3.0])), [3**-0.5, 0, 0], rtol=1e-6)
