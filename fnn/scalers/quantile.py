"""The scaler that gives features a normal distribution, by their ranks."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.config import config, number, static
from fnn._core.quantiles import from_normal, quantiles_of, to_normal
from fnn.scalers.base import Scaler, fitted
from fnn.types import Numbers

__all__ = ["QuantileScaler", "quantile_scaler"]


@config
class QuantileScaler(Scaler):
    """A fitted scaling, made by `quantile_scaler`: call it to scale, `inverse` to undo."""

    values: Numbers = number(rank=2)
    """The quantiles of each feature, `(quantiles, *features)`, ascending."""
    references: Numbers = number(rank=1)
    """The shares of rows below them, `(quantiles,)`, from 0 to 1."""
    quantiles: int = static()
    """How many there are at most."""

    _function = "quantile_scaler"
    _by_feature = ("values",)
    _leading = 1

    def _refitted(self, xp: Any, x: Any) -> "QuantileScaler":
        references = np.linspace(0, 1, min(self.quantiles, len(x)))
        # by way of percent, as scikit-learn: among ties, the last bit of a quantile decides a rank
        values = quantiles_of(xp, x, references * 100 / 100)
        return QuantileScaler(values, xp.asarray(references.astype(x.dtype)), self.quantiles)

    def _scaled(self, xp: Any, x: Any) -> Any:
        return self._by_column(xp, to_normal, x)

    def _unscaled(self, xp: Any, z: Any) -> Any:
        return self._by_column(xp, from_normal, z)

    def _by_column(self, xp: Any, formula: Callable, x: Any) -> Any:
        known: Any = self.values
        columns, known = x.reshape(-1, known[0].size), known.reshape(len(known), -1)
        formula_of = lambda column, values: formula(xp, column, values, self.references)  # noqa: E731
        if xp is np:
            pairs = zip(columns.T, known.T, strict=True)
            made = np.stack([formula_of(*pair) for pair in pairs], axis=1)
        else:
            made = jax.vmap(formula_of, in_axes=1, out_axes=1)(columns, known)
        return made.reshape(x.shape)


def quantile_scaler(x: Any, *, quantiles: int = 1000) -> QuantileScaler:
    """The scaling that gives every feature of `x` a standard normal distribution, by its ranks.

        z = Phi^-1(F(x)),  F: the share of rows below x, interpolated between quantiles

    Phi is the normal distribution function. Equal values get the mean of their shares, or as in
    scikit-learn the share of some of them, where rounding moves a quantile off them. What lies at
    or outside the ends of `x` gets +-5.2, where the probability is 1e-7; so does a constant
    feature, which should be left out.

    Args:
      x: As in `standard_scaler`, but no source.
      quantiles: How many quantiles are kept, >= 1, at most one per row. Static.
    Returns:
      A `QuantileScaler`, a pytree used as a `StandardScaler` is, with `values`
      `(quantiles, *x.shape[1:])` and `references` `(quantiles,)`.
    Raises:
      ValueError, TypeError: As `standard_scaler`; or `quantiles` is no such number.
    Source: scikit-learn's `QuantileTransformer(output_distribution="normal", subsample=None)`,
      whose ends are within 1e-7, in units of x, of the least and the largest; here they are these.

    >>> scaler = quantile_scaler(np.array([[1.0], [10.0], [1000.0]]))
    >>> print(np.asarray(scaler(np.array([[10.0], [505.0], [1e6]]))).round(2))
    [[0.  ]
     [0.67]
     [5.2 ]]
    """
    quantiles = checks.count("quantile_scaler", "quantiles", quantiles)
    return fitted(QuantileScaler(np.zeros(()), np.zeros(()), quantiles), x)
