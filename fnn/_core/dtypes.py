"""Which floating dtype to compute in."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def at_least_float32(dtype: Any) -> np.dtype:
    """The dtype for losses and statistics: a wide float itself, float32 for narrow ones.

    Integers and bools go to JAX's default precision.
    """
    if not jnp.issubdtype(dtype, jnp.floating):
        return jax.dtypes.canonicalize_dtype(float)
    return wider(dtype, np.float32)


def wider(dtype: Any, other: Any) -> np.dtype:
    """Of two floating dtypes, the one with more bits; of two with 16, float32."""
    # not `jnp.promote_types`, which refuses to mix dtypes under strict promotion
    dtype, other = np.dtype(dtype), np.dtype(other)
    if dtype == other:
        return dtype
    bits = jnp.finfo(dtype).bits, jnp.finfo(other).bits
    if bits[0] == bits[1]:
        return np.dtype(np.float32)
    return dtype if bits[0] > bits[1] else other


def float64_enabled(enabled: bool) -> contextlib.AbstractContextManager:
    """`jax.enable_x64`, which JAX had in another place before 0.8."""
    enable: Any = getattr(jax, "enable_x64", None)
    if enable is None:
        enable = jax.experimental.enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    return enable(enabled)
