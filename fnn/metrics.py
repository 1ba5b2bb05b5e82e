"""Metrics: how well the outputs for a whole data set agree with its targets.

A metric is `metric(outputs, targets, weights=None, **options)`: outputs come first, as
everywhere here, not targets, as in scikit-learn. What it measures, and every convention
for what is undefined, is scikit-learn's.

- Outputs are `(rows, out)`, floating.
- Classes are read off outputs `(rows, classes)` as the largest score (the first of equal
  ones), and off one column as class 1 where the score is strictly greater than
  `threshold`, otherwise class 0: at the threshold itself, class 0, as scikit-learn's
  classifiers do. So one column means two classes.
- Targets of classes are labels `(rows,)` or distributions `(rows, classes)`, of which the
  largest counts. For one column they may also be `(rows, 1)`, or floats that are 0 or 1
  (once compiled, floats count as 1 where greater than 0.5).
- Weights are `(rows,)`, finite and >= 0.
- Results have the dtype of the outputs, but at least float32. They are NaN where weights
  sum to 0, where there is a NaN among the outputs, and, once compiled, where a label is
  out of range.

Options that are words are static; options that are numbers are traced. A metric says in
`higher_is_better` which way is good: True, False, or None for neither.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fnn import checks
from fnn.dtypes import at_least_float32
from fnn.types import Array, Numbers

__all__ = [
    "accuracy",
    "confusion_matrix",
    "f1",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2",
    "recall",
    "roc_auc",
    "root_mean_squared_error",
]

F = TypeVar("F", bound=Callable)


def _higher_is_better(answer: bool | None) -> Callable[[F], F]:
    def mark(metric: F) -> F:
        metric.higher_is_better = answer  # pyright: ignore[reportFunctionMemberAccess]
        return metric

    return mark


# --- Classes ---


@_higher_is_better(True)
def accuracy(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, threshold: Numbers = 0.0
) -> Array:
    """The share of rows whose class is predicted, in [0, 1].

        accuracy = sum_i w_i [predicted_i = true_i] / sum_i w_i

    Args:
      outputs: Scores `(rows, classes)`, or `(rows, 1)` for two classes.
      targets: Labels `(rows,)` in [0, classes), or distributions `(rows, classes)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      threshold: Where one column of scores is split: 0 for logits, 0.5 for
        probabilities. Traced; more columns need none.
    Returns:
      A number, shape `()`.
    Raises:
      TypeError, ValueError: Outputs are not floating `(rows, out)` with rows > 0, shapes do
        not fit, concrete targets are no labels (or distributions), or concrete weights or
        options are out of range.
    Source: `sklearn.metrics.accuracy_score`.

    >>> outputs = jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(accuracy(outputs, jnp.array([0, 1, 1, 1])))
    0.75
    """
    outputs, true, weights = _examples("accuracy", outputs, targets, weights)
    correct = _predicted("accuracy", outputs, threshold) == true
    return _mean(correct.astype(weights.dtype), weights)


@_higher_is_better(True)
def precision(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    average: str | None = "binary",
    pos_label: Numbers = 1,
    zero_division: Numbers = 0.0,
    threshold: Numbers = 0.0,
) -> Array:
    """The share of a class's predictions that are right, in [0, 1].

        precision = true positives / (true positives + false positives)

    Args:
      outputs: Scores `(rows, classes)`, or `(rows, 1)` for two classes.
      targets: Labels `(rows,)` in [0, classes), or distributions `(rows, classes)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN;
        a single row of weight 0 still makes its classes present.
      average: What becomes of the classes. Static.
        "binary": only `pos_label` counts, of two classes.
        "macro": the mean over the classes present in targets or predictions.
        "weighted": that mean, each class weighted by its rows in the targets.
        "micro": of all classes' positives taken together.
        None: no average, each class by itself.
      pos_label: The class that "binary" measures, 0 or 1. Traced.
      zero_division: The value for a class without a denominator: 0, 1, or NaN, which
        averages leave out. Traced.
      threshold: Where one column of scores is split. Traced; see `accuracy`.
    Returns:
      A number, shape `()`; or `(classes,)` where `average` is None.
    Raises:
      TypeError, ValueError: As `accuracy`, or `average` is none of the above, or "binary"
        with more than two classes.
    Source: `sklearn.metrics.precision_score`.

    >>> outputs = jnp.array([[2.0], [1.0], [-1.0], [-3.0]])
    >>> print(precision(outputs, jnp.array([1, 0, 1, 1])))
    0.5
    """
    return _class_metric(
        "precision", lambda hits, guesses, support: (hits, guesses),
        outputs, targets, weights, average, pos_label, zero_division, threshold,
    )  # fmt: skip


@_higher_is_better(True)
def recall(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    average: str | None = "binary",
    pos_label: Numbers = 1,
    zero_division: Numbers = 0.0,
    threshold: Numbers = 0.0,
) -> Array:
    """The share of a class's rows that are found, in [0, 1].

        recall = true positives / (true positives + false negatives)

    Args:
      outputs: Scores `(rows, classes)`, or `(rows, 1)` for two classes.
      targets: Labels `(rows,)` in [0, classes), or distributions `(rows, classes)`.
      weights: `(rows,)`, >= 0; see `precision`.
      average: "binary", "macro", "weighted", "micro" or None. Static; see `precision`.
      pos_label: The class that "binary" measures, 0 or 1. Traced.
      zero_division: The value for a class without rows: 0, 1 or NaN. Traced.
      threshold: Where one column of scores is split. Traced; see `accuracy`.
    Returns:
      A number, shape `()`; or `(classes,)` where `average` is None.
    Raises:
      TypeError, ValueError: As `precision`.
    Source: `sklearn.metrics.recall_score`.

    >>> outputs = jnp.array([[2.0], [1.0], [-1.0], [-3.0]])
    >>> print(recall(outputs, jnp.array([1, 1, 1, 1])))
    0.5
    """
    return _class_metric(
        "recall", lambda hits, guesses, support: (hits, support),
        outputs, targets, weights, average, pos_label, zero_division, threshold,
    )  # fmt: skip


@_higher_is_better(True)
def f1(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    average: str | None = "binary",
    pos_label: Numbers = 1,
    zero_division: Numbers = 0.0,
    threshold: Numbers = 0.0,
) -> Array:
    """The harmonic mean of precision and recall, in [0, 1].

        F1 = 2 true positives / (2 true positives + false positives + false negatives)

    Args:
      outputs: Scores `(rows, classes)`, or `(rows, 1)` for two classes.
      targets: Labels `(rows,)` in [0, classes), or distributions `(rows, classes)`.
      weights: `(rows,)`, >= 0; see `precision`.
      average: "binary", "macro", "weighted", "micro" or None. Static; see `precision`.
      pos_label: The class that "binary" measures, 0 or 1. Traced.
      zero_division: The value for a class neither present nor predicted: 0, 1 or NaN.
        Traced.
      threshold: Where one column of scores is split. Traced; see `accuracy`.
    Returns:
      A number, shape `()`; or `(classes,)` where `average` is None.
    Raises:
      TypeError, ValueError: As `precision`.
    Source: `sklearn.metrics.f1_score`.

    >>> outputs = jnp.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(f1(outputs, jnp.array([0, 0, 1, 1]), average=None))
    [0.5 0.5]
    """
    return _class_metric(
        "f1", lambda hits, guesses, support: (2 * hits, guesses + support),
        outputs, targets, weights, average, pos_label, zero_division, threshold,
    )  # fmt: skip


@_higher_is_better(None)
def confusion_matrix(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    normalize: str | None = None,
    threshold: Numbers = 0.0,
) -> Array:
    """How many rows of each class (down) were predicted as each class (across).

        C[j, k] = sum_i w_i [true_i = j][predicted_i = k]

    Args:
      outputs: Scores `(rows, classes)`, or `(rows, 1)` for two classes.
      targets: Labels `(rows,)` in [0, classes), or distributions `(rows, classes)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      normalize: What sums to 1: each row ("true"), each column ("pred"), "all", or
        nothing (None). What would be divided by 0 stays 0. Static.
      threshold: Where one column of scores is split. Traced; see `accuracy`.
    Returns:
      `(classes, classes)`, floating.
    Raises:
      TypeError, ValueError: As `accuracy`, or `normalize` is none of the above.
    Source: `sklearn.metrics.confusion_matrix`.

    >>> outputs = jnp.array([[2.0], [1.0], [-1.0], [3.0]])
    >>> print(confusion_matrix(outputs, jnp.array([1, 0, 1, 1])))
    [[0. 1.]
     [1. 2.]]
    """
    axes = {None: None, "true": 1, "pred": 0, "all": (0, 1)}
    _check_word("confusion_matrix", "normalize", normalize, *axes)
    outputs, true, weights = _examples("confusion_matrix", outputs, targets, weights)
    predicted = _predicted("confusion_matrix", outputs, threshold)
    # partial sums lose fewer digits than one long one; with many classes all are short
    classes = _classes(outputs)
    parts = 1 + min(63, len(true) // classes**2)
    sums = jnp.zeros((parts, classes, classes), weights.dtype)
    sums = sums.at[jnp.arange(len(true)) % parts, true, predicted].add(weights)
    counts = jnp.where(jnp.isnan(weights[0]), jnp.nan, jnp.sum(sums, axis=0))
    if normalize is None:
        return counts
    return _ratio(counts, jnp.sum(counts, axis=axes[normalize], keepdims=True), 0.0)


@_higher_is_better(True)
def roc_auc(outputs: ArrayLike, targets: Any, weights: Any = None) -> Array:
    """The chance that a row of class 1 scores above a row of class 0, in [0, 1].

    It is the area under the curve of true against false positive rates over all
    thresholds; ties count half:

        AUC = sum_ij w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / sum_ij w_i w_j
              (i over the rows of class 1, j over those of class 0)

    Args:
      outputs: Scores `(rows, 1)`, or `(rows, 2)`, whose difference s[1] - s[0] then is the
        score: that rises with the probability of class 1 whether the columns are logits or
        probabilities, and is compared exactly, so that no tie comes of rounding it. Of more
        classes, measure the probabilities of each against the rest, as scikit-learn does:
        `roc_auc(probabilities[:, k : k + 1], labels == k)`.
      targets: Labels `(rows,)`, 0 or 1, or distributions `(rows, 2)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
    Returns:
      A number, shape `()`; NaN where a class has no rows, or no weight.
    Raises:
      TypeError, ValueError: As `accuracy`, or outputs have more than two columns.
    Source: Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve";
      `sklearn.metrics.roc_auc_score`.

    >>> outputs = jnp.array([[0.1], [0.4], [0.35], [0.8]])
    >>> print(roc_auc(outputs, jnp.array([0, 0, 1, 1])))
    0.75
    """
    outputs, true, weights = _examples("roc_auc", outputs, targets, weights)
    rule = "outputs must have one column or two (of more classes, measure one against the rest)"
    checks.require(outputs.shape[1] <= 2, "roc_auc", rule, f"shape {outputs.shape}")
    score, remainder = _score(outputs.astype(weights.dtype))
    positives = _sum(jnp.where(true == 1, weights, 0))
    negatives = _sum(jnp.where(true == 0, weights, 0))

    def area(tie_break: Array) -> Array:
        columns = score, remainder, tie_break, weights
        _, _, label, weight = jax.lax.sort(columns, num_keys=3)
        below = jnp.cumsum(jnp.where(label == 0, weight, 0)) / negatives
        return _sum(jnp.where(label == 0, 0, weight * below)) / positives

    # the positives of a tie rank above its negatives in one order, below in the other
    return (area(true) + area(-true)) / 2


def _score(outputs: Array) -> tuple[Array, Array]:
    """The score of class 1 for each row, as a rounded number and what rounding took off.

    Rounded alone, a softmax's 1e-9 - 1 and 2e-9 - 1 would tie. The remainder of a
    difference is a number too (Knuth, TAOCP 2, section 4.2.2, theorem B).
    """
    if outputs.shape[1] == 1:
        return outputs[:, 0], jnp.zeros_like(outputs[:, 0])
    low, high = outputs[:, 0], outputs[:, 1]
    score = high - low
    taken = score - high
    remainder = (high - (score - taken)) - (low + taken)
    return score, jnp.where(jnp.isfinite(score), remainder, 0)


def _class_metric(
    function: str, ratio: Callable[..., tuple[Array, Array]], *arguments: Any
) -> Array:
    """Precision, recall and F1: numerator and denominator by class, divided and averaged."""
    outputs, targets, weights, average, pos_label, zero_division, threshold = arguments
    _check_word(function, "average", average, "binary", "macro", "micro", "weighted", None)
    outputs, true, weights = _examples(function, outputs, targets, weights)
    classes, dtype = _classes(outputs), weights.dtype
    rule = 'average must be "macro", "micro", "weighted" or None for more than two classes'
    checks.require(average != "binary" or classes == 2, function, rule, f'"binary" for {classes}')
    pos_label = _number(function, "pos_label", pos_label, np.int32, 0, 1)
    zero_division = _number(function, "zero_division", zero_division, dtype, 0, 1, np.nan)

    is_true = jax.nn.one_hot(true, classes, dtype=dtype)
    is_predicted = jax.nn.one_hot(_predicted(function, outputs, threshold), classes, dtype=dtype)
    members = (is_true * is_predicted, is_predicted, is_true)
    counts = [_sum(member * weights[:, None]) for member in members]
    if average == "binary":
        counts = [count[pos_label] for count in counts]
    if average == "micro":
        counts = [jnp.sum(count) for count in counts]
    hits, guesses, support = counts
    scores = _ratio(*ratio(hits, guesses, support), zero_division)
    if average in ("binary", "micro", None):
        return scores

    present = jnp.any((is_true > 0) | (is_predicted > 0), axis=0)
    shares = support if average == "weighted" else jnp.ones_like(support)
    return _average(scores, shares, present & ~jnp.isnan(scores))


def _predicted(function: str, outputs: Array, threshold: Numbers) -> Array:
    """The predicted class of each row, int32 of shape `(rows,)`."""
    threshold = _number(function, "threshold", threshold, outputs.dtype)
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > threshold).astype(np.int32)
    return jnp.argmax(outputs, axis=1).astype(np.int32)


def _examples(function: str, outputs: Any, targets: Any, weights: Any) -> tuple[Array, ...]:
    """Outputs `(rows, columns)`, labels `(rows,)`, and weights `(rows,)`, NaN if unsound."""
    outputs = _outputs(function, outputs)
    weights = _weights(function, weights, outputs)
    true = _labels(function, targets, outputs)
    in_range = (true >= 0) & (true < _classes(outputs))
    sound = jnp.all(in_range) & ~jnp.any(jnp.isnan(outputs)) & jnp.any(weights > 0)
    return outputs, true, jnp.where(sound, weights, jnp.nan)


def _labels(function: str, targets: Any, outputs: Array) -> Array:
    """The true class of each row, int32 of shape `(rows,)`."""
    targets = checks.array(function, "targets", targets)
    rows, columns = outputs.shape
    rule = f"targets must have shape {(rows,)} or {(rows, columns)}, as outputs are {outputs.shape}"
    fits = targets.shape in [(rows,), (rows, columns)]
    checks.require(fits, function, rule, f"shape {targets.shape}")
    if columns > 1 and targets.ndim == 2:
        rule = "targets (rows, classes) must be distributions: each row >= 0, with sum 1"
        _check_values(
            function, rule, targets,
            lambda rows: (rows >= 0).all(axis=1) & (abs(rows.sum(axis=1) - 1) < 0.01),
        )  # fmt: skip
        return jnp.argmax(jnp.asarray(targets), axis=1).astype(np.int32)
    targets = targets.reshape(rows)
    whole = targets.dtype.kind in "biu"
    rule = "labels of several classes must be integers"
    checks.require(whole or columns == 1, function, rule, targets.dtype, TypeError)
    classes = np.arange(_classes(outputs))
    rule = f"labels must be from 0 to {classes[-1]}, as outputs are {outputs.shape}"
    _check_values(function, rule, targets, lambda labels: np.isin(labels, classes))
    targets = jnp.asarray(targets)
    return targets.astype(np.int32) if whole else (targets > 0.5).astype(np.int32)


def _classes(outputs: Array) -> int:
    return max(outputs.shape[1], 2)


# --- Values ---


@_higher_is_better(False)
def mean_absolute_error(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The mean distance to the target, >= 0, in units of the target.

        MAE_k = sum_i w_i |y_hat_ik - y_ik| / sum_i w_i

    Args:
      outputs: `(rows, out)`, floating.
      targets: `(rows, out)`, or `(rows,)` where out is 1; finite.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      multioutput: "uniform_average", the mean over outputs, or "raw_values". Static.
    Returns:
      A number, shape `()`; or `(out,)` for "raw_values".
    Raises:
      TypeError, ValueError: Outputs are not floating `(rows, out)` with rows > 0, shapes
        differ, concrete targets are not finite, concrete weights are negative or not
        finite, or `multioutput` is none of the above.
    Source: `sklearn.metrics.mean_absolute_error`.

    >>> print(mean_absolute_error(jnp.array([[1.0], [2.0]]), jnp.array([1.0, 4.0])))
    1.0
    """
    outputs, targets, weights = _values("mean_absolute_error", outputs, targets, weights)
    errors = _mean(jnp.abs(outputs - targets), weights)
    return _over_outputs("mean_absolute_error", multioutput, errors)


@_higher_is_better(False)
def mean_squared_error(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The mean squared distance to the target, >= 0, in squared units of the target.

        MSE_k = sum_i w_i (y_hat_ik - y_ik)^2 / sum_i w_i

    Args:
      outputs: `(rows, out)`, floating.
      targets: `(rows, out)`, or `(rows,)` where out is 1; finite.
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
    errors = _mean(jnp.square(outputs - targets), weights)
    return _over_outputs("mean_squared_error", multioutput, errors)


@_higher_is_better(False)
def root_mean_squared_error(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The root of the mean squared distance to the target, >= 0, in units of the target.

        RMSE_k = sqrt(MSE_k)

    Args:
      outputs: `(rows, out)`, floating.
      targets: `(rows, out)`, or `(rows,)` where out is 1; finite.
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
    errors = jnp.sqrt(_mean(jnp.square(outputs - targets), weights))
    return _over_outputs("root_mean_squared_error", multioutput, errors)


@_higher_is_better(True)
def r2(
    outputs: ArrayLike, targets: Any, weights: Any = None, *, multioutput: str = "uniform_average"
) -> Array:
    """The share of the targets' variance that the outputs explain, at most 1.

        R^2_k = 1 - sum_i w_i (y_hat_ik - y_ik)^2 / sum_i w_i (y_ik - mean_k)^2

    Predicting the mean gives 0. Where the targets are constant, a perfect prediction
    gives 1 and any other 0.

    Args:
      outputs: `(rows, out)`, floating.
      targets: `(rows, out)`, or `(rows,)` where out is 1; finite. They may lie far from 0:
        they are centred before they are squared.
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
    variance = _mean(jnp.square(shifted - _mean(shifted, weights)[None]), weights)
    error = _mean(jnp.square(outputs - targets), weights)
    scores = 1 - _ratio(error, variance, jnp.sign(error))
    scores = scores if len(targets) > 1 else jnp.full_like(scores, jnp.nan)
    return _over_outputs("r2", multioutput, scores, variance_weighted=variance)


def _values(function: str, outputs: Any, targets: Any, weights: Any) -> tuple[Array, ...]:
    """Outputs and targets `(rows, out)`, and weights `(rows,)`, of one dtype."""
    outputs = _outputs(function, outputs)
    weights = _weights(function, weights, outputs)
    targets = checks.array(function, "targets", targets)
    rows, columns = outputs.shape
    accepted = (rows, columns), (rows,) if columns == 1 else (rows, columns)
    rule = f"targets must have the shape of outputs, {outputs.shape}, or without the last axis if 1"
    checks.require(targets.shape in accepted, function, rule, f"shape {targets.shape}")
    targets = jnp.asarray(targets.reshape(rows, columns)).astype(weights.dtype)
    return outputs.astype(weights.dtype), targets, weights


def _over_outputs(function: str, multioutput: str, scores: Array, **shares: Array) -> Array:
    """One score of those of all outputs, by the way of averaging named, or all of them."""
    shares = {"uniform_average": jnp.ones_like(scores)} | shares
    _check_word(function, "multioutput", multioutput, *shares, "raw_values")
    if multioutput == "raw_values":
        return scores
    return _average(scores, shares[multioutput], jnp.ones_like(scores, bool))


# --- Both ---


def _outputs(function: str, outputs: Any) -> Array:
    outputs = outputs if isinstance(outputs, jax.Array) else np.asarray(outputs)
    rule = "outputs, which come before targets, must be floating"
    floating = jnp.issubdtype(outputs.dtype, jnp.floating)
    checks.require(floating, function, rule, f"{outputs.dtype}{outputs.shape}", TypeError)
    rule = "outputs must be (rows, out), with at least one row and one column"
    sound = outputs.ndim == 2 and outputs.size > 0
    checks.require(sound, function, rule, f"shape {outputs.shape}")
    return jnp.asarray(outputs)


def _weights(function: str, weights: Any, outputs: Array) -> Array:
    """Weights `(rows,)` in the dtype to compute in."""
    rows, dtype = len(outputs), at_least_float32(outputs.dtype)
    if weights is None:
        return jnp.ones(rows, dtype)
    weights = checks.array(function, "weights", weights)
    rule = f"weights must have shape {(rows,)}, one a row"
    checks.require(weights.shape == (rows,), function, rule, f"shape {weights.shape}")
    _check_values(function, "weights must be >= 0", weights, lambda weights: weights >= 0)
    return jnp.asarray(weights).astype(dtype)


def _check_word(function: str, name: str, value: Any, *words: str | None) -> None:
    known = (value is None or isinstance(value, str)) and value in words
    rule = f"{name} must be one of {', '.join(map(repr, words))}"
    checks.require(known, function, rule, repr(value))


def _check_values(function: str, rule: str, values: Any, holds: Callable) -> None:
    """Raises ValueError for the first of concrete values, or rows of them, that breaks a rule."""
    known = checks.concrete(values)
    if known is not None:
        good = np.ravel(holds(known.astype(np.float64)))
        worst = known.reshape(good.size, -1)[good.argmin()].squeeze()
        checks.require(bool(good.all()), function, rule, worst)


def _number(function: str, name: str, value: Any, dtype: Any, *allowed: float) -> Array:
    """An option that is traced: a number of shape `()`, one of those allowed if some are named."""

    def holds(number: np.ndarray) -> bool:
        same = [np.array_equal(number, one, equal_nan=True) for one in allowed]
        return any(same) if allowed else not np.isnan(number)

    rule = f"{name} must be {' or '.join(map(str, allowed)) or 'a number'}"
    value = value if isinstance(value, jax.Array) else np.asarray(value)
    real = value.dtype.kind in "biuf" or jnp.issubdtype(value.dtype, jnp.floating)
    checks.require(real, function, rule, value, TypeError)
    checks.require(value.shape == (), function, rule, f"shape {value.shape}")
    _check_values(function, rule, value, holds)
    return jnp.asarray(value).astype(dtype)


def _ratio(numerator: Array, denominator: Array, otherwise: Any) -> Array:
    """Their quotient, or `otherwise` where the denominator is 0."""
    absent = denominator == 0
    return jnp.where(absent, otherwise, numerator / jnp.where(absent, 1, denominator))


def _average(scores: Array, shares: Array, counted: Array) -> Array:
    """The mean of the scores that count, by their shares; a plain one if all those are 0."""
    shares = jnp.where(counted, shares, 0)
    shares = jnp.where(jnp.all(shares == 0), counted.astype(shares.dtype), shares)
    return jnp.sum(jnp.where(counted, scores, 0) * shares) / jnp.sum(shares)


def _mean(values: Array, weights: Array) -> Array:
    """The weighted mean over rows."""
    column = weights.reshape(-1, *[1] * (values.ndim - 1))
    return _sum(values * column) / _sum(weights)


def _sum(values: Array) -> Array:
    """The sum over rows, as a sum of partial sums: one long one loses digits in float32."""
    width = math.isqrt(len(values))
    padding = [(0, -len(values) % width)] + [(0, 0)] * (values.ndim - 1)
    parts = jnp.pad(values, padding).reshape(-1, width, *values.shape[1:])
    return jnp.sum(jnp.sum(parts, axis=0), axis=0)
