"""How lanes are spread over the machine: devices, threads, and lanes at once."""

import math
import os
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from fnn.once import has_own_memory

# Where memory is the machine's own, the states of a device's lanes are to take no more than
# caches hold well (measured in `bench/README.md`), and beyond so many lanes a small network's
# step gets slower.
_NEAR_BYTES = 2**22
_MOST_LANES = 144
# Where lanes are going to end, each core has so many chunks to begin with, if they do not come
# too small: so all cores have some left when most lanes have ended.
_CHUNKS, _LEAST_LANES = 8, 32
# Where memory is the devices' own, a step over states of fewer bytes takes as long as its kernels
# take to start: to cut those lanes into chunks would only multiply the kernels.
_LEAST_BYTES = 2**26
# Lanes that lie along vectors are to fill the widest that there are.
VECTOR = 16
# So much memory may be taken to spare small states the way to the host and back.
_RESIDENT_BYTES = 2**28
# The share of free memory that chunks at work may take.
_SHARE = 0.5


class Layout(NamedTuple):
    """How lanes are spread over the machine."""

    devices: tuple[Any, ...]
    own_memory: bool
    """Whether the devices have memory of their own, as accelerators do."""
    threads: int
    """How many chunks are at work at once."""
    chunk: int
    """Lanes in a chunk, on all devices together."""
    resident: bool
    """Whether the states of chunks stay on the devices. Else the host keeps them between calls,
    which takes half the memory where that of devices is the same."""

    @property
    def mesh(self) -> Mesh | None:
        """The devices that share a chunk, if there are several."""
        return Mesh(np.array(self.devices), ("lanes",)) if len(self.devices) > 1 else None


def layout_of(
    size: int, state_bytes: int, *, along_vectors: bool, lanes_end: bool, at_once: int | None
) -> Layout:
    """A layout for so many lanes.

    Args:
      size: The number of lanes.
      state_bytes: What the state of one lane takes.
      along_vectors: Whether lanes lie along vectors.
      lanes_end: Whether lanes are going to end before the last epoch.
      at_once: Lanes in a chunk on each device, or None to choose.
    """
    devices = tuple(jax.local_devices())
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
    """The layout, or one of smaller chunks where those at work would take too much memory.

    Args:
      layout: What is planned.
      chunk_bytes: What its program takes on each device, by the compiler's account.
    """
    share = _SHARE * _free_bytes(layout.devices[0]) / (chunk_bytes * layout.threads)
    at_once = layout.chunk // len(layout.devices)
    if share >= 1 or at_once == 1:
        return layout
    return layout._replace(chunk=max(1, int(at_once * share)) * len(layout.devices))


def _free_bytes(device: Any) -> float:
    stats = device.memory_stats()
    if stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf  # this system does not tell


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1
