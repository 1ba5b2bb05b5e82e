"""Quantiles of rows, and ranks as quantiles of the normal distribution, in NumPy or in JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LEAST = 1e-7
"""The least probability that is distinguished from 0, scikit-learn's."""


def quantiles_of(xp: Any, x: Any, shares: np.ndarray) -> Any:
    """The values of rows x below which there are these shares of them, `(shares, *features)`.

    Interpolated between rows as `np.quantile` does by default. Places of rows are formed in float64
    always: in float32, a quantile that is a row would be one near to it.
    """
    rows = xp.sort(x, axis=0)
    places = shares * (len(x) - 1)
    before = np.minimum(np.floor(places), max(len(x) - 2, 0)).astype(int)
    after = np.minimum(before + 1, len(x) - 1)
    part = (places - before).astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    low, high = rows[before], rows[after]
    # from the nearer row, so that values of equal rows are equal
    step = high - low
    return xp.where(part < 0.5, low + part * step, high - (1 - part) * step)


def to_normal(xp: Any, x: Any, values: Any, references: Any) -> Any:
    """From x `(rows,)` to the normal quantile of the share of rows below x."""
    # Shares below and above apart, as the digits of small ones are lost in those of large ones.
    below, above = 0, 0
    for side in ("right", "left"):  # of equal values, the mean of the highest and the lowest
        after = xp.clip(xp.searchsorted(values, x, side=side), 1, len(values) - 1)
        before = after - 1
        width = values[after] - values[before]
        part = xp.where(width > 0, x - values[before], 0) / xp.where(width > 0, width, 1)
        share = references[after] - references[before]
        below = below + (references[before] + part * share) / 2
        above = above + ((1 - references[after]) + (1 - part) * share) / 2
    lowest, highest = x <= values[0], x >= values[-1]
    is_low = lowest | (~highest & (below <= above))
    tail = xp.where(lowest | highest, 0, xp.minimum(below, above))
    z = _special(xp).ndtri(xp.maximum(tail, LEAST - np.spacing(1)))
    return xp.where(is_low, z, -z)


def from_normal(xp: Any, z: Any, values: Any, references: Any) -> Any:
    """From normal quantiles `(rows,)` to x."""
    tail = _special(xp).ndtr(-xp.abs(z))
    is_low = z < 0
    share = xp.where(is_low, tail, 1 - tail)
    after = xp.clip(xp.searchsorted(references, share, side="right"), 1, len(references) - 1)
    before = after - 1
    width = references[after] - references[before]
    low_part = (tail - references[before]) / xp.where(width > 0, width, 1)
    high_part = 1 - (tail - (1 - references[after])) / xp.where(width > 0, width, 1)
    part = xp.where(width > 0, xp.where(is_low, low_part, high_part), 0)
    x = values[before] + part * (values[after] - values[before])
    edge = xp.where(is_low, values[0], values[-1])
    return xp.where(tail < LEAST, edge, x)


def _special(xp: Any) -> Any:
    """SciPy's functions, or JAX's of these names. Imported here, as few need them."""
    if xp is jnp:
        return jax.scipy.special
    from scipy import special

    return special
