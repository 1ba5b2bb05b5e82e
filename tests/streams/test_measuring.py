"""Metrics and statistics of sources: those of the arrays."""

import jax
import numpy as np
import pytest
from small_streams import KEY, NET, WEIGHTS, X, Y, blocks, source

import fnn
from fnn import streams


@pytest.mark.parametrize("weights", [(), (WEIGHTS,)])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_metrics_of_a_source_are_those_of_the_arrays(weights, batch_size):
    labels = (Y[:, 0] > 0).astype(np.int32)
    params = NET.init(KEY)
    metrics = {"auc": fnn.roc_auc, "f1": fnn.f1, "loss": fnn.softmax_cross_entropy}
    metrics["confusion"] = fnn.confusion_matrix
    expected = fnn.evaluate(NET, params, (X, labels, *weights), metrics)
    data = source(X, labels, *weights)
    found = fnn.evaluate(NET, params, data, metrics, batch_size=batch_size)
    assert list(found) == list(metrics)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_metrics_of_a_function_of_blocks():
    params = NET.init(KEY)
    expected = fnn.evaluate(NET, params, (X, Y), {"r2": fnn.r2})
    found = fnn.evaluate(NET, params, streams.from_blocks(blocks, buffer_rows=50), {"r2": fnn.r2})
    np.testing.assert_allclose(found["r2"], expected["r2"], rtol=1e-5)


RAW = np.random.default_rng(1).normal(size=(230, 4)) * [1e-3, 1, 1e3, 0] + [5, 0, 1e9, 7]


def test_statistics_of_a_source_are_those_of_the_array():
    for data in (source(RAW, Y), source(RAW, Y, block_rows=1), source(RAW, Y, block_rows=1000)):
        standard, of_array = fnn.standard_scaler(data), fnn.standard_scaler(RAW)
        np.testing.assert_allclose(standard.mean, of_array.mean, rtol=1e-12)
        np.testing.assert_allclose(standard.scale, of_array.scale, rtol=1e-10)
        assert standard.scale[3] == 1
        assert standard.mean.dtype == standard.scale.dtype == np.float64
        ends, of_array = fnn.min_max_scaler(data), fnn.min_max_scaler(RAW)
        np.testing.assert_array_equal(ends.minimum, of_array.minimum)
        np.testing.assert_array_equal(ends.scale, of_array.scale)
    again = fnn.standard_scaler(RAW[:5]).fitted(source(RAW, Y))
    np.testing.assert_array_equal(again.mean, fnn.standard_scaler(source(RAW, Y)).mean)


def test_targets_have_statistics_too():
    for data in (source(), streams.from_blocks(blocks)):
        np.testing.assert_allclose(
            fnn.standard_scaler(data.targets).mean, Y.mean(axis=0, dtype=float), rtol=1e-6
        )
    assert source().targets.rows == 230


def test_a_network_with_scalers_of_a_source_is_trained_on_raw_features():
    """Far from zero, float64 features keep their digits, as they do in arrays."""
    raw = np.stack([X[:, 0] + 1e9, X[:, 1] * 1e-3, X[:, 2]], axis=1).astype(np.float64)
    data = streams.from_arrays(raw, Y, block_rows=24, buffer_rows=1000)
    inputs, outputs = fnn.standard_scaler(data), fnn.standard_scaler(data.targets)
    net = fnn.mlp((3, 8, 2), inputs=inputs, outputs=outputs)
    options = {"key": KEY, "epochs": 2, "validation": (raw[:50], Y[:50]), "progress": False}
    run = fnn.train(net, fnn.squared_error, fnn.adam(1e-2), data, **options)
    expected = fnn.train(net, fnn.squared_error, fnn.adam(1e-2), (raw, Y), **options)
    for name, values in expected.history.items():
        np.testing.assert_allclose(run.history[name], values, rtol=1e-4)
    scores = [
        fnn.evaluate(net, run.params, held_out, {"r2": fnn.r2})["r2"]
        for held_out in (data, (raw, Y))
    ]
    np.testing.assert_allclose(*scores, rtol=1e-4)


def test_float64_is_kept_where_it_is_enabled_for_one_thread():
    own = jax if hasattr(jax, "enable_x64") else jax.experimental
    with own.enable_x64(True):
        data = source(X.astype(np.float64), Y.astype(np.float64))
        scores = fnn.evaluate(NET, NET.init(KEY), data, {"loss": fnn.squared_error})
        assert scores["loss"].dtype == np.float64
