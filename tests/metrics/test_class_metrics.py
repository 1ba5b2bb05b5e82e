"""Metrics of classes against scikit-learn's, which define them, in float64."""

import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from metric_cases import (
    AVERAGES,
    CLASS_METRICS,
    OF_CLASSES,
    ROWS,
    accuracy,
    assert_close,
    differing,
    labels_of_three,
    labels_of_two,
    roc_auc,
    scores_of_three,
    scores_of_two,
)

from fnn import metrics

# --- Classes, against scikit-learn ---


@partial(jax.jit, static_argnums=4)
def all_of_classes(outputs, targets, weights, zero_division, classes):
    """Every metric of classes with every static option: one program for each shape."""
    arguments = outputs, targets, weights
    values = {"accuracy": metrics.accuracy(*arguments)}
    for normalize in (None, "true", "pred", "all"):
        values[f"confusion {normalize}"] = metrics.confusion_matrix(*arguments, normalize=normalize)
    for name, metric in CLASS_METRICS.items():
        metric = partial(metric, *arguments, zero_division=zero_division)
        for average in AVERAGES:
            values[f"{name} {average}"] = metric(average=average)
        for pos_label in (0, 1) if classes == 2 else ():
            values[f"{name} binary {pos_label}"] = metric(pos_label=pos_label)
    return values


def sklearn_of_classes(predicted, targets, weights, zero_division, classes):
    options = {"sample_weight": weights.astype(np.float64)}
    labels = range(classes)
    values: dict[str, Any] = {"accuracy": sk.accuracy_score(targets, predicted, **options)}
    for normalize in (None, "true", "pred", "all"):
        values[f"confusion {normalize}"] = sk.confusion_matrix(
            targets, predicted, labels=labels, normalize=normalize, **options
        )
    choices: dict[Any, dict[str, Any]] = {average: {"average": average} for average in AVERAGES}
    choices[None]["labels"] = labels
    if classes == 2:
        choices |= {f"binary {k}": {"average": "binary", "pos_label": k} for k in (0, 1)}
    for choice, static in choices.items():
        three = sk.precision_recall_fscore_support(
            targets, predicted, zero_division=zero_division, **static, **options
        )
        values |= {f"{name} {choice}": three[i] for i, name in enumerate(CLASS_METRICS)}
    return values


def class_cases(classes, rng):
    """Predictions and targets: ordinary ones, and those where something is absent."""
    some = rng.integers(0, classes, ROWS)
    yield "random", rng.integers(0, classes, ROWS), some
    yield "mostly right", np.where(rng.random(ROWS) < 0.8, some, (some + 1) % classes), some
    yield "all right", some, some
    yield "all wrong", (some + 1) % classes, some
    yield "last class absent", np.minimum(some, classes - 2), np.minimum(some[::-1], classes - 2)
    yield "last class never predicted", np.minimum(some, classes - 2), some
    yield "first class never true", some, np.maximum(some, 1)
    yield "one class only", np.full(ROWS, classes - 1), np.full(ROWS, classes - 1)
    yield "one class, always wrong", np.full(ROWS, 0), np.full(ROWS, classes - 1)


def weighted_cases(targets, rng):
    """Weights, and the value of a division by zero."""
    yield np.ones(ROWS), 0.0
    yield np.ones(ROWS), np.nan
    yield rng.random(ROWS) * (rng.random(ROWS) < 0.6), 1.0
    if targets.any():
        yield rng.random(ROWS) * (targets != 0), np.nan


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_metrics_of_classes_equal_sklearns(columns):
    rng = np.random.default_rng(columns)
    classes = max(columns, 2)
    for case, predicted, targets in class_cases(classes, rng):
        outputs = rng.normal(size=(ROWS, columns)).astype(np.float32)
        if columns == 1:
            outputs = np.where(predicted == 1, 1, -1)[:, None] * np.abs(outputs)
        else:
            outputs[np.arange(ROWS), predicted] += 9
        for weights, zero_division in weighted_cases(targets, rng):
            options = weights.astype(np.float32), zero_division, classes
            actual = all_of_classes(outputs, targets, *options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = sklearn_of_classes(predicted, targets, *options)
            assert not differing(actual, expected), (case, weights, zero_division)


def test_one_column_is_class_1_only_strictly_above_the_threshold():
    outputs = np.array([[0.0], [0.25], [0.5], [1.0]])
    assert accuracy(outputs, np.array([0, 1, 1, 1])) == 1
    assert accuracy(outputs, np.array([0, 0, 0, 1]), threshold=0.5) == 1
    assert accuracy(outputs.astype(jnp.bfloat16), np.array([0, 0, 1, 1]), threshold=0.25) == 1


def test_the_first_of_equal_scores_is_predicted():
    assert accuracy(np.zeros((4, 3)), np.zeros(4, int)) == 1


def test_a_masked_class_is_never_predicted():
    outputs = np.array([[-np.inf, -5, -9], [1, -np.inf, 0], [0, -np.inf, 0], [0, 1, -np.inf]])
    assert accuracy(outputs, np.array([1, 0, 0, 1])) == 1


@pytest.mark.parametrize(
    "targets",
    [
        labels_of_two.tolist(),
        labels_of_two.astype(bool),
        labels_of_two.astype(np.uint8),
        labels_of_two.astype(np.float32),
        labels_of_two.astype(np.float64),
        jnp.asarray(labels_of_two, jnp.bfloat16),
        labels_of_two[:, None],
        labels_of_two[:, None].astype(np.float32),
    ],
)
@pytest.mark.parametrize("metric", [*OF_CLASSES.values(), metrics.roc_auc])
def test_one_column_takes_integer_bool_and_float_labels_in_either_shape(metric, targets):
    expected = metric(scores_of_two, labels_of_two)
    assert_close(metric(scores_of_two, targets), expected)


@pytest.mark.parametrize("dtype", [int, bool, np.float32, np.float64, jnp.bfloat16])
def test_distributions_count_as_their_largest_class(dtype):
    one_hot = np.eye(3)[labels_of_three].astype(dtype)
    expected = metrics.confusion_matrix(scores_of_three, labels_of_three)
    assert_close(metrics.confusion_matrix(scores_of_three, one_hot), expected)
    smooth = 0.7 * np.eye(3)[labels_of_three] + 0.1
    assert_close(metrics.confusion_matrix(scores_of_three, smooth), expected)


def test_a_class_present_only_in_rows_of_weight_0_counts_in_the_mean():
    measure = jax.jit(partial(metrics.recall, average="macro"))
    weights = np.array([1, 1, 0, 0])
    assert_close(measure(np.eye(3)[labels_of_three], labels_of_three, weights), 2 / 3)


# --- The area under the curve ---


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("ties", ["none", "many", "all"])
def test_roc_auc_equals_sklearns(columns, ties):
    rng = np.random.default_rng(columns)
    for _ in range(8):
        outputs = rng.normal(size=(ROWS, columns)).astype(np.float32)
        outputs = {"none": outputs, "many": np.round(outputs), "all": 0 * outputs}[ties]
        targets = rng.integers(0, 2, ROWS)
        targets[:2] = 0, 1
        score = outputs[:, 0] if columns == 1 else np.diff(outputs.astype(np.float64))[:, 0]
        for weights in (np.ones(ROWS), rng.random(ROWS), rng.integers(0, 2, ROWS) + targets):
            weights = weights.astype(np.float32)
            expected = sk.roc_auc_score(targets, score, sample_weight=weights)
            assert_close(roc_auc(outputs, targets, weights), expected)


def test_roc_auc_is_the_share_of_pairs_in_order_with_ties_as_half():
    rng = np.random.default_rng(0)
    score, targets = rng.integers(0, 5, ROWS), rng.integers(0, 2, ROWS)
    pairs = score[targets == 1][:, None] - score[targets == 0][None]
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert_close(roc_auc(score[:, None].astype(np.float32), targets, np.ones(ROWS)), expected)


@pytest.mark.parametrize("targets", [np.zeros(ROWS, int), np.ones(ROWS, int)])
def test_roc_auc_of_one_class_is_nan(targets):
    outputs = np.linspace(0, 1, ROWS, dtype=np.float32)[:, None]
    assert np.isnan(roc_auc(outputs, targets, np.ones(ROWS)))
    assert np.isnan(roc_auc(outputs, np.arange(ROWS) % 2, (targets == np.arange(ROWS) % 2) * 1.0))


def test_roc_auc_of_negative_zero_and_zero_is_a_tie():
    outputs = np.array([[-0.0], [0.0], [-0.0], [0.0]])
    assert roc_auc(outputs, np.array([0, 1, 0, 1]), np.ones(4)) == 0.5
    assert roc_auc(outputs, np.array([1, 0, 1, 0]), np.ones(4)) == 0.5


def test_roc_auc_of_two_columns_is_exact_where_their_rounded_difference_ties():
    rare = np.array([1e-12, 3e-12, 2e-9, 1e-9, 4e-5, 1e-5] * 4, np.float32)
    targets = np.array([0, 1, 1, 0, 1, 0] * 4)
    probabilities = np.stack([1 - rare, rare], axis=1)
    assert len(np.unique(np.diff(probabilities))) < len(np.unique(rare))
    expected = sk.roc_auc_score(targets, rare)
    assert_close(roc_auc(probabilities, targets, np.ones(ROWS)), expected)
    assert_close(roc_auc(probabilities[:, ::-1], 1 - targets, np.ones(ROWS)), expected)


def test_roc_auc_of_two_columns_is_the_same_from_logits_and_probabilities():
    rng = np.random.default_rng(1)
    logits = (5 * rng.normal(size=(ROWS, 2))).astype(np.float32)
    targets = rng.integers(0, 2, ROWS)
    from_logits = roc_auc(logits, targets, np.ones(ROWS))
    assert_close(roc_auc(jax.nn.softmax(logits), targets, np.ones(ROWS)), from_logits)


def test_roc_auc_of_infinite_logits_is_finite():
    outputs = np.array([[-np.inf, 0], [0, 1], [0, -np.inf]])
    assert roc_auc(outputs, np.array([1, 1, 0]), np.ones(3)) == 1
