"""The layout of lanes over the machine: devices, threads, and lanes per chunk."""

import math
import os
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from fnn._core.array_cache import has_own_memory
from fnn._core.devices import chosen_device, devices_here

# On a CPU the states of a chunk take at most this many bytes, which caches hold well (measured in
# `bench/README.md`), and beyond this many lanes a step of a small network gets slower.
_NEAR_BYTES = 2**22
_MOST_LANES = 144
# Where lanes may stop, each core begins with this many chunks, of at least this many lanes: so all
# cores have work when most lanes have stopped.
_CHUNKS, _LEAST_LANES = 8, 32
# On an accelerator, a step over states of fewer bytes is bound by the start of its kernels: more
# chunks would only multiply them.
_LEAST_BYTES = 2**26
# Lanes along vectors fill the widest ones: 16 float32 (AVX-512).
VECTOR = 16
# States of at most this many bytes in all stay on the devices between calls.
_RESIDENT_BYTES = 2**28
# The fraction of the free memory that running chunks may take.
_SHARE = 0.5

BY_LANE, SHARED = PartitionSpec("lanes"), PartitionSpec()


class Layout(NamedTuple):
    """A layout of lanes over the machine."""

    devices: tuple[Any, ...]
    own_memory: bool
    """Whether the devices have memory of their own, as accelerators do."""
    threads: int
    """How many chunks run at the same time."""
    chunk: int
    """Lanes in a chunk, on all devices together."""
    resident: bool
    """Whether the states of chunks stay on the devices between calls. Else the host keeps them,
    which takes half the memory on a CPU."""

    @property
    def at_once(self) -> int:
        """Lanes in a chunk on each device."""
        return self.chunk // len(self.devices)

    @property
    def mesh(self) -> Mesh | None:
        """The devices that a chunk is sharded over; None for a single one."""
        return Mesh(np.array(self.devices), ("lanes",)) if len(self.devices) > 1 else None

    def sharding(self, spec: PartitionSpec) -> Sharding:
        """Where arrays lie of which each device has its lanes (`BY_LANE`) or all (`SHARED`)."""
        if self.mesh is None:
            return SingleDeviceSharding(self.devices[0])
        return NamedSharding(self.mesh, spec)

    def placed(self, tree: Any, spec: PartitionSpec) -> Any:
        """A tree's arrays on the devices."""
        return jax.device_put(tree, self.sharding(spec))

    def fetched(self, tree: Any) -> Any:
        """A tree's arrays on the host."""
        # on a CPU, `jax.device_get` takes longer to ask for copies than it takes to look
        return jax.device_get(tree) if self.own_memory else jax.tree.map(np.asarray, tree)


def layout_of(
    size: int, state_bytes: int, *, along_vectors: bool, lanes_end: bool, at_once: int | None
) -> Layout:
    """The layout for a number of lanes.

    Args:
      size: The number of lanes.
      state_bytes: The bytes of one lane's state.
      along_vectors: Whether lanes are on the last axis, along vectors.
      lanes_end: Whether lanes may stop before the last epoch.
      at_once: Lanes in a chunk on each device, or None to choose.
    """
    devices = devices_here()
    own_memory = has_own_memory(devices)
    threads = 1 if own_memory else max(1, _cores() // len(devices))
    if at_once is None:
        workers = threads * len(devices)
        most = size if own_memory else min(max(2, _NEAR_BYTES // state_bytes), _MOST_LANES)
        if lanes_end:
            least = _LEAST_BYTES // state_bytes if own_memory else 0
            most = min(most, max(_LEAST_LANES, least, -(-size // (_CHUNKS * workers))))
        rounds = -(-size // (most * workers))
        at_once = -(-size // (rounds * workers))
        if along_vectors:
            at_once = -(-at_once // VECTOR) * VECTOR
    chunk = at_once * len(devices)
    resident = own_memory or size * state_bytes <= _RESIDENT_BYTES
    return Layout(devices, own_memory, min(threads, -(-size // chunk)), chunk, resident)


def within_memory(layout: Layout, chunk_bytes: int) -> Layout:
    """The layout, with smaller chunks if the running ones would take too much memory.

    Args:
      layout: The layout to begin with.
      chunk_bytes: The memory of its program on each device, by the compiler's account.
    """
    share = _SHARE * _free_bytes(layout.devices[0]) / (chunk_bytes * layout.threads)
    if share >= 1 or layout.at_once == 1:
        return layout
    return layout._replace(chunk=max(1, int(layout.at_once * share)) * len(layout.devices))


def over_processes() -> bool:
    """Whether lanes are divided between processes: where there are several, unless the caller has
    chosen a device by `jax.default_device`.
    """
    chosen = chosen_device()
    return jax.process_count() > 1 and (chosen is None or isinstance(chosen, str))


def _free_bytes(device: Any) -> float:
    stats = device.memory_stats()
    if stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf  # unknown on this system


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1
