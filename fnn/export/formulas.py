"""Activations as expressions, from which each writer makes its own text or nodes.

An expression is z, a number, or an operation with its arguments. What a writer has no operation
for, it makes by the formula here. Formulas neither overflow nor lose a NaN, which must be in
the first argument of a minimum or maximum.
"""

import dataclasses
import math
from functools import reduce
from typing import Any

__all__ = ["FORMULAS", "Expression", "Z", "call"]


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


def _polynomial(*coefficients: float) -> Expression:
    """Of Z, the highest power first."""
    first, second, *others = coefficients
    return reduce(lambda value, other: value * Z + other, others, first * Z + second)


_POSITIVE, _NEGATIVE = call("maximum", Z, 0.0), call("minimum", Z, 0.0)
_DECAY = call("exp", -call("abs", Z))
_ELU = _POSITIVE + call("expm1", _NEGATIVE)

# Wichura 1988, Algorithm AS 241, Applied Statistics 37: PPND16, for shares of 1e-11 and more
_FAR, _NEAR = call("sqrt", -call("log", Z)) - 1.6, call("normal_near", call("subtract", 0.5, Z))
_NEAR_ABOVE = _polynomial(
    *[2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457],
    *[13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608],
)
_NEAR_BELOW = _polynomial(
    *[5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867],
    *[5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0],
)
_FAR_ABOVE = _polynomial(
    *[7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177],
    *[1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055],
    *[4.6303378461565452959, 1.42343711074968357734],
)
_FAR_BELOW = _polynomial(
    *[1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966],
    *[0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494],
    *[2.05319162663775882187, 1.0],
)
# Hart 1968, Computer Approximations, 5666, by way of West 2005, Wilmott magazine
_TAIL_ABOVE = _polynomial(
    *[0.0352624965998911, 0.700383064443688, 6.37396220353165, 33.912866078383],
    *[112.079291497871, 221.213596169931, 220.206867912376],
)
_TAIL_BELOW = _polynomial(
    *[0.0883883476483184, 1.75566716318264, 16.064177579207, 86.7807322029461],
    *[296.564248779674, 637.333633378831, 793.826512519948, 440.413735824752],
)
_MINUS_SIGN = call("where", call("less", Z, 0.0), 1.0, -1.0)

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
    # The normal distribution. A share is one below, > 0, or minus the one above, < 0, of which
    # the lesser is given: the digits of a small one would be lost in those of a large one.
    "normal_quantile": call("normal_distance", call("abs", Z)) * _MINUS_SIGN,
    "normal_distance": call("where", call("less", Z, 0.075), call("normal_far", _FAR), _NEAR),
    "normal_far": _FAR_ABOVE / _FAR_BELOW,
    "normal_near": Z * call("normal_near_ratio", call("subtract", 0.180625, Z * Z)),
    "normal_near_ratio": _NEAR_ABOVE / _NEAR_BELOW,
    "normal_share": call("normal_tail", call("minimum", call("abs", Z), 6.0)) * _MINUS_SIGN,
    "normal_tail": call("exp", Z * Z * -0.5) * (_TAIL_ABOVE / _TAIL_BELOW),
}
"""By name: the activations that are made element by element, and what these have in common; and
the normal distribution of a quantile scaler."""
