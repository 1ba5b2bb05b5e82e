"""Meshes of devices, and data whose rows are sharded over them.

`fit`, `train` and `evaluate` on such data run on all devices of the mesh.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fnn._core import checks
from fnn._core.dataset import dataset
from fnn._core.processes import all_or_none, largest, require_same
from fnn._core.shards import DATA, LEAST_SHARDS, MODEL, Shards, lengthened
from fnn.streams.source import Source, on_mesh

__all__ = ["data_mesh", "shard_data"]


def data_mesh(*, model: int = 1, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of devices over which rows of data are divided, and maybe large matrices.

    Args:
      model: How many devices share one copy of the parameters; 1: each device has a whole one. A
        matrix of 65,536 numbers or more is then divided between them.
      devices: Those to use. None: all, of all processes.
    Returns:
      A `jax.sharding.Mesh` with the axis "data", and "model" where that is not 1.
    Raises:
      ValueError: `model` does not divide the number of devices, or there are none.
      TypeError: `model` is no integer, or `devices` are no devices.

    >>> dict(data_mesh(devices=jax.devices()[:1]).shape)
    {'data': 1}
    """
    name = "data_mesh"
    model = checks.count(name, "model", model)
    devices = jax.devices() if devices is None else devices
    rule = "devices must be a list of JAX's, at least one"
    is_list = isinstance(devices, (list, tuple))
    known = is_list and all(isinstance(device, jax.Device) for device in devices)
    checks.require(known, name, rule, repr(devices), TypeError)
    checks.require(len(devices) > 0, name, rule, "none")
    rule = f"model must divide the {len(devices)} devices"
    checks.require(len(devices) % model == 0, name, rule, model)
    if model == 1:
        return Mesh(np.array(devices), (DATA,))
    return Mesh(np.array(devices).reshape(-1, model), (DATA, MODEL))


def shard_data(data: Any, mesh: Mesh) -> Any:
    """Data with the rows divided over the devices of a mesh.

    Where several processes run, each gives rows of its own, and all get the whole.

    Args:
      data: `(x, y)` or `(x, y, weights)`: x `(rows, ...)`, y `(rows, ...)`, weights `(rows,)`. Or a
        source of `fnn.streams`, in one process.
      mesh: From `data_mesh`, or with an axis "data".
    Returns:
      `(x, y)` or `(x, y, weights)`, sharded by rows. Where the rows do not divide over the devices,
      the last one is repeated with weight 0, up to a multiple of 8 and of the devices. Of a source,
      a source whose buffers are put on the devices in this way.
    Raises:
      ValueError, TypeError: The mesh has no axis "data"; or as `fit`, of data.

    >>> mesh = data_mesh(devices=jax.devices()[:1])
    >>> x, y, weights = shard_data((np.ones((3, 2)), np.ones(3)), mesh)
    >>> x.shape, weights.tolist()
    ((8, 2), [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """
    name = "shard_data"
    rule = f"mesh must be a jax.sharding.Mesh with an axis {DATA!r}"
    checks.require(isinstance(mesh, Mesh), name, rule, repr(mesh), TypeError)
    checks.require(DATA in mesh.axis_names, name, rule, mesh)
    if isinstance(data, Source):
        rule = "a Source must be on devices of one process"
        checks.require(not mesh.is_multi_process, name, rule, f"those of {jax.process_count()}")
        return on_mesh(data, Shards(mesh, (DATA,)))
    checks.no_tracers(name, data)
    elsewhere = ValueError(f"{name}: data must be valid in all processes; got an error in another")
    checked = all_or_none(lambda: dataset(name, "data", data), elsewhere)
    parts = [None if part is None else np.asarray(part) for part in checked]
    shapes = [part if part is None else f"{part.dtype}{part.shape[1:]}" for part in parts]
    facts = {"data": str(shapes), "mesh": str(mesh), "jax": jax.__version__}
    require_same(name, lambda: facts)
    rows = checked.rows
    # all devices get equally many, and so does every process
    divisor = math.lcm(LEAST_SHARDS, mesh.shape[DATA])
    divisor = math.lcm(divisor, jax.process_count()) // jax.process_count()
    (each,) = largest(-(-rows // divisor) * divisor)
    (padded,) = largest(each != rows)
    if parts[2] is None and padded:
        parts[2] = np.ones(rows, np.float32)
    sharding = NamedSharding(mesh, PartitionSpec(DATA))
    return tuple(
        jax.make_array_from_process_local_data(sharding, lengthened(part, each, part is parts[2]))
        for part in parts
        if part is not None
    )
