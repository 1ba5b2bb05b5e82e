"""What metrics refuse."""

from functools import partial

import jax
import numpy as np
import pytest
from metric_cases import (
    ALL,
    CLASS_METRICS,
    OF_CLASSES,
    VALUE_METRICS,
    labels_of_three,
    labels_of_two,
    scores_of_three,
    scores_of_two,
    values_of_two,
)

from fnn import metrics


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"outputs": np.ones((4, 2), int)}, TypeError, "come before targets.*int"),
        ({"outputs": [["a"]] * 4}, TypeError, "outputs must hold numbers"),
        ({"outputs": np.ones(3)}, ValueError, r"targets must have .* \(3,\) or \(3, 1\)"),
        ({"outputs": 1.0}, ValueError, r"outputs must be \(rows, out\).*got shape \(\)"),
        ({"outputs": np.ones((2, 4, 1))}, ValueError, r"outputs must be \(rows, out\)"),
        ({"outputs": np.ones((0, 1)), "targets": []}, ValueError, "at least one row"),
        ({"outputs": np.ones((4, 0))}, ValueError, "at least one row and one column"),
        ({"targets": np.ones(3, int)}, ValueError, r"targets must have.*got shape \(3,\)"),
        ({"targets": np.ones((1, 4), int)}, ValueError, r"targets must have.*got shape \(1, 4\)"),
        ({"targets": np.ones((4, 2))}, ValueError, r"targets must have.*got shape \(4, 2\)"),
        ({"targets": 1}, ValueError, r"targets must have.*got shape \(\)"),
        ({"targets": ["a", "b", "a", "b"]}, TypeError, "targets must hold numbers"),
        ({"targets": [1.0, 0.0, np.nan, 1.0]}, ValueError, "targets must be finite"),
        ({"weights": np.ones(3)}, ValueError, r"weights must have shape \(4,\).*got shape \(3,\)"),
        ({"weights": np.ones((4, 1))}, ValueError, r"weights must have shape \(4,\)"),
        ({"weights": 1.0}, ValueError, r"weights must have shape \(4,\)"),
        ({"weights": [1.0, -2.0, 1.0, 1.0]}, ValueError, "weights must be >= 0; got -2"),
        ({"weights": [1.0, np.inf, 1.0, 1.0]}, ValueError, "weights must be finite"),
        ({"weights": ["a"] * 4}, TypeError, "weights must hold numbers"),
    ],
)
def test_bad_arrays_are_refused_in_the_metrics_name(metric, change, error, message):
    targets = values_of_two if metric in VALUE_METRICS else labels_of_two
    arguments = {"outputs": scores_of_two, "targets": targets, "weights": None} | change
    with pytest.raises(error, match=f"(?s)^{metric.__name__}: .*{message}"):
        metric(**arguments)


@pytest.mark.parametrize("metric", ALL)
def test_shapes_are_refused_while_tracing(metric):
    with pytest.raises(ValueError, match="targets must have"):
        jax.eval_shape(metric, scores_of_two, labels_of_two[:3])


@pytest.mark.parametrize(
    ("outputs", "targets", "error", "message"),
    [
        (scores_of_two, [0, 1, 2, 1], ValueError, "labels must be from 0 to 1.*got 2"),
        (scores_of_two, [1, -1, -1, 1], ValueError, "labels must be from 0 to 1.*got -1"),
        (scores_of_two, [0.0, 1.0, 0.5, 1.0], ValueError, "labels must be from 0 to 1.*got 0.5"),
        (scores_of_three, [0, 1, 3, 1], ValueError, "labels must be from 0 to 2.*got 3"),
        (scores_of_three, [0.0, 1.0, 2.0, 1.0], TypeError, "must be integers; got float32"),
        (scores_of_three, np.ones((4, 1)), TypeError, "must be integers; got float32"),
        (scores_of_three, np.full((4, 1), 3), ValueError, "labels must be from 0 to 2.*got 3"),
        (scores_of_three, np.ones((4, 2), int), ValueError, r"\(4,\), \(4, 1\) or \(4, 3\)"),
        (scores_of_two[:, 0], [0, 1, 2, 1], ValueError, r"\(4,\), scores of two .*got 2"),
        (scores_of_three, np.ones((4, 3), int), ValueError, r"multilabel=True.*got \[1 1 1\]"),
        (scores_of_three, np.eye(3)[[0, 1, 2, 2]] * 2 - 1 / 3, ValueError, "distributions"),
    ],
)
@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_what_is_no_label_is_refused(metric, outputs, targets, error, message):
    if metric in CLASS_METRICS.values():
        metric = partial(metric, average="macro")
    with pytest.raises(error, match=message):
        metric(outputs, targets)


@pytest.mark.parametrize("metric", CLASS_METRICS.values())
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"average": "sample"}, ValueError, "average must be 'binary', .*got 'sample'"),
        ({"multilabel": 1}, TypeError, "multilabel must be True or False; got 1"),
        ({"num_classes": 3}, ValueError, "num_classes must be that of the outputs, 2; got 3"),
        ({"num_classes": 1}, ValueError, "num_classes must be an integer >= 2"),
        ({"num_classes": 2.0}, TypeError, "num_classes must be an integer >= 2"),
        ({"average": np.ones(3)}, ValueError, "average must be"),
        ({"pos_label": 2}, ValueError, "pos_label must be 0 or 1; got 2"),
        ({"pos_label": [0, 1]}, ValueError, "pos_label must be 0 or 1; got shape"),
        ({"zero_division": 0.5}, ValueError, "zero_division must be 0 or 1 or nan; got 0.5"),
        ({"zero_division": "warn"}, TypeError, "zero_division must be .*; got warn"),
        ({"threshold": np.nan}, ValueError, "threshold must be a number; got nan"),
        ({"threshold": "0.5"}, TypeError, "threshold must be a number; got 0.5"),
        ({"threshold": [0.5]}, ValueError, r"threshold must be a number; got shape \(1,\)"),
    ],
)
def test_bad_options_are_refused(metric, options, error, message):
    with pytest.raises(error, match=f"^{metric.__name__}: {message}"):
        metric(scores_of_two, labels_of_two, **options)


@pytest.mark.parametrize("metric", CLASS_METRICS.values())
def test_binary_is_refused_for_more_than_two_classes_naming_the_others(metric):
    with pytest.raises(ValueError, match=r'"macro", "micro", "weighted" or None.*got "binary"'):
        metric(scores_of_three, labels_of_three)


def test_bad_words_are_refused():
    with pytest.raises(ValueError, match="normalize must be None, 'true', 'pred' or 'all'"):
        metrics.confusion_matrix(scores_of_two, labels_of_two, normalize="rows")
    for metric in VALUE_METRICS:
        with pytest.raises(ValueError, match="multioutput must be 'uniform_average'"):
            metric(scores_of_two, labels_of_two, multioutput="mean")
    with pytest.raises(ValueError, match="multioutput must be"):
        metrics.mean_squared_error(scores_of_two, labels_of_two, multioutput="variance_weighted")


def test_roc_auc_of_many_classes_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"measure one against the rest.*got shape \(4, 3\)"):
        metrics.roc_auc(scores_of_three, labels_of_three)
