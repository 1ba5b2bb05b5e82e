"""The rows of an epoch: shuffled, and cut into batches."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core.dataset import Data, Sharded, Subset, shards_of_batches
from fnn._core.reductions import normalized
from fnn._core.shards import rows_at

# random bits per row, at least
_RANDOM_BITS = 20
# A few thousand numbers are drawn in parts of this size, up to this many parts: in one piece XLA
# starts threads, which takes six times as long on two cores.
_PART, _PARTS = 1024, 8


def epoch_order(key: jax.Array, rows: int) -> jax.Array:
    """A random order of the rows, int32 `(rows,)`.

    Rows are sorted by random bits. One integer holds both, random bits above the row number, as
    sorting integers is several times faster than sorting pairs (`argsort`). With many rows, few
    bits are left; then a second sort by new bits follows, as in a radix sort. One pair of rows in a
    million draws the same bits and keeps its order.
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


class EpochBatches(NamedTuple):
    """The batches of an epoch."""

    rows: jax.Array
    """Row numbers, `(batches, batch_size)`; the last batch is padded."""
    weights: jax.Array | np.ndarray | None
    """Normalized weights of the rows, `(batches, batch_size)`: they sum to 1 in each batch, and are
    0 for padding. None where all rows weigh the same."""
    totals: jax.Array | np.ndarray | None
    """The sum of each batch's weights before they were normalized, `(batches,)`; None where all are
    the same."""


def order_of(data: Data, key: jax.Array) -> jax.Array:
    """A random order of the rows of data, int32 `(rows,)`.

    Where batches take equally many rows from each shard, the first shard's rows come first, and so
    on: each shard has an order of its own.
    """
    shards = shards_of_batches(data)
    if shards is None:
        return epoch_order(key, data.rows)
    each = data.rows // shards
    orders = jax.vmap(lambda key: epoch_order(key, each))(jax.random.split(key, shards))
    return (orders + each * jnp.arange(shards, dtype=np.int32)[:, None]).reshape(-1)


def in_batches(data: Data, order: jax.Array, batch_size: int) -> EpochBatches:
    """The rows in this order, cut into batches."""
    shards = shards_of_batches(data) or 1
    rows, size = data.rows // shards, batch_size // shards
    batches = -(-rows // size)
    fill = batches * size - rows

    def cut(parts: Any) -> Any:
        """`(shards, batches * size)` as `(batches, batch_size)`."""
        return parts.reshape(shards, batches, size).swapaxes(0, 1).reshape(batches, batch_size)

    if shards == 1:
        filled = jnp.concatenate([order, jnp.resize(order, (fill,))]) if fill else order
        places = filled.reshape(batches, size)
    else:
        parts = order.reshape(shards, rows)
        places = cut(parts[:, np.arange(batches * size) % rows] if fill else parts)
    numbers = data.numbers[places] if isinstance(data, Subset) else places
    counts = cut(np.tile((np.arange(batches * size) < rows).astype(float), shards))
    if data.weights is not None:
        weights = _weights_at(data, places).astype(float) * counts
        return EpochBatches(numbers, normalized(weights), jnp.sum(weights, axis=1))
    if fill == 0:
        return EpochBatches(numbers, None, None)
    totals = counts.sum(axis=1)  # all known before compilation
    return EpochBatches(numbers, counts / totals[:, None], totals)


def _weights_at(data: Data, places: jax.Array) -> jax.Array:
    if isinstance(data, Sharded):
        return jax.vmap(lambda rows: rows_at(data.shards, data.weights, rows))(places)
    return jnp.asarray(data.weights)[places]
