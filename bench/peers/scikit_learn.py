"""scikit-learn: `MLPClassifier.fit`.

Of two classes it makes one logistic output: the same function with less work, but Adam moves
the one weight half as far as the difference of two.
"""

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from bench.tasks import Task

TAKES_ORDERS = False


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as told in `bench.peers`."""
    model = MLPClassifier(
        task.sizes[1:-1],
        alpha=0,
        batch_size=task.batch_size,
        learning_rate_init=task.learning_rate,
        max_iter=task.epochs,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    if params is not None:
        # it starts from given weights only where it goes on from its own
        _fit(model.set_params(max_iter=1, warm_start=True), x, y).set_params(max_iter=task.epochs)
        weight, bias = params[-1]
        if task.sizes[-1] == 2:
            weight, bias = np.diff(weight), np.diff(bias)
        params = [*params[:-1], (weight, bias)]

    def run() -> np.ndarray:
        if params is not None:  # copies, as it updates in place
            model.coefs_ = [weight.copy() for weight, _ in params]
            model.intercepts_ = [bias.copy() for _, bias in params]
        _fit(model, x, y)
        return np.asarray(model.loss_curve_[-task.epochs :])

    return run


def _fit(model: MLPClassifier, x: np.ndarray, y: np.ndarray) -> MLPClassifier:
    with warnings.catch_warnings():  # it would rather decide by itself when to end
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)
