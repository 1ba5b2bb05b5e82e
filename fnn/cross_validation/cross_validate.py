"""`cross_validate`: every setting on every fold, as lanes of one compiled program."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.dataset import Dataset, dataset
from fnn._core.processes import fetched, valid_in_all
from fnn.cross_validation.folds import (
    check_classes,
    check_weights,
    labels_of_rows,
    splits_of,
    whole_data,
)
from fnn.cross_validation.lanes import Keys, Rows, labels_of_lanes, repeated
from fnn.cross_validation.result import CrossValidation, held_out_scores, signed_means
from fnn.cross_validation.scaling import fitted_by_fold, fitted_to
from fnn.networks.suitable import unwrapped
from fnn.networks.units import centred, origin_of
from fnn.sweeps.columns import columns_of, marked, number_of_lanes, of_lane
from fnn.sweeps.halving import Halving, of_groups
from fnn.sweeps.layout import over_processes
from fnn.sweeps.setup import varied_problems
from fnn.sweeps.sweep import sweep
from fnn.training.problem import checked_problem, own_sign
from fnn.training.state import FitState
from fnn.training.step import TrainState
from fnn.training.stopping import EarlyStopping
from fnn.training.train import train
from fnn.types import Loss, Metric, Network, Optimizer

__all__ = ["cross_validate"]

# of a fold's training rows, where runs may end early
_VALIDATION = 0.2


def cross_validate(  # noqa: D417, `sweep` describes the others
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    *,
    key: jax.Array,
    folds: Any = 5,
    repeats: int = 1,
    stratify: Any = None,
    groups: Any = None,
    allow_incomplete: bool = False,
    score: str | None = None,
    refit: bool = False,
    epochs: int,
    batch_size: int = 32,
    accumulate: int = 1,
    validation: Any = None,
    metrics: Mapping[str, Metric | Loss] | None = None,
    monitor: str | None = None,
    mode: str = "auto",
    stop: EarlyStopping | None = None,
    state: FitState | TrainState | None = None,
    order_key: jax.Array | None = None,
    halving: Halving | None = None,
    labels: Mapping[str, Any] | None = None,
    allow_padding: bool = False,
    at_once: int | None = None,
    progress: bool | None = None,
    callback: Callable[[int, dict[str, Any]], Any] | None = None,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    every: int | None = None,
    keep: int = 2,
    on_save_error: str = "warn",
) -> CrossValidation:
    """Cross-validation of one or many settings: all of them on all folds at once, as one `sweep`.

    A setting is one value of whatever is swept, as in `sweep`; without any there is one setting.
    Each setting is trained once per repeat and fold, and each of these runs is a lane. Data are
    shared: a lane has the numbers of its own rows. It trains on the rows of its fold only, and
    after the last epoch it is measured once, at its best parameters, on the rows held out.

    The validation data of a stopping rule are taken from the fold's own training rows: a run
    stopped where its held-out loss is lowest would report a loss that is too low. Likewise, where
    the network has scalers that are not swept, each fold has its own, of the same kinds, fitted
    to its training rows.

    Args:
      net, loss, optimizer, epochs, batch_size, accumulate, metrics, stop: As in `sweep`. The
        metrics are measured on the held-out rows, and after each epoch on the validation rows, if
        any.
      data: `(x, y)` or `(x, y, weights)`, shared by all lanes.
      key: A PRNG key: for the folds, for the batch order, and for each fold its first parameters,
        the same for all settings. Or one for each setting, `(settings,)`; the folds come from
        the first.
      folds: How many parts the rows are divided into, 2 to their number; "leave_one_out", a part
        for each row; or pairs `(train, test)` of row numbers, as scikit-learn's splitters
        yield them.
      repeats: How many times the rows are divided anew, >= 1.
      stratify: Labels `(rows,)` whose proportions each fold keeps; True for the targets.
      groups: Labels `(rows,)`: rows of one group are in one fold.
      allow_incomplete: Whether given folds may hold rows out never or more than once.
      score: What settings are compared by: "loss" or the name of a metric. None: "loss".
      refit: Whether the best setting, if there is one, is then trained on all rows.
      validation: What watches a run: the share in (0, 1) of the fold's training rows, or their
        number, that are taken for it; "held_out" for the held-out rows, after which the scores
        are no longer honest; or None: 0.2 with `stop` or `halving`, else no validation data.
      monitor, mode: As in `sweep`, of the loss and of the validation data.
      state: As in `sweep`: `CrossValidation.state`, with the same key, continues those runs.
      order_key: A PRNG key for the batch order of all lanes. None: derived from `key`.
      halving: A `halving` to end most settings early, all folds of a setting together, by the
        mean of their monitor. A setting that was ended is never the best.
      labels: More columns for the result's tables, by name, `(settings,)` each.
      allow_padding, at_once, progress, callback, max_seconds, checkpoint, every, keep,
        on_save_error: As in `sweep`.
    Returns:
      A `CrossValidation`. Lane i is `fit(..., key=keys[i], order_key=order_key)` on the rows
      `splits[repeat][fold].train`: the same first parameters and, where all folds have as many
      rows, the same batches.
    Raises:
      ValueError, TypeError: As `sweep`; or the rows cannot be divided so; a class of the targets
        has no training rows in a fold; all training, held-out or validation rows of a fold weigh
        0; rows of given folds are held out and trained on.
      CheckpointError, ImportError: As `sweep`.
    Source: Stone 1974, J. R. Stat. Soc. B 36 (cross-validation).

    >>> x = np.linspace(-1, 1, 60)[:, None]
    >>> cv = cross_validate(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(np.array([0.01, 0.1])),
    ...                     (x, 3 * x + 1), key=jax.random.key(0), folds=3, epochs=50,
    ...                     progress=False, refit=True)
    >>> print(cv.summary()["learning_rate"], cv.summary()["count"], cv.best_setting)
    [0.01 0.1 ] [3 3] 1
    >>> print(cv.best().params[0].weight.round(2), cv.out_of_fold().shape)
    [[3.]] (60, 1)
    """
    name = "cross_validate"
    data, key = fetched((data, key))  # as each fold needs rows of all processes
    options = {"batch_size": batch_size, "accumulate": accumulate, "monitor": monitor, "mode": mode}
    with valid_in_all(name, data, over_processes()):
        checks.flag(name, "allow_incomplete", allow_incomplete)
        checks.flag(name, "refit", refit)
        repeats = checks.count(name, "repeats", repeats)
        given = {"net": net, "loss": loss, "optimizer": optimizer, "metrics": metrics, "stop": stop}
        given = {what: marked(argument) for what, argument in given.items()}
        rule = "data must be shared by all settings"
        checks.require(not columns_of(marked(data)), name, rule, "lanes(...) in data")
        shifted, (near,), shift = centred(net, data)
        raw, data = data, dataset(name, "data", near)
        x, y = (checks.rectangular(name, "data", part) for part in raw[:2])
        raw = data._replace(x=x, y=y)
        keys = Keys.of(name, key)
        columns = columns_of(given)
        columns_and_keys = columns | ({} if keys.lanes.ndim == 0 else {"key": keys.lanes})
        settings = number_of_lanes(name, columns_and_keys) if columns_and_keys else 1

        share = _checked_share(name, validation, monitor, stop is not None or halving is not None)
        rule = "refit must be False where runs are continued, as it would begin anew"
        checks.require(state is None or not refit, name, rule, refit)
        rule = "refit must have validation rows of its own: validation must be a share of the rows"
        checks.require(not refit or validation != "held_out", name, rule, "'held_out'")
        by_rows: dict[str, Any] = {
            "stratify": _row_labels(name, "stratify", stratify, data),
            "groups": _row_labels(name, "groups", groups, data),
            "share": share,
        }
        splits = splits_of(
            name, data.rows, folds, key=keys.folds, repeats=repeats,
            allow_incomplete=allow_incomplete, **by_rows,
        )  # fmt: skip
        takes = getattr(unwrapped(loss), "takes", None)
        are_labels = data.y.size == data.rows and data.y.dtype.kind in "biu"
        if are_labels and takes in ("logits", "probabilities"):
            check_classes(name, splits, np.asarray(data.y).ravel())
        if data.weights is not None:
            check_weights(name, splits, np.asarray(data.weights))

        runs = sum(map(len, splits))  # of a setting
        halving = of_groups(name, halving, runs)
        of_lanes = {what: repeated(argument, runs) for what, argument in given.items()}
        rows = Rows(data, [split for pairs in splits for split in pairs], settings)
        nets = repeated(marked(shifted), runs)
        origin = origin_of(shifted)
        of_lanes["net"] = fitted_by_fold(net, nets, raw, rows.splits, shift, origin, settings)
        given["net"] = fitted_to(net, given["net"], raw)
        of_lanes["data"] = rows.of("train")
        held_out = of_lanes | {"validation": rows.of("test"), "stop": None}
        watched: dict[str, Any] = {"validation": None, "metrics": None}
        if validation == "held_out":
            watched = {"validation": held_out["validation"]}
        elif share is not None:
            watched = {"validation": rows.of("validation")}
        first: dict[str, Any] = of_lane(held_out, 0)
        judged = checked_problem(name, **first, batch_size=batch_size, monitor=None, mode=mode)
        score = "loss" if score is None else score
        rule = f"score must be 'loss' or one of metrics: {', '.join(metrics or {})}"
        checks.require(f"validation_{score}" in judged.metrics, name, rule, repr(score))
        shape = dict(judged.plan.records)[f"validation_{score}"].shape
        checks.require(shape == (), name, f"score {score!r} must be one number", f"shape {shape}")
        sign = own_sign(f"validation_{score}", judged.metrics[f"validation_{score}"])
        if sign is None:
            rule = "score must say which is better (a metric of one's own does not)"
            raise ValueError(f"{name}: {rule}; got {score!r}")
        labels_by_lane = labels_of_lanes(name, labels, keys, splits, settings)

        lane_keys = keys.of_lanes(settings, runs)
        if order_key is not None:
            checks.key(name, order_key)
        elif not isinstance(state, FitState):  # which has one
            order_key = keys.order

    lanes = sweep(
        **of_lanes | watched, **options, key=lane_keys if state is None else None, state=state,
        order_key=order_key, halving=halving, labels=labels_by_lane, epochs=epochs,
        allow_padding=allow_padding, at_once=at_once, progress=progress, callback=callback,
        max_seconds=max_seconds, checkpoint=checkpoint, every=every, keep=keep,
        on_save_error=on_save_error,
    )  # fmt: skip
    varied = varied_problems(name, judged, held_out, lanes.order_key)
    scores = held_out_scores(varied, lanes.best_params, len(lanes))
    found = {field.name: getattr(lanes, field.name) for field in dataclasses.fields(lanes)}
    found["shift"] = shift
    found["columns"] = {what: values for what, values in lanes.columns.items() if what in columns}
    if keys.lanes.ndim == 0 and "seed" not in (labels or {}):
        found["labels"] = {n: values for n, values in lanes.labels.items() if n != "seed"}
    result = CrossValidation(
        **found,
        splits=splits,
        keys=lane_keys,
        scores={name.replace("validation_", "test_", 1): v for name, v in scores.items()},
        score=f"test_{score}",
        sign=sign,
        held_out=varied,
        net=of_lane(given["net"], 0),
        refit=None,
    )
    if np.isnan(signed_means(result)).all():  # no setting is the best; why, the result shows
        return result
    if settings > 1:
        result = dataclasses.replace(result, net=of_lane(given["net"], result.best_setting))
    if not refit or not lanes.finished.all():
        return result
    whole = whole_data(name, data.rows, key=keys.folds, **by_rows)
    of_best = of_lane(given, result.best_setting)
    if share is None:
        of_best["metrics"] = None
    run = train(
        **of_best | {"net": result.net}, **options, data=_chosen(raw, whole.train), epochs=epochs,
        key=keys.of_refit(result.best_setting), progress=progress,
        validation=None if share is None else _chosen(raw, whole.validation),
    )  # fmt: skip
    return dataclasses.replace(result, refit=run)


def _chosen(data: Dataset, rows: np.ndarray) -> tuple:
    """Some rows, as a user gives data."""
    return tuple(None if part is None else np.asarray(part)[rows] for part in data)


def _row_labels(function: str, what: str, labels: Any, data: Dataset) -> np.ndarray | None:
    """The labels of the rows, from 0."""
    if labels is None or labels is False:
        return None
    if labels is True:  # of targets (rows, 1), their one column
        labels = data.y.reshape(-1) if data.y.size == data.rows else data.y
    return labels_of_rows(function, what, labels, data.rows)


def _checked_share(
    function: str, validation: Any, monitor: str | None, may_end: bool
) -> float | int | None:
    """How many of a fold's training rows are for validation: a share, a number, or None."""
    if validation is None:
        by_training_loss = isinstance(monitor, str) and monitor == "loss"
        return _VALIDATION if may_end and not by_training_loss else None
    if isinstance(validation, str):
        rule = "validation must be a share of the rows, their number, 'held_out' or None"
        checks.require(validation == "held_out", function, rule, repr(validation))
        return None
    if isinstance(validation, (float, np.floating)):
        rule = "validation must be a share in (0, 1), or a number of rows"
        checks.require(0 < validation < 1, function, rule, validation)
        return float(validation)
    return checks.count(function, "validation", validation)
