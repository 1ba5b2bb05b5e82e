"""Metrics of classes: which are right."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from fnn._core import checks
from fnn._core.reductions import row_sum
from fnn.metrics.common import average_of, higher_is_better, mean, ratio_or, traced_number
from fnn.metrics.labels import checked_num_classes, predictions, with_classes
from fnn.types import Array, Numbers


@higher_is_better(True)
def accuracy(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    threshold: Numbers | None = None,
    multilabel: bool = False,
) -> Array:
    """The share of rows whose class is predicted correctly, in [0, 1].

        accuracy = sum_i w_i [predicted_i = true_i] / sum_i w_i

    Of several labels a row, a row counts where all of its labels are predicted (the subset
    accuracy).

    Args:
      outputs: Scores `(rows, classes)`, or `(rows,)` or `(rows, 1)` for two classes; or
        predicted labels `(rows,)`, integers or bools.
      targets: Labels `(rows,)` or `(rows, 1)` in [0, classes), or distributions
        `(rows, classes)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      threshold: Where one column of scores is split, or each column of several labels: 0
        for logits, 0.5 for probabilities. Traced; the scores of classes need none, predicted
        labels take none. None is 0. It raises for concrete scores `(rows,)`, or of several
        labels, that are all in [0, 1], where 0.5 would give other predictions: they may be
        probabilities.
      multilabel: Whether a row can have several labels. Then outputs are scores
        `(rows, labels)`, or predictions of 0 or 1 (integers or bools), and targets are 0 or
        1, of that shape. Static.
    Returns:
      A number, shape `()`.
    Raises:
      TypeError, ValueError: Outputs are neither scores nor predicted labels with rows > 0,
        shapes do not fit, concrete targets are no labels (or distributions), or concrete
        weights or options are out of range.
    Source: `sklearn.metrics.accuracy_score`.

    >>> outputs = jnp.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(accuracy(outputs, jnp.array([0, 1, 1, 1])))
    0.75
    >>> print(accuracy(jnp.array([0, 1, 0, 1]), jnp.array([0, 1, 1, 1])))
    0.75
    """
    checks.flag("accuracy", "multilabel", multilabel)
    found = predictions("accuracy", outputs, targets, weights, threshold, multilabel)
    correct = (found.predicted == found.true).reshape(len(found.true), -1).all(axis=1)
    return mean(correct.astype(found.weights.dtype), found.weights)


@higher_is_better(True)
def precision(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    average: str | None = "binary",
    pos_label: Numbers = 1,
    zero_division: Numbers = 0.0,
    threshold: Numbers | None = None,
    num_classes: int | None = None,
    multilabel: bool = False,
) -> Array:
    """The share of a class's predictions that are right, in [0, 1].

        precision = true positives / (true positives + false positives)

    Args:
      outputs: Scores `(rows, classes)`, or `(rows,)` or `(rows, 1)` for two classes; or
        predicted labels `(rows,)`, integers or bools.
      targets: Labels `(rows,)` or `(rows, 1)` in [0, classes), or distributions
        `(rows, classes)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN;
        a single row of weight 0 still makes its classes present.
      average: How classes are averaged. Static.
        "binary": only `pos_label` counts, of two classes.
        "macro": the mean over the classes present in targets or predictions.
        "weighted": that mean, each class weighted by its rows in the targets.
        "micro": of all classes' positives taken together.
        "samples": the mean over rows, of several labels each; implies `multilabel`.
        None: no average, each class by itself.
      pos_label: The class that "binary" measures, 0 or 1. Traced.
      zero_division: The value for a class without a denominator: 0, 1, or NaN, which
        averages leave out. Traced.
      threshold: Where one column of scores is split, or each of several labels. Traced; see
        `accuracy`.
      num_classes: How many classes predicted labels are of. Static; None takes the largest
        label + 1, at least 2, which must be known unless `average` is "binary". Scores need
        none: their columns are counted.
      multilabel: Whether a row can have several labels, 0 or 1 each; see `accuracy`. Each
        label is then a class that is always present, and "binary" is no average. Static.
    Returns:
      A number, shape `()`; or `(classes,)` where `average` is None.
    Raises:
      TypeError, ValueError: As `accuracy`, or `average` is none of the above, or "binary"
        with more than two classes or several labels, or `num_classes` is missing or wrong.
    Source: `sklearn.metrics.precision_score`.

    >>> outputs = jnp.array([[2.0], [1.0], [-1.0], [-3.0]])
    >>> print(precision(outputs, jnp.array([1, 0, 1, 1])))
    0.5
    """
    return _class_metric(
        "precision", lambda hits, guesses, support: (hits, guesses),
        outputs, targets, weights, average, pos_label, zero_division, threshold, num_classes,
        multilabel,
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
    threshold: Numbers | None = None,
    num_classes: int | None = None,
    multilabel: bool = False,
) -> Array:
    """The share of a class's rows that are found, in [0, 1].

        recall = true positives / (true positives + false negatives)

    Args:
      outputs: Scores `(rows, classes)`, or `(rows,)` or `(rows, 1)` for two classes; or
        predicted labels `(rows,)`, integers or bools.
      targets: Labels `(rows,)` or `(rows, 1)` in [0, classes), or distributions
        `(rows, classes)`.
      weights: `(rows,)`, >= 0; see `precision`.
      average: "binary", "macro", "weighted", "micro", "samples" or None. Static; see
        `precision`.
      pos_label: The class that "binary" measures, 0 or 1. Traced.
      zero_division: The value for a class without rows: 0, 1 or NaN. Traced.
      threshold: Where one column of scores is split, or each of several labels. Traced; see
        `accuracy`.
      num_classes: How many classes predicted labels are of. Static; see `precision`.
      multilabel: Whether a row can have several labels. Static; see `precision`.
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
        outputs, targets, weights, average, pos_label, zero_division, threshold, num_classes,
        multilabel,
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
    threshold: Numbers | None = None,
    num_classes: int | None = None,
    multilabel: bool = False,
) -> Array:
    """The harmonic mean of precision and recall, in [0, 1].

        F1 = 2 true positives / (2 true positives + false positives + false negatives)

    Args:
      outputs: Scores `(rows, classes)`, or `(rows,)` or `(rows, 1)` for two classes; or
        predicted labels `(rows,)`, integers or bools.
      targets: Labels `(rows,)` or `(rows, 1)` in [0, classes), or distributions
        `(rows, classes)`.
      weights: `(rows,)`, >= 0; see `precision`.
      average: "binary", "macro", "weighted", "micro", "samples" or None. Static; see
        `precision`.
      pos_label: The class that "binary" measures, 0 or 1. Traced.
      zero_division: The value for a class neither present nor predicted: 0, 1 or NaN.
        Traced.
      threshold: Where one column of scores is split, or each of several labels. Traced; see
        `accuracy`.
      num_classes: How many classes predicted labels are of. Static; see `precision`.
      multilabel: Whether a row can have several labels. Static; see `precision`.
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
        outputs, targets, weights, average, pos_label, zero_division, threshold, num_classes,
        multilabel,
    )  # fmt: skip


@higher_is_better(None)
def confusion_matrix(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    normalize: str | None = None,
    threshold: Numbers | None = None,
    num_classes: int | None = None,
) -> Array:
    """The number of rows by true class (down) and predicted class (across).

        C[j, k] = sum_i w_i [true_i = j][predicted_i = k]

    Args:
      outputs: Scores `(rows, classes)`, or `(rows,)` or `(rows, 1)` for two classes; or
        predicted labels `(rows,)`, integers or bools.
      targets: Labels `(rows,)` or `(rows, 1)` in [0, classes), or distributions
        `(rows, classes)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      normalize: What sums to 1: each row ("true"), each column ("pred"), "all", or
        nothing (None). What would be divided by 0 stays 0. Static.
      threshold: Where one column of scores is split. Traced; see `accuracy`.
      num_classes: How many classes predicted labels are of. Static; None takes the largest
        label + 1, at least 2, which must be known. Scores need none.
    Returns:
      `(classes, classes)`, floating.
    Raises:
      TypeError, ValueError: As `accuracy`, or `normalize` is none of the above, or
        `num_classes` is missing or wrong.
    Source: `sklearn.metrics.confusion_matrix`.

    >>> outputs = jnp.array([[2.0], [1.0], [-1.0], [3.0]])
    >>> print(confusion_matrix(outputs, jnp.array([1, 0, 1, 1])))
    [[0. 1.]
     [1. 2.]]
    """
    axes = {None: None, "true": 1, "pred": 0, "all": (0, 1)}
    checks.word("confusion_matrix", "normalize", normalize, *axes)
    num_classes = checked_num_classes("confusion_matrix", num_classes)
    found = predictions("confusion_matrix", outputs, targets, weights, threshold)
    predicted, true, weights, classes = with_classes("confusion_matrix", found, num_classes)
    # partial sums lose fewer digits than one long one; with many classes all are short
    parts = 1 + min(63, len(true) // classes**2)
    sums = jnp.zeros((parts, classes, classes), weights.dtype)
    sums = sums.at[jnp.arange(len(true)) % parts, true, predicted].add(weights)
    counts = jnp.where(jnp.isnan(weights[0]), jnp.nan, jnp.sum(sums, axis=0))
    if normalize is None:
        return counts
    return ratio_or(counts, jnp.sum(counts, axis=axes[normalize], keepdims=True), 0.0)


def _class_metric(
    function: str, ratio: Callable[..., tuple[Array, Array]], *arguments: Any
) -> Array:
    """Precision, recall and F1: numerator and denominator by class, divided and averaged."""
    outputs, targets, weights, average, pos_label, zero_division, threshold, *rest = arguments
    num_classes, multilabel = rest
    averages = "binary", "macro", "micro", "weighted", "samples", None
    checks.word(function, "average", average, *averages)
    multilabel = checks.flag(function, "multilabel", multilabel) or average == "samples"
    num_classes = checked_num_classes(function, num_classes)
    binary = average == "binary"
    rule = 'average must be "macro", "micro", "weighted", "samples" or None for several labels'
    checks.require(not (binary and multilabel), function, rule, '"binary"')
    found = predictions(function, outputs, targets, weights, threshold, multilabel)
    predicted, true, weights, classes = with_classes(function, found, num_classes, binary)
    rule = 'average must be "macro", "micro", "weighted" or None for more than two classes'
    checks.require(not binary or classes == 2, function, rule, f'"binary" for {classes}')
    dtype = weights.dtype
    pos_label = traced_number(function, "pos_label", pos_label, np.int32, 0, 1)
    zero_division = traced_number(function, "zero_division", zero_division, dtype, 0, 1, np.nan)

    def members_of(labels: Array) -> Array:
        return labels.astype(dtype) if multilabel else jax.nn.one_hot(labels, classes, dtype=dtype)

    is_true, is_predicted = members_of(true), members_of(predicted)
    members = (is_true * is_predicted, is_predicted, is_true)
    members = [member * weights[:, None] for member in members]
    if average == "samples":
        counts = [jnp.sum(member, axis=1) for member in members]
    else:
        counts = [row_sum(member) for member in members]
    if binary:
        counts = [count[pos_label] for count in counts]
    if average == "micro":
        counts = [jnp.sum(count) for count in counts]
    hits, guesses, support = counts
    scores = ratio_or(*ratio(hits, guesses, support), zero_division)
    # not left to 0 times NaN, which a compiler may take for 0
    scores = jnp.where(jnp.isnan(weights[0]), jnp.nan, scores)
    if average in ("binary", "micro", None):
        return scores

    shares = {"weighted": support, "samples": weights}.get(average, jnp.ones_like(support))
    counted = ~jnp.isnan(scores)
    if not multilabel:  # whose labels are all there, present or not
        counted &= jnp.any((is_true > 0) | (is_predicted > 0), axis=0)
    return average_of(scores, shares, counted)
