"""A cache of facts about JAX arrays, which never change."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


class OncePerArray:
    """Caches the result of a function of an array for as long as the array exists."""

    def __init__(self, function: Callable[[Any], Any]):
        """Takes the function of an array, which is to return no JAX array."""
        self._function = function
        self._found: dict[int, tuple[weakref.ref, Any]] = {}

    def __call__(self, array: Any) -> Any:
        """What the function returns; remembered for concrete JAX arrays only."""
        if not isinstance(array, jax.Array) or isinstance(array, Tracer):
            return self._function(array)
        key = id(array)
        found = self._found.get(key)
        if found is None or found[0]() is not array:
            forget = weakref.ref(array, lambda _: self._found.pop(key, None))
            found = forget, self._function(array)
            self._found[key] = found
        return found[1]


@OncePerArray
def all_finite(value: jax.Array | np.ndarray) -> bool:
    """Whether no number of a concrete array is NaN or infinite.

    Found out where the array is: on devices with memory of their own by a reduction, of which one
    bool comes back. Of several processes, each looks at what is on its devices.
    """
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return all(_all_finite(shard.data) for shard in value.addressable_shards)
    return _all_finite(value)


def _all_finite(value: jax.Array | np.ndarray) -> bool:
    if isinstance(value, jax.Array) and has_own_memory(value.devices()):
        with jax.debug_nans(False), jax.debug_infs(False):
            return bool(jax.device_get(_isfinite_all(value)))
    return bool(np.isfinite(np.asarray(jax.device_get(value))).all())


def has_own_memory(devices: Iterable[Any]) -> bool:
    """Whether devices have memory of their own, as accelerators do."""
    return any(device.memory_stats() for device in devices)


@jax.jit
def _isfinite_all(value: jax.Array) -> jax.Array:
    return jnp.isfinite(value).all()
