"""Data during training: checked once, dealt out in batches, averaged by weight."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import checks
from fnn.dtypes import at_least_float32
from fnn.sums import row_sum
from fnn.types import Array


class Dataset(NamedTuple):
    """Rows to train or to measure on."""

    x: Array | np.ndarray
    """`(rows, ...)`."""
    y: Array | np.ndarray
    """`(rows, ...)`."""
    weights: Array | np.ndarray | None = None
    """`(rows,)`, >= 0; None where all rows weigh the same."""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.x.shape[0]


def dataset(function: str, name: str, data: Any) -> Dataset:
    """`(x, y)` or `(x, y, weights)` as a checked `Dataset`.

    Raises:
      TypeError: It is no such tuple, or does not hold numbers.
      ValueError: Lengths differ, there are no rows, or values are not finite; weights
        are negative or all 0.
    """
    rule = f"{name} must be a tuple (x, y) or (x, y, weights)"
    is_tuple = isinstance(data, (tuple, list)) and len(data) in (2, 3)
    checks.require(is_tuple, function, rule, _kind(data), TypeError)
    x, y = (
        checks.array(function, f"{part} of {name}", v) for part, v in zip("xy", data, strict=False)
    )
    weights = data[2] if len(data) == 3 else None
    rule = f"x and y of {name} must have rows: shapes (rows, ...)"
    checks.require(x.ndim >= 1 and y.ndim >= 1, function, rule, f"{x.shape} and {y.shape}")
    rule = f"x and y of {name} must be of one length"
    checks.require(len(x) == len(y), function, rule, f"{len(x)} and {len(y)} rows")
    checks.require(len(x) > 0, function, f"{name} must have at least one row", "none")
    if weights is not None:
        weights = _checked_weights(function, f"weights of {name}", weights, len(x))
    return Dataset(x, y, weights)


def epoch_order(key: jax.Array, rows: int) -> jax.Array:
    """A random order of the rows, int32 `(rows,)`."""
    # two rows draw the same 32 bits once in 4 billion pairs; then they keep their order
    return jnp.argsort(jax.random.bits(key, (rows,))).astype(np.int32)


def deal(order: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array | None]:
    """The order cut into batches, the last one filled up.

    Returns:
      Row numbers `(batches, batch_size)`, and which of them count: bools of that shape,
      or None where all do.
    """
    rows = order.shape[0]
    batches = -(-rows // batch_size)
    fill = batches * batch_size - rows
    if fill == 0:
        return order.reshape(batches, batch_size), None
    counts = np.arange(batches * batch_size) < rows
    shape = (batches, batch_size)
    return jnp.concatenate([order, order[:fill]]).reshape(shape), jnp.asarray(counts.reshape(shape))


def take(data: Dataset, rows: jax.Array, counts: jax.Array | None) -> Dataset:
    """One batch: these rows of the data, those that do not count with weight 0."""
    weights = None if data.weights is None else jnp.asarray(data.weights)[rows]
    if counts is not None:
        weights = counts.astype(np.float32) if weights is None else jnp.where(counts, weights, 0)
    return Dataset(jnp.asarray(data.x)[rows], jnp.asarray(data.y)[rows], weights)


def weighted_mean(losses: jax.Array, weights: Array | np.ndarray | None) -> jax.Array:
    """sum(w l) / sum(w), of shape `()`, in at least float32; 0 where all weights are 0."""
    losses = losses.astype(at_least_float32(losses.dtype))
    if weights is None:
        return row_sum(losses) / len(losses)
    weights = jnp.asarray(weights).astype(losses.dtype)
    # a row without weight has no say, whatever its loss
    total = row_sum(jnp.where(weights > 0, weights * losses, 0))
    weight = row_sum(weights)
    return total / jnp.where(weight > 0, weight, 1)


def _checked_weights(function: str, name: str, weights: Any, rows: int) -> Any:
    weights = checks.array(function, name, weights)
    checks.require(weights.shape == (rows,), function, f"{name} must be ({rows},)", weights.shape)
    known = checks.concrete(weights)
    if known is not None:
        checks.require(bool((known >= 0).all()), function, f"{name} must be >= 0", known.min())
        checks.require(bool((known > 0).any()), function, f"{name} must not all be 0", "only 0")
    if not jnp.issubdtype(weights.dtype, jnp.floating):
        return weights.astype(np.float32)
    return weights


def _kind(data: Any) -> str:
    length = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
    return f"{type(data).__name__}{length}"
