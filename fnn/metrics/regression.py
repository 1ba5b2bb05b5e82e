"""Metrics of values: how far from the target."""

from typing import Any

import jax.numpy as jnp
from jax.typing import ArrayLike

from fnn._core import checks
from fnn.metrics.common import (
    average_of,
    checked_outputs,
    checked_weights,
    higher_is_better,
    ignores_origin,
    mean,
    ratio_or,
)
from fnn.types import Array


@ignores_origin
@higher_is_better(False)
def mean_absolute_error(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The mean distance to the target, >= 0, in units of the target.

        MAE_k = sum_i w_i |y_hat_ik - y_ik| / sum_i w_i

    Args:
      outputs: `(rows, out)`, or `(rows,)` for one; floating.
      targets: As outputs, `(rows,)` and `(rows, 1)` being the same; finite.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      multioutput: "uniform_average", the mean over outputs, or "raw_values". Static.
    Returns:
      A number, shape `()`; or `(out,)` for "raw_values".
    Raises:
      TypeError, ValueError: Outputs are not floating `(rows, out)` or `(rows,)` with rows > 0,
        shapes differ, concrete targets are not finite, concrete weights are negative or not
        finite, or `multioutput` is none of the above.
    Source: `sklearn.metrics.mean_absolute_error`.

    >>> print(mean_absolute_error(jnp.array([[1.0], [2.0]]), jnp.array([1.0, 4.0])))
    1.0
    """
    outputs, targets, weights = _values("mean_absolute_error", outputs, targets, weights)
    errors = mean(jnp.abs(outputs - targets), weights)
    return _over_outputs("mean_absolute_error", multioutput, errors)


@ignores_origin
@higher_is_better(False)
def mean_squared_error(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The mean squared distance to the target, >= 0, in squared units of the target.

        MSE_k = sum_i w_i (y_hat_ik - y_ik)^2 / sum_i w_i

    Args:
      outputs: `(rows, out)`, or `(rows,)` for one; floating.
      targets: As outputs, `(rows,)` and `(rows, 1)` being the same; finite.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      multioutput: "uniform_average", the mean over outputs, or "raw_values". Static.
    Returns:
      A number, shape `()`; or `(out,)` for "raw_values".
    Raises:
      TypeError, ValueError: As `mean_absolute_error`.
    Source: `sklearn.metrics.mean_squared_error`.

    >>> print(mean_squared_error(jnp.array([[1.0], [2.0]]), jnp.array([1.0, 4.0])))
    2.0
    """
    outputs, targets, weights = _values("mean_squared_error", outputs, targets, weights)
    errors = mean(jnp.square(outputs - targets), weights)
    return _over_outputs("mean_squared_error", multioutput, errors)


@ignores_origin
@higher_is_better(False)
def root_mean_squared_error(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The root of the mean squared distance to the target, >= 0, in units of the target.

        RMSE_k = sqrt(MSE_k)

    Args:
      outputs: `(rows, out)`, or `(rows,)` for one; floating.
      targets: As outputs, `(rows,)` and `(rows, 1)` being the same; finite.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      multioutput: "uniform_average", the mean of the outputs' roots (not the root of their
        mean), or "raw_values". Static.
    Returns:
      A number, shape `()`; or `(out,)` for "raw_values".
    Raises:
      TypeError, ValueError: As `mean_absolute_error`.
    Source: `sklearn.metrics.root_mean_squared_error`.

    >>> print(root_mean_squared_error(jnp.array([[1.0], [2.0]]), jnp.array([2.0, 9.0])))
    5.0
    """
    outputs, targets, weights = _values("root_mean_squared_error", outputs, targets, weights)
    squares = mean(jnp.square(outputs - targets), weights)
    hit = squares == 0  # where the slope of a root is infinite, and this one's 0
    errors = jnp.where(hit, squares, jnp.sqrt(jnp.where(hit, 1, squares)))
    return _over_outputs("root_mean_squared_error", multioutput, errors)


@ignores_origin
@higher_is_better(True)
def r2(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The share of the targets' variance that the outputs explain, at most 1.

        R^2_k = 1 - sum_i w_i (y_hat_ik - y_ik)^2 / sum_i w_i (y_ik - mean_k)^2

    Predicting the mean gives 0. Where the targets are constant, a perfect prediction
    gives 1 and any other 0.

    Args:
      outputs: `(rows, out)`, or `(rows,)` for one; floating.
      targets: As outputs, `(rows,)` and `(rows, 1)` being the same; finite. They may lie far
        from 0: they are centred before they are squared.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      multioutput: "uniform_average", the mean over outputs, "variance_weighted", the mean
        weighted by the variances of the targets, or "raw_values". Static.
    Returns:
      A number, shape `()`; or `(out,)` for "raw_values". NaN for fewer than two rows.
    Raises:
      TypeError, ValueError: As `mean_absolute_error`.
    Source: `sklearn.metrics.r2_score`, with its `force_finite=True`.

    >>> outputs, targets = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([0.0, 2.0, 4.0])
    >>> print(r2(outputs, targets))
    0.75
    """
    outputs, targets, weights = _values("r2", outputs, targets, weights)
    # less one target that counts, so that the mean of far targets loses no digits
    shifted = targets - targets[jnp.argmax(weights)][None]
    variance = mean(jnp.square(shifted - mean(shifted, weights)[None]), weights)
    error = mean(jnp.square(outputs - targets), weights)
    scores = 1 - ratio_or(error, variance, jnp.sign(error))
    scores = scores if len(targets) > 1 else jnp.full_like(scores, jnp.nan)
    return _over_outputs("r2", multioutput, scores, variance_weighted=variance)


def _values(function: str, outputs: Any, targets: Any, weights: Any) -> tuple[Array, ...]:
    """Outputs and targets `(rows, out)`, and weights `(rows,)`, of one dtype."""
    outputs = checked_outputs(function, outputs)
    weights = checked_weights(function, weights, outputs)
    targets = checks.array(function, "targets", targets)
    rows, columns = outputs.shape
    accepted = [(rows,), (rows, 1)] if columns == 1 else [(rows, columns)]
    rule = f"targets must have the shape of outputs, {' or '.join(map(str, accepted))}"
    checks.require(targets.shape in accepted, function, rule, f"shape {targets.shape}")
    targets = jnp.asarray(targets.reshape(rows, columns)).astype(weights.dtype)
    return outputs.astype(weights.dtype), targets, weights


def _over_outputs(function: str, multioutput: str, scores: Array, **shares: Array) -> Array:
    """One score of those of all outputs, by the way of averaging named, or all of them."""
    shares = {"uniform_average": jnp.ones_like(scores)} | shares
    checks.word(function, "multioutput", multioutput, *shares, "raw_values")
    if multioutput == "raw_values":
        return scores
    return average_of(scores, shares[multioutput], jnp.ones_like(scores, bool))
