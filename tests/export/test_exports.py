"""Each form of a network gives what the network gives."""

from functools import cache

import jax
import numpy as np
import pytest
from exported import (
    EVERY,
    FORMS,
    FUNCTIONS,
    HIDDEN,
    OPTIONS,
    X,
    of_all_activations,
    outputs_of,
    params_of,
)

import fnn
from fnn.activations import ACTIVATIONS
from fnn.export.steps import steps_of

# both sides of every bend, near 0, and where powers and exponentials overflow
SIZES = [1e-6, 0.01, 0.3, 0.9, 1, 1.1, 2.5, 3, 3.5, 6, 7, 20, 31, 100, 1e4, 1e20]
GRID = np.array([0, *SIZES, *(-size for size in SIZES)], np.float32)[:, None]


@cache
def of_option(name):
    net = OPTIONS[name]()
    params = params_of(net)
    return net, params, outputs_of(net, params, X)


@cache
def of_activation(name):
    net = fnn.mlp((4, 6, 5), activation=name, output=name)
    params = params_of(net)
    return net, params, outputs_of(net, params, X)


@cache
def of_one_neuron(name):
    net = fnn.mlp((1, 1), output=name)
    params = (fnn.Layer(np.ones((1, 1), np.float32), np.zeros(1, np.float32)),)
    return net, params, outputs_of(net, params, GRID)


def assert_equal(got, expected, tolerance=1e-6):
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_exported(form, option, tmp_path):
    net, params, expected = of_option(option)
    assert_equal(EVERY[form](net, params, X, tmp_path), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_exported(form, name, tmp_path):
    net, params, expected = of_activation(name)
    assert_equal(FORMS[form](net, params, X, tmp_path), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", HIDDEN)
def test_every_activation_is_right_far_from_zero_and_near(form, name, tmp_path):
    net, params, expected = of_one_neuron(name)
    assert_equal(FORMS[form](net, params, GRID, tmp_path), expected)


@pytest.mark.parametrize("form", ["numpy", "c"])
@pytest.mark.parametrize("name", HIDDEN)
def test_a_reading_that_is_no_number_is_not_hidden(form, name, tmp_path):
    net, params, _ = of_one_neuron(name)
    assert np.isnan(FORMS[form](net, params, np.full((1, 1), np.nan, np.float32), tmp_path)).all()


@pytest.mark.parametrize("form", EVERY)
def test_a_layer_of_each_activation_is_exported(form, tmp_path):
    net = of_all_activations()
    params = params_of(net)
    expected = outputs_of(net, params, X)
    assert_equal(EVERY[form](net, params, X, tmp_path), expected, 2e-5)


@pytest.mark.parametrize("form", EVERY)
def test_what_computes_in_float64_is_exported_in_it(form, tmp_path, x64):
    net = of_all_activations(inputs=fnn.standard_scaler(X))
    params = params_of(net)
    x = X.astype(np.float64)
    expected = outputs_of(net, params, x)
    assert expected.dtype == np.float64
    assert_equal(EVERY[form](net, params, x, tmp_path), expected, 1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_what_computes_in_bfloat16_is_exported_in_float32(form, tmp_path):
    net = fnn.mlp((4, 6, 3), dtype="bfloat16", activation="tanh")
    params = params_of(net)
    rounded = jax.tree.map(lambda a: a.astype("bfloat16").astype(np.float32), params)
    expected = outputs_of(fnn.mlp((4, 6, 3), activation="tanh"), rounded, X)
    assert_equal(FORMS[form](net, params, X, tmp_path), expected)


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("final", ["softmax", "sigmoid"])
def test_logits_can_become_probabilities(form, final, tmp_path):
    net, params, logits = of_option("deep")
    expected = np.asarray(getattr(fnn, final)(logits))
    assert_equal(EVERY[form](net, params, X, tmp_path, final=final), expected)


@pytest.mark.parametrize("form", FORMS)
def test_any_number_of_rows(form, tmp_path):
    net, params, expected = of_option("deep")
    assert_equal(FORMS[form](net, params, X[:1], tmp_path), expected[:1])


LOOKS = {
    "columns first": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "another byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "read only": lambda a: np.broadcast_to(a, a.shape),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("look", LOOKS)
def test_arrays_that_are_not_contiguous_are_exported_as_they_read(form, look):
    if form == "onnx":
        pytest.importorskip("onnx")
    scaler = fnn.standard_scaler(X)
    net = fnn.mlp((4, 6, 3), inputs=scaler)
    params = jax.tree.map(np.asarray, params_of(net))
    change = LOOKS[look]
    # JAX refuses a scaler in another byte order
    of_scaler = np.asarray if look == "another byte order" else change
    same = fnn.StandardScaler(of_scaler(scaler.mean), of_scaler(scaler.scale))
    changed = jax.tree.map(change, params)
    assert jax.tree.all(jax.tree.map(np.array_equal, changed, params))
    other = fnn.mlp((4, 6, 3), inputs=same)
    assert FUNCTIONS[form](other, changed) == FUNCTIONS[form](net, params)


def test_neurons_that_are_not_active_are_left_out():
    net, params, _ = of_option("active")
    shapes = [step.weight.shape for step in steps_of("a test", net, params, None).steps
              if hasattr(step, "weight")]  # fmt: skip
    assert shapes == [(4, 2), (2, 5), (5, 3)]
