"""Successive halving: most lanes are stopped early, and the best continue."""

import dataclasses
from typing import Any

import numpy as np

from fnn._core import checks
from fnn._core.config import config, makes, static

__all__ = ["Halving", "halving"]


@config
class Halving:
    """The rule that `halving` makes."""

    min_epochs: int = static()
    factor: float = static()
    group: int = static()
    brackets: int = static()

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """The epochs, below `epochs`, after which lanes are chosen."""
        found, rung = [], float(self.min_epochs)
        while round(rung) < epochs:
            found.append(round(rung))
            rung *= self.factor
        return tuple(dict.fromkeys(found))

    def bracket_of(self, lanes: int) -> np.ndarray:
        """The bracket of each lane, from 0, int `(lanes,)`: a column to compare brackets by.

        Each bracket has its lanes everywhere among the others'.

        Args:
          lanes: How many there are, a multiple of `group`.
        """
        later = np.arange(self.brackets)[::-1]
        shares = self.factor**later / (later + 1)
        shares /= shares.sum()
        counts, found = np.zeros(self.brackets, int), []
        for number in range(1, lanes // self.group + 1):
            # the one that lacks most of its share
            found.append(int(np.argmax(shares * number - counts)))
            counts[found[-1]] += 1
        return np.repeat(np.array(found, int), self.group)

    def kept(self, values: np.ndarray) -> np.ndarray:
        """Which of the competing lanes continue, bools; lowest is best, NaN worst."""
        means = values.reshape(-1, self.group).mean(axis=1)
        number = int(np.ceil(len(means) / self.factor))
        order = np.argsort(np.where(np.isnan(means), np.inf, means), kind="stable")
        kept = np.zeros(len(means), bool)
        kept[order[:number]] = True
        return kept.repeat(self.group)

    def whole_groups(self, lanes: np.ndarray) -> np.ndarray:
        """The lanes of which the whole group is among these, bools `(lanes,)` both."""
        return lanes.reshape(-1, self.group).all(axis=1).repeat(self.group)


def of_groups(function: str, given: Any, group: int) -> Halving | None:
    """The user's halving or None, where the folds of a setting are the groups.

    Raises:
      TypeError: It is none, or has groups of its own.
    """
    rule = "halving must be a halving(...) of group=1 or None, as folds are the groups"
    fits = given is None or (isinstance(given, Halving) and given.group == 1)
    checks.require(fits, function, rule, repr(given), TypeError)
    return None if given is None else dataclasses.replace(given, group=group)


class Competition:
    """The lanes of a sweep under successive halving, or under none."""

    def __init__(
        self, halving: Halving | None, competing: np.ndarray, before: np.ndarray, epochs: int
    ):
        """All competing lanes are at one epoch.

        Args:
          halving: The rule; None: no lane is dropped.
          competing: Which lanes have not been dropped, bools `(lanes,)`.
          before: The epochs done by each lane, `(lanes,)`.
          epochs: How many are to come.
        """
        self.first = int(before.max())
        """The epochs done before."""
        self.competing = competing
        self._bracket = np.zeros(len(competing), int)
        if halving is not None:
            self.competing = halving.whole_groups(competing)
            self._bracket = halving.bracket_of(len(competing))
        self.dropped_at = np.where(competing, -1, before)
        """The epochs after which lanes were dropped, `(lanes,)`; -1 if not."""
        rungs = () if halving is None else halving.rungs(self.first + epochs)
        self.rungs = tuple(rung - self.first for rung in rungs)
        """After how many of the epochs to come lanes are chosen."""
        self._halving = halving

    def losers(self, done: int, best: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """The lanes to be stopped now, which compete no longer.

        Args:
          done: How many of the epochs have been run.
          best: The best monitor of each lane; lowest is best, NaN worst.
          alive: Which lanes have not stopped by themselves.
        """
        if self._halving is None or done not in self.rungs:
            return np.arange(0)
        lost = np.arange(0)
        for bracket in range(self.rungs.index(done) + 1):
            lanes = np.flatnonzero(self.competing & (self._bracket == bracket))
            lost = np.append(lost, lanes[~self._halving.kept(best[lanes])])
        self.competing[lost] = False
        lost = lost[alive[lost]]
        self.dropped_at[lost] = self.first + done
        return lost

    def snapshot(self) -> dict[str, np.ndarray]:
        """What a checkpoint holds of it."""
        return {"competing": self.competing, "dropped_at": self.dropped_at}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continues from a checkpoint's, taken out of it."""
        self.competing, self.dropped_at = snapshot.pop("competing"), snapshot.pop("dropped_at")


@makes(Halving)
def halving(min_epochs: int, *, factor: Any = 3, group: int = 1, brackets: int = 1) -> Halving:
    """Successive halving, and Hyperband: after some epochs the best lanes continue, others stop.

    It chooses after `min_epochs`, after `factor` times as many, and so on (the rungs), and
    each time one in `factor` of the lanes continues: those whose monitor has been best so far.
    Lanes that have stopped early compete with their best value so far; diverged lanes come last.

    Args:
      min_epochs: Epochs before the first choice, >= 1.
      factor: How many lanes compete for one place, > 1.
      group: How many lanes in a row, such as the seeds of a setting, stop or continue together,
        by their mean, >= 1. `cross_validate` groups the folds of each setting by itself.
      brackets: Into how many brackets the lanes are divided, >= 1, each of which chooses among its
        own: the first from the first rung on, the next from the second on, and so on, with fewer
        lanes. So settings that begin slowly have a chance: Hyperband. See `Halving.bracket_of`.
    Returns:
      A config for `sweep(halving=...)` and `cross_validate(halving=...)`.
    Raises:
      ValueError, TypeError: A number is out of range.
    Source: Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943; Li et al. 2018, JMLR 18
      (Hyperband, whose shares of lanes the brackets have).

    >>> halving(5, factor=3).rungs(100)
    (5, 15, 45)
    >>> halving(5, brackets=3).bracket_of(12)
    array([0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 0])
    """
    name = "halving"
    min_epochs = checks.count(name, "min_epochs", min_epochs)
    factor = checks.one_real(name, "factor", factor, above=1)
    group = checks.count(name, "group", group)
    brackets = checks.count(name, "brackets", brackets)
    return Halving(min_epochs, float(factor), group, brackets)
