"""Equinox: its `MLP`, and `Sequential`."""

import dataclasses
import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.interop.functions import known, shown
from fnn.interop.network import network_of
from fnn.interop.steps import (
    EPSILON,
    Affine,
    Dropout,
    Function,
    Linear,
    Norm,
    Step,
    check_epsilon,
    library,
    steps_of,
    unknown,
    where_is,
)
from fnn.networks.mlp import MLP, Layer
from fnn.types import Params


def to_equinox(net: MLP, params: Params) -> Any:
    """The network as an `equinox.nn.Sequential`, with dropout off (`inference=True`).

    Layers are `Linear`, `LayerNorm`, `Lambda` and `Dropout`. Scalers are functions in a `Lambda`,
    whose numbers are no leaves.

    Args:
      net: An `mlp`.
      params: Its parameters.
    Returns:
      A module for one x `(in,)`; `jax.vmap(module)(x)` takes rows `(rows, in)`.
      `equinox.nn.inference_mode(module, False)` turns dropout on.
    Raises:
      ValueError, TypeError: The network has what Equinox has no layer for (residual connections,
        `active`, embeddings, a quantile scaler); or `params` are those of another one.
      ImportError: Equinox is not installed.

    >>> net = mlp((4, 8, 1))
    >>> module = to_equinox(net, net.init(jax.random.key(0)))
    >>> jax.vmap(module)(jnp.ones((5, 4))).shape
    (5, 1)
    """
    name = "to_equinox"
    equinox = library(name, "equinox")
    return equinox.nn.Sequential([_layer(equinox, step) for step in steps_of(name, net, params)])


def from_equinox(module: Any) -> tuple[MLP, tuple[Layer, ...]]:
    """The network of an Equinox module.

    Args:
      module: An `equinox.nn.MLP`, or an `equinox.nn.Sequential`, nested or not, of such, `Linear`,
        `LayerNorm` (eps 1e-5), `Lambda`, whose functions become activations as they are, `Dropout`
        and `Identity`.
    Returns:
      `(net, params)`.
    Raises:
      ValueError, TypeError: A layer has no counterpart, or not in that place, or with these
        options; the error names it. An `MLP` calls its activations neuron by neuron, so one that
        joins neurons (softmax) or learns is refused.
      ImportError: Equinox is not installed.

    >>> import equinox
    >>> module = equinox.nn.MLP(4, 1, width_size=8, depth=1, key=jax.random.key(0))
    >>> net, params = from_equinox(module)
    >>> net
    mlp((4, 8, 1))
    """
    name = "from_equinox"
    equinox = library(name, "equinox")
    nn, kind = equinox.nn, type(module)
    rule = "it must be an equinox.nn.MLP or an equinox.nn.Sequential"
    checks.require(kind in (nn.MLP, nn.Sequential), name, rule, kind.__name__, TypeError)
    of_kind = _steps_of_mlp if kind is nn.MLP else _steps
    return network_of(name, of_kind(name, equinox, module, ""))


def _layer(equinox: Any, step: Step) -> Any:
    nn = equinox.nn
    if isinstance(step, Linear):
        sizes, use_bias = step.weight.shape, step.bias is not None
        layer = nn.Linear(*sizes, use_bias=use_bias, key=jax.random.key(0))
        arrays = {"weight": step.weight.T, "bias": step.bias}
    elif isinstance(step, Norm):
        layer = nn.LayerNorm(len(step.scale), eps=EPSILON)  # pyright: ignore[reportArgumentType]
        arrays = {"weight": step.scale, "bias": step.shift}
    elif isinstance(step, Dropout):
        return nn.Dropout(step.rate, inference=True)
    else:
        return nn.Lambda(step if isinstance(step, Affine) else step.sigma)
    for name, values in arrays.items():
        if values is not None:
            place = functools.partial(_attribute, name=name)
            layer = equinox.tree_at(place, layer, jnp.asarray(values))
    return layer


def _attribute(layer: Any, name: str) -> Any:
    return getattr(layer, name)


def _steps(function: str, equinox: Any, module: Any, prefix: str) -> list[Step]:
    nn, steps = equinox.nn, []
    for index, layer in enumerate(module.layers):
        where = where_is(f"{prefix}{index}", layer)
        if type(layer) is nn.Sequential:
            steps += _steps(function, equinox, layer, f"{prefix}{index}.")
        elif type(layer) is nn.MLP:
            steps += _steps_of_mlp(function, equinox, layer, f"{prefix}{index}.")
        elif type(layer) is not nn.Identity:
            steps.append(_step(function, nn, layer, where))
    return steps


def _step(function: str, nn: Any, layer: Any, where: str) -> Step:
    kind = type(layer)
    if kind is nn.Linear:
        return _linear(function, layer, where)
    if kind is nn.LayerNorm:
        rule = f"{where} must be over one axis"
        checks.require(len(layer.shape) == 1, function, rule, layer.shape)
        check_epsilon(function, where, layer.eps)
        return Norm(_array(layer.weight), _array(layer.bias), where)
    if kind is nn.Dropout:
        return Dropout(float(layer.p), where)
    if kind is nn.Lambda and isinstance(layer.fn, Affine):
        return dataclasses.replace(layer.fn, where=where)
    if kind is nn.Lambda and not jax.tree.leaves(_arrays(layer.fn)):
        return Function(known(layer.fn), where)
    raise unknown(function, where)


def _steps_of_mlp(function: str, equinox: Any, module: Any, prefix: str) -> list[Step]:
    linears = list(module.layers)
    if getattr(module, "scan", False) and module.depth > 0:
        first, hidden, last = linears
        weights = [jax.tree.map(lambda part, i=i: part[i], hidden) for i in range(module.depth - 1)]
        linears = [first, *weights, last]
    # a function of its own, which returns what it is given
    linear_default = inspect.signature(type(module)).parameters["final_activation"].default
    steps: list[Step] = []
    for index, linear in enumerate(linears):
        where = where_is(f"{prefix}layers[{index}]", linear)
        steps.append(_linear(function, linear, where))
        name = "activation" if index < module.depth else "final_activation"
        sigma = getattr(module, name)
        is_called = module.depth > 0 or _calls_final_activation(equinox, module)
        if is_called and sigma is not linear_default:
            sigma = _of_neurons(function, f"{prefix}{name}", sigma, linear.out_features)
            steps.append(Function(sigma, where))
    return steps


def _calls_final_activation(equinox: Any, module: Any) -> bool:
    """Whether an `MLP` without hidden layers does so, in which versions of Equinox differ."""
    calls = []

    def noted(z: jax.Array) -> jax.Array:
        calls.append(1)
        return z

    place = functools.partial(_attribute, name="final_activation")
    x = jax.ShapeDtypeStruct((module.in_size,), module.layers[0].weight.dtype)
    equinox.filter_eval_shape(equinox.tree_at(place, module, noted), x)
    return bool(calls)


def _of_neurons(function: str, where: str, sigma: Any, size: int) -> Any:
    """The activation of an `mlp` for one that is called neuron by neuron."""
    rule = f"{where} must have no parameters, as an activation of an mlp has none"
    checks.require(not jax.tree.leaves(_arrays(sigma)), function, rule, type(sigma).__name__)
    sigma = known(sigma)
    z = jnp.linspace(-3.0, 3.0, size)
    try:
        alone = bool(jnp.allclose(sigma(z), jax.vmap(sigma)(z)))
    except Exception:  # of a function that takes no single number, such as softmax
        alone = False
    rule = f"{where} must not join neurons, as it is called for one at a time there"
    checks.require(alone, function, rule, shown(sigma))
    return sigma


def _linear(function: str, layer: Any, where: str) -> Linear:
    rule = f"{where} must be from vectors to vectors"
    scalar = "scalar" in (layer.in_features, layer.out_features)
    checks.require(not scalar, function, rule, "a scalar")
    return Linear(np.asarray(layer.weight).T, _array(layer.bias), where)


def _array(values: Any) -> Any:
    return None if values is None else np.asarray(values)


def _arrays(tree: Any) -> Any:
    """The arrays among the leaves."""
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, (jax.Array, np.ndarray))]
