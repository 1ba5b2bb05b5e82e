"""The `mlp` that a list of steps makes, or an error that names the layer which it cannot have."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.activations import identity
from fnn.interop.functions import known
from fnn.interop.steps import Affine, Dropout, Function, Linear, Norm, Step
from fnn.networks.mlp import MLP, Layer, mlp


@dataclasses.dataclass
class _Parts:
    """A linear layer and what follows it."""

    linear: Linear
    norm: Norm | None = None
    function: Function | None = None
    dropout: Dropout | None = None


def network_of(function: str, steps: list[Step]) -> tuple[MLP, tuple[Layer, ...]]:
    """The network and its parameters.

    An `Affine` at the beginning is a scaler of inputs, one at the end a scaler of outputs. Others
    are multiplied into a linear layer or a norm beside them, in float64.

    Raises:
      ValueError: Steps do not fit one another, or are in an order that an `mlp` does not have.
    """
    dtype = _dtype_of(function, steps)
    steps = [
        step for step in steps
        if not (isinstance(step, Dropout) and step.rate == 0)
        and not (isinstance(step, Function) and known(step.sigma) is identity)
    ]  # fmt: skip
    steps = _without_inner_affines(function, steps)
    inputs: Any = steps.pop(0) if isinstance(steps[0], Affine) else None
    outputs: Any = steps.pop() if isinstance(steps[-1], Affine) else None
    parts = [_with_arrays(function, part) for part in _parts(function, steps)]
    sizes = _sizes(function, parts)
    normed = _same_in_hidden(function, parts, lambda part: part.norm is not None, "a norm")
    rate = _same_in_hidden(function, parts, lambda part: part.dropout and part.dropout.rate,
                           "dropout of one rate")  # fmt: skip
    has_bias = any(part.linear.bias is not None for part in parts)
    sigmas = [identity if part.function is None else known(part.function.sigma) for part in parts]
    net = mlp(
        sizes,
        activation=sigmas[:-1],
        output=sigmas[-1],
        bias=has_bias,
        norm="layer" if normed else None,
        dropout=rate,
        param_dtype=None if dtype == jax.dtypes.canonicalize_dtype(float) else dtype,
        inputs=None if inputs is None else inputs.scaler(function, sizes[0]),
        outputs=None if outputs is None else outputs.inverse().scaler(function, sizes[-1]),
    )

    def array(values: Any) -> Any:
        # a copy, as the other library may write into its own
        return None if values is None else jnp.array(np.asarray(values, dtype))

    params = []
    for part in parts:
        weight, bias, norm = part.linear.weight, part.linear.bias, part.norm
        if bias is None and has_bias:
            bias = np.zeros(weight.shape[1])
        scale, shift = (None, None) if norm is None else (norm.scale, norm.shift)
        params.append(Layer(*map(array, (weight, bias, scale, shift))))
    return net, tuple(params)


def _dtype_of(function: str, steps: list[Step]) -> np.dtype:
    """The widest dtype of weights, at JAX's precision."""
    dtypes = [step.weight.dtype for step in steps if isinstance(step, Linear)]
    checks.require(dtypes, function, "there must be a linear layer", "none")
    for step, dtype in zip([s for s in steps if isinstance(s, Linear)], dtypes, strict=True):
        rule = f"the weights of {step.where} must be floating"
        checks.require(jnp.issubdtype(dtype, np.floating), function, rule, dtype)
    return np.dtype(jax.dtypes.canonicalize_dtype(functools.reduce(jnp.promote_types, dtypes)))


def _without_inner_affines(function: str, steps: list[Step]) -> list[Step]:
    """The steps with an `Affine` at the ends only, as far as can be."""
    kept: list[Step] = []
    for index, step in enumerate(steps):
        before = kept[-1] if kept else None
        ends = not any(isinstance(s, (Linear, Norm, Function)) for s in steps[index + 1 :])
        if isinstance(step, Affine) and isinstance(before, Affine):
            kept[-1] = before.then(step)
        elif isinstance(step, Affine) and isinstance(before, (Linear, Norm)) and not ends:
            kept[-1] = _scaled(function, before, step)
        elif isinstance(step, Linear) and isinstance(before, Affine) and len(kept) > 1:
            kept[-1] = _of_scaled(function, before, step)
        elif isinstance(step, Dropout) and isinstance(before, Affine) and len(kept) > 1:
            kept[-1:] = [step, before]  # the same without dropout
        else:
            kept.append(step)
    return kept


def _scaled(function: str, step: Linear | Norm, after: Affine) -> Linear | Norm:
    """The step with an `Affine` after it."""
    wide = functools.partial(np.asarray, dtype=np.float64)
    if isinstance(step, Norm):
        scale = 1.0 if step.scale is None else wide(step.scale)
        shift = 0.0 if step.shift is None else wide(step.shift)
        shift = (shift - after.centre) * after.factor + after.offset
        return dataclasses.replace(step, scale=scale * after.factor, shift=shift)
    out = step.weight.shape[-1]
    _check_shape(function, after.where, "as many features as there are", after, out)
    bias = 0.0 if step.bias is None else wide(step.bias)
    bias = (bias - after.centre) * after.factor + after.offset
    weight = wide(step.weight) * after.factor
    return dataclasses.replace(step, weight=weight, bias=np.broadcast_to(bias, (out,)))


def _of_scaled(function: str, before: Affine, step: Linear) -> Linear:
    """The layer with an `Affine` before it."""
    size = step.weight.shape[0]
    _check_shape(function, before.where, "as many features as there are", before, size)
    weight = step.weight.astype(np.float64)
    bias = 0.0 if step.bias is None else step.bias.astype(np.float64)
    factor = np.broadcast_to(before.factor, (size,))
    constant = np.broadcast_to(before.offset - before.centre * before.factor, (size,))
    return dataclasses.replace(step, weight=factor[:, None] * weight, bias=bias + constant @ weight)


def _check_shape(function: str, where: str, rule: str, step: Affine, size: int) -> None:
    shapes = {part.shape for part in (step.centre, step.factor, step.offset)}
    fits = shapes <= {(), (size,)}
    checks.require(fits, function, f"{where} must have {rule}, {size}", sorted(shapes))


def _parts(function: str, steps: list[Step]) -> list[_Parts]:
    """The steps by linear layers."""
    parts: list[_Parts] = []
    for step in steps:
        last = parts[-1] if parts else None
        if isinstance(step, Linear):
            parts.append(_Parts(step))
        elif isinstance(step, Norm) and last and not (last.norm or last.function or last.dropout):
            last.norm = step
        elif isinstance(step, Function) and last and not (last.function or last.dropout):
            last.function = step
        elif isinstance(step, Dropout) and last and not last.dropout:
            last.dropout = step
        else:
            rule = (
                "after a linear layer there may be a norm, then an activation, then dropout, and "
                "scaling at the ends"
            )
            raise ValueError(f"{function}: {rule}; got {step.where} elsewhere")
    for what, extra in (("a norm", parts[-1].norm), ("dropout", parts[-1].dropout)):
        rule = f"after the last linear layer there must not be {what}"
        checks.require(extra is None, function, rule, extra and extra.where)
    return parts


def _with_arrays(function: str, part: _Parts) -> _Parts:
    """The part with the shapes of all arrays checked, and the norm's filled in."""

    def check(where: str, name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
        rule = f"the {name} of {where} must have shape {shape}"
        checks.require(array.shape == shape, function, rule, array.shape)

    linear, norm = part.linear, part.norm
    rule = f"the weights of {linear.where} must be a matrix"
    checks.require(linear.weight.ndim == 2, function, rule, f"shape {linear.weight.shape}")
    out = linear.weight.shape[1:]
    if linear.bias is not None:
        check(linear.where, "bias", linear.bias, out)
    if norm is not None:
        scale = np.ones(out) if norm.scale is None else norm.scale
        shift = np.zeros(out) if norm.shift is None else norm.shift
        norm = dataclasses.replace(norm, scale=scale, shift=shift)
        check(norm.where, "factor", scale, out)
        check(norm.where, "summand", shift, out)
    return dataclasses.replace(part, norm=norm)


def _sizes(function: str, parts: list[_Parts]) -> tuple[int, ...]:
    sizes = list(parts[0].linear.weight.shape)
    for part in parts[1:]:
        size, out = part.linear.weight.shape
        rule = f"{part.linear.where} must take the {sizes[-1]} outputs of the layer before it"
        checks.require(size == sizes[-1], function, rule, size)
        sizes.append(out)
    return tuple(sizes)


def _same_in_hidden(function: str, parts: list[_Parts], found: Any, what: str) -> Any:
    """What all hidden layers have alike."""
    values = [found(part) for part in parts[:-1]]
    for part, value in zip(parts[:-1], values, strict=True):
        rule = f"all hidden layers or none must have {what}"
        got = f"{values[0] or 'none'} and, after {part.linear.where} {value or 'none'}"
        checks.require(value == values[0], function, rule, got)
    return values[0] if values else None
