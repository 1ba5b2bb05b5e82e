"""Losses: how wrong each example's output is.

Every loss is per example and unreduced: outputs `(..., out)` and targets go to losses
`(...)`, a mean over `out` for values, a sum over classes for distributions. What a batch
makes of them (`fit` takes the weighted mean) is up to the caller.

A loss says in `takes` what its outputs are: "values", "probabilities" or "logits", so
that `fit` and `evaluate` can refuse a network that ends in something else. Outputs come
first, then targets. Losses are computed in at least float32.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fnn._core import checks
from fnn._core.dtypes import at_least_float32
from fnn.types import Numbers

__all__ = [
    "absolute_error",
    "binary_cross_entropy",
    "cross_entropy",
    "huber",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
]

F = TypeVar("F", bound=Callable)


def _takes(kind: str) -> Callable[[F], F]:
    def mark(loss: F) -> F:
        loss.takes = kind  # pyright: ignore[reportFunctionMemberAccess]
        loss.higher_is_better = False  # pyright: ignore[reportFunctionMemberAccess]
        return loss

    return mark


@_takes("values")
def squared_error(outputs: ArrayLike, targets: Any) -> jax.Array:
    """The squared distance to the target; its mean over examples is the MSE.

        L = 1/out sum_k (y_hat_k - y_k)^2

    Args:
      outputs: `(..., out)`, floating.
      targets: `(..., out)`, or `(...)` where out is 1; finite.
    Returns:
      Losses `(...)`, >= 0, in at least float32, in squared units of the target.
    Raises:
      TypeError, ValueError: Outputs are not floating, shapes differ, or concrete targets
        are not finite.

    >>> print(squared_error(jnp.array([[1.0], [2.0]]), jnp.array([1.0, 4.0])))
    [0. 4.]
    """
    outputs, targets = _values("squared_error", outputs, targets)
    return jnp.mean(jnp.square(outputs - targets), axis=-1)


@_takes("values")
def absolute_error(outputs: ArrayLike, targets: Any) -> jax.Array:
    """The distance to the target; its mean over examples is the MAE.

        L = 1/out sum_k |y_hat_k - y_k|

    Its slope is the sign of y_hat - y, over out: 0 where the target is hit.

    Args:
      outputs: `(..., out)`, floating.
      targets: `(..., out)`, or `(...)` where out is 1; finite.
    Returns:
      Losses `(...)`, >= 0, in at least float32, in units of the target.
    Raises:
      TypeError, ValueError: As `squared_error`.

    >>> print(absolute_error(jnp.array([[1.0], [2.0]]), jnp.array([1.0, 4.0])))
    [0. 2.]
    """
    outputs, targets = _values("absolute_error", outputs, targets)
    error = outputs - targets
    return jnp.mean(error * jnp.sign(error), axis=-1)  # the slope of `abs` at 0 would be 1


@_takes("values")
def huber(outputs: ArrayLike, targets: Any, *, delta: Numbers = 1.0) -> jax.Array:
    """The Huber loss: squared near the target, absolute beyond `delta`.

        e = |y_hat_k - y_k|;  l_k = e^2 / 2 if e <= delta else delta (e - delta / 2)
        L = 1/out sum_k l_k

    Args:
      outputs: `(..., out)`, floating.
      targets: `(..., out)`, or `(...)` where out is 1; finite.
      delta: The error at which the loss becomes linear, > 0, in units of the target. Traced.
    Returns:
      Losses `(...)`, >= 0, in at least float32.
    Raises:
      TypeError, ValueError: As `squared_error`, or a concrete delta is not > 0.
    Source: Huber 1964, "Robust estimation of a location parameter".

    >>> print(huber(jnp.array([[1.5], [2.0]]), jnp.array([1.0, 5.0])))
    [0.125 2.5  ]
    """
    outputs, targets = _values("huber", outputs, targets)
    delta = _option("huber", "delta", delta, outputs, above=0)
    error = jnp.abs(outputs - targets)
    near = jnp.minimum(error, delta)
    return jnp.mean(near * (error - near / 2), axis=-1)


@_takes("probabilities")
def cross_entropy(outputs: ArrayLike, targets: Any) -> jax.Array:
    """The textbook's cross-entropy, on the probabilities of a softmax.

        L = -sum_k y_k log(y_hat_k)

    Prefer `softmax_cross_entropy` on logits for training: it loses nothing where a
    probability rounds to 0. Here such a probability counts as the smallest normal
    number, so the loss stays finite (at most 87 in float32).

    Args:
      outputs: `(..., classes)`, probabilities.
      targets: Integer labels `(...)` or `(..., 1)` in [0, classes), or distributions
        `(..., classes)`.
    Returns:
      Losses `(...)`, >= 0, in at least float32, in nats.
    Raises:
      TypeError, ValueError: Outputs are not floating, shapes do not fit, or concrete
        targets are neither labels nor probabilities (that these sum to 1 is not checked).
        Once compiled, a label out of range gives NaN.

    >>> y_hat = jnp.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    >>> print(cross_entropy(y_hat, jnp.array([0, 1])).round(3))
    [0.693 0.   ]
    """
    outputs, targets, valid = _classes("cross_entropy", outputs, targets)
    terms = -_product(targets, _log(outputs))
    return jnp.where(valid, jnp.sum(terms, axis=-1), jnp.nan)


@_takes("probabilities")
def binary_cross_entropy(outputs: ArrayLike, targets: Any) -> jax.Array:
    """The cross-entropy of two classes, on the probabilities of a sigmoid.

        l_k = -(y_k log(y_hat_k) + (1 - y_k) log(1 - y_hat_k));  L = 1/out sum_k l_k

    Prefer `sigmoid_cross_entropy` on logits for training: it loses nothing where a
    probability rounds to 0 or 1. Here the loss stays finite (see `cross_entropy`).

    Args:
      outputs: `(..., out)`, probabilities of class 1.
      targets: `(..., out)`, or `(...)` where out is 1; 0, 1 or a probability between.
    Returns:
      Losses `(...)`, >= 0, in at least float32, in nats.
    Raises:
      TypeError, ValueError: Outputs are not floating, shapes differ, or concrete targets
        are outside [0, 1].

    >>> print(binary_cross_entropy(jnp.array([[0.5], [1.0]]), jnp.array([1, 1])).round(3))
    [0.693 0.   ]
    """
    outputs, targets = _values("binary_cross_entropy", outputs, targets, probabilities=True)
    # each logarithm is exact where it is taken, and neither makes a NaN where it is not
    low = outputs < 0.5
    log_not = jnp.where(low, jnp.log1p(-jnp.where(low, outputs, 0)), _log(1 - outputs))
    losses = -_product(targets, _log(outputs)) - _product(1 - targets, log_not)
    return jnp.mean(losses, axis=-1)


@_takes("logits")
def softmax_cross_entropy(
    outputs: ArrayLike, targets: Any, *, label_smoothing: Numbers | None = None
) -> jax.Array:
    """The cross-entropy of softmax(z) for logits z, computed without the softmax.

        L = log(sum_j e^z_j) - sum_k y_k z_k     (sum_k y_k = 1)

    Args:
      outputs: Logits `(..., classes)`; -inf masks a class that no target names.
      targets: Integer labels `(...)` or `(..., 1)` in [0, classes), or distributions
        `(..., classes)`.
      label_smoothing: The share s of each target, in [0, 1], spread over all classes:
        y becomes (1 - s) y + s / classes. Traced; None: none.
    Returns:
      Losses `(...)`, >= 0, in at least float32, in nats.
    Raises:
      TypeError, ValueError: Outputs are not floating, shapes do not fit, or concrete
        targets are neither labels nor probabilities (that these sum to 1 is not checked),
        or the smoothing is out of range. Once compiled, a label out of range gives NaN.
    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7 (label smoothing).

    >>> logits = jnp.array([[0.0, 0.0], [1e4, -1e4]])
    >>> print(softmax_cross_entropy(logits, jnp.array([0, 1])).round(3))
    [6.93e-01 2.00e+04]
    """
    function = "softmax_cross_entropy"
    outputs, targets, valid = _classes(function, outputs, targets)
    if label_smoothing is not None:
        share = _option(
            function, "label_smoothing", label_smoothing, outputs, at_least=0, at_most=1
        )
        targets = (1 - share) * targets.astype(outputs.dtype) + share / outputs.shape[-1]
    terms = -_product(targets, jax.nn.log_softmax(outputs, axis=-1))
    return jnp.where(valid, jnp.sum(terms, axis=-1), jnp.nan)


@_takes("logits")
def sigmoid_cross_entropy(
    outputs: ArrayLike, targets: Any, *, label_smoothing: Numbers | None = None
) -> jax.Array:
    """The cross-entropy of sigmoid(z) for logits z, computed without the sigmoid.

        l_k = -(y_k log sigmoid(z_k) + (1 - y_k) log sigmoid(-z_k));  L = 1/out sum_k l_k

    Args:
      outputs: Logits `(..., out)`, of independent two-class problems.
      targets: `(..., out)`, or `(...)` where out is 1; 0, 1 or a probability between.
      label_smoothing: The share s of each target, in [0, 1], that moves to the middle:
        y becomes (1 - s) y + s / 2. Traced; None: none.
    Returns:
      Losses `(...)`, >= 0, in at least float32, in nats.
    Raises:
      TypeError, ValueError: Outputs are not floating, shapes differ, concrete targets are
        outside [0, 1], or the smoothing is out of range.

    >>> print(sigmoid_cross_entropy(jnp.array([[0.0], [1e4]]), jnp.array([1, 1])).round(3))
    [0.693 0.   ]
    """
    function = "sigmoid_cross_entropy"
    outputs, targets = _values(function, outputs, targets, probabilities=True)
    if label_smoothing is not None:
        share = _option(
            function, "label_smoothing", label_smoothing, outputs, at_least=0, at_most=1
        )
        targets = (1 - share) * targets + share / 2
    losses = -_product(targets, jax.nn.log_sigmoid(outputs)) - _product(
        1 - targets, jax.nn.log_sigmoid(-outputs)
    )
    return jnp.mean(losses, axis=-1)


def _outputs(function: str, outputs: Any) -> jax.Array:
    outputs = jnp.asarray(checks.numbers(function, "outputs", outputs))
    floating = jnp.issubdtype(outputs.dtype, jnp.floating)
    rule = "outputs, which come before targets, must be floating"
    checks.require(floating, function, rule, f"{outputs.dtype}{outputs.shape}", TypeError)
    rule = "outputs must have shape (..., out)"
    checks.require(outputs.ndim >= 1 and outputs.shape[-1] >= 1, function, rule, outputs.shape)
    return outputs.astype(at_least_float32(outputs.dtype))


def _values(
    function: str, outputs: Any, targets: Any, probabilities: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Outputs and targets of one shape and dtype, both `(..., out)`."""
    outputs = _outputs(function, outputs)
    targets = checks.array(function, "targets", targets)
    one_column = outputs.shape[-1] == 1 and targets.shape == outputs.shape[:-1]
    rule = f"targets must have the shape of outputs, {outputs.shape}, or without the last axis if 1"
    fits = one_column or targets.shape == outputs.shape
    checks.require(fits, function, rule, targets.shape)
    if probabilities:
        _check_range(function, "targets must be 0, 1 or a probability between", targets, 1)
    return outputs, jnp.asarray(targets).reshape(outputs.shape).astype(outputs.dtype)


def _classes(
    function: str, outputs: Any, targets: Any
) -> tuple[jax.Array, jax.Array, jax.Array | bool]:
    """Outputs, targets over classes (of labels bools, else shares), and which are valid."""
    outputs = _outputs(function, outputs)
    targets = checks.array(function, "targets", targets)
    classes = outputs.shape[-1]
    rule = "outputs must be (..., classes), at least two (one column: sigmoid_cross_entropy)"
    checks.require(classes > 1, function, rule, outputs.shape)
    if targets.shape == outputs.shape:
        _check_range(function, "targets (..., classes) must be probabilities", targets, 1)
        return outputs, jnp.asarray(targets).astype(outputs.dtype), True
    rule = (
        f"targets must be labels {outputs.shape[:-1]} or distributions {outputs.shape}, "
        f"as outputs are {outputs.shape}"
    )
    whole = targets.dtype.kind in "biu"
    in_column = whole and targets.shape == (*outputs.shape[:-1], 1)
    fits = in_column or targets.shape == outputs.shape[:-1]
    checks.require(fits, function, rule, targets.shape)
    rule = "labels must be integers"
    checks.require(whole, function, rule, f"{targets.dtype}{targets.shape}", TypeError)
    # before they are reshaped: in a compiled program, values are not known after that
    _check_range(function, f"labels must be from 0 to {classes - 1}", targets, classes - 1)
    targets = jnp.asarray(targets).reshape(outputs.shape[:-1])
    labels = targets.astype(np.int32)
    valid = (labels >= 0) & (labels < classes) & (labels.astype(targets.dtype) == targets)
    return outputs, jax.nn.one_hot(labels, classes, dtype=bool), valid


def _check_range(function: str, rule: str, targets: Any, highest: int) -> None:
    known = checks.concrete(targets)
    if known is None or known.size == 0:
        return
    low, high = known.min(), known.max()
    worst = low if low < 0 else high
    checks.require(bool(low >= 0 and high <= highest), function, rule, worst)


def _option(function: str, name: str, value: Any, outputs: jax.Array, **bounds: Any) -> jax.Array:
    value = checks.one_real(function, name, value, **bounds)
    return jnp.asarray(value).astype(outputs.dtype)


def _product(share: jax.Array, logarithm: jax.Array) -> jax.Array:
    """The product share * logarithm, with 0 log 0 = 0, in value and slope; shares may be bools."""
    if share.dtype == bool:
        return jnp.where(share, logarithm, 0)
    absent = (share == 0) & (logarithm == -jnp.inf)
    return jnp.where(absent, 0, share * jnp.where(absent, 0, logarithm))


def _log(probability: jax.Array) -> jax.Array:
    # no logarithm of the smallest number itself, whose second derivative overflows
    tiny = jnp.finfo(probability.dtype).tiny
    held = probability <= tiny
    return jnp.where(held, jnp.log(tiny), jnp.log(jnp.where(held, 1, probability)))
