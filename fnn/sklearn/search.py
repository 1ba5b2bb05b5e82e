"""`FNNSearchCV`: a search over parameters whose fits are lanes of a few compiled programs."""

import time
import warnings
from collections.abc import Collection
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _num_samples

from fnn._core import checks
from fnn.sklearn.base import (
    NetworkEstimator,
    checked_weights,
)
from fnn.sklearn.fits import CandidateFit, copied, fits_of, in_groups
from fnn.sweeps.halving import of_groups

__all__ = ["FNNSearchCV"]


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
      halving: An `fnn.halving` that ends most candidates of a group early, by the mean over folds
        of the estimator's validation score, or its training loss without early stopping; None:
        none. Those scores are of the epochs that a candidate has had, and it cannot be the best
        where `refit` is no function. All training folds must be padded to one number of rows.
      random_state: Of the draw of candidates.

    Fitted, it has `cv_results_`, `best_params_`, `best_score_`, `best_index_`, `best_estimator_`,
    `refit_time_`, `scorer_`, `n_splits_` and `multimetric_`. With halving, `cv_results_` has
    "dropped_at", the epochs after which a candidate was ended, -1 if it was not. A fit's time is
    its share of its group's, compilation included.

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
        halving=None,
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
        self.halving = halving
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
            takes them; `halving` is not one, or folds are padded to different numbers of rows with
            it; a class has no training rows in a fold; all fits diverged, or one did and
            `error_score` is "raise".
        """
        name = "FNNSearchCV"
        rule = "estimator must be an FNNClassifier or FNNRegressor (for others: GridSearchCV)"
        kind = type(self.estimator).__name__
        is_ours = isinstance(self.estimator, NetworkEstimator)
        checks.require(is_ours, name, rule, kind, TypeError)
        base = copied(self.estimator)
        if not isinstance(base.random_state, Integral):
            seed = check_random_state(base.random_state).randint(np.iinfo(np.int32).max)
            base.set_params(random_state=seed)
        if self.n_iter is None:
            candidates: Any = ParameterGrid(self.param_grid)
        else:
            candidates = ParameterSampler(
                self.param_grid, self.n_iter, random_state=self.random_state
            )
        candidates = list(candidates)
        cv: Any = self.cv
        cv = check_cv(cv, y, classifier=is_classifier(base))
        # numbers of rows, of which scikit-learn also takes lists, and masks of them
        rows = np.arange(_num_samples(X))
        folds = [(rows[train], rows[test]) for train, test in cv.split(X, y, groups)]
        checks.require(folds, name, "cv must divide the rows at least once", "no folds")
        halving = of_groups(name, self.halving, len(folds))
        self.scorer_: Any = check_scoring(base, self.scoring)
        if isinstance(self.scoring, Collection) and not isinstance(self.scoring, str):
            self._check_refit(self.scoring)

        x, values = base.begin(X, y)
        weights = checked_weights(sample_weight, x)
        # before 1.8 scikit-learn's searches have no such method, and score without weights
        takes_weights = getattr(self, "_check_scorers_accept_sample_weight", lambda: False)
        scored = sample_weight if sample_weight is not None and takes_weights() else None
        fits = {}
        for members in in_groups(base, candidates):
            fits |= fits_of(members, (x, values, weights), folds, halving)
        out = [
            self._scored(fits[number, fold], (X, y, scored), split)
            for number in range(len(candidates))
            for fold, split in enumerate(folds)
        ]
        self._fill_failed(out)
        self.n_splits_ = len(folds)
        self.multimetric_ = isinstance(out[0]["test_scores"], dict)
        if self.multimetric_:  # as of a scoring that is a function, too
            self._check_refit(out[0]["test_scores"])
        self.cv_results_ = self._format_results(candidates, len(folds), out)
        if halving is not None:
            dropped = [
                max(fits[number, fold].dropped_at for fold in range(len(folds)))
                for number in range(len(candidates))
            ]
            self.cv_results_["dropped_at"] = np.array(dropped)
        self._choose(base, X, y, sample_weight)
        return self

    def _check_refit(self, metrics: Collection[str]) -> None:
        """Raises unless it says by which of several metrics the best candidate is chosen."""
        rule = "refit must be False, a function, or the name of a metric where there are many"
        fits = not self.refit or callable(self.refit) or self.refit in metrics
        checks.require(fits, "FNNSearchCV", rule, repr(self.refit))

    def _scored(self, fit: CandidateFit, data: tuple, split: tuple) -> dict:
        """What `GridSearchCV` keeps of a fit; without scores where it has diverged."""
        model = fit.model
        found: dict[str, Any] = {"fit_time": fit.seconds, "score_time": 0.0}
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
            rank = self.cv_results_[f"rank_test_{metric}"]
            dropped = self.cv_results_.get("dropped_at", np.full(len(rank), -1)) >= 0
            self.best_index_ = int(np.where(dropped, len(rank) + 1, rank).argmin())
            self.best_score_ = self.cv_results_[f"mean_test_{metric}"][self.best_index_]
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        if self.refit:
            self.best_estimator_ = copied(base).set_params(**copied(self.best_params_))
            begin = time.perf_counter()
            self.best_estimator_.fit(X, y, sample_weight=sample_weight)
            self.refit_time_ = time.perf_counter() - begin
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
