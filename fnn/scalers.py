"""Scalers: features brought to one scale, by configs that are fitted to rows."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.config import config, number, static
from fnn._core.dtypes import at_least_float32, wider
from fnn._core.quantiles import from_normal, quantiles_of, to_normal
from fnn.streams.source import Source
from fnn.streams.statistics import extremes, moments
from fnn.types import Numbers

__all__ = [
    "MinMaxScaler",
    "QuantileScaler",
    "RobustScaler",
    "StandardScaler",
    "min_max_scaler",
    "quantile_scaler",
    "robust_scaler",
    "standard_scaler",
]


class Scaler:
    """What all scalers share; the formulas of a subclass serve NumPy and JAX alike."""

    _function: ClassVar[str]
    """The function that makes it, for errors."""
    _by_feature: ClassVar[tuple[str, ...]]
    """The fields that have the features' axes last; the first one is where the features lie."""
    _leading: ClassVar[int] = 0
    """The axes before the features' in these fields."""

    def __call__(self, x: Any) -> jax.Array:
        """The scaled x, for x `(..., *features)`; floating, at least float32.

        Formed in float64 where x and the scaling are concrete: on the host, before x is rounded.
        """
        return self._on_host("_scaled", x)

    def inverse(self, z: Any) -> jax.Array:
        """Undoes the scaling, rounded to the dtype that scaling gives."""
        return self._on_host("_unscaled", z)

    def fitted(self, x: Any) -> Self:
        """A scaler of the same kind and options, fitted to these rows.

        Args:
          x: `(rows, ...)`, as the function takes it that makes such scalers.
        Raises:
          ValueError, TypeError: As that function.
        """
        return _fitted(self, x)

    def shifted(self, by: Any) -> Self:
        """The scaler of x - by: `scaler.shifted(by)(x - by)` is `scaler(x)`.

        Formed in float64 where all is concrete. Features far from zero lose digits in float32,
        their differences from something near to them do not.

        Args:
          by: `(*features)` or `()`, finite.
        Raises:
          ValueError, TypeError: It is not as said here.
        """
        by = _finite_numbers(self._function, "by", by)
        rule = f"by must have shape {self.shape}"
        shapes = (), self.shape, self.shape[1:]
        checks.require(by.shape in shapes, self._function, rule, by.shape)
        name = self._by_feature[0]
        old = getattr(self, name)
        known: list[Any] = [checks.concrete(value) for value in (old, by)]
        if any(value is None for value in known):
            old = jnp.asarray(old)
            new: Any = old - jnp.broadcast_to(jnp.asarray(by).astype(old.dtype), old.shape)
        else:
            new = np.subtract(*known, dtype=np.float64)
        return self._with({name: new})

    @property
    def centre(self) -> np.ndarray | None:
        """A number among those of each feature, float64 `(features,)`; None for a tracer.

        Features have one axis here; of scalers of many lanes, it is the first one's.
        """
        values = checks.concrete(getattr(self, self._by_feature[0]))
        if values is None:
            return None
        if values.ndim > self._leading + 1:
            values = values[0]
        return (values[len(values) // 2] if self._leading else values).astype(np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        """The features' axes, `(lanes, *features)` if there are lanes."""
        return np.shape(getattr(self, self._by_feature[0]))[self._leading :]

    def _with(self, values: dict[str, Any]) -> Self:
        return dataclasses.replace(self, **values)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def _on_host(self, formula: str, x: Any) -> jax.Array:
        """A formula in float64, in NumPy, unless something is traced."""
        x = _finite_numbers(self._function, "x", x)
        shape = self.shape
        rule = f"x must have shape (..., {', '.join(map(str, shape))})"
        fits = x.shape[max(0, x.ndim - len(shape)) :] == shape
        checks.require(fits, self._function, rule, x.shape)
        dtype = _dtype_of_result(x)
        known = [checks.concrete(value) for value in (x, *jax.tree.leaves(self))]
        if any(value is None for value in known):
            on_device = isinstance(x, jax.Array)
            return self._in_jax(formula, x if on_device else jnp.asarray(x.astype(dtype)))
        with np.errstate(over="ignore"):
            wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), self)
            result = getattr(wide, formula)(np, np.asarray(x, np.float64)).astype(dtype)
        rule = f"the result must fit {dtype}"
        checks.require(np.isfinite(result).all(), self._function, rule, "larger values")
        return jax.device_put(result)

    def _in_jax(self, formula: str, x: jax.Array) -> jax.Array:
        """A formula in JAX, where x is."""
        own = jax.tree.map(jnp.asarray, self)
        location = getattr(own, self._by_feature[0])
        wide = wider(_dtype_of_result(x), at_least_float32(location.dtype))
        return getattr(jax.tree.map(lambda leaf: leaf.astype(wide), own), formula)(
            jnp, x.astype(wide)
        )

    def _refitted(self, xp: Any, x: Any) -> Self:
        """By rows x, at least float32."""
        raise NotImplementedError

    def _of_source(self, source: Source) -> Self:
        """By the x of a source, in float64."""
        rule = "x must be an array, as quantiles need all rows at once"
        raise TypeError(f"{self._function}: {rule}; got a Source")

    def _scaled(self, xp: Any, x: Any) -> Any:
        raise NotImplementedError

    def _unscaled(self, xp: Any, z: Any) -> Any:
        raise NotImplementedError


@config
class StandardScaler(Scaler):
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

    def _scaled(self, xp: Any, x: Any) -> Any:
        return (x - _along(self.mean, x)) / _along(self.scale, x)

    def _unscaled(self, xp: Any, z: Any) -> Any:
        return z * _along(self.scale, z) + _along(self.mean, z)


@config
class MinMaxScaler(Scaler):
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

    def _scaled(self, xp: Any, x: Any) -> Any:
        low, high = _two(self.feature_range)
        return (x - _along(self.minimum, x)) / _along(self.scale, x) * (high - low) + low

    def _unscaled(self, xp: Any, z: Any) -> Any:
        low, high = _two(self.feature_range)
        return (z - low) / (high - low) * _along(self.scale, z) + _along(self.minimum, z)


@config
class RobustScaler(Scaler):
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

    def _scaled(self, xp: Any, x: Any) -> Any:
        return (x - _along(self.median, x)) / _along(self.scale, x)

    def _unscaled(self, xp: Any, z: Any) -> Any:
        return z * _along(self.scale, z) + _along(self.median, z)


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
    return _fitted(StandardScaler(np.zeros(()), np.ones(())), x)


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
    return _fitted(MinMaxScaler(np.zeros(()), np.ones(()), given), x)


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
    return _fitted(RobustScaler(np.zeros(()), np.ones(()), (low, high)), x)


def quantile_scaler(x: Any, *, quantiles: int = 1000) -> QuantileScaler:
    """The scaling that gives every feature of `x` a standard normal distribution, by its ranks.

        z = Phi^-1(F(x)),  F: the share of rows below x, interpolated between quantiles

    Phi is the normal distribution function. Equal values get the mean of their shares. What lies
    at or outside the ends of `x` gets +-5.2, where the probability is 1e-7; so does a constant
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
    return _fitted(QuantileScaler(np.zeros(()), np.zeros(()), quantiles), x)


def scaled(scaler: Scaler, x: Any) -> jax.Array:
    """`scaler(x)` for a network: a JAX array stays where it is, and is not looked at."""
    _check_one(scaler)
    return scaler._in_jax("_scaled", x) if isinstance(x, jax.Array) else scaler(x)


def unscaled(scaler: Scaler, z: jax.Array) -> jax.Array:
    """`scaler.inverse(z)` for a network: as `scaled`."""
    _check_one(scaler)
    return scaler._in_jax("_unscaled", z)


def _check_one(scaler: Scaler) -> None:
    rule = "the scaler must be that of one network here (jax.vmap gives each lane its own)"
    checks.require(len(scaler.shape) == 1, scaler._function, rule, f"shape {scaler.shape}")


def for_features(function: str, name: str, scaler: Any, features: int) -> Any:
    """A scaler for `(..., features)`, maybe one per lane, or None.

    Raises:
      TypeError: It is no scaler.
      ValueError: It was fitted to other features.
    """
    if scaler is None:
        return None
    rule = f"{name} must be a scaler, such as standard_scaler makes, or None"
    checks.require(isinstance(scaler, Scaler), function, rule, repr(scaler), TypeError)
    if scaler.shape == ():  # as of targets (rows,)
        fields = {what: getattr(scaler, what) for what in scaler._by_feature}
        scaler = scaler._with({what: value[..., None] for what, value in fields.items()})
    rule = f"{name} must be fitted to {features} features"
    shapes = [np.shape(getattr(scaler, what)) for what in scaler._by_feature]
    fits = all(shape[-1] == features and len(shape) - scaler._leading in (1, 2) for shape in shapes)
    checks.require(fits, function, rule, f"one of shape {scaler.shape}")
    return scaler


def _fitted(like: Any, x: Any) -> Any:
    """A scaler with the options of `like`, fitted to rows."""
    function = like._function
    if isinstance(x, Source):
        return _checked_statistics(like._of_source(x))
    x = _finite_numbers(function, "x", x)
    checks.require(x.shape[:1] > (0,), function, "x must have at least one row", x.shape)
    known = checks.concrete(x)
    if known is None:
        return like._refitted(jnp, x.astype(at_least_float32(x.dtype)))
    return _checked_statistics(like._refitted(np, known.astype(np.float64)))


def _checked_statistics(found: Any) -> Any:
    """The scaler, if its numbers fit JAX's precision."""
    largest = jnp.finfo(jax.dtypes.canonicalize_dtype(float))
    statistics = np.concatenate([np.ravel(getattr(found, what)) for what in found._by_feature])
    fits = bool((abs(statistics) <= float(largest.max)).all())
    checks.require(fits, found._function, f"x must fit {largest.dtype}", "larger values")
    return found


def _finite_numbers(function: str, name: str, x: Any) -> jax.Array | np.ndarray:
    """Finite numbers in at most float64."""
    x = checks.real_numbers(function, name, x)
    if x.dtype == np.longdouble:
        x = x.astype(np.float64)
    checks.finite(function, name, x)
    return x


def _dtype_of_result(x: Any) -> np.dtype:
    return at_least_float32(jax.dtypes.canonicalize_dtype(x.dtype))


def _along(vector: Any, x: Any) -> Any:
    """Numbers `(*features)` with leading axes to match x."""
    return vector[(None,) * (x.ndim - vector.ndim)]


def _two(pair: Any) -> tuple[Any, Any]:
    return pair[0], pair[1]


def _one_for_zero(xp: Any, scale: Any) -> Any:
    return xp.where(scale == 0, 1, scale)
