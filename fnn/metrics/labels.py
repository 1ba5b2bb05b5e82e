"""What metrics of classes compare: the true and the predicted class, or labels, of each row."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dtypes import at_least_float32
from fnn.metrics.common import check_values, checked_outputs, checked_weights, traced_number
from fnn.types import Array, Numbers

# one-hot arrays of as many classes as a label like an order number would show fill the memory
_MANY = 10_000


class Predictions(NamedTuple):
    """What is predicted and what is true. Of several labels a row, each label is 0 or 1."""

    predicted: Array
    """int32 `(rows,)`, or `(rows, labels)`."""
    true: Array
    """int32, of the same shape."""
    weights: Array
    """`(rows,)`, in the dtype to compute in; NaN where the rest is unsound."""
    classes: int | None
    """How many classes, or labels, there are; None where only labels are known."""


def predictions(
    function: str,
    outputs: Any,
    targets: Any,
    weights: Any,
    threshold: Numbers | None,
    multilabel: bool = False,
) -> Predictions:
    """Predictions by scores, or those given: integers or bools in their place."""
    outputs = checks.numbers(function, "outputs", outputs)
    if _whole(outputs):
        rule = "threshold must be left out, as predicted labels are not split (scores are floating)"
        checks.require(threshold is None, function, rule, threshold)
        return _given(function, outputs, targets, weights, multilabel)
    doubtful = threshold is None and (multilabel or outputs.ndim == 1)
    outputs, true, weights = scores(function, outputs, targets, weights, multilabel)
    if doubtful:
        _check_scale(function, outputs)
    threshold = 0.0 if threshold is None else threshold
    threshold = traced_number(function, "threshold", threshold, outputs.dtype)
    if multilabel or outputs.shape[1] == 1:
        predicted = (outputs > threshold).astype(np.int32).reshape(true.shape)
    else:
        predicted = jnp.argmax(outputs, axis=1).astype(np.int32)
    classes = outputs.shape[1] if multilabel else max(outputs.shape[1], 2)
    return Predictions(predicted, true, weights, classes)


def scores(
    function: str, outputs: Array | np.ndarray, targets: Any, weights: Any, multilabel: bool = False
) -> tuple[Array, Array, Array]:
    """Scores `(rows, columns)`, what is true, and weights `(rows,)`, NaN if unsound.

    Outputs are an array, as `checks.numbers` makes it.
    """
    shape = outputs.shape
    outputs = checked_outputs(function, outputs)
    weights = checked_weights(function, weights, outputs)
    if multilabel:
        true, classes = _indicators(function, targets, shape), 2
    else:
        true, classes = _labels(function, targets, shape), max(outputs.shape[1], 2)
    sound = _in_range(true, classes) & ~jnp.any(jnp.isnan(outputs)) & jnp.any(weights > 0)
    return outputs, true, jnp.where(sound, weights, jnp.nan)


def with_classes(
    function: str, found: Predictions, num_classes: int | None, binary: bool = False
) -> tuple[Array, Array, Array, int]:
    """The predictions and how many classes they are of, given or known by their values."""
    predicted, true, weights, classes = found
    if classes is not None:
        rule = f"num_classes must be that of the outputs, {classes}"
        checks.require(num_classes in (None, classes), function, rule, num_classes)
        return predicted, true, weights, classes
    known = [checks.concrete(labels) for labels in (predicted, true)]
    highest = max((labels.max() for labels in known if labels is not None), default=1)
    if num_classes is None:
        rule = (
            f"num_classes must be given for predicted labels from {_MANY} (to number the classes: "
            "names, labels = np.unique(labels, return_inverse=True))"
        )
        checks.require(highest < _MANY, function, rule, f"label {highest}")
        rule = "num_classes must be given for predicted labels whose values are not known"
        sure = binary or all(labels is not None for labels in known)
        checks.require(sure, function, rule, "None")
        num_classes = max(int(highest) + 1, 2)
    rule = f"labels must be from 0 to {num_classes - 1}, as num_classes is {num_classes}"
    checks.require(highest < num_classes, function, rule, highest)
    sound = _in_range(predicted, num_classes) & _in_range(true, num_classes)
    return predicted, true, jnp.where(sound, weights, jnp.nan), num_classes


def checked_num_classes(function: str, num_classes: Any) -> int | None:
    """How many classes there are, static; None where it was not given."""
    if num_classes is None:
        return None
    return checks.count(function, "num_classes", num_classes, at_least=2)


def _whole(array: Any) -> bool:
    return array.dtype.kind in "biu"


def _in_range(labels: Array, classes: int) -> Array:
    return jnp.all((labels >= 0) & (labels < classes))


def _given(
    function: str, outputs: Any, targets: Any, weights: Any, multilabel: bool
) -> Predictions:
    """Predicted labels in place of scores."""
    shown = f"{outputs.dtype}{outputs.shape}"
    if multilabel:
        true, classes = _indicators(function, targets, outputs.shape), outputs.shape[1]
        check_values(function, "predictions of several labels must be 0 or 1", outputs, _is_01)
        predicted = _rounded(outputs)
        sound = _in_range(predicted, 2) & _in_range(true, 2)
    else:
        rule = (
            "outputs, which come before targets, must be scores (floating) or predicted labels "
            "(rows,); integers (rows, columns) may be one class a row (outputs.argmax(axis=1)), "
            "several labels a row (multilabel=True, in metrics that have it) or scores "
            "(outputs.astype(float))"
        )
        columns = outputs.ndim == 2 and outputs.shape[1] > 1
        checks.require(not columns, function, rule, shown, TypeError)
        rule = "outputs must be (rows, out) or (rows,), with at least one row and one column"
        sound = outputs.ndim in (1, 2) and outputs.size > 0
        checks.require(sound, function, rule, f"shape {outputs.shape}")
        check_values(function, "predicted labels must be >= 0", outputs, lambda v: v >= 0)
        predicted = _rounded(outputs).reshape(-1)
        true, classes = _labels_beside(function, targets, len(predicted)), None
        sound = jnp.all(predicted >= 0) & jnp.all(true >= 0)
    weights = checked_weights(function, weights, outputs)
    sound &= jnp.any(weights > 0)
    return Predictions(predicted, true, jnp.where(sound, weights, jnp.nan), classes)


def _labels_beside(function: str, targets: Any, rows: int) -> Array:
    """The true class of each row where predicted labels are given, int32 `(rows,)`."""
    targets = checks.array(function, "targets", targets)
    shown = f"{targets.dtype}{targets.shape}"
    rule = (
        f"targets must have shape {(rows,)} or {(rows, 1)} beside predicted labels, which come "
        "before targets (of distributions: targets.argmax(axis=1))"
    )
    checks.require(targets.shape in [(rows,), (rows, 1)], function, rule, f"shape {targets.shape}")
    targets = targets.reshape(rows)
    if not _whole(targets):
        # scores in the place of targets, perhaps, which only their values rule out
        rule = (
            "labels beside predicted labels must be integers, or floats known to be 0 or 1 "
            "(scores come before targets)"
        )
        checks.require(checks.concrete(targets) is not None, function, rule, shown, TypeError)
        check_values(function, rule, targets, _is_01)
    check_values(function, "labels must be >= 0", targets, lambda v: v >= 0)
    return _rounded(targets)


def _check_scale(function: str, scores: Array) -> None:
    """Raises where scores may be logits or probabilities, and it makes a difference which."""
    known = checks.concrete(scores)
    if known is None:
        return
    probable = bool(((known >= 0) & (known <= 1)).all())
    rule = (
        "threshold must be given for scores that are all from 0 to 1: they may be probabilities "
        "(threshold=0.5) or logits (threshold=0)"
    )
    same = not probable or bool(((known == 0) | (known > 0.5)).all())
    checks.require(same, function, rule, "None")


def _indicators(function: str, targets: Any, shape: tuple[int, ...]) -> Array:
    """Which labels each row has, int32 0 or 1 of shape `(rows, labels)`, as outputs have.

    It is -1 for what turns out to be neither once compiled.
    """
    rule = "outputs of several labels a row must be (rows, labels), with at least one of each"
    checks.require(len(shape) == 2 and 0 not in shape, function, rule, f"shape {shape}")
    targets = checks.array(function, "targets", targets)
    rule = f"targets must have shape {shape}, as outputs of several labels a row"
    checks.require(targets.shape == shape, function, rule, f"shape {targets.shape}")
    check_values(function, "targets of several labels a row must be 0 or 1", targets, _is_01)
    return _exact(_rounded(targets), jnp.asarray(targets))


def _labels(function: str, targets: Any, shape: tuple[int, ...]) -> Array:
    """The true class of each row, int32 of shape `(rows,)`, for scores of this shape.

    It is -1 for what turns out to be none once compiled.
    """
    targets = checks.array(function, "targets", targets)
    rows, columns = shape[0], shape[1] if len(shape) == 2 else 1
    accepted = [(rows,), (rows, 1)] + [(rows, columns)] * (columns > 1)
    shapes = ", ".join(map(str, accepted[:-1]))
    rule = f"targets must have shape {shapes} or {accepted[-1]}, as outputs are {shape}"
    checks.require(targets.shape in accepted, function, rule, f"shape {targets.shape}")
    if columns > 1 and targets.shape == (rows, columns):
        rule = (
            "targets (rows, classes) must be distributions: each row >= 0, with sum 1 "
            "(several labels a row, 0 or 1 each: multilabel=True, in metrics that have it)"
        )
        check_values(function, rule, targets, _are_distributions)
        targets = jnp.asarray(targets)
        known = _are_distributions(targets.astype(at_least_float32(targets.dtype)))
        return jnp.where(known, jnp.argmax(targets, axis=1), -1).astype(np.int32)
    rule = "labels of several classes must be integers"
    checks.require(_whole(targets) or columns == 1, function, rule, targets.dtype, TypeError)
    classes = np.arange(max(columns, 2))
    rule = f"labels must be from 0 to {classes[-1]}, as outputs are {shape}"
    if columns == 1:
        rule += ", scores of two classes (predicted labels would be integers)"
    check_values(function, rule, targets, lambda labels: np.isin(labels, classes))
    return _rounded(targets.reshape(rows))


def _rounded(targets: Any) -> Array:
    """Labels as int32, -1 for those beyond; floats count as 1 where greater than 0.5."""
    targets = jnp.asarray(targets)
    if not _whole(targets):
        return (targets > 0.5).astype(np.int32)
    return _exact(targets.astype(np.int32), targets)


def _exact(labels: Array, targets: Array) -> Array:
    """Labels, -1 where one is not the target that it was made of."""
    return jnp.where(labels.astype(targets.dtype) == targets, labels, -1)


def _are_distributions(rows: Any) -> Any:
    return (rows >= 0).all(axis=1) & (abs(rows.sum(axis=1) - 1) < 0.01)


def _is_01(values: Any) -> Any:
    return (values == 0) | (values == 1)
