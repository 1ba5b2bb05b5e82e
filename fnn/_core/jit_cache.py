"""Caches: of compiled programs, and of what else depends on how JAX traces.

Each compiled program holds some 200 memory maps, of which Linux allows a process 65,530. The
compiler aborts the process when it gets no more, so before it is asked the oldest are evicted.
"""

import collections
import functools
import gc
import threading
import weakref
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import jax

# the fraction of the memory maps at which programs are evicted
_SHARE = 0.5
# the fraction of the programs evicted at once, as counting the maps takes time
_PART = 4
# programs at most, where the system does not count memory maps
_MOST = 1024

_kept: collections.OrderedDict[Hashable, jax.stages.Wrapped] = collections.OrderedDict()
_lock = threading.Lock()


class Remembered:
    """A cache of what depends on JAX's options and contexts, too.

    `jax.clear_caches` empties it, as what is in it is kept only as long as JAX keeps what it has
    traced under the same ones.
    """

    def __init__(self, most: int):
        """An empty cache, which forgets the oldest beyond so many."""
        self._most = most
        self._by_settings: Any = weakref.WeakKeyDictionary()

    def __call__(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` returned for an equal key before, under the same settings."""
        with _lock:
            found = self._by_settings.setdefault(_settings(), collections.OrderedDict())
            if key in found:
                found.move_to_end(key)
                return found[key]
        made = make()  # which may take long, and remember something else
        with _lock:
            found[key] = made
            if len(found) > self._most:
                found.popitem(last=False)
        return made


@jax.jit
def _probe() -> int:
    return 0


def _settings() -> Any:
    """An object that is the same as long as JAX traces alike: with the same options and contexts in
    this thread, until `jax.clear_caches`.

    It is what JAX itself remembers of a function. `jax.config` knows all options, but not meshes
    and other contexts.
    """
    return _probe.trace().jaxpr.jaxpr


class Compiled:
    """A jitted function that has a `jax.jit` of its own for each structure and shapes."""

    def __init__(self, function: Callable, static_argnums: tuple[int, ...], options: dict):
        """As `compiled` says."""
        self._function, self._static, self._options = function, static_argnums, options
        functools.update_wrapper(self, function)

    def of(self, *args: Any) -> jax.stages.Wrapped:
        """The jitted function for arguments like these, arrays or their shapes."""
        static = tuple(args[index] for index in self._static)
        traced = [arg for index, arg in enumerate(args) if index not in self._static]
        leaves, structure = jax.tree.flatten(traced)
        shapes = tuple([getattr(leaf, "shape", ()) for leaf in leaves])
        key = self, static, structure, shapes
        with _lock:
            if key not in _kept:
                _make_room()
                _kept[key] = self._jitted()
            _kept.move_to_end(key)
            return _kept[key]

    def __call__(self, *args: Any) -> Any:
        """What the function returns, by its program for arguments like these."""
        return self.of(*args)(*args)

    def _jitted(self) -> jax.stages.Wrapped:
        # JAX keeps programs by the identity of the function, so each needs one of its own
        @functools.wraps(self._function)
        def function(*args: Any) -> Any:
            return self._function(*args)

        return jax.jit(function, static_argnums=self._static, **self._options)


def compiled(*static_argnums: int, **options: Any) -> Callable[[Callable], Compiled]:
    """Decorates a function of positional arguments that is to be jitted.

    Args:
      *static_argnums: The arguments that are static.
      **options: More options of `jax.jit`.
    """
    return lambda function: Compiled(function, static_argnums, options)


def memory_maps() -> int:
    """The memory maps that this process holds; 0 where the system does not count them."""
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return 0


@functools.cache
def _most_maps() -> float:
    try:
        return _SHARE * int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        return float("inf")


def _make_room() -> None:
    """Evicts programs, the oldest first, until there is room for one more."""
    while len(_kept) >= _MOST:
        _kept.popitem(last=False)
    if memory_maps() <= _most_maps():
        return
    while _kept:
        for _ in range(-(-len(_kept) // _PART)):
            _kept.popitem(last=False)
        gc.collect()
        if memory_maps() <= _most_maps():
            return
    jax.clear_caches()  # programs compiled elsewhere can be compiled again, too
    gc.collect()
