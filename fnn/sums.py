"""Sums over many rows that keep float32's digits."""

import math

import jax
import jax.numpy as jnp

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
