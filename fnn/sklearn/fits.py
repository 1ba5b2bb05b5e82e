"""The fits of a search: candidates on all folds, as lanes of a sweep where only numbers differ."""

import copy
import time
from collections import defaultdict
from numbers import Real
from typing import Any, NamedTuple

import jax
import joblib
import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from fnn._core import checks
from fnn._core.dataset import Subset
from fnn.sklearn.base import NetworkEstimator, Rows, Task, precision, watches
from fnn.sweeps.columns import Lanes
from fnn.sweeps.halving import Halving
from fnn.sweeps.sweep import sweep
from fnn.training.fit import Fit

# Numbers that fits of one program may differ in. All other parameters are structure.
_NUMBERS = (
    *("alpha", "learning_rate_init", "tol", "n_iter_no_change", "dropout"),
    *("momentum", "beta_1", "beta_2", "epsilon"),
)

Members = list[tuple[int, NetworkEstimator]]
"""The numbers of candidates, and estimators with their parameters."""


def in_groups(base: NetworkEstimator, candidates: list[dict]) -> list[Members]:
    """The candidates in groups that differ in numbers only."""
    groups = defaultdict(list)
    for number, candidate in enumerate(candidates):
        model = copy.copy(base).set_params(**copied(candidate))
        structure = {
            name: id(value) if callable(value) else value  # functions are what they are by identity
            for name, value in model.get_params(deep=False).items()
            if name not in _NUMBERS or not _is_number(value)
        }
        groups[joblib.hash(structure)].append((number, model))
    return list(groups.values())


def copied(value: Any) -> Any:
    """As scikit-learn copies estimators and their parameters."""
    return clone(value, safe=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


class CandidateFit(NamedTuple):
    """One candidate on one fold."""

    model: Any
    """The fitted estimator, or the error if it diverged."""
    dropped_at: int
    seconds: float


def fits_of(
    members: Members, data: tuple, folds: list, halving: Halving | None
) -> dict[tuple[int, int], CandidateFit]:
    """All fits of a group, by candidate and fold."""
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
    # candidates compete in one sweep
    rule = "with halving, the rows of all folds must be padded to the same (training, validation)"
    checks.require(halving is None or len(parts) == 1, "FNNSearchCV", rule, sorted(parts))
    for of_size in parts.values():
        runs, dropped_at = _lanes(members, whole, of_size, halving)
        places = [(number, model, fold) for number, model in members for fold, *_ in of_size]
        for lane, (number, model, fold) in enumerate(places):
            model = copy.copy(model)
            try:
                run = jax.tree.map(lambda values, lane=lane: values[lane], runs)
                model.keep(run, of_size[0][-1].held_out is not None, False)
            except ValueError as error:
                model = error
            found[number, fold] = CandidateFit(model, int(dropped_at[lane]), np.nan)
    seconds = (time.perf_counter() - begin) / len(found)
    return {place: fit._replace(seconds=seconds) for place, fit in found.items()}


def _lanes(
    members: Members,
    whole: Task,
    folds: list[tuple[int, np.ndarray, Task, Rows]],
    halving: Halving | None,
) -> tuple[Fit, np.ndarray]:
    """The runs of all members on folds of one size, candidate by candidate, in NumPy arrays.

    And the epochs after which halving ended them, -1 if it did not.
    """
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
            halving=halving,
            progress=False,
            **watched,
        )
        state = runs.state._replace(
            order_key=None,
            train=runs.state.train._replace(key=None),  # pyright: ignore
        )
        fits = jax.device_get(Fit(runs.history, runs.epochs, state))  # pyright: ignore
        return fits, runs.dropped_at


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
