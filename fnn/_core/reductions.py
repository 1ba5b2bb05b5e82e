"""Sums and weighted means over many rows that keep float32's digits."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core.dtypes import at_least_float32
from fnn.types import Array

# one running sum over so many rows loses at most about the last bit or two
_SHORT = 1024


def row_sum(values: jax.Array) -> jax.Array:
    """The sum over the first axis; over many rows as a sum of partial sums."""
    rows = len(values)
    if rows <= _SHORT:
        return jnp.sum(values, axis=0)
    width = math.isqrt(rows)
    padding = [(0, -rows % width)] + [(0, 0)] * (values.ndim - 1)
    parts = jnp.pad(values, padding).reshape(-1, width, *values.shape[1:])
    return jnp.sum(jnp.sum(parts, axis=0), axis=0)


def normalized(weights: jax.Array) -> jax.Array:
    """Weights divided by their sum, `(..., batch)`; 0 where all weights are 0."""
    total = row_sum(jnp.moveaxis(weights, -1, 0))[..., None]
    return weights / jnp.where(total > 0, total, 1)


def normalized_mean(losses: jax.Array, weights: Array | np.ndarray | None) -> jax.Array:
    """The mean by normalized weights, None for equal ones, of shape `()`, in at least float32.

    With equal weights it is infinite where the sum is, which for float32 is a mean of 1e36 or
    so: a run that has all but diverged.
    """
    losses = losses.astype(at_least_float32(losses.dtype))
    if weights is None:
        return row_sum(losses) / len(losses)
    weights = jnp.asarray(weights).astype(losses.dtype)
    # a row of weight 0 does not count, not even where its loss is not finite
    return row_sum(jnp.where(weights > 0, weights * losses, 0))


def weighted_mean(losses: jax.Array, weights: Array | np.ndarray | None) -> jax.Array:
    """sum(w l) / sum(w), of shape `()`, in at least float32; 0 where all weights are 0."""
    if weights is None:
        return normalized_mean(losses, None)
    weights = jnp.asarray(weights).astype(at_least_float32(losses.dtype))
    return normalized_mean(losses, normalized(weights))
