"""Activations as expressions, from which each writer makes its own text or nodes.

An expression is z, a number, or an operation with its arguments. What a writer has no operation
for, it makes by the formula here. Formulas neither overflow nor lose a NaN, which must be in
the first argument of a minimum or maximum.
"""

import dataclasses
import math
from typing import Any

import jax

from fnn.activations import ACTIVATIONS
from fnn.types import Activation

__all__ = ["FORMULAS", "Expression", "Z", "call", "name_of"]


@dataclasses.dataclass(frozen=True)
class Expression:
    """An operation and its arguments, which are expressions or numbers."""

    operation: str
    arguments: tuple[Any, ...] = ()

    def __add__(self, other: Any) -> "Expression":
        return call("add", self, other)

    def __radd__(self, other: Any) -> "Expression":
        return call("add", other, self)

    def __sub__(self, other: Any) -> "Expression":
        return call("subtract", self, other)

    def __mul__(self, other: Any) -> "Expression":
        return call("multiply", self, other)

    def __rmul__(self, other: Any) -> "Expression":
        return call("multiply", other, self)

    def __truediv__(self, other: Any) -> "Expression":
        return call("divide", self, other)

    def __rtruediv__(self, other: Any) -> "Expression":
        return call("divide", other, self)

    def __neg__(self) -> "Expression":
        return call("negative", self)


def call(operation: str, *arguments: Any) -> Expression:
    """An operation of these arguments."""
    return Expression(operation, arguments)


Z = Expression("z")
"""The argument of a formula."""

_POSITIVE, _NEGATIVE = call("maximum", Z, 0.0), call("minimum", Z, 0.0)
_DECAY = call("exp", -call("abs", Z))
_ELU = _POSITIVE + call("expm1", _NEGATIVE)

FORMULAS = {
    "relu": _POSITIVE,
    "relu6": call("clip", Z, 0.0, 6.0),
    "leaky_relu": call("maximum", Z, 0.01 * Z),
    "elu": _ELU,
    "celu": _ELU,
    "selu": 1.0507009873554805 * (_POSITIVE + 1.6732632423543772 * call("expm1", _NEGATIVE)),
    "sigmoid": call("exp", _NEGATIVE) / (1.0 + _DECAY),
    "log_sigmoid": -call("softplus", -Z),
    "softplus": _POSITIVE + call("log1p", _DECAY),
    "silu": Z * call("sigmoid", Z),
    "mish": Z * call("tanh", call("softplus", Z)),
    "gelu": Z * call("gelu_gate", call("clip", Z, -30.0, 30.0)),
    "gelu_gate": call("sigmoid", math.sqrt(8 / math.pi) * (Z + 0.044715 * Z * Z * Z)),
    "hard_sigmoid": call("clip", Z + 3.0, 0.0, 6.0) / 6.0,
    "hard_silu": Z * call("hard_sigmoid", Z),
    "hard_tanh": call("clip", Z, -1.0, 1.0),
    "soft_sign": Z / (call("abs", Z) + 1.0),
    # a(z) is z + a(-z); at -|z|, where the difference would cancel, a is 1 / a(|z|)
    "squareplus": _POSITIVE + 1.0 / call("squareplus_right", call("abs", Z)),
    "squareplus_right": Z + call("squareplus_rest", call("minimum", Z, 1e10)),
    "squareplus_rest": (call("sqrt", Z * Z + 4.0) - Z) / 2.0,
    "sparse_plus": call("square", call("clip", Z, -1.0, 1.0) + 1.0) / 4.0
    + call("maximum", Z - 1.0, 0.0),
    "sparse_sigmoid": call("clip", Z + 1.0, 0.0, 2.0) / 2.0,
    "square": Z * Z,
}
"""By name: the activations that are made element by element, and what these have in common."""

_SAME = {"hard_swish": "hard_silu", "swish": "silu"}


def name_of(sigma: Activation) -> str | None:
    """The name of an activation of `mlp` or `jax.nn`; None for any other function."""
    for name, known in ACTIVATIONS.items():
        if sigma in (known, getattr(jax.nn, name, None)):
            return _SAME.get(name, name)
    return None
