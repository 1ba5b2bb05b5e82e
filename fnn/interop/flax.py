"""Flax: `Sequential` of Linen and of NNX."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.interop.functions import known
from fnn.interop.network import network_of
from fnn.interop.state_dict import with_state
from fnn.interop.steps import (
    EPSILON,
    Affine,
    Dropout,
    Function,
    Linear,
    Norm,
    Step,
    batch_norm,
    check_epsilon,
    library,
    steps_of,
    unknown,
    where_is,
)
from fnn.networks.mlp import MLP, Layer
from fnn.types import Params


def to_flax(net: MLP, params: Params, *, deterministic: bool = True) -> tuple[Any, dict]:
    """The network as a `flax.linen.Sequential`, and its variables.

    Layers are `Dense`, `LayerNorm`, functions and `Dropout`. Scalers are layers without variables.

    Args:
      net: An `mlp`.
      params: Its parameters.
      deterministic: Whether dropout is off. To train, make the module with False, and give
        `apply` `rngs={"dropout": key}`. The variables are the same.
    Returns:
      `(module, variables)`, for `module.apply(variables, x)` of x `(..., in)`.
    Raises:
      ValueError, TypeError: The network has what Flax has no layer for (residual connections,
        `active`, embeddings, a quantile scaler); or `params` are those of another one.
      ImportError: Flax is not installed.

    >>> net = mlp((4, 8, 1))
    >>> module, variables = to_flax(net, net.init(jax.random.key(0)))
    >>> module.apply(variables, np.ones((5, 4))).shape
    (5, 1)
    """
    name = "to_flax"
    linen = library(name, "flax.linen")
    deterministic = checks.flag(name, "deterministic", deterministic)
    layers, variables = [], {}
    steps = steps_of(name, net, params)
    for index, step in enumerate(steps):
        layer, arrays = _linen_layer(linen, step, params[0].weight.dtype, deterministic)
        layers.append(layer)
        if arrays:
            variables[f"layers_{index}"] = arrays
    return linen.Sequential(layers), {"params": variables}


def from_flax(
    other: Any, variables: Any = None, *, net: MLP | None = None
) -> tuple[MLP, tuple[Layer, ...]]:
    """The network of a Flax Linen module, or the parameters of a module of one's own.

    Args:
      other: A `flax.linen.Sequential`, nested or not, of `Dense`, `LayerNorm` (epsilon 1e-5),
        `BatchNorm`, functions, which become activations as they are, and `Dropout`. Or, with
        `net`, the variables of any module, of which the dense layers are taken in the order of
        the numbers in their names, and so are the norms.
      variables: Those of the sequence: "params", and "batch_stats" if there is batch
        normalisation.
      net: For variables alone, the `mlp` whose parameters they are.
    Returns:
      `(net, params)`. Batch normalisation becomes what it does in evaluation: it is multiplied into
      the layer beside it, in float64; before the first layer or after the last one it is a scaler.
    Raises:
      ValueError, TypeError: A layer has no counterpart, or not in that place, or with these
        options; the error names it. Or the variables do not fit.
      ImportError: Flax is not installed.

    >>> import flax.linen as nn
    >>> module = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(1)])
    >>> net, params = from_flax(module, module.init(jax.random.key(0), np.ones((1, 4))))
    >>> net
    mlp((4, 8, 1))
    """
    name = "from_flax"
    linen = library(name, "flax.linen")
    if net is not None:
        rule = "net is for variables alone; a module has its own structure"
        checks.require(variables is None, name, rule, "both", TypeError)
        return with_state(name, net, _state(_params_of(name, other), ""), np.asarray)
    rule = "it must be a flax.linen.Sequential with its variables, or variables and net"
    is_sequence = type(other) is linen.Sequential
    checks.require(is_sequence, name, rule, type(other).__name__, TypeError)
    params = _params_of(name, variables)
    stats = variables.get("batch_stats", {})
    return network_of(name, _linen_steps(name, linen, other, params, stats, ""))


def to_nnx(net: MLP, params: Params) -> Any:
    """The network as a `flax.nnx.Sequential`, in evaluation mode (`model.train()` ends it).

    Layers are `Linear`, `LayerNorm`, functions and `Dropout`. Scalers are layers without variables.

    Args:
      net: An `mlp`.
      params: Its parameters.
    Returns:
      A module, called with x `(..., in)`.
    Raises:
      ValueError, TypeError, ImportError: As `to_flax`.

    >>> net = mlp((4, 8, 1))
    >>> model = to_nnx(net, net.init(jax.random.key(0)))
    >>> model(np.ones((5, 4), np.float32)).shape
    (5, 1)
    """
    name = "to_nnx"
    nnx = library(name, "flax.nnx")
    steps, rngs = steps_of(name, net, params), nnx.Rngs(0)
    model = nnx.Sequential(*[_nnx_layer(nnx, step, params[0].weight.dtype, rngs) for step in steps])
    model.eval()
    return model


def from_nnx(model: Any) -> tuple[MLP, tuple[Layer, ...]]:
    """The network of a Flax NNX module.

    Args:
      model: A `flax.nnx.Sequential`, nested or not, of `Linear`, `LayerNorm` (epsilon 1e-5),
        `BatchNorm`, functions, which become activations as they are, and `Dropout`.
    Returns:
      `(net, params)`, as `from_flax`.
    Raises:
      ValueError, TypeError, ImportError: As `from_flax`.

    >>> from flax import nnx
    >>> rngs = nnx.Rngs(0)
    >>> model = nnx.Sequential(nnx.Linear(4, 8, rngs=rngs), nnx.relu, nnx.Linear(8, 1, rngs=rngs))
    >>> net, params = from_nnx(model)
    >>> net
    mlp((4, 8, 1))
    """
    name = "from_nnx"
    nnx = library(name, "flax.nnx")
    rule = "it must be a flax.nnx.Sequential"
    is_sequence = type(model) is nnx.Sequential
    checks.require(is_sequence, name, rule, type(model).__name__, TypeError)
    return network_of(name, _nnx_steps(name, nnx, model, ""))


def _linen_layer(
    linen: Any, step: Step, dtype: Any, deterministic: bool
) -> tuple[Any, dict[str, Any]]:
    """A layer and its variables."""
    if isinstance(step, Linear):
        layer = linen.Dense(step.weight.shape[1], step.bias is not None, dtype, param_dtype=dtype)
        arrays = {"kernel": step.weight, "bias": step.bias}
    elif isinstance(step, Norm):
        options = {"use_fast_variance": False, "dtype": dtype, "param_dtype": dtype}
        layer = linen.LayerNorm(epsilon=EPSILON, **options)
        arrays = {"scale": step.scale, "bias": step.shift}
    elif isinstance(step, Dropout):
        layer, arrays = linen.Dropout(step.rate, deterministic=deterministic), {}
    else:
        layer, arrays = _callable(step), {}
    return layer, {key: jnp.asarray(value) for key, value in arrays.items() if value is not None}


def _nnx_layer(nnx: Any, step: Step, dtype: Any, rngs: Any) -> Any:
    if isinstance(step, Linear):
        sizes, use_bias = step.weight.shape, step.bias is not None
        layer = nnx.Linear(*sizes, use_bias=use_bias, dtype=dtype, param_dtype=dtype, rngs=rngs)
        layer.kernel = nnx.Param(jnp.asarray(step.weight))
        if use_bias:
            layer.bias = nnx.Param(jnp.asarray(step.bias))
        return layer
    if isinstance(step, Norm):
        layer = nnx.LayerNorm(len(step.scale), epsilon=EPSILON, use_fast_variance=False,  # pyright: ignore[reportArgumentType]
                              dtype=dtype, param_dtype=dtype, rngs=rngs)  # fmt: skip
        layer.scale = nnx.Param(jnp.asarray(step.scale))
        layer.bias = nnx.Param(jnp.asarray(step.shift))
        return layer
    if isinstance(step, Dropout):
        return nnx.Dropout(step.rate, rngs=rngs)
    return _callable(step)


def _params_of(function: str, variables: Any) -> Mapping[str, Any]:
    rule = "variables must be those of a module, with 'params'"
    has = isinstance(variables, Mapping) and isinstance(variables.get("params"), Mapping)
    checks.require(has, function, rule, type(variables).__name__, TypeError)
    return variables["params"]


def _state(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Nested parameters as PyTorch names and lays them out."""
    state = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            state |= _state(value, f"{prefix}{key}.")
        elif key == "kernel" and np.ndim(value) == 2:
            state[f"{prefix}weight"] = value.T
        else:
            state[f"{prefix}{'weight' if key == 'scale' else key}"] = value
    return state


def _callable(step: Step) -> Any:
    return step if isinstance(step, Affine) else step.sigma  # pyright: ignore[reportAttributeAccessIssue]


def _linen_steps(
    function: str, linen: Any, module: Any, params: Any, stats: Any, prefix: str
) -> list[Step]:
    steps = []
    for index, layer in enumerate(module.layers):
        key = f"layers_{index}"
        where = where_is(f"{prefix}{key}", layer)
        own, own_stats = params.get(key, {}), stats.get(key, {})
        if type(layer) is linen.Sequential:
            steps += _linen_steps(function, linen, layer, own, own_stats, f"{prefix}{key}.")
            continue
        kind = type(layer)
        if kind is linen.Dense:
            names = ["kernel", *(["bias"] if layer.use_bias else [])]
        elif kind in (linen.LayerNorm, linen.BatchNorm):
            names = [name for name in ("scale", "bias") if getattr(layer, f"use_{name}")]
        else:
            names = []
        found = _found(function, where, own, names)
        if kind is linen.BatchNorm:
            found |= _found(function, where, own_stats, ["mean", "var"])
        options = {name: getattr(layer, name, None) for name in _OPTIONS}
        steps.append(_step(function, linen, layer, where, found, options))
    return steps


def _found(function: str, where: str, own: Any, names: list[str]) -> dict[str, np.ndarray]:
    rule = f"the variables of {where} must be {' and '.join(names) or 'none'}"
    fits = isinstance(own, Mapping) and {*own} == {*names}
    checks.require(fits, function, rule, ", ".join(own) or "none")
    return {name: np.asarray(own[name]) for name in names}


def _nnx_steps(function: str, nnx: Any, model: Any, prefix: str) -> list[Step]:
    steps = []
    for index, layer in enumerate(model.layers):
        where = where_is(f"{prefix}{index}", layer)
        if type(layer) is nnx.Sequential:
            steps += _nnx_steps(function, nnx, layer, f"{prefix}{index}.")
            continue
        found = {}
        if type(layer) in (nnx.Linear, nnx.LayerNorm, nnx.BatchNorm):
            for name in ("kernel", "scale", "bias", "mean", "var"):
                variable = getattr(layer, name, None)
                if variable is not None:
                    found[name] = np.asarray(variable[...])
        options = {name: getattr(layer, name, None) for name in _OPTIONS}
        steps.append(_step(function, nnx, layer, where, found, options))
    return steps


_OPTIONS = ("reduction_axes", "feature_axes", "axis")


def _step(
    function: str, flax: Any, layer: Any, where: str, found: dict[str, Any], options: dict[str, Any]
) -> Step:
    """The step of a layer of either interface, with the arrays found for it."""
    kind = type(layer)
    if kind is getattr(flax, "Dense", None) or kind is getattr(flax, "Linear", None):
        return Linear(found["kernel"], found.get("bias"), where)
    if kind in (flax.LayerNorm, flax.BatchNorm):
        axes = {name: axis for name, axis in options.items() if axis not in (None, -1, (-1,))}
        checks.require(not axes, function, f"{where} must be over the last axis", axes)
        if kind is flax.BatchNorm:
            arrays = map(found.get, ("mean", "var", "scale", "bias"))
            return batch_norm(where, *arrays, epsilon=layer.epsilon)
        check_epsilon(function, where, layer.epsilon)
        return Norm(found.get("scale"), found.get("bias"), where)
    if kind is flax.Dropout:
        return Dropout(layer.rate, where)
    if isinstance(layer, Affine):
        return dataclasses.replace(layer, where=where)
    if isinstance(layer, flax.Module) or not callable(layer):
        raise unknown(function, where)
    return Function(known(layer), where)
