"""Scalers by quantiles in every form: ties, ends, values beyond them, features of all sizes."""

import jax
import numpy as np
import pytest
from exported import EVERY, FORMS, outputs_of

import fnn

RANDOM = np.random.default_rng(0)
# of sizes 1, 1000 and 0.001, and one of few values
ROWS = np.exp(0.5 * RANDOM.normal(size=(100, 4))) * [1, 1e3, 1e-3, 1]
ROWS[:, 3] = np.round(3 * RANDOM.normal(size=100))
SCALERS = {
    "of all rows": fnn.quantile_scaler(ROWS),
    "of 20 quantiles": fnn.quantile_scaler(ROWS, quantiles=20),
    "of two": fnn.quantile_scaler(ROWS, quantiles=2),
    "of one": fnn.quantile_scaler(ROWS, quantiles=1),
    "of one value": fnn.quantile_scaler(np.full((5, 4), 2.0)),
}
# the rows themselves, what lies between them, the ends, and what lies beyond
X = np.concatenate(
    [ROWS, 1.02 * ROWS[::-1], ROWS.min(0)[None], ROWS.max(0)[None], [[-1e30] * 4, [1e30] * 4]]
).astype(np.float32)
Z = np.repeat(np.append(np.linspace(-6, 6, 101), 0.0), 4).reshape(-1, 4).astype(np.float32)
# a layer that changes nothing
SAME = (fnn.Layer(np.eye(4, dtype=np.float32)),)


def of_inputs(scaler):
    return fnn.mlp((4, 4), bias=False, inputs=scaler)


def of_outputs(scaler):
    return fnn.mlp((4, 4), bias=False, outputs=scaler)


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("what", SCALERS)
def test_inputs_are_scaled_as_by_the_network(form, what, tmp_path):
    net = of_inputs(SCALERS[what])
    expected = outputs_of(net, SAME, X)
    got = EVERY[form](net, SAME, X, tmp_path)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    assert np.abs(expected[-2:]).min() > 5.19


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("what", SCALERS)
def test_outputs_are_unscaled_as_by_the_network(form, what, tmp_path):
    net = of_outputs(SCALERS[what])
    expected = outputs_of(net, SAME, Z)
    got = EVERY[form](net, SAME, Z, tmp_path)
    assert got.dtype == np.float32
    # relative to the size of each feature
    np.testing.assert_allclose(got / ROWS.max(0), expected / ROWS.max(0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("made", "x"), [(of_inputs, X), (of_outputs, Z)])
def test_in_float64_they_are_right_to_more_digits(form, made, x, tmp_path, x64):
    net, x = made(SCALERS["of all rows"]), x.astype(np.float64)
    same = jax.tree.map(lambda a: a.astype(np.float64), SAME)
    expected = outputs_of(net, same, x)
    got = FORMS[form](net, same, x, tmp_path)
    assert got.dtype == np.float64
    sizes = np.abs(expected).max(0)
    np.testing.assert_allclose(got / sizes, expected / sizes, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_of_equal_values_the_mean_of_their_shares_counts(form, tmp_path):
    """Of 0, 1, 1, 1, 2 the value 1 has the shares 1/4 to 3/4: by hand."""
    rows = np.repeat([0.0, 1.0, 1.0, 1.0, 2.0], 4).reshape(-1, 4)
    x = np.repeat(np.array([0.5, 1.0, 1.5], np.float32), 4).reshape(-1, 4)
    z = FORMS[form](of_inputs(fnn.quantile_scaler(rows)), SAME, x, tmp_path)
    # shares 1/8, 1/2 and 7/8
    np.testing.assert_allclose(z[:, 0], [-1.1503494, 0.0, 1.1503494], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", ["numpy", "c"])
def test_a_reading_that_is_no_number_is_not_hidden(form, tmp_path):
    nan = np.full((1, 4), np.nan, np.float32)
    for net in (of_inputs(SCALERS["of all rows"]), of_outputs(SCALERS["of all rows"])):
        assert np.isnan(FORMS[form](net, SAME, nan, tmp_path)).all()
