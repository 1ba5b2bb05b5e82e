"""Keras 3: models of Dense layers, there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interop_cases import (
    CASES,
    FAR,
    REFUSED,
    SIGMAS,
    X,
    assert_close,
    assert_refused,
    params_of,
)

import fnn
from fnn.interop import from_keras, to_keras

# which Keras causes where it reads its own variables
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
keras = pytest.importorskip("keras")
layers = keras.layers


@pytest.fixture(autouse=True)
def _random_weights():
    keras.utils.set_random_seed(0)


def sequential(*parts, features=4):
    return keras.Sequential([keras.Input((features,)), *parts])


def shaken(model):
    """The model with weights that are not 0 and 1."""
    random = np.random.default_rng(3)
    model.set_weights([w + random.uniform(0.1, 0.5, w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_the_same_there_and_back(case):
    net, x = CASES[case]
    params = params_of(net)
    model = to_keras(net, params)
    expected = net.apply(params, x)
    assert_close(model(x), expected)
    again, same = from_keras(model)
    assert_close(again.apply(same, x), expected)
    assert (again.sizes, again.dropout, again.norm) == (net.sizes, net.dropout, net.norm)
    assert again.activations == net.activations


@pytest.mark.parametrize("sigma", [name for name in SIGMAS if name != "standardize"])
def test_activations_are_the_same(sigma):
    if sigma == "sparse_sigmoid" and not hasattr(keras.activations, sigma):
        pytest.skip("this version of Keras has no sparse_sigmoid")
    net = fnn.mlp((4, 5, 3), activation=SIGMAS[sigma])
    params = params_of(net)
    model = to_keras(net, params)
    assert_close(model(3 * X), net.apply(params, 3 * X))
    assert from_keras(model)[0] == net


@pytest.mark.parametrize("sigma", ["standardize", jnp.sin])
def test_activations_that_keras_does_not_have_are_refused(sigma):
    net = fnn.mlp((4, 5, 3), activation=sigma)
    name = sigma if isinstance(sigma, str) else "sin"
    assert_refused(lambda: to_keras(net, params_of(net)), "to_keras", name)


@pytest.mark.parametrize("case", REFUSED)
def test_networks_that_keras_has_no_layers_for_are_refused(case):
    net, text = REFUSED[case]
    assert_refused(lambda: to_keras(net, net.init(jax.random.key(0))), "to_keras", text)


def test_a_file_of_keras_has_everything(tmp_path):
    for case, activation in (("scalers with ranges", "relu"), ("plain", "gelu")):
        net, x = CASES[case]
        net = fnn.mlp(net.sizes, activation=activation, norm=net.norm, inputs=net.inputs,
                      outputs=net.outputs)  # fmt: skip
        params = params_of(net)
        path = tmp_path / "model.keras"
        to_keras(net, params).save(path)
        assert_close(keras.saving.load_model(path)(x), net.apply(params, x))


@pytest.mark.parametrize(
    "sigma", ["relu", "gelu", "leaky_relu", "elu", "celu", "softplus", "squareplus", None]
)
def test_activations_of_dense_layers(sigma):
    model = shaken(sequential(layers.Dense(5, activation=sigma), layers.Dense(3, "tanh")))
    net, params = from_keras(model)
    assert_close(net.apply(params, X), model(X))


def test_activations_that_are_layers():
    model = shaken(sequential(
        layers.Dense(5), layers.LeakyReLU(), layers.Dense(4), layers.ELU(0.5),
        layers.Dense(4), layers.ReLU(), layers.Dense(3), layers.Softmax(),
    ))  # fmt: skip
    net, params = from_keras(model)
    assert_close(net.apply(params, X), model(X))


def test_a_model_of_keras_with_every_kind_of_layer():
    normalization = layers.Normalization()
    normalization.adapt(FAR)
    model = shaken(sequential(
        normalization,
        layers.Rescaling(0.5, offset=0.1),
        keras.Sequential([layers.Dense(6, use_bias=False), layers.BatchNormalization()]),
        layers.LayerNormalization(epsilon=1e-5, scale=False),
        layers.Activation("tanh"),
        layers.Dropout(0.5),
        layers.BatchNormalization(),
        layers.Dense(5),
        layers.LayerNormalization(epsilon=1e-5),
        layers.Identity(),
        layers.Dropout(0.5),
        layers.Dense(3),
        layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0], invert=True),
    ))  # fmt: skip
    net, params = from_keras(model)
    assert net.dropout == 0.5
    assert net.inputs is not None
    assert_close(net.apply(params, FAR), model(FAR))


def test_a_functional_model_that_is_a_chain():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(3, "softmax")(layers.Dense(5, "relu")(x)))
    net, params = from_keras(model)
    assert net.sizes == (4, 5, 3)
    assert_close(net.apply(params, X), model(X))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_parameters_keep_their_dtype(dtype):
    net = fnn.mlp((4, 6, 3), norm="layer", param_dtype=dtype)
    params = params_of(net)
    model = to_keras(net, params)
    again, same = from_keras(model)
    assert again == net
    for one, other in zip(jax.tree.leaves(params), jax.tree.leaves(same), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


class Doubled(layers.Dense):
    def call(self, x):
        return 2 * super().call(x)


def functional(last):
    x = keras.Input((4,))
    return keras.Model(x, last(x))


def twice(x):
    layer = layers.Dense(4)
    return layer(layer(x))


BAD = {
    "layer": (lambda: sequential(layers.Dense(3), layers.PReLU(name="p")), "layer 'p', a PReLU"),
    "nested": (
        lambda: sequential(keras.Sequential([layers.Dense(3), layers.UnitNormalization(name="u")])),
        "layer 'u', a UnitNormalization",
    ),
    "subclass": (lambda: sequential(Doubled(3, name="d")), "layer 'd', a Doubled"),
    "function": (
        lambda: sequential(layers.Dense(3, activation="exponential", name="e")),
        "layer 'e', a Dense", "exponential",
    ),
    "own function": (lambda: sequential(layers.Dense(3, activation=jnp.sin)), "sin"),
    "epsilon": (
        lambda: sequential(layers.Dense(4), layers.LayerNormalization(name="n"), layers.Dense(3)),
        "layer 'n'", "got 0.001",
    ),
    "maximum": (lambda: sequential(layers.Dense(3), layers.ReLU(max_value=6)), "max_value"),
    "norm last": (
        lambda: sequential(layers.Dense(3), layers.LayerNormalization(epsilon=1e-5, name="n")),
        "last linear layer", "layer 'n'",
    ),
    "branches": (
        lambda: functional(lambda x: layers.Add(name="a")([x, layers.Dense(4)(x)])), "chain",
        "layer 'a', a Add",
    ),
    "two heads": (lambda: functional(lambda x: [layers.Dense(1)(x), layers.Dense(2)(x)]), "chain"),
    "twice": (lambda: functional(twice), "chain", "outputs of another one"),
    "not built": (lambda: keras.Sequential([layers.Dense(3)]), "must be built"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_models_without_a_counterpart_are_refused_by_name(case):
    make, *texts = BAD[case]
    model = make()
    assert_refused(lambda: from_keras(model), "from_keras", *texts)


class Own(keras.Sequential):
    def call(self, x):
        return 2 * super().call(x)


def test_what_is_no_model_is_refused():
    own = Own([keras.Input((4,)), layers.Dense(3)])
    assert_refused(lambda: from_keras(own), "Sequential", "Own", error=TypeError)
    assert_refused(lambda: from_keras(layers.Dense(3)), "Sequential", "Dense", error=TypeError)
