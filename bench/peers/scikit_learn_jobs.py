"""scikit-learn: an `MLPClassifier.fit` for each network, by joblib in two processes."""

import dataclasses
from collections.abc import Callable

import numpy as np
from joblib import Parallel, delayed

from bench.peers import scikit_learn
from bench.tasks import Task

TAKES_ORDERS = False


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    one = dataclasses.replace(task, lanes=1)
    models = [scikit_learn.model(one) for _ in range(task.lanes)]
    lanes = [None] * task.lanes
    if params is not None:
        lanes = [[(w[i], b[i]) for w, b in params] for i in range(task.lanes)]
        models = [scikit_learn.compiled_initial_state(one, model, x, y) for model in models]

    def run() -> np.ndarray:
        jobs = (
            delayed(scikit_learn.train)(one, model, x, y, lane)
            for model, lane in zip(models, lanes, strict=True)
        )
        return np.stack(Parallel(n_jobs=2)(jobs))

    return run
