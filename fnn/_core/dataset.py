"""Data to train or to measure on: rows of inputs and targets, checked."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dtypes import at_least_float32
from fnn._core.processes import is_elsewhere, rows_here, spans_processes
from fnn._core.shards import Shards, lengthened, placed_alike, rows_at, shards_of
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


class Subset(NamedTuple):
    """Some rows of a dataset, by their numbers. Many subsets can share one dataset."""

    x: Array | np.ndarray
    """All rows of the dataset, `(all, ...)`."""
    y: Array | np.ndarray
    """`(all, ...)`."""
    weights: Array | np.ndarray | None
    """`(rows,)`, of the chosen rows."""
    numbers: Array | np.ndarray
    """The chosen rows, int32 `(rows,)`."""

    @property
    def rows(self) -> int:
        """The number of chosen rows."""
        return self.numbers.shape[0]


class Sharded(NamedTuple):
    """A dataset whose rows lie on the devices of a mesh."""

    x: Array
    """`(rows, ...)`."""
    y: Array
    """`(rows, ...)`."""
    weights: Array | None
    """`(rows,)`."""
    shards: Shards

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.x.shape[0]


Data = Dataset | Subset | Sharded


def dataset(function: str, name: str, data: Any) -> Any:
    """`(x, y)` or `(x, y, weights)` as a checked `Dataset`; a `Subset` is one that was checked.

    Raises:
      TypeError: It is no such tuple, or does not hold numbers.
      ValueError: Lengths differ, there are no rows, or values are not finite; weights
        are negative or all 0, or so small or large that floats do not hold their sum.
    """
    if isinstance(data, Subset):
        return data
    rule = f"{name} must be arrays here (fnn.train and fnn.evaluate take a Source)"
    is_source = getattr(type(data), "is_source", False)
    checks.require(not is_source, function, rule, "a Source", TypeError)
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
    rule = f"x, y and weights of {name} must be shared by the same processes (see shard_data)"
    are_shared = {spans_processes(part) for part in (x, y, weights) if part is not None}
    checks.require(len(are_shared) == 1, function, rule, "some that are, and some that are not")
    return Dataset(x, y, weights)


def sharded(data: Dataset) -> Data:
    """The dataset as a `Sharded`, where the rows of x lie on the devices of a mesh."""
    shards = shards_of(data.x)
    if shards is None:
        return data
    x, y, weights = (placed_alike(shards, part) for part in data)
    return Sharded(x, y, weights, shards)


def put_on_devices(data: Dataset, shards: Shards | None) -> Any:
    """NumPy's rows on the devices of a mesh, or on a device.

    On a mesh, the last one is repeated with weight 0, up to a multiple of `shards.finest`.
    """
    if shards is None:
        return jax.device_put(data)
    parts: list[Any] = list(data)
    rows = -(-data.rows // shards.finest) * shards.finest
    if rows != data.rows and parts[2] is None:
        parts[2] = np.ones(data.rows, np.float32)
    parts = [None if part is None else lengthened(part, rows, part is parts[2]) for part in parts]
    x, y, weights = (placed_alike(shards, part) for part in parts)
    return Sharded(x, y, weights, shards)


def on_devices(data: Any) -> Any:
    """The data, or None, on a device; those that lie on a mesh, where they are."""
    return data if isinstance(data, Sharded) else jax.device_put(data)


def shards_of_batches(data: Data) -> int | None:
    """The shards of which each batch takes equally many rows; None where it takes any rows."""
    return data.shards.count if isinstance(data, Sharded) else None


def take(data: Data, rows: Array | np.ndarray) -> tuple[jax.Array, jax.Array]:
    """The x and the y of these rows."""
    if isinstance(data, Sharded):
        x, y = (rows_at(data.shards, part, jnp.asarray(rows)) for part in data[:2])
        return x, y
    return jnp.asarray(data.x)[rows], jnp.asarray(data.y)[rows]


def selected(data: Data) -> Dataset:
    """The rows that count, as a dataset."""
    if isinstance(data, Subset):
        return Dataset(*take(data, data.numbers), data.weights)
    return Dataset(*data[:3])


def selected_shapes(data: Data) -> Dataset:
    """`selected`, to check other arguments by, with shapes in place of what needs computing.

    Where rows are chosen, x is a shape. Of rows that other processes hold, each process has its
    own: their y, the shape of x, and weights of 1.
    """
    if is_elsewhere(data.y):
        y = rows_here(data.y)
        shape: Any = jax.ShapeDtypeStruct((len(y), *data.x.shape[1:]), data.x.dtype)
        weights = None if data.weights is None else np.ones(len(y), data.weights.dtype)
        return Dataset(shape, y, weights)
    if not isinstance(data, Subset):
        return Dataset(*data[:3])
    x: Any = jax.ShapeDtypeStruct((data.rows, *data.x.shape[1:]), data.x.dtype)
    return Dataset(x, np.asarray(data.y)[np.asarray(data.numbers)], data.weights)


def _checked_weights(function: str, name: str, weights: Any, rows: int) -> Any:
    weights = checks.array(function, name, weights)
    checks.require(weights.shape == (rows,), function, f"{name} must be ({rows},)", weights.shape)
    known = checks.concrete(weights)
    if known is not None:
        checks.require(bool((known >= 0).all()), function, f"{name} must be >= 0", known.min())
        checks.require(bool((known > 0).any()), function, f"{name} must not all be 0", "only 0")
        limits = jnp.finfo(at_least_float32(known.dtype))
        low, high = float(limits.tiny), float(limits.max)
        with np.errstate(over="ignore"):
            largest, total = float(known.max()), known.sum(dtype=np.float64)
        rule = f"the largest of {name} must be >= {low:.3g}, and their sum <= {high:.3g}"
        got = f"{largest:.3g}, and {total:.3g}"
        checks.require(low <= largest and total <= high, function, rule, got)
    if not jnp.issubdtype(weights.dtype, jnp.floating):
        return weights.astype(np.float32)
    return weights


def _kind(data: Any) -> str:
    length = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
    return f"{type(data).__name__}{length}"
