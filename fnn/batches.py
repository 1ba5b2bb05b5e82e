"""Data during training: checked once, dealt out in batches, averaged by weight."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import checks
from fnn.dtypes import at_least_float32
from fnn.sums import row_sum
from fnn.types import Array

# by which an order is drawn, at least
_RANDOM_BITS = 20
# Some thousand numbers are drawn in parts of so many, up to so many parts: on two cores the
# threads that XLA would start for all at once take six times as long.
_PART, _PARTS = 1024, 8


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
    """A random order of the rows, int32 `(rows,)`.

    Rows sorted by random bits. The bits and the row's number share one integer, the bits
    above, as sorting integers is several times faster than sorting pairs (`argsort`). Where
    many rows leave room for few bits, a second sort by as many new ones follows: a radix
    sort. Two rows draw the same bits once in a million pairs; then they keep their order.
    """
    numbers = jnp.arange(rows, dtype=np.uint32)
    below = max(1, (rows - 1).bit_length())
    number = np.uint32(2**below - 1)
    order = numbers
    for bits in _random_bits(key, -(-_RANDOM_BITS // (32 - below)), rows):
        order = order[jnp.sort(bits & ~number | numbers) & number]
    return order.astype(np.int32)


def _random_bits(key: jax.Array, sorts: int, rows: int) -> jax.Array:
    """uint32 `(sorts, rows)`."""
    parts = -(-sorts * rows // _PART)
    if parts == 1 or parts > _PARTS:
        return jax.random.bits(key, (sorts, rows), np.uint32)
    keys = jax.random.split(key, parts)
    drawn = jax.lax.map(lambda key: jax.random.bits(key, (_PART,), np.uint32), keys)
    return drawn.reshape(-1)[: sorts * rows].reshape(sorts, rows)


class Dealt(NamedTuple):
    """The rows of an epoch, in batches."""

    rows: jax.Array
    """Their numbers, `(batches, batch_size)`; the last batch is filled up."""
    shares: jax.Array | np.ndarray | None
    """Each row's share in the mean loss of its batch, `(batches, batch_size)`, 0 for those that
    only fill up; None where all rows have the same."""
    weights: jax.Array | np.ndarray | None
    """What each batch weighs, `(batches,)`; None where all weigh the same."""


def deal(data: Dataset, order: jax.Array, batch_size: int) -> Dealt:
    """The order cut into batches."""
    batches = -(-data.rows // batch_size)
    fill = batches * batch_size - data.rows
    shape = (batches, batch_size)
    rows = (jnp.concatenate([order, order[:fill]]) if fill else order).reshape(shape)
    counts = (np.arange(batches * batch_size) < data.rows).astype(float).reshape(shape)
    if data.weights is not None:
        weights = jnp.asarray(data.weights)[rows].astype(float) * counts
        return Dealt(rows, shares_of(weights), jnp.sum(weights, axis=1))
    if fill == 0:
        return Dealt(rows, None, None)
    weights = counts.sum(axis=1)  # all known before compilation
    return Dealt(rows, counts / weights[:, None], weights)


def shares_of(weights: jax.Array) -> jax.Array:
    """Each row's share in a weighted mean, `(..., batch)`; 0 where all weights are."""
    total = row_sum(jnp.moveaxis(weights, -1, 0))[..., None]
    return weights / jnp.where(total > 0, total, 1)


def take(data: Dataset, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The x and the y of these rows."""
    return jnp.asarray(data.x)[rows], jnp.asarray(data.y)[rows]


def mean_by_shares(losses: jax.Array, shares: Array | np.ndarray | None) -> jax.Array:
    """The mean loss of a batch, of shape `()`, in at least float32.

    With equal shares it is infinite where the sum is, which for float32 is a mean of 1e36 or
    so: a run that has all but diverged.
    """
    losses = losses.astype(at_least_float32(losses.dtype))
    if shares is None:
        return row_sum(losses) / len(losses)
    shares = jnp.asarray(shares).astype(losses.dtype)
    # a row without weight has no say, whatever its loss
    return row_sum(jnp.where(shares > 0, shares * losses, 0))


def weighted_mean(losses: jax.Array, weights: Array | np.ndarray | None) -> jax.Array:
    """sum(w l) / sum(w), of shape `()`, in at least float32; 0 where all weights are 0."""
    if weights is None:
        return mean_by_shares(losses, None)
    weights = jnp.asarray(weights).astype(at_least_float32(losses.dtype))
    return mean_by_shares(losses, shares_of(weights))


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
