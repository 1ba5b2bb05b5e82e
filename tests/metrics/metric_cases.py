"""Metrics of classes and of values beside those of scikit-learn, and small cases of both."""

from functools import partial

import jax
import numpy as np
import sklearn.metrics as sk

from fnn import metrics

ROWS = 24
AVERAGES = ("macro", "micro", "weighted", None)
CLASS_METRICS = {
    "precision": metrics.precision,
    "recall": metrics.recall,
    "f1": metrics.f1,
}
OF_CLASSES = {**CLASS_METRICS, "accuracy": metrics.accuracy, "confusion": metrics.confusion_matrix}
OF_VALUES = {
    "mae": (metrics.mean_absolute_error, sk.mean_absolute_error),
    "mse": (metrics.mean_squared_error, sk.mean_squared_error),
    "rmse": (metrics.root_mean_squared_error, sk.root_mean_squared_error),
    "r2": (metrics.r2, sk.r2_score),
}
VALUE_METRICS = [metric for metric, _ in OF_VALUES.values()]
ALL = [getattr(metrics, name) for name in metrics.__all__]

scores_of_two = np.array([[1.0], [-1.0], [2.0], [0.5]], np.float32)
labels_of_two = np.array([1, 0, 0, 1])
values_of_two = np.array([1.5, -0.5, 2.0, 1.0], np.float32)
scores_of_three = np.array([[2, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 3]], np.float32)
labels_of_three = np.array([0, 1, 2, 2])


def assert_close(actual, expected, rtol=1e-6, atol=1e-6):
    np.testing.assert_allclose(np.asarray(actual, np.float64), expected, rtol=rtol, atol=atol)


def differing(actual, expected, tolerance=1e-6):
    """The names under which two dictionaries of values differ."""
    assert actual.keys() == expected.keys()
    near = partial(np.allclose, rtol=tolerance, atol=tolerance, equal_nan=True)
    return [name for name in expected if not near(actual[name], expected[name])]


accuracy, roc_auc, r2 = map(jax.jit, (metrics.accuracy, metrics.roc_auc, metrics.r2))
