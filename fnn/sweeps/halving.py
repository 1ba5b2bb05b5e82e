"""Successive halving: most lanes are ended early, and the best go on."""

from typing import Any

import numpy as np

from fnn import checks
from fnn.config import config, static

__all__ = ["Halving", "halving"]


@config
class Halving:
    """Made by `halving`."""

    min_epochs: int = static()
    factor: float = static()

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """The epochs, below `epochs`, after which lanes are chosen."""
        found, rung = [], float(self.min_epochs)
        while round(rung) < epochs:
            found.append(round(rung))
            rung *= self.factor
        return tuple(dict.fromkeys(found))

    def kept(self, values: np.ndarray) -> np.ndarray:
        """Which of those that compete go on, bools; the lowest values are the best, NaN is not."""
        number = int(np.ceil(len(values) / self.factor))
        order = np.argsort(np.where(np.isnan(values), np.inf, values), kind="stable")
        kept = np.zeros(len(values), bool)
        kept[order[:number]] = True
        return kept


def halving(min_epochs: int, *, factor: Any = 3) -> Halving:
    """Successive halving: after some epochs the best lanes go on, the others end.

    It chooses after `min_epochs`, after `factor` times as many, and so on (the rungs), and
    each time one in `factor` of the lanes goes on: those whose monitor has been best so far.
    Lanes that have stopped by a rule of their own compete with what they have reached;
    diverged lanes come last.

    Args:
      min_epochs: Epochs before the first choice, >= 1.
      factor: How many lanes compete for one place, > 1.
    Returns:
      A config for `sweep(halving=...)`.
    Raises:
      ValueError, TypeError: A number is out of range.
    Source: Jamieson & Talwalkar, AISTATS 2016, arXiv:1502.07943.

    >>> halving(5, factor=3).rungs(100)
    (5, 15, 45)
    """
    name = "halving"
    min_epochs = checks.count(name, "min_epochs", min_epochs)
    factor = checks.one_real(name, "factor", factor, above=1)
    return Halving(min_epochs, float(factor))
