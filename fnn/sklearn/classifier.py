"""`FNNClassifier`."""

import functools
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import type_of_target

from fnn._core import checks
from fnn.losses import sigmoid_cross_entropy, softmax_cross_entropy
from fnn.metrics import accuracy
from fnn.sklearn.base import NetworkEstimator, Task, checked_weights

__all__ = ["FNNClassifier"]

_SUBSET_ACCURACY = functools.partial(accuracy, multilabel=True)


class FNNClassifier(ClassifierMixin, NetworkEstimator):
    """A classifier, as scikit-learn's `MLPClassifier`: a network trained by `fnn.fit`.

    It takes two or more classes, or several labels a row (a matrix of 0 and 1). Parameters and
    attributes: `help(fnn.sklearn)`.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), FNNClassifier((16,), n_iter_no_change=None,
    ...                       learning_rate_init=0.01, random_state=0))
    >>> model.fit(x, y).score(x, y) > 0.95
    True
    """

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=1e-4,
        batch_size="auto",
        learning_rate_init=1e-3,
        max_iter=200,
        random_state=None,
        tol=1e-4,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        dropout=None,
        norm=None,
        class_weight=None,
    ):
        options = {name: value for name, value in locals().items()
                   if name not in ("self", "class_weight", "__class__")}  # fmt: skip
        super().__init__(**options)
        self.class_weight = class_weight

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X, y, sample_weight=None):
        """Trains the network.

        Args:
          X: `(rows, features)`, an array, a data frame or a sparse matrix, which is made dense.
          y: Labels `(rows,)`, or several per row `(rows, labels)` of 0 and 1.
          sample_weight: `(rows,)`, >= 0.
        Returns:
          The estimator.
        Raises:
          ValueError: Data or parameters are not as described, or training diverged.
        """
        X, y = self.begin(X, y)
        self.train_on(self.task(X, y, checked_weights(sample_weight, X)))
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):  # noqa: D417
        """One epoch on these rows, from where the last one ended.

        Args:
          X, y, sample_weight: As in `fit`.
          classes: All classes, in the first call.
        """
        first = not hasattr(self, "_state")
        X, y = self.validated(X, y, reset=first)
        y = _labels(y)
        if first:
            rule = "classes must be given in the first call of partial_fit"
            checks.require(classes is not None, "FNNClassifier", rule, "None")
            self.n_iter_, self.loss_curve_ = 0, []
            self._know_classes(np.asarray(classes) if np.ndim(y) == 1 else y)
        self.train_on(self.task(X, y, checked_weights(sample_weight, X)), epochs=1)
        return self

    def _know_classes(self, y: np.ndarray, same: bool = False) -> None:
        """Sets what classes there are; `same` where they must be those of the last fit."""
        kind = type_of_target(y, input_name="y")
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise ValueError(f"Unknown label type: FNNClassifier takes classes; got {kind}")
        several = kind == "multilabel-indicator"
        classes = np.arange(y.shape[1]) if several else np.unique(y)
        rule = "y must have at least two classes"
        checks.require(several or len(classes) > 1, "FNNClassifier", rule, "1 class")
        rule = "classes of y must be those of the last fit (warm_start=False begins anew)"
        fits = not same or np.array_equal(classes, self.classes_)
        checks.require(fits, "FNNClassifier", rule, classes)
        self._several, self.classes_, self.n_outputs_ = several, classes, len(classes)

    def begin(self, x, y):
        """Checks X and y of a first fit; returns both."""
        x, y = self.validated(x, y, reset=True)
        y = _labels(y)
        self._know_classes(y, same=self.warm_start and hasattr(self, "_state"))
        return x, y

    def task(self, x, y, weights):
        """Rows, loss and metric of a fit, from checked data."""
        if self.class_weight is not None:
            weights = weights * compute_sample_weight(self.class_weight, y)
        several = type_of_target(y) == "multilabel-indicator"
        rule = "y must hold several labels a row if it did at first, and only then"
        checks.require(several == self._several, "FNNClassifier", rule, f"shape {y.shape}")
        if several:
            y = np.asarray(y.toarray() if hasattr(y, "toarray") else y, x.dtype)
            return Task(x, y, weights, sigmoid_cross_entropy, _SUBSET_ACCURACY)
        rule = "labels of y must be among classes_"
        unknown = np.setdiff1d(y, self.classes_)
        checks.require(unknown.size == 0, "FNNClassifier", rule, unknown)
        labels = np.searchsorted(self.classes_, np.ravel(y)).astype(np.int32)
        return Task(x, labels, weights, softmax_cross_entropy, accuracy, labels)

    def predict_proba(self, X):
        """Probabilities `(rows, classes)`, or of each label, `(rows, labels)`."""
        outputs = self.outputs_for(X)
        if self._several:
            return expit(outputs.astype(np.float64)).astype(outputs.dtype)
        outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return outputs / outputs.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X):
        """Logarithms of `predict_proba`, finite where those are 0."""
        outputs = self.outputs_for(X)
        if self._several:
            return -np.logaddexp(0, -outputs)
        outputs = outputs - outputs.max(axis=1, keepdims=True)
        return outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))

    def predict(self, X):
        """The most probable class of each row, `(rows,)`; or 0 and 1, `(rows, labels)`."""
        outputs = self.outputs_for(X)
        if self._several:
            return (outputs > 0).astype(int)
        return self.classes_[outputs.argmax(axis=1)]


def _labels(y: Any) -> Any:
    """Labels `(rows,)`, for which a column may stand; or several per row."""
    return column_or_1d(y, warn=True) if np.ndim(y) == 2 and y.shape[1] == 1 else y
