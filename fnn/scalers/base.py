"""What all scalers share: where and in which precision a formula is computed, and fitting."""

import dataclasses
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dtypes import at_least_float32, wider
from fnn.streams.source import Source

__all__ = ["Scaler", "fitted"]


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
        return fitted(self, x)

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
        fits = by.shape in ((), self.shape, self.shape[1:])
        checks.require(fits, self._function, rule, by.shape)
        name = self._by_feature[0]
        old = getattr(self, name)
        known: list[Any] = [checks.concrete(value) for value in (old, by)]
        if any(value is None for value in known):
            old = jnp.asarray(old)
            new: Any = old - jnp.broadcast_to(jnp.asarray(by).astype(old.dtype), old.shape)
        else:
            new = np.subtract(*known, dtype=np.float64)
        return self._with({name: new})

    def affine(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """The scaling as `(x - centre) * factor + offset`; None where it is not linear.

        For other formats, in which there are no scalers.

        Returns:
          The centre, the factor and the offset, each float64 `(*features)`.
        Raises:
          ValueError: Something is traced, where it is linear.
        """
        return None

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
        fits = x.shape[x.ndim - len(shape) :] == shape and x.ndim >= len(shape)
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
        fits = bool(np.isfinite(result).all())
        checks.require(fits, self._function, rule, "larger values")
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


def fitted(like: Any, x: Any) -> Any:
    """A scaler with the options of `like`, fitted to rows."""
    function = like._function
    if isinstance(x, Source):
        return _checked_statistics(like._of_source(x))
    x = _finite_numbers(function, "x", x)
    has_rows = x.ndim >= 1 and x.shape[0] >= 1
    checks.require(has_rows, function, "x must have at least one row", x.shape)
    known = checks.concrete(x)
    if known is None:
        return like._refitted(jnp, x.astype(at_least_float32(x.dtype)))
    return _checked_statistics(like._refitted(np, known.astype(np.float64)))


def _checked_statistics(found: Any) -> Any:
    """The scaler, if its numbers fit JAX's precision."""
    largest = jnp.finfo(jax.dtypes.canonicalize_dtype(float))
    statistics = [getattr(found, what) for what in found._by_feature]
    fits = all(bool((abs(values) <= float(largest.max)).all()) for values in statistics)
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
