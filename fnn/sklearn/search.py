"""`FNNSearchCV`: a search over parameters whose fits are lanes of a few compiled programs."""

import copy
import time
import warnings
from collections import defaultdict
from numbers import Integral, Real
from typing import Any

import jax
import joblib
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing, check_random_state

from fnn._core import checks
from fnn._core.dataset import Subset
from fnn.sklearn.base import (
    NetworkEstimator,
    Rows,
    Task,
    checked_weights,
    precision,
    watches,
)
from fnn.sweeps.columns import Lanes
from fnn.sweeps.sweep import sweep
from fnn.training.fit import Fit

__all__ = ["FNNSearchCV"]

# Numbers that fits of one program may differ in. All other parameters are structure.
_NUMBERS = (
    *("alpha", "learning_rate_init", "tol", "n_iter_no_change", "dropout"),
    *("momentum", "beta_1", "beta_2", "epsilon"),
)


class FNNSearchCV(BaseSearchCV):
    """A search over parameters, as scikit-learn's `GridSearchCV`, with all fits in lanes.

    Candidates that differ in numbers only, on all folds, are lanes of one compiled program, as in
    `fnn.sweep`. Those that differ in other parameters (sizes, activation, solver, `batch_size`,
    `max_iter`, ...) are trained group after group. Splits, first parameters and batches are those
    of `GridSearchCV`, so scores are the same up to rounding.

    Args:
      estimator: An `FNNClassifier` or `FNNRegressor`, by itself. Where its `random_state` is not an
        integer, one is drawn for all fits.
      param_grid: A dict from parameters to lists of values, or a list of such dicts; with `n_iter`
        also distributions, as `RandomizedSearchCV` takes them.
      n_iter: How many candidates are drawn. None: all combinations.
      scoring, refit, cv, error_score, return_train_score: As in `GridSearchCV`. A fit that diverges
        scores `error_score`.
      random_state: Of the draw of candidates.

    Fitted, it has `cv_results_`, `best_params_`, `best_score_`, `best_index_`, `best_estimator_`,
    `refit_time_`, `scorer_`, `n_splits_` and `multimetric_`. A fit's time is its share of its
    group's, compilation included.

    >>> from sklearn.datasets import load_iris
    >>> from fnn.sklearn import FNNClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> model = FNNClassifier((16,), max_iter=60, n_iter_no_change=None, random_state=0)
    >>> grid = {"learning_rate_init": [1e-4, 1e-2], "alpha": [1e-4, 1e-2]}
    >>> search = FNNSearchCV(model, grid, cv=3).fit(x, y)
    >>> search.best_params_["learning_rate_init"], search.cv_results_["mean_test_score"].shape
    (0.01, (4,))
    """

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        n_iter=None,
        scoring=None,
        refit=True,
        cv=None,
        error_score=np.nan,
        return_train_score=False,
        random_state=None,
    ):
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            refit=refit,
            cv=cv,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_grid = param_grid
        self.n_iter = n_iter
        self.random_state = random_state

    def fit(self, X, y, *, groups=None, sample_weight=None):  # pyright: ignore
        """Trains and scores all candidates on all folds, and the best one on all rows.

        Args:
          X: As the estimator takes it.
          y: As the estimator takes it.
          groups: Labels `(rows,)` for splitters that take them.
          sample_weight: `(rows,)`, for training, and for scoring as in `GridSearchCV`.
        Returns:
          The search.
        Raises:
          ValueError, TypeError: The estimator is none of ours; parameters or data are not as it
            takes them; a class has no training rows in a fold; all fits diverged, or one did and
            `error_score` is "raise".
        """
        name = "FNNSearchCV"
        rule = "estimator must be an FNNClassifier or FNNRegressor (for others: GridSearchCV)"
        kind = type(self.estimator).__name__
        is_ours = isinstance(self.estimator, NetworkEstimator)
        checks.require(is_ours, name, rule, kind, TypeError)
        base = _copied(self.estimator)
        if not isinstance(base.random_state, Integral):
            seed = check_random_state(base.random_state).randint(np.iinfo(np.int32).max)
            base.set_params(random_state=seed)
        candidates: Any = ParameterGrid(self.param_grid)
        if self.n_iter is not None:
            candidates = ParameterSampler(
                self.param_grid, self.n_iter, random_state=self.random_state
            )
        candidates = list(candidates)
        cv: Any = self.cv
        cv = check_cv(cv, y, classifier=is_classifier(base))
        folds = list(cv.split(X, y, groups))
        self.scorer_: Any = check_scoring(base, self.scoring)

        x, values = base.begin(X, y)
        weights = checked_weights(sample_weight, x)
        # before 1.8 scikit-learn's searches have no such method, and score without weights
        takes_weights = getattr(self, "_check_scorers_accept_sample_weight", lambda: False)
        scored = sample_weight if sample_weight is not None and takes_weights() else None
        fits = {}
        for members in _groups(base, candidates):
            fits |= _trained(members, (x, values, weights), folds)
        out = [
            self._scored(fits[number, fold], (X, y, scored), split)
            for number in range(len(candidates))
            for fold, split in enumerate(folds)
        ]
        self._fill_failed(out)
        self.n_splits_ = len(folds)
        self.multimetric_ = isinstance(out[0]["test_scores"], dict)
        self.cv_results_ = self._format_results(candidates, len(folds), out)
        self._choose(base, X, y, sample_weight)
        return self

    def _scored(self, fit: tuple[Any, float], data: tuple, split: tuple) -> dict:
        """What `GridSearchCV` keeps of a fit; without scores where it has diverged."""
        model, seconds = fit
        found: dict[str, Any] = {"fit_time": seconds, "score_time": 0.0}
        if isinstance(model, ValueError):
            if self.error_score == "raise":
                raise model
            return found | {"error": model}
        begin = time.perf_counter()
        (train, test), scorer = split, self.scorer_
        parts = {"test_scores": test} | ({"train_scores": train} if self.return_train_score else {})
        for part, rows in parts.items():
            x, y, weights = (
                given if given is None else _safe_indexing(given, rows) for given in data
            )
            options = {} if weights is None else {"sample_weight": weights}
            found[part] = scorer(model, x, y, **options)
            found["score_time"] = found["score_time"] or time.perf_counter() - begin
        return found

    def _fill_failed(self, out: list[dict]) -> None:
        """Gives fits that have diverged the score `error_score`."""
        failed = [found for found in out if "error" in found]
        if not failed:
            return
        message = f"FNNSearchCV: {len(failed)} of {len(out)} fits failed; {failed[0]['error']}"
        good = next((found for found in out if "error" not in found), None)
        if good is None:
            raise ValueError(message)
        warnings.warn(message, FitFailedWarning, stacklevel=3)
        for found in failed:
            for part in good.keys() & {"test_scores", "train_scores"}:
                several = isinstance(good[part], dict)
                found[part] = (
                    dict.fromkeys(good[part], self.error_score) if several else self.error_score
                )

    def _choose(self, base: Any, X: Any, y: Any, sample_weight: Any) -> None:
        """The best candidate, and its fit on all rows."""
        if not self.refit and self.multimetric_:  # which says no metric to choose by
            return
        metric = self.refit if self.multimetric_ else "score"
        if callable(self.refit):
            self.best_index_ = self.refit(self.cv_results_)
        else:
            key = f"rank_test_{metric}"
            rule = "refit must be False, a function, or the name of a metric where there are many"
            checks.require(key in self.cv_results_, "FNNSearchCV", rule, repr(self.refit))
            self.best_index_ = int(self.cv_results_[key].argmin())
            self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        if self.refit:
            self.best_estimator_ = _copied(base).set_params(**_copied(self.best_params_))
            begin = time.perf_counter()
            self.best_estimator_.fit(X, y, sample_weight=sample_weight)
            self.refit_time_ = time.perf_counter() - begin
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_


Members = list[tuple[int, NetworkEstimator]]
"""The numbers of candidates, and estimators with their parameters."""


def _groups(base: NetworkEstimator, candidates: list[dict]) -> list[Members]:
    """The candidates in groups that differ in numbers only."""
    groups = defaultdict(list)
    for number, candidate in enumerate(candidates):
        model = copy.copy(base).set_params(**_copied(candidate))
        structure = {
            name: id(value) if callable(value) else value  # functions are what they are by identity
            for name, value in model.get_params(deep=False).items()
            if name not in _NUMBERS or not _is_number(value)
        }
        groups[joblib.hash(structure)].append((number, model))
    return list(groups.values())


def _copied(value: Any) -> Any:
    """As scikit-learn copies estimators and their parameters."""
    return clone(value, safe=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def _trained(members: Members, data: tuple, folds: list) -> dict:
    """By candidate and fold: the fitted estimator, or the error if it diverged, and seconds."""
    begin, found = time.perf_counter(), {}
    first = members[0][1]
    whole: Any = first.task(*data)
    parts = defaultdict(list)
    for fold, (train, _) in enumerate(folds):
        own: Any = [_safe_indexing(part, train) for part in data]
        task: Any = first.task(*own)
        missing = whole.labels is not None and len(np.setdiff1d(whole.labels, task.labels))
        rule = "every class must have training rows in every fold"
        checks.require(not missing, "FNNSearchCV", rule, f"{missing} without in fold {fold}")
        rows = first.rows_of(task)
        parts[rows.padded].append((fold, train, task, rows))
    for of_size in parts.values():
        runs = _lanes(members, whole, of_size)
        places = [(number, model, fold) for number, model in members for fold, *_ in of_size]
        for lane, (number, model, fold) in enumerate(places):
            model = copy.copy(model)
            try:
                run = jax.tree.map(lambda values, lane=lane: values[lane], runs)
                model.keep(run, of_size[0][-1].held_out is not None, False)
            except ValueError as error:
                model = error
            found[number, fold] = model
    seconds = (time.perf_counter() - begin) / len(found)
    return {place: (model, seconds) for place, model in found.items()}


def _lanes(members: Members, whole: Task, folds: list[tuple[int, np.ndarray, Task, Rows]]) -> Fit:
    """The runs of all members on folds of one size, candidate by candidate, in NumPy arrays."""
    model, rows = copy.copy(members[0][1]), folds[0][-1]
    for name in _NUMBERS:
        values = [getattr(member, name) for _, member in members]
        if _is_number(values[0]) and len(set(values)) > 1:
            setattr(model, name, np.repeat(values, len(folds)))
    mean_weights = [task.weights[own.kept].sum() / own.steps for _, _, task, own in folds]
    watched = watches(rows, whole.score)
    if rows.held_out is not None:
        chosen = [(train, task, own.held_out) for _, train, task, own in folds]
        watched["validation"] = _subset(whole, chosen, rows.padded[1], len(members))
    chosen = [(train, task, own.kept) for _, train, task, own in folds]
    with precision(whole.x.dtype):
        net, optimizer, stop = model.objects(whole, np.tile(mean_weights, len(members)))
        runs = sweep(
            net,
            whole.loss,
            optimizer,
            _subset(whole, chosen, rows.padded[0], len(members)),
            key=jax.numpy.broadcast_to(jax.random.key(rows.seed), len(members) * len(folds)),
            epochs=model.max_iter,
            batch_size=rows.batch_size,
            stop=stop,
            progress=False,
            **watched,
        )
        state = runs.state._replace(
            order_key=None,
            train=runs.state.train._replace(key=None),  # pyright: ignore
        )
        return jax.device_get(Fit(runs.history, runs.epochs, state))  # pyright: ignore


def _subset(whole: Task, chosen: list[tuple], size: int, times: int) -> Subset:
    """Rows of each fold, padded as those of a fit, for so many candidates."""
    numbers, weights = [], []
    for train, task, part in chosen:
        fill = (0, size - len(part))
        own = np.pad(train[part], fill, constant_values=train[part[0]])
        numbers.append(own.astype(np.int32))
        weights.append(np.pad(task.weights[part], fill))
    of_lanes: list[Any] = [Lanes(np.tile(part, (times, 1))) for part in (weights, numbers)]
    return Subset(whole.x, whole.y, *of_lanes)
