"""Scalers as steps of networks."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn.scalers.base import Scaler

__all__ = ["for_features", "scaled", "stacked", "unscaled"]


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
    one = len(scaler.shape) == 1
    checks.require(one, scaler._function, rule, f"shape {scaler.shape}")


def stacked(scalers: Sequence[Any]) -> Any:
    """Scalers of one kind and of one axis of features as one, with an axis of lanes first."""

    def joined(*leaves: Any) -> np.ndarray:
        # of fewer quantiles, the last one is repeated, which changes nothing
        most = max(map(len, leaves))
        padded = [
            np.pad(leaf, [(0, most - len(leaf))] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
            for leaf in map(np.asarray, leaves)
        ]
        return np.stack(padded)

    return jax.tree.map(joined, *scalers)


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
