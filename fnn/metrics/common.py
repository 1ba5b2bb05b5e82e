"""What the metrics share: checks of their arguments, and averages."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dtypes import at_least_float32
from fnn._core.reductions import row_sum
from fnn.types import Array

F = TypeVar("F", bound=Callable)


def higher_is_better(answer: bool | None) -> Callable[[F], F]:
    """Decorator: the metric says which way is better; None for neither."""

    def mark(metric: F) -> F:
        metric.higher_is_better = answer  # pyright: ignore[reportFunctionMemberAccess]
        return metric

    return mark


def ignores_origin(metric: F) -> F:
    """Decorator: the metric is the same of outputs and targets less a constant."""
    metric.ignores_origin = True  # pyright: ignore[reportFunctionMemberAccess]
    return metric


def checked_outputs(function: str, outputs: Any) -> Array:
    """Outputs `(rows, out)`, floating, with at least one row; `(rows,)` are one column."""
    outputs = checks.numbers(function, "outputs", outputs)
    rule = "outputs, which come before targets, must be floating"
    floating = jnp.issubdtype(outputs.dtype, jnp.floating)
    checks.require(floating, function, rule, f"{outputs.dtype}{outputs.shape}", TypeError)
    rule = "outputs must be (rows, out) or (rows,), with at least one row and one column"
    sound = outputs.ndim in (1, 2) and outputs.size > 0
    checks.require(sound, function, rule, f"shape {outputs.shape}")
    return jnp.asarray(outputs).reshape(len(outputs), -1)


def checked_weights(function: str, weights: Any, outputs: Array) -> Array:
    """Weights `(rows,)` in the dtype to compute in."""
    rows, dtype = len(outputs), at_least_float32(outputs.dtype)
    if weights is None:
        return jnp.ones(rows, dtype)
    weights = checks.array(function, "weights", weights)
    rule = f"weights must have shape {(rows,)}, one a row"
    checks.require(weights.shape == (rows,), function, rule, f"shape {weights.shape}")
    check_values(function, "weights must be >= 0", weights, lambda weights: weights >= 0)
    return jnp.asarray(weights).astype(dtype)


def check_values(function: str, rule: str, values: Any, holds: Callable) -> None:
    """Raises ValueError for the first of concrete values, or rows of them, that breaks a rule."""
    known = checks.concrete(values)
    if known is not None:
        good = np.ravel(holds(known.astype(np.float64)))
        worst = known.reshape(good.size, -1)[good.argmin()].squeeze()
        checks.require(bool(good.all()), function, rule, worst)


def traced_number(function: str, name: str, value: Any, dtype: Any, *allowed: float) -> Array:
    """An option that is traced: a number of shape `()`, one of those allowed if some are named."""

    def holds(number: np.ndarray) -> bool:
        same = [np.array_equal(number, one, equal_nan=True) for one in allowed]
        return any(same) if allowed else not np.isnan(number)

    rule = f"{name} must be {' or '.join(map(str, allowed)) or 'a number'}"
    value = checks.rectangular(function, name, value)
    kinds = np.bool_, np.integer, np.floating
    real = any(jnp.issubdtype(value.dtype, kind) for kind in kinds)
    checks.require(real, function, rule, value, TypeError)
    checks.require(value.shape == (), function, rule, f"shape {value.shape}")
    check_values(function, rule, value, holds)
    return jnp.asarray(value).astype(dtype)


def ratio_or(numerator: Array, denominator: Array, otherwise: Any) -> Array:
    """Their quotient, or `otherwise` where the denominator is 0."""
    absent = denominator == 0
    return jnp.where(absent, otherwise, numerator / jnp.where(absent, 1, denominator))


def average_of(scores: Array, shares: Array, counted: Array) -> Array:
    """The mean of the scores that count, by their shares; a plain one if all those are 0."""
    shares = jnp.where(counted, shares, 0)
    shares = jnp.where(jnp.all(shares == 0), counted.astype(shares.dtype), shares)
    return row_sum(jnp.where(counted, scores, 0) * shares) / row_sum(shares)


def mean(values: Array, weights: Array) -> Array:
    """The weighted mean over rows."""
    column = weights.reshape(-1, *[1] * (values.ndim - 1))
    return row_sum(values * column) / row_sum(weights)
