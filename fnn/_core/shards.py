"""Rows that lie on the devices of a mesh, in shards of equal length."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fnn._core import checks

DATA, MODEL = "data", "model"
"""The axes of a mesh along which rows and large matrices are divided."""

LEAST_SHARDS = 8
"""Batches take equally many rows from so many shards or more: the same on 1, 2, 4 and 8 devices."""


@dataclasses.dataclass(frozen=True)
class Shards:
    """How rows lie on the devices of a mesh."""

    mesh: Mesh
    axes: tuple[str, ...]
    """The axes of the mesh along which rows are sharded."""
    count: int | None = None
    """A batch takes equally many rows from each of so many shards; None: any rows."""

    @property
    def devices(self) -> int:
        """The devices along those axes."""
        return math.prod(self.mesh.shape[axis] for axis in self.axes)

    @property
    def finest(self) -> int:
        """The shards of which a batch can take equally many rows each; rows are a multiple."""
        return math.lcm(LEAST_SHARDS, self.devices)

    @property
    def models(self) -> int:
        """The devices along the axis "model"."""
        return 1 if MODEL in self.axes else self.mesh.shape.get(MODEL, 1)

    def by_rows(self, array: Any) -> jax.Array:
        """The array in a compiled program, its first axis sharded as rows are."""
        return self.constrained(array, PartitionSpec(self.axes))

    def constrained(self, array: Any, spec: PartitionSpec) -> jax.Array:
        """The array in a compiled program, laid out over the mesh by that specification."""
        return jax.lax.with_sharding_constraint(array, NamedSharding(self.mesh, spec))


def shards_of(x: Any) -> Shards | None:
    """How the rows of an array lie; None where they do not lie on a mesh by its first axis."""
    if not isinstance(x, jax.Array) or isinstance(x, Tracer):
        return None
    sharding = x.sharding
    if not isinstance(sharding, NamedSharding) or not len(sharding.spec):
        return None
    axes = sharding.spec[0]
    axes = (axes,) if isinstance(axes, str) else axes
    if not axes:
        return None
    # its axes automatic, whatever those of the mesh given: the compiler adds the communication
    mesh = Mesh(np.asarray(sharding.mesh.devices), sharding.mesh.axis_names)
    return Shards(mesh, tuple(axes))


def placed_alike(shards: Shards, array: Any) -> Any:
    """The array, or None, with its rows where those of x are."""
    if array is None:
        return None
    return jax.device_put(array, NamedSharding(shards.mesh, PartitionSpec(shards.axes)))


def lengthened(array: np.ndarray, rows: int, with_zeros: bool) -> np.ndarray:
    """The array with so many rows: the last one repeated, or zeros."""
    fill = [(0, rows - len(array))] + [(0, 0)] * (array.ndim - 1)
    return np.pad(array, fill, mode="constant" if with_zeros else "edge")


def in_equal_parts(function: str, shards: Shards, rows: int, batch_size: int) -> Shards:
    """With the number of shards from which each batch takes equally many rows.

    Raises:
      ValueError: The batch cannot be spread over the devices evenly.
    """
    devices = shards.devices
    rule = f"batch_size must be a multiple of the {devices} devices over which rows are sharded"
    checks.require(batch_size % devices == 0, function, rule, batch_size)
    divides = batch_size % shards.finest == 0 and rows % shards.finest == 0
    return dataclasses.replace(shards, count=shards.finest if divides else devices)


def rows_at(shards: Shards, array: Any, numbers: jax.Array) -> jax.Array:
    """`array[numbers]`, `(batch, ...)`, sharded by rows.

    Where batches take equally many rows from each shard, `numbers` has those of the first shard
    first, and so on, and no row leaves its device.
    """
    array = jnp.asarray(array)
    if shards.count is None:
        return shards.by_rows(array[numbers])
    parts = shards.by_rows(array.reshape(shards.count, -1, *array.shape[1:]))
    begins = jnp.arange(shards.count, dtype=numbers.dtype)[:, None] * parts.shape[1]
    own = shards.by_rows(numbers.reshape(shards.count, -1) - begins)
    taken = jax.vmap(lambda part, rows: part[rows])(parts, own)
    return shards.by_rows(taken.reshape(-1, *array.shape[1:]))


def in_blocks(
    shards: Shards, function: Callable[[jax.Array], jax.Array], x: jax.Array, rows: int
) -> jax.Array:
    """`function(x)`, of about so many rows at a time, no row leaving its device."""
    parts = x.reshape(shards.devices, -1, *x.shape[1:])
    size = max(1, rows // shards.devices)
    fill = -parts.shape[1] % size
    padded = jnp.pad(parts, [(0, 0), (0, fill)] + [(0, 0)] * (x.ndim - 1), mode="edge")
    blocks = padded.reshape(shards.devices, -1, size, *x.shape[1:]).swapaxes(0, 1)

    def of_block(block: jax.Array) -> jax.Array:
        made = function(shards.by_rows(block.reshape(-1, *x.shape[1:])))
        return shards.by_rows(made.reshape(shards.devices, size, *made.shape[1:]))

    made = jax.lax.map(of_block, blocks).swapaxes(0, 1)  # (devices, blocks, size, ...)
    made = made.reshape(shards.devices, -1, *made.shape[3:])[:, : parts.shape[1]]
    return shards.by_rows(made.reshape(-1, *made.shape[2:]))
