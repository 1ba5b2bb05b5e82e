"""Statistics of the rows of a source, in one pass, in float64."""

from collections.abc import Iterator

import numpy as np

from fnn.streams.ahead import read_ahead
from fnn.streams.reading import Reader
from fnn.streams.source import Source


def moments(function: str, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of each feature of x.

    Means and sums of squares of the blocks are merged, all of differences from the first row.

    Source: Chan, Golub and LeVeque 1983, The American Statistician 37(3), equation 2.1.
    """
    rows, mean, squares, origin = 0, np.zeros(()), np.zeros(()), np.zeros(())
    for x in _inputs(function, source):
        origin = origin if rows else x[0]
        x = x - origin
        count, centre = len(x), x.mean(axis=0)
        step, total = centre - mean, rows + count
        squares = squares + np.square(x - centre).sum(axis=0) + step**2 * (rows * count / total)
        mean, rows = mean + step * (count / total), total
    return origin + mean, np.sqrt(squares / rows)


def extremes(function: str, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value of each feature of x."""
    low, high = np.inf, -np.inf
    for x in _inputs(function, source):
        low, high = np.minimum(low, x.min(axis=0)), np.maximum(high, x.max(axis=0))
    return np.asarray(low), np.asarray(high)


def _inputs(function: str, source: Source) -> Iterator[np.ndarray]:
    """The x of each block, float64, not rounded to JAX's precision before."""
    reader = Reader(function, "x", source)
    with read_ahead(reader.inputs()) as blocks:
        yield from blocks
