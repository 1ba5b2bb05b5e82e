"""A program of any number of rows, for several platforms, of any network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exported import OPTIONS, X, outputs_of, params_of

import fnn
from fnn import export

pytest.importorskip("flatbuffers")


def loaded(data):
    return jax.export.deserialize(data)


@pytest.fixture(scope="module")
def deep():
    net = OPTIONS["deep"]()
    params = params_of(net)
    return net, params, loaded(export.to_stablehlo(net, params))


def test_it_runs_on_each_platform_and_takes_any_number_of_rows(deep):
    net, params, program = deep
    assert program.platforms == ("cpu", "cuda", "tpu")
    assert str(program.in_avals[0].shape) == "(rows, 4)"
    for rows in (1, 7):
        expected = outputs_of(net, params, X[:rows])
        np.testing.assert_allclose(program.call(X[:rows]), expected, rtol=1e-6, atol=1e-6)


def test_small_products_are_as_right_as_large_ones(deep):
    """The network unrolls them, where it knows the number of rows."""
    net, params, program = deep
    x = np.tile(X, (100, 1))
    np.testing.assert_allclose(program.call(x), outputs_of(net, params, x), rtol=1e-6, atol=1e-6)


def test_it_can_be_for_one_platform(tmp_path):
    net = OPTIONS["one layer"]()
    data = export.to_stablehlo(net, params_of(net), tmp_path / "net.bin", platforms=["tpu"])
    assert loaded(data).platforms == ("tpu",)
    assert (tmp_path / "net.bin").read_bytes() == data


def test_what_the_other_forms_refuse_is_exported():
    net = fnn.mlp((4, 5, 3), activation=lambda z: jnp.sin(z), dropout=0.2)
    params = params_of(net)
    program = loaded(export.to_stablehlo(net, params))
    np.testing.assert_allclose(program.call(X), outputs_of(net, params, X), rtol=2e-6, atol=1e-6)


def test_a_model_is_exported_with_the_shape_of_a_row():
    net = fnn.Model(
        lambda key: {"w": jax.random.normal(key, (4, 3))},
        lambda params, x: x.reshape(x.shape[0], -1) @ params["w"],
    )
    params = params_of(net)
    program = loaded(export.to_stablehlo(net, params, shape=(2, 2), final="softmax"))
    x = X.reshape(-1, 2, 2)
    expected = fnn.softmax(outputs_of(net, params, x))
    np.testing.assert_allclose(program.call(x), expected, rtol=1e-6, atol=1e-6)
