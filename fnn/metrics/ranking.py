"""Metrics of scores: how surely the right class is above the other."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from fnn._core import checks
from fnn._core.reductions import row_sum
from fnn.metrics.common import higher_is_better, ratio_or
from fnn.metrics.labels import scores
from fnn.types import Array


@higher_is_better(True)
def roc_auc(
    outputs: ArrayLike,
    targets: Any,
    weights: Any = None,
    *,
    average: str | None = "macro",
    multilabel: bool = False,
) -> Array:
    """The chance that a row of class 1 scores above a row of class 0, in [0, 1].

    It is the area under the curve of true against false positive rates over all
    thresholds; ties count half:

        AUC = sum_ij w_i w_j ([s_i > s_j] + [s_i = s_j] / 2) / sum_ij w_i w_j
              (i over the rows of class 1, j over those of class 0)

    Args:
      outputs: Scores `(rows,)` or `(rows, 1)`, or `(rows, 2)`, whose score is s[1] - s[0], for
        logits as for probabilities, compared without rounding. For more classes, measure the
        probabilities of each against the rest, as scikit-learn does:
        `roc_auc(probabilities[:, k], labels == k)`. Predicted labels are no scores.
      targets: Labels `(rows,)` or `(rows, 1)`, 0 or 1, or distributions `(rows, 2)`.
      weights: `(rows,)`, >= 0; None counts every row once. Weights that sum to 0 give NaN.
      average: How several labels are averaged. Static.
        "macro": the mean over labels.
        "weighted": that mean, each label weighted by the rows that have it, so that a label
        of no row does not count; 0 where no row has a label.
        "micro": of the scores of all labels taken together.
        "samples": the mean over rows of the area over a row's labels; implies `multilabel`.
        None: no average, each label by itself.
      multilabel: Whether a row can have several labels. Then outputs are scores
        `(rows, labels)`, and targets are 0 or 1, of that shape. Static.
    Returns:
      A number, shape `()`; or `(labels,)` where `average` is None. NaN where a class has no
      rows, or no weight; so is a mean over labels, or rows, if one that counts is NaN.
    Raises:
      TypeError, ValueError: As `accuracy`, or outputs are predicted labels, or have more than
        two columns without `multilabel`, or `average` is none of the above, or is given
        without `multilabel`.
    Source: Hanley & McNeil 1982, "The meaning and use of the area under a ROC curve";
      `sklearn.metrics.roc_auc_score`.

    >>> outputs = jnp.array([[0.1], [0.4], [0.35], [0.8]])
    >>> print(roc_auc(outputs, jnp.array([0, 0, 1, 1])))
    0.75
    >>> outputs, targets = jnp.array([[0.1, 0.9], [0.4, 0.2]]), jnp.array([[0, 1], [1, 0]])
    >>> print(roc_auc(outputs, targets, average=None, multilabel=True))
    [1. 1.]
    """
    checks.word("roc_auc", "average", average, "macro", "micro", "weighted", "samples", None)
    multilabel = checks.flag("roc_auc", "multilabel", multilabel) or average == "samples"
    rule = "average must be left out unless rows have several labels (multilabel=True)"
    checks.require(multilabel or average == "macro", "roc_auc", rule, repr(average))
    outputs = checks.numbers("roc_auc", "outputs", outputs)
    rule = (
        "outputs, which come before targets, must be scores (floating), by which rows are "
        "ordered: predicted labels are none"
    )
    shown = f"{outputs.dtype}{outputs.shape}"
    checks.require(outputs.dtype.kind not in "biu", "roc_auc", rule, shown, TypeError)
    outputs, true, weights = scores("roc_auc", outputs, targets, weights, multilabel)
    outputs = outputs.astype(weights.dtype)
    if multilabel:
        return _of_labels(outputs, true, weights, average)
    rule = (
        "outputs must have one column or two (of more classes, measure one against the rest; "
        "of several labels a row, multilabel=True)"
    )
    checks.require(outputs.shape[1] <= 2, "roc_auc", rule, f"shape {outputs.shape}")
    return _area(*_score(outputs), true, weights)


def _of_labels(outputs: Array, true: Array, weights: Array, average: str | None) -> Array:
    """The areas of several labels, `(rows, labels)`, averaged as scikit-learn does."""
    if average == "micro":
        repeated = jnp.repeat(weights, outputs.shape[1])
        return _area(outputs.ravel(), jnp.zeros_like(repeated), true.ravel(), repeated)
    if average == "samples":
        outputs, true, shares, weights = outputs.T, true.T, weights, jnp.ones_like(outputs[0])
    elif average == "weighted":
        shares = row_sum(true.astype(weights.dtype) * weights[:, None])
    else:
        shares = jnp.ones_like(outputs[0])
    area = jax.vmap(_area, in_axes=(1, None, 1, None))
    areas = area(outputs, jnp.zeros_like(weights), true, weights)
    if average is None:
        return areas
    total = row_sum(shares)
    counted = row_sum(jnp.where(shares == 0, 0, areas * shares))
    # not left to 0 times NaN, which a compiler may take for 0
    sound = ~jnp.isnan(weights[0] * shares[0])
    return jnp.where(sound, ratio_or(counted, total, 0.0), jnp.nan)


def _area(score: Array, remainder: Array, true: Array, weights: Array) -> Array:
    """The area for scores `(rows,)`, of which ties are ordered by the remainder."""
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
