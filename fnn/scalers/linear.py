"""Linear scalers: by mean and deviation, by the least and the largest, by median and quartiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnn._core import checks
from fnn._core.config import config, number, static
from fnn._core.quantiles import quantiles_of
from fnn.scalers.base import Scaler, fitted
from fnn.streams.source import Source
from fnn.streams.statistics import extremes, moments
from fnn.types import Numbers

__all__ = [
    "MinMaxScaler",
    "RobustScaler",
    "StandardScaler",
    "min_max_scaler",
    "robust_scaler",
    "standard_scaler",
]


class LinearScaler(Scaler):
    """z = (x - location) / scale, of which the two fields of `_by_feature` are the numbers."""

    def affine(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As in `Scaler`."""
        checks.no_tracers(self._function, self)
        location, scale = (np.asarray(getattr(self, name), float) for name in self._by_feature)
        return location, 1 / scale, np.zeros_like(location)

    def _scaled(self, xp: Any, x: Any) -> Any:
        location, scale = self._along(x)
        return (x - location) / scale

    def _unscaled(self, xp: Any, z: Any) -> Any:
        location, scale = self._along(z)
        return z * scale + location

    def _along(self, x: Any) -> tuple[Any, Any]:
        """The location and the scale, with leading axes to match x."""
        location, scale = (getattr(self, name) for name in self._by_feature)
        leading = (None,) * (x.ndim - location.ndim)
        return location[leading], scale[leading]


@config
class StandardScaler(LinearScaler):
    """A fitted scaling, made by `standard_scaler`: call it to scale, `inverse` to undo."""

    mean: Numbers = number(rank=1)
    scale: Numbers = number(rank=1)

    _function = "standard_scaler"
    _by_feature = ("mean", "scale")

    def _refitted(self, xp: Any, x: Any) -> "StandardScaler":
        # Shifted by a row first: constant features then give exactly 0, and an offset costs no
        # digits.
        shifted = x - x[:1]
        # In units of the largest, so that no square overflows or underflows.
        largest = xp.max(xp.abs(shifted), axis=0, keepdims=True)
        unit = xp.where(largest > 0, largest, 1)
        shifted = shifted / unit
        centre = xp.mean(shifted, axis=0, keepdims=True)
        deviation = unit[0] * xp.sqrt(xp.mean(xp.square(shifted - centre), axis=0))
        return StandardScaler((x[:1] + unit * centre)[0], _one_for_zero(xp, deviation))

    def _of_source(self, source: Source) -> "StandardScaler":
        mean, deviation = moments(self._function, source)
        return StandardScaler(mean, _one_for_zero(np, deviation))


@config
class MinMaxScaler(LinearScaler):
    """A fitted scaling, made by `min_max_scaler`: call it to scale, `inverse` to undo."""

    minimum: Numbers = number(rank=1)
    scale: Numbers = number(rank=1)
    """The maximum less the minimum, 1 where that is 0."""
    feature_range: Numbers = number(rank=1)

    _function = "min_max_scaler"
    _by_feature = ("minimum", "scale")

    def _refitted(self, xp: Any, x: Any) -> "MinMaxScaler":
        minimum = xp.min(x, axis=0)
        span = _one_for_zero(xp, xp.max(x, axis=0) - minimum)
        return MinMaxScaler(minimum, span, self.feature_range)

    def _of_source(self, source: Source) -> "MinMaxScaler":
        return self._refitted(np, np.stack(extremes(self._function, source)))

    def affine(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As in `Scaler`."""
        centre, factor, _ = super().affine()
        low, high = map(float, self._range())
        return centre, factor * (high - low), np.full_like(centre, low)

    def _scaled(self, xp: Any, x: Any) -> Any:
        low, high = self._range()
        return super()._scaled(xp, x) * (high - low) + low

    def _unscaled(self, xp: Any, z: Any) -> Any:
        low, high = self._range()
        return super()._unscaled(xp, (z - low) / (high - low))

    def _range(self) -> tuple[Any, Any]:
        given: Any = self.feature_range
        return given[0], given[1]


@config
class RobustScaler(LinearScaler):
    """A fitted scaling, made by `robust_scaler`: call it to scale, `inverse` to undo."""

    median: Numbers = number(rank=1)
    scale: Numbers = number(rank=1)
    """The distance of the quantiles, 1 where that is 0."""
    quantile_range: tuple[float, float] = static()

    _function = "robust_scaler"
    _by_feature = ("median", "scale")

    def _refitted(self, xp: Any, x: Any) -> "RobustScaler":
        low, high = self.quantile_range
        shares = np.array([low / 100, 0.5, high / 100])
        # of differences from a row, of which float32 holds more digits
        low, median, high = quantiles_of(xp, x - x[:1], shares)
        return RobustScaler(x[0] + median, _one_for_zero(xp, high - low), self.quantile_range)


def standard_scaler(x: Any) -> StandardScaler:
    """The scaling that gives every feature of `x` mean 0 and standard deviation 1.

        z = (x - mean) / scale,  scale^2 = 1/rows sum (x - mean)^2;  1 where that is 0

    Fit it on the training part only. For targets `(rows,)` it scales the one column. Where `x`
    is concrete, all is computed in float64 on the host, so that features far from zero, such as
    time stamps, keep their digits: pass such `x` as NumPy's float64 or int64, which float32
    would round. `mlp(inputs=scaler)` scales inside of a network.

    Args:
      x: `(rows, ...)`, at least one row, finite; anything `np.asarray` accepts. Or a source of
        `fnn.streams`, of which x is read once.
    Returns:
      A `StandardScaler`: `scaler(x)` scales, `scaler.inverse(z)` undoes. A pytree, with
      `mean` and `scale` of shape `x.shape[1:]`, in float64 where `x` is concrete.
    Raises:
      ValueError, TypeError: `x` is empty, not finite, does not hold numbers, or is too large for
        JAX's precision.
    Source: for sources, Chan, Golub and LeVeque 1983 (merging of means and variances).

    >>> scaler = standard_scaler(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> print(scaler(np.array([[2.0, 6.0]])))
    [[0. 1.]]
    """
    return fitted(StandardScaler(np.zeros(()), np.ones(())), x)


def min_max_scaler(x: Any, *, feature_range: Sequence[float] | Any = (0, 1)) -> MinMaxScaler:
    """The scaling that takes every feature of `x` to an interval.

        z = low + (high - low) (x - min) / scale,  scale = max - min;  1 where that is 0

    Fit it on the training part only; rows not seen may lie outside of the interval.

    Args:
      x: As in `standard_scaler`.
      feature_range: `(low, high)`, low < high. Traced.
    Returns:
      A `MinMaxScaler`, a pytree used as a `StandardScaler` is, with `minimum` and `scale` of
      shape `x.shape[1:]`.
    Raises:
      ValueError, TypeError: As `standard_scaler`; or the range is invalid.
    Source: scikit-learn's `MinMaxScaler`.

    >>> scaler = min_max_scaler(np.array([[1.0, 5.0], [3.0, 9.0]]))
    >>> print(scaler(np.array([[2.0, 9.0]])))
    [[0.5 1. ]]
    """
    name, rule = "min_max_scaler", "feature_range must be (low, high), low < high"
    given = checks.real(name, "feature_range", feature_range, rank=1)
    checks.require(given.shape[-1] == 2, name, rule, f"shape {given.shape}")
    known = checks.concrete(given)
    rising = known is None or bool((known[..., 0] < known[..., 1]).all())
    checks.require(rising, name, rule, feature_range)
    return fitted(MinMaxScaler(np.zeros(()), np.ones(()), given), x)


def robust_scaler(x: Any, *, quantile_range: Sequence[float] = (25, 75)) -> RobustScaler:
    """The scaling by median and quartiles, which a few outliers do not change.

        z = (x - median) / scale,  scale = upper - lower quantile;  1 where that is 0

    Args:
      x: As in `standard_scaler`, but no source.
      quantile_range: The lower and the upper quantile in percent, 0 <= lower < upper <= 100.
        Static.
    Returns:
      A `RobustScaler`, a pytree used as a `StandardScaler` is, with `median` and `scale` of
      shape `x.shape[1:]`.
    Raises:
      ValueError, TypeError: As `standard_scaler`; or the range is invalid.
    Source: scikit-learn's `RobustScaler`.

    >>> scaler = robust_scaler(np.array([[1.0], [2.0], [3.0], [4.0], [1000.0]]))
    >>> print(scaler(np.array([[3.0], [5.0]])))
    [[0.]
     [1.]]
    """
    name = "robust_scaler"
    rule = "quantile_range must be (lower, upper) in percent, 0 <= lower < upper <= 100"
    given = checks.concrete(checks.real(name, "quantile_range", quantile_range, rank=1))
    if given is None:
        raise ValueError(f"{name}: {rule}, known before compilation; got a tracer")
    checks.require(given.shape == (2,), name, rule, f"shape {given.shape}")
    low, high = given.astype(float).tolist()
    checks.require(0 <= low < high <= 100, name, rule, quantile_range)
    return fitted(RobustScaler(np.zeros(()), np.ones(()), (low, high)), x)


def _one_for_zero(xp: Any, scale: Any) -> Any:
    return xp.where(scale == 0, 1, scale)
