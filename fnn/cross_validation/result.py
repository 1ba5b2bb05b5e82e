"""The result of a cross-validation: a sweep over settings, repeats and folds."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.dataset import selected
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, merge
from fnn._core.table import Table
from fnn.cross_validation.folds import Split
from fnn.evaluation import measure, predict
from fnn.networks.units import near_outputs, origin_of
from fnn.sweeps.program import Varied
from fnn.sweeps.result import Sweep, in_groups
from fnn.training.fit import Fit
from fnn.types import Network, Params

# rows of held-out data that go through a network at once, which bounds memory
_ROWS = 4096
# settings that its text shows
_SHOWN = 5


@dataclasses.dataclass(frozen=True, repr=False)
class CrossValidation(Sweep):
    """The result of `cross_validate`: a `Sweep` with a lane for each setting, repeat and fold.

    Lanes are in this order, the fold running fastest.
    """

    splits: list[list[Split]]
    """Row numbers by repeat and fold: `train`, `test`, `validation`."""
    keys: jax.Array = dataclasses.field(repr=False)
    """`(lanes,)`: lane i is `fit(..., key=keys[i], order_key=order_key)` on its training rows."""
    scores: dict[str, np.ndarray]
    """By name, "test_loss" and "test_" and a metric's: the held-out score of each lane at its best
    parameters, `(lanes, ...)`."""
    score: str
    """The score by which settings are compared."""
    sign: int = dataclasses.field(repr=False)
    """1 where a lower score is better, -1 where a higher one is."""
    held_out: Varied = dataclasses.field(repr=False)
    """The lanes' networks and the rows that each holds out."""
    net: Network
    """The network of the best setting (the first, if there is none), its scalers fitted to all
    rows."""
    refit: Fit | None = dataclasses.field(repr=False)
    """The best setting, trained on all rows; None without `refit=True`, after an interruption, or
    where no setting is the best."""

    @property
    def settings(self) -> int:
        """The number of settings."""
        return len(self) // sum(map(len, self.splits))

    @property
    def best_setting(self) -> int:
        """The setting with the best mean score, a row of `summary()`.

        Settings with a fold that diverged or has no score, or ended by halving, come last.

        Raises:
          ValueError: There are no others.
        """
        means = signed_means(self)
        rule = "a setting must have a score in each fold, and no fold that diverged"
        checks.require(not np.isnan(means).all(), "best_setting", rule, "none such")
        return int(np.nanargmin(means))

    def best(self, monitor: str | None = None) -> Fit:
        """The run of the best setting on all rows.

        Args:
          monitor: Must be None: settings are compared by `score`.
        Raises:
          ValueError: There is no such run (see `refit`), or `monitor` is not None.
        """
        rule = f"monitor must be None: settings are compared by {self.score!r}"
        checks.require(monitor is None, "best", rule, repr(monitor))
        if self.refit is None:
            rule = "cross_validate must have refit=True, an end, and a best setting"
            raise ValueError(f"best: {rule}; got no run on all rows")
        return self.refit

    def table(self) -> Table:
        """All lanes, a row each: the columns of `Sweep.table`, and the held-out scores."""
        table = super().table()
        for name, values in self.scores.items():
            if values.ndim == 1:
                table[name] = values
        return table

    def summary(
        self,
        by: str | Sequence[str] | None = None,
        over: str | Sequence[str] = ("repeat", "fold"),
        value: str | None = None,
    ) -> Table:
        """Mean and spread over folds of each setting, as `Sweep.summary` makes them.

        Args:
          by: As there.
          over: The columns in which the lanes of one setting differ.
          value: The column that is averaged. None: the held-out `score`.
        """
        return super().summary(by, over, self.score if value is None else value)

    @property
    def _heading(self) -> str:
        swept = [*self.columns, *(name for name in self.labels if name not in ("repeat", "fold"))]
        over = f" over {', '.join(swept)}" if swept else ""
        folds = f"{len(self.splits)} x {len(self.splits[0])} folds"
        return f"Cross-validation of {self.settings} settings{over}, {folds}. By {self.score}:"

    def _best_rows(self) -> Table:
        """Some rows of `summary`, the best setting first."""
        table = self.summary()
        order = np.argsort(signed_means(self), kind="stable")[:_SHOWN]
        return Table({"setting": order} | {name: values[order] for name, values in table.items()})

    def out_of_fold(self, setting: int | None = None, repeat: int = 0) -> np.ndarray:
        """The outputs for each row, by the network that has not trained on it.

        Args:
          setting: A row of `summary()`. None: the best one.
          repeat: Which division into folds.
        Returns:
          `(rows, out)`, at the best parameters of each fold. A row that given folds hold out more
          than once has the mean; one that they never hold out has NaN. In float64 where targets are
          so far from zero that float32 would round them, and the network has a scaler of outputs.
        Raises:
          IndexError: There is no such setting or repeat.
        """
        setting = self.best_setting if setting is None else setting
        for name, number, size in (
            ("setting", setting, self.settings),
            ("repeat", repeat, len(self.splits)),
        ):
            fits = isinstance(number, (int, np.integer)) and 0 <= number < size
            rule = f"{name} must be from 0 to {size - 1}"
            checks.require(fits, "out_of_fold", rule, number, IndexError)
        folds = self.splits[repeat]
        first = (setting * len(self.splits) + repeat) * len(folds)
        lanes = np.arange(first, first + len(folds))
        made = in_groups(_outputs, self.held_out, self.best_params, lanes)
        outputs = np.concatenate(list(made))
        rows, net = self.problem.data.x.shape[0], self.problem.net
        total, times = np.zeros((rows, *outputs.shape[2:]), outputs.dtype), np.zeros(rows, int)
        for split, values in zip(folds, outputs, strict=True):
            total[split.test] += values[: len(split.test)]
            times[split.test] += 1
        times = np.where(times == 0, np.nan, times).astype(outputs.dtype)
        found, origin = total / np.expand_dims(times, tuple(range(1, total.ndim))), origin_of(net)
        return found if origin is None else found + np.asarray(origin, np.float64)


def signed_means(cv: CrossValidation) -> np.ndarray:
    """The mean score of each setting, lowest is best.

    NaN where a fold has diverged, was ended by halving, or has no score.
    """
    whole = (np.asarray(cv.diverged_at) < 0) & (cv.dropped_at < 0)
    score = np.where(whole, cv.scores[cv.score], np.nan)
    return cv.sign * score.reshape(cv.settings, -1).mean(axis=1)


def held_out_scores(varied: Varied, params: Params, lanes: int) -> dict[str, np.ndarray]:
    """The metrics of each lane on the rows that it holds out, by name, `(lanes, ...)`."""
    parts = list(in_groups(_scores, varied, params, np.arange(lanes)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@compiled(0, 1)
def _outputs(structure: Structure, swept: tuple[bool, ...], traced: list, params: Params) -> Any:
    """`(lanes, held-out rows, out)`."""

    def one(traced: list, params: Params) -> jax.Array:
        problem, _ = merge(structure, traced)
        outputs = predict(problem.net, params, problem.validation, _ROWS)
        return near_outputs(problem.net, outputs)

    return _by_lane(one, swept)(traced, params)


@compiled(0, 1)
def _scores(structure: Structure, swept: tuple[bool, ...], traced: list, params: Params) -> Any:
    """By name, `(lanes, ...)`."""

    def one(traced: list, params: Params) -> dict[str, jax.Array]:
        problem, _ = merge(structure, traced)
        outputs = predict(problem.net, params, problem.validation, _ROWS)
        return measure(problem.net, problem.metrics, outputs, selected(problem.validation))

    return _by_lane(one, swept)(traced, params)


def _by_lane(function: Any, swept: tuple[bool, ...]) -> Any:
    return jax.vmap(function, in_axes=([0 if own else None for own in swept], 0))
