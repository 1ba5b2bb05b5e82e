"""A network as a list of steps, which networks of every other library are converted to and from.

`steps_of` makes the list of an `mlp`, `network_of` an `mlp` of a list. Arrays are NumPy's. Each
step has in `where` the name and the type of the layer it came from, for errors.
"""

import dataclasses
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.activations import name_of
from fnn.networks.mlp import MLP
from fnn.scalers import Scaler, StandardScaler
from fnn.types import Activation, Params

EPSILON = 1e-5
"""What layer normalisation adds to the variance, see `fnn.activations.standardize`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """z = x W + b."""

    weight: np.ndarray
    """`(in, out)`."""
    bias: np.ndarray | None
    where: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Norm:
    """Layer normalisation, then a factor and a summand; None is 1 and 0."""

    scale: np.ndarray | None
    shift: np.ndarray | None
    where: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Function:
    """An activation."""

    sigma: Activation
    where: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Dropout:
    """Each entry is 0 with probability `rate`, in training."""

    rate: float
    where: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Affine:
    """y = (x - centre) factor + offset, feature by feature; float64, `(features,)` or `()`.

    It can be called, with JAX arrays, and is then a layer for libraries on JAX. Its numbers are
    constants there.
    """

    centre: np.ndarray
    factor: np.ndarray
    offset: np.ndarray
    where: str = ""

    def __call__(self, x: jax.Array) -> jax.Array:
        """y, in float32 at least."""
        x = x.astype(jnp.promote_types(x.dtype, np.float32))
        centre, factor, offset = (
            # leading axes are explicit
            np.expand_dims(part, tuple(range(x.ndim - part.ndim))) if part.ndim else part
            for part in self.rounded(x.dtype)
        )
        return (x - centre) * factor + offset

    def rounded(self, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centre, factor and offset in a dtype.

        The rounding of a centre far from zero would be felt, so the offset makes up for it.
        """
        centre = self.centre.astype(dtype)
        offset = self.offset - (self.centre - centre.astype(np.float64)) * self.factor
        return centre, self.factor.astype(dtype), offset.astype(dtype)

    def then(self, after: "Affine") -> "Affine":
        """Both in one."""
        offset = (self.offset - after.centre) * after.factor + after.offset
        return dataclasses.replace(self, factor=self.factor * after.factor, offset=offset)

    def inverse(self) -> "Affine":
        """From y to x."""
        return Affine(self.offset, 1 / self.factor, self.centre, self.where)

    def scaler(self, function: str, features: int) -> StandardScaler:
        """The scaler that does the same."""
        rule = f"factors of {self.where} must not be 0"
        checks.require((self.factor != 0).all(), function, rule, self.factor.tolist())
        mean = self.centre - self.offset / self.factor
        rule = f"{self.where} must be for {features} features"
        shape = np.broadcast_shapes(mean.shape, self.factor.shape)
        checks.require(shape in ((), (features,)), function, rule, f"shape {shape}")
        return StandardScaler(
            np.broadcast_to(mean, (features,)).copy(),
            np.broadcast_to(1 / self.factor, (features,)).copy(),
        )


Step = Linear | Norm | Function | Dropout | Affine


def affine(centre: Any, factor: Any, offset: Any, where: str = "") -> Affine:
    """An `Affine` of arrays of any dtype."""
    wide = [np.asarray(part, np.float64) for part in (centre, factor, offset)]
    return Affine(*wide, where=where)


def batch_norm(
    where: str, mean: Any, variance: Any, scale: Any, shift: Any, epsilon: float
) -> Affine:
    """Batch normalisation by the means and variances it has learnt; scale and shift may be None."""
    factor = 1 / np.sqrt(np.asarray(variance, np.float64) + epsilon)
    scale = 1.0 if scale is None else np.asarray(scale, np.float64)
    return affine(mean, factor * scale, 0.0 if shift is None else shift, where)


def where_is(name: Any, layer: Any) -> str:
    """A layer in an error."""
    return f"layer {name!r}, a {type(layer).__name__},"


def unknown(function: str, where: str) -> ValueError:
    """The error for a layer that an `mlp` cannot have."""
    rule = "every layer must have a counterpart in an mlp"
    return ValueError(f"{function}: {rule}; got {where[:-1]}")


def check_epsilon(function: str, where: str, epsilon: Any) -> None:
    """Raises where layer normalisation adds another number to the variance."""
    rule = f"{where} must add {EPSILON:g} to the variance, as fnn does"
    checks.require(float(epsilon) == EPSILON, function, rule, f"{float(epsilon):g}")


def library(function: str, name: str, extra: str = "interop") -> Any:
    """A module of another library, imported here and now."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        needed = name.split(".")[0]
        rule = f"it needs {needed}, to be had with: pip install 'fnn[{extra}]'"
        raise ImportError(f"{function}: {rule}; got {error}") from None


def steps_of(function: str, net: Any, params: Params) -> list[Step]:
    """The steps of an `mlp`; activations that change nothing are left out.

    Raises:
      TypeError: `net` is no `mlp`.
      ValueError: It has what other libraries do not, or `params` are not its parameters.
    """
    rule = "net must be an mlp"
    checks.require(isinstance(net, MLP), function, rule, type(net).__name__, TypeError)
    checks.no_tracers(function, (net, params))
    rule = "net must have no residual connections, for which there is no layer"
    checks.require(not net.residual, function, rule, "residual=True")
    rule = "net must not have inactive neurons, for which there is no layer"
    checks.require(net.active is None, function, rule, f"active={net.active}")
    rule = "net must have no embeddings, for which there is no layer"
    checks.require(not net.embeddings, function, rule, f"{len(net.embeddings)} of them")
    params = net._checked_params(function, params)
    dtype = np.dtype(params[0].weight.dtype)
    rule = f"net must compute in the dtype of its parameters, {dtype}"
    checks.require(net.dtype in (None, dtype), function, rule, f"dtype={net.dtype}")
    rule = "dropout must be one number"
    checks.require(net.dropout is None or np.ndim(net.dropout) == 0, function, rule, net.dropout)
    steps: list[Step] = []
    if net.inputs is not None:
        steps.append(_affine_of(function, "inputs", net.inputs, dtype))
    last = len(params) - 1
    for index, (layer, sigma) in enumerate(zip(params, net.activations, strict=True)):
        weight, *rest = (None if part is None else np.asarray(part) for part in layer[:4])
        bias, scale, shift = rest
        steps.append(Linear(np.asarray(weight), bias))
        if scale is not None:
            steps.append(Norm(scale, shift))
        if name_of(sigma) != "identity":
            steps.append(Function(sigma))
        if net.dropout is not None and index < last:
            steps.append(Dropout(float(net.dropout)))
    if net.outputs is not None:
        steps.append(_affine_of(function, "outputs", net.outputs, dtype).inverse())
    return steps


def _affine_of(function: str, name: str, scaler: Scaler, dtype: np.dtype) -> Affine:
    rule = f"the scaler of {name} must be that of one network"
    checks.require(len(scaler.shape) == 1, function, rule, f"shape {scaler.shape}")
    linear = scaler.affine()
    if linear is None:
        rule = f"{name} must be scaled by a factor and a summand"
        raise ValueError(f"{function}: {rule}; got a {type(scaler).__name__}")
    rule = f"with a scaler of {name}, parameters must be float32 or float64"
    checks.require(dtype.itemsize >= 4, function, rule, dtype)
    return Affine(*linear)
