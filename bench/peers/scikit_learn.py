"""scikit-learn: `MLPClassifier.fit`.

Of two classes it makes one logistic output: the same function with less work, but Adam moves
the one weight half as far as the difference of two.
"""

import functools
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from bench.tasks import Task

TAKES_ORDERS = False


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    classifier = model(task)
    if params is not None:
        compiled_initial_state(task, classifier, x, y)
    return functools.partial(train, task, classifier, x, y, params)


def model(task: Task) -> MLPClassifier:
    """A new classifier for the task."""
    return MLPClassifier(
        task.sizes[1:-1],
        alpha=0,
        batch_size=task.batch_size,
        learning_rate_init=task.learning_rate,
        max_iter=task.epochs,
        n_iter_no_change=np.inf,
        random_state=0,
    )


def compiled_initial_state(
    task: Task, classifier: MLPClassifier, x: np.ndarray, y: np.ndarray
) -> MLPClassifier:
    """The same after an epoch: it starts from given weights only where it goes on from its own."""
    _fit(classifier.set_params(max_iter=1, warm_start=True), x, y)
    return classifier.set_params(max_iter=task.epochs)


def train(
    task: Task, classifier: MLPClassifier, x: np.ndarray, y: np.ndarray, params: list | None
) -> np.ndarray:
    """The losses of a run, from `params` where they are given and the classifier is `begun`."""
    if params is not None:
        if task.sizes[-1] == 2:
            weight, bias = params[-1]
            params = [*params[:-1], (np.diff(weight), np.diff(bias))]
        # copies, as it updates in place
        classifier.coefs_ = [weight.copy() for weight, _ in params]
        classifier.intercepts_ = [bias.copy() for _, bias in params]
    _fit(classifier, x, y)
    return np.asarray(classifier.loss_curve_[-task.epochs :])


def _fit(classifier: MLPClassifier, x: np.ndarray, y: np.ndarray) -> None:
    with warnings.catch_warnings():  # it would rather decide by itself when to end
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(x, y)
