"""Keras 3 models of `Dense` layers."""

from typing import Any

import numpy as np

from fnn._core import checks
from fnn.activations import ACTIVATIONS, name_of
from fnn.interop.functions import EXACT_GELU, Variant, option_of, shown, with_option
from fnn.interop.network import network_of
from fnn.interop.steps import (
    EPSILON,
    Affine,
    Dropout,
    Function,
    Linear,
    Norm,
    Step,
    affine,
    batch_norm,
    check_epsilon,
    library,
    steps_of,
    unknown,
    where_is,
)
from fnn.networks.mlp import MLP, Layer
from fnn.types import Params

# By fnn's name, those that are the same.
_FUNCTIONS = {
    **{name: name for name in ("sigmoid", "tanh", "relu", "softmax", "elu", "celu", "selu")},
    **{name: name for name in ("hard_sigmoid", "hard_silu", "hard_tanh", "log_sigmoid", "relu6")},
    **{name: name for name in ("log_softmax", "mish", "silu", "softplus", "squareplus")},
    **{name: name for name in ("sparse_plus", "sparse_sigmoid")},
    "identity": "linear",
    "soft_sign": "softsign",
}
_NAMES = {theirs: ours for ours, theirs in _FUNCTIONS.items()}


def to_keras(net: MLP, params: Params) -> Any:
    """The network as a built `keras.Sequential`.

    Layers are `Dense`, `LayerNormalization`, activations and `Dropout`. A scaler is two
    `Rescaling` layers, as one would lose digits of features far from zero.

    Args:
      net: An `mlp`.
      params: Its parameters.
    Returns:
      A model from x `(rows, in)` to outputs `(rows, out)`, in the dtype of the parameters. A file
      of a model with `gelu` is read after `import fnn.interop.keras_gelu`.
    Raises:
      ValueError, TypeError: The network has what Keras has no layer for (residual connections,
        `active`, embeddings, a quantile scaler, some activations); or `params` are those of another
        one.
      ImportError: Keras, or its backend, is not installed.

    >>> net = mlp((4, 8, 1), activation="tanh")
    >>> model = to_keras(net, net.init(jax.random.key(0)))
    >>> [type(layer).__name__ for layer in model.layers]
    ['Dense', 'Activation', 'Dense']
    """
    name = "to_keras"
    keras = library(name, "keras")
    steps = steps_of(name, net, params)
    dtype = np.dtype(params[0].weight.dtype).name
    model = keras.Sequential([keras.Input((net.sizes[0],), dtype=dtype)])
    for step in steps:
        for layer, arrays in _layers(name, keras, step, dtype):
            model.add(layer)
            if arrays:
                layer.set_weights(arrays)
    return model


def from_keras(model: Any) -> tuple[MLP, tuple[Layer, ...]]:
    """The network of a Keras model.

    Args:
      model: A built `keras.Sequential`, nested or not, or a functional `keras.Model` that is a
        chain, of these layers: `Dense`, `LayerNormalization` (epsilon 1e-5), `BatchNormalization`,
        activations, `Dropout`, `Normalization` and `Rescaling`.
    Returns:
      `(net, params)`, on JAX's default device. Batch normalisation becomes what it does in
      evaluation: it is multiplied into the layer beside it, in float64; it, `Normalization` and
      `Rescaling` before the first layer or after the last one are scalers.
    Raises:
      ValueError, TypeError: A layer has no counterpart, or not in that place, or with these
        options; the error names it. Or the model is not built, or no chain.
      ImportError: Keras, or its backend, is not installed.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    >>> net, params = from_keras(model)
    >>> net
    mlp((4, 2), output="softmax")
    """
    name = "from_keras"
    keras = library(name, "keras")
    return network_of(name, _steps(name, keras, model))


def _layers(function: str, keras: Any, step: Step, dtype: str) -> list[tuple[Any, list[Any]]]:
    """The layers of a step, each with its weights."""
    layers = keras.layers
    if isinstance(step, Linear):
        arrays = [part for part in (step.weight, step.bias) if part is not None]
        size = step.weight.shape[1]
        return [(layers.Dense(size, use_bias=step.bias is not None, dtype=dtype), arrays)]
    if isinstance(step, Norm):
        return [(layers.LayerNormalization(epsilon=EPSILON, dtype=dtype), [step.scale, step.shift])]
    if isinstance(step, Dropout):
        return [(layers.Dropout(step.rate, dtype=dtype), [])]
    if isinstance(step, Affine):
        centre, factor, offset = step.rounded(dtype)
        parts: list[Any] = [(factor, offset)]
        if centre.any():
            parts.insert(0, (1.0, -centre))
        return [(layers.Rescaling(scale, shift, dtype=dtype), []) for scale, shift in parts]
    return [(_function(function, keras, step, dtype), [])]


def _function(function: str, keras: Any, step: Function, dtype: str) -> Any:
    layers, sigma, name = keras.layers, step.sigma, name_of(step.sigma)
    if name in _FUNCTIONS and hasattr(keras.activations, _FUNCTIONS[name]):  # older ones lack some
        return layers.Activation(_FUNCTIONS[name], dtype=dtype)
    if name == "gelu":
        from fnn.interop.keras_gelu import gelu_tanh

        return layers.Activation(gelu_tanh, dtype=dtype)
    if sigma == EXACT_GELU:
        return layers.Activation("gelu", dtype=dtype)
    option, value = option_of(sigma) or (None, None)
    if option == "leaky_relu":
        return layers.LeakyReLU(value, dtype=dtype)
    if option == "elu":
        return layers.ELU(value, dtype=dtype)
    raise ValueError(f"{function}: Keras must have the activation; got {shown(sigma)}")


def _steps(function: str, keras: Any, model: Any) -> list[Step]:
    rule = "it must be a keras.Sequential or a functional keras.Model"
    is_sequence = isinstance(model, keras.Sequential)
    is_model = is_sequence or (isinstance(model, keras.Model) and hasattr(model, "operations"))
    is_model &= type(model).__module__.startswith("keras.")  # and no class made of it
    checks.require(is_model, function, rule, type(model).__name__, TypeError)
    checks.require(model.built, function, "it must be built (model.build())", model.name)
    layers = [layer for layer in model.layers if type(layer) is not keras.layers.InputLayer]
    if not is_sequence:
        _check_chain(function, model, layers)
    steps = []
    for layer in layers:
        if isinstance(layer, keras.Model):
            steps += _steps(function, keras, layer)
        elif type(layer) is not keras.layers.Identity:
            steps += _steps_of_layer(function, keras, layer, where_is(layer.name, layer))
    return steps


def _check_chain(function: str, model: Any, layers: list[Any]) -> None:
    """Raises where layers of a functional model do not follow one another."""
    rule = "its layers must be a chain, of which each takes the outputs of the one before it"
    outputs = model.input
    for layer in layers:
        follows = layer.input is outputs
        checks.require(follows, function, rule, where_is(layer.name, layer)[:-1])
        outputs = layer.output  # of its first call, if a layer is called twice
    checks.require(model.output is outputs, function, rule, "outputs of another one")


def _steps_of_layer(function: str, keras: Any, layer: Any, where: str) -> list[Step]:
    layers, kind = keras.layers, type(layer)

    def array(variable: Any) -> Any:
        if variable is None:
            return None
        value = getattr(variable, "value", variable)  # of a variable, or a tensor
        return np.asarray(keras.ops.convert_to_numpy(value))

    if kind is layers.Dense:
        rule = f"{where} must not be quantized"
        mode = getattr(layer, "quantization_mode", None)
        checks.require(mode is None, function, rule, mode)
        sigma = _sigma(function, keras, layer.activation, where)
        linear = Linear(array(layer.kernel), array(layer.bias), where)
        return [linear, Function(sigma, where)]
    if kind is layers.LayerNormalization:
        _check_last_axis(function, layer, where)
        check_epsilon(function, where, layer.epsilon)
        return [Norm(array(layer.gamma), array(layer.beta), where)]
    if kind is layers.BatchNormalization:
        _check_last_axis(function, layer, where)
        variables = (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
        return [batch_norm(where, *map(array, variables), epsilon=layer.epsilon)]
    if kind is layers.Dropout:
        return [Dropout(layer.rate, where)]
    if kind is layers.Rescaling:
        return [affine(0.0, layer.scale, layer.offset, where)]
    if kind is layers.Normalization:
        rule = f"{where} must be over the last axis"
        checks.require(layer.axis in ((-1,), (1,), ()), function, rule, f"axis={layer.axis}")
        mean, variance = (array(part).reshape(-1) for part in (layer.mean, layer.variance))
        root = np.maximum(np.sqrt(variance.astype(np.float64)), keras.config.epsilon())
        step = affine(mean, 1 / root, np.zeros_like(root), where)
        return [step.inverse() if layer.invert else step]
    return [Function(_sigma_of_layer(function, keras, layer, where), where)]


def _check_last_axis(function: str, layer: Any, where: str) -> None:
    axis = layer.axis if isinstance(layer.axis, int) else tuple(layer.axis)
    rule = f"{where} must be over the last axis"
    checks.require(axis in (-1, 1, (-1,), (1,)), function, rule, f"axis={axis}")


def _sigma(function: str, keras: Any, activation: Any, where: str) -> Any:
    """The activation of fnn for a function of Keras."""
    if activation is None:
        return ACTIVATIONS["identity"]
    name = getattr(activation, "__name__", type(activation).__name__)
    if activation is getattr(keras.activations, name, None):
        if name in _NAMES:
            return ACTIVATIONS[_NAMES[name]]
        if name == "gelu":
            return EXACT_GELU
        if name == "leaky_relu":
            return Variant("leaky_relu", "negative_slope", 0.2)
    if name == "gelu_tanh" and activation.__module__ == "fnn.interop.keras_gelu":
        return ACTIVATIONS["gelu"]
    rule = f"the activation of {where} must be one of Keras's that fnn has"
    raise ValueError(f"{function}: {rule}; got {name}")


def _sigma_of_layer(function: str, keras: Any, layer: Any, where: str) -> Any:
    layers, kind = keras.layers, type(layer)
    if kind is layers.Activation:
        return _sigma(function, keras, layer.activation, where)
    if kind is layers.LeakyReLU:
        return with_option("leaky_relu", layer.negative_slope)
    if kind is layers.ELU:
        return with_option("elu", layer.alpha)
    if kind is layers.Softmax:
        rule = f"{where} must be over the last axis"
        checks.require(layer.axis in (-1, 1), function, rule, f"axis={layer.axis}")
        return ACTIVATIONS["softmax"]
    if kind is layers.ReLU:
        rule = f"{where} must have no maximum, slope or threshold"
        options = {name: getattr(layer, name) for name in
                   ("max_value", "negative_slope", "threshold")}  # fmt: skip
        plain = options["max_value"] is None and not any(list(options.values())[1:])
        checks.require(plain, function, rule, options)
        return ACTIVATIONS["relu"]
    raise unknown(function, where)
