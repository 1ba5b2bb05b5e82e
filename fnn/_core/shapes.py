"""The shapes of what a function returns, cached, as tracing takes milliseconds."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn._core.array_cache import OncePerArray
from fnn._core.partition import Structure, merge, split
from fnn._core.processes import is_elsewhere

# values of larger arrays are not compared: to read them would take as long as to trace
_LARGE = 2**20


def shapes_of(
    asker: str, function: Callable, abstract: tuple, known: tuple = (), *, remember: bool = True
) -> Any:
    """`jax.eval_shape` of a function, remembered by JAX where it has been asked before.

    Args:
      asker: The name of the caller, for errors.
      function: Cached by identity, so a function of a module.
      abstract: Its first arguments, of which it sees shapes and dtypes.
      known: Its last arguments, of which it sees the values too, so that it can check them.
      remember: Whether the answer, and the values, are kept for the next time.
    Returns:
      What the function returns, as `jax.ShapeDtypeStruct`s.
    Raises:
      TypeError: An argument holds what is neither traced nor hashable.
      Exception: What the function raises. It is not remembered, and is raised again.
    """
    traced, structure = split(asker, abstract)
    values, rest = split(asker, known)
    unknown = [isinstance(v, Tracer) or is_elsewhere(v) for v in values]
    if not remember or any(unknown) or any(np.size(value) > _LARGE for value in values):
        call = functools.partial(_call, function, structure, known)
        return jax.eval_shape(call, traced)
    contents = rest, *map(_contents_once, values)
    return _remembered.eval_shape(function, structure, _Known(known, contents), traced)


class _Known:
    """Arguments that compare by their contents."""

    def __init__(self, arguments: tuple, contents: tuple):
        self.arguments, self.contents = arguments, contents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and self.contents == other.contents

    def __hash__(self) -> int:
        return hash(self.contents)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _remembered(function: Callable, structure: Structure, known: _Known, traced: list) -> Any:
    return _call(function, structure, known.arguments, traced)


def _call(function: Callable, structure: Structure, known: tuple, traced: list) -> Any:
    return function(*merge(structure, traced), *known)


def _contents(value: Any) -> tuple:
    kind = getattr(value, "dtype", None)
    if kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    return kind, array.shape, array.dtype, hashlib.blake2b(array.tobytes(), digest_size=16).digest()


_contents_once = OncePerArray(_contents)
