"""Metrics of classes: which label, and how surely."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fnn import checks
from fnn.metrics.common import (
    average_of,
    check_values,
    checked_outputs,
    checked_weights,
    higher_is_better,
    mean,
    ratio_or,
    traced_number,
)
from fnn.sums import row_sum
from fnn.types import Array, Numbers


@higher_is_better(True)
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
    return mean(correct.astype(weights.dtype), weights)


@higher_is_better(True)
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


@higher_is_better(True)
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


@higher_is_better(True)
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


@higher_is_better(None)
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
    checks.word("confusion_matrix", "normalize", normalize, *axes)
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
    return ratio_or(counts, jnp.sum(counts, axis=axes[normalize], keepdims=True), 0.0)


@higher_is_better(True)
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
    positives = row_sum(jnp.where(true == 1, weights, 0))
    negatives = row_sum(jnp.where(true == 0, weights, 0))

    def area(tie_break: Array) -> Array:
        columns = score, remainder, tie_break, weights
        _, _, label, weight = jax.lax.sort(columns, num_keys=3)
        below = jnp.cumsum(jnp.where(label == 0, weight, 0)) / negatives
        return row_sum(jnp.where(label == 0, 0, weight * below)) / positives

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
    checks.word(function, "average", average, "binary", "macro", "micro", "weighted", None)
    outputs, true, weights = _examples(function, outputs, targets, weights)
    classes, dtype = _classes(outputs), weights.dtype
    rule = 'average must be "macro", "micro", "weighted" or None for more than two classes'
    checks.require(average != "binary" or classes == 2, function, rule, f'"binary" for {classes}')
    pos_label = traced_number(function, "pos_label", pos_label, np.int32, 0, 1)
    zero_division = traced_number(function, "zero_division", zero_division, dtype, 0, 1, np.nan)

    is_true = jax.nn.one_hot(true, classes, dtype=dtype)
    is_predicted = jax.nn.one_hot(_predicted(function, outputs, threshold), classes, dtype=dtype)
    members = (is_true * is_predicted, is_predicted, is_true)
    counts = [row_sum(member * weights[:, None]) for member in members]
    if average == "binary":
        counts = [count[pos_label] for count in counts]
    if average == "micro":
        counts = [jnp.sum(count) for count in counts]
    hits, guesses, support = counts
    scores = ratio_or(*ratio(hits, guesses, support), zero_division)
    if average in ("binary", "micro", None):
        return scores

    present = jnp.any((is_true > 0) | (is_predicted > 0), axis=0)
    shares = support if average == "weighted" else jnp.ones_like(support)
    return average_of(scores, shares, present & ~jnp.isnan(scores))


def _predicted(function: str, outputs: Array, threshold: Numbers) -> Array:
    """The predicted class of each row, int32 of shape `(rows,)`."""
    threshold = traced_number(function, "threshold", threshold, outputs.dtype)
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > threshold).astype(np.int32)
    return jnp.argmax(outputs, axis=1).astype(np.int32)


def _examples(function: str, outputs: Any, targets: Any, weights: Any) -> tuple[Array, ...]:
    """Outputs `(rows, columns)`, labels `(rows,)`, and weights `(rows,)`, NaN if unsound."""
    outputs = checked_outputs(function, outputs)
    weights = checked_weights(function, weights, outputs)
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
        check_values(
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
    check_values(function, rule, targets, lambda labels: np.isin(labels, classes))
    targets = jnp.asarray(targets)
    return targets.astype(np.int32) if whole else (targets > 0.5).astype(np.int32)


def _classes(outputs: Array) -> int:
    return max(outputs.shape[1], 2)
