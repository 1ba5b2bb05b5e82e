"""The arrays of a state dict as the parameters of a given `mlp`."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.interop.steps import affine
from fnn.networks.mlp import MLP, Layer

_OF_SCALING = {"centre", "factor", "offset"}


def with_state(
    function: str, net: Any, state: Mapping[str, Any], array_of: Callable[[Any], np.ndarray]
) -> tuple[MLP, tuple[Layer, ...]]:
    """The network, with the scalers of the state dict if it has some, and its parameters.

    Raises:
      TypeError: `net` is no `mlp`, or a name no text.
      ValueError: The state dict has other layers, or other shapes.
    """
    rule = "net must be an mlp"
    checks.require(isinstance(net, MLP), function, rule, type(net).__name__, TypeError)
    rule = "net must have no embeddings, which no state dict of linear layers has"
    checks.require(not net.embeddings, function, rule, f"{len(net.embeddings)} of them")
    groups = _groups(function, state)
    scalings = [prefix for prefix, group in groups.items() if {*group} == _OF_SCALING]
    layers = {prefix: group for prefix, group in groups.items() if prefix not in scalings}
    # each kind by itself, as a file that is sorted by name may have all norms last
    linears = {
        k: group
        for k, group in layers.items()
        if len(getattr(group.get("weight"), "shape", ())) == 2
    }
    norms = {k: group for k, group in layers.items() if k not in linears}
    count = len(net.sizes) - 1
    rule = f"the state dict must have {count} linear layers, and {{}} norms, as net has"
    wanted = count, count - 1 if net.norm else 0
    names = ", ".join(map(repr, layers)) or "none"
    checks.require((len(linears), len(norms)) == wanted, function, rule.format(wanted[1]), names)
    shapes = [net._layer_shapes(index) for index in range(count)]
    matrices = [
        _arrays(
            function, prefix, group, {"weight": weight and weight[::-1], "bias": bias}, array_of
        )
        for (prefix, group), (weight, bias, *_) in zip(linears.items(), shapes, strict=True)
    ]
    vectors = [
        _arrays(function, prefix, group, {"weight": scale, "bias": shift}, array_of)
        for (prefix, group), (*_, scale, shift) in zip(norms.items(), shapes, strict=False)
    ]
    params = tuple(
        Layer(weight.T, bias, *(vectors[index] if index < len(vectors) else ()))
        for index, (weight, bias) in enumerate(matrices)
    )
    return _with_scalers(function, net, [*groups], groups, scalings, array_of), params


def _arrays(
    function: str,
    prefix: str,
    group: dict[str, Any],
    shapes: dict[str, tuple[int, ...] | None],
    array_of: Callable[[Any], np.ndarray],
) -> list[Any]:
    """The arrays of a layer, None for those that it is not to have."""
    names = [name for name, shape in shapes.items() if shape is not None]
    rule = f"layer {prefix!r} of the state dict must have {' and '.join(names)}"
    checks.require({*group} == {*names}, function, rule, " and ".join(group))
    arrays = []
    for name, shape in shapes.items():
        if shape is not None:
            rule = f"{prefix}.{name} of the state dict must have shape {shape}, for net"
            given = tuple(group[name].shape)
            checks.require(given == shape, function, rule, given)
        arrays.append(None if shape is None else _placed(array_of(group[name])))
    return arrays


def _with_scalers(
    function: str,
    net: MLP,
    order: list[str],
    groups: dict[str, dict[str, Any]],
    scalings: list[str],
    array_of: Callable[[Any], np.ndarray],
) -> MLP:
    for prefix in scalings:
        parts = [array_of(groups[prefix][name]) for name in ("centre", "factor", "offset")]
        step = affine(*parts, where=f"layer {prefix!r} of the state dict")
        first = prefix == order[0]
        rule = f"layer {prefix!r} of the state dict, which scales, must be the first or the last"
        checks.require(first or prefix == order[-1], function, rule, "another place")
        field, features = ("inputs", net.sizes[0]) if first else ("outputs", net.sizes[-1])
        scaler = (step if first else step.inverse()).scaler(function, features)
        net = dataclasses.replace(net, **{field: scaler})
    return net


def _groups(function: str, state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The arrays by layer, in the order of layers."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        rule = "names in a state dict must be texts, and its values arrays"
        is_array = isinstance(key, str) and hasattr(value, "shape")
        got = f"{key!r}: {type(value).__name__}"
        checks.require(is_array, function, rule, got, TypeError)
        prefix, _, name = key.rpartition(".")
        groups.setdefault(prefix, {})[name] = value
    if [*groups] == sorted(groups):  # as files may order them, "10" before "2"
        return {prefix: groups[prefix] for prefix in sorted(groups, key=_by_number)}
    return groups


def _by_number(prefix: str) -> list:
    parts = re.split(r"(\d+)", prefix)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _placed(array: np.ndarray) -> jax.Array:
    # a copy, as the other library may write into its own
    return jnp.array(array.astype(jax.dtypes.canonicalize_dtype(array.dtype)))
