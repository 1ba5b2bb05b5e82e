"""The shapes of what a function returns, cached, as tracing takes milliseconds."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn._core.array_cache import OncePerArray
from fnn._core.jit_cache import Remembered
from fnn._core.partition import Structure, merge, split
from fnn._core.processes import is_elsewhere

# values of larger arrays are not compared: to read them would take as long as to trace
_LARGE = 2**20
# answers remembered
_MOST = 128

_answers = Remembered(_MOST)


def shapes_of(
    asker: str, function: Callable, abstract: tuple, known: tuple = (), *, remember: bool = True
) -> Any:
    """`jax.eval_shape` of a function, remembered where it has been asked before, not long ago.

    Args:
      asker: The name of the caller, for errors.
      function: Cached by identity, so a function of a module.
      abstract: Its first arguments, of which it sees shapes and dtypes.
      known: Its last arguments, of which it sees the values too, so that it can check them.
      remember: Whether the answer is kept for the next time.
    Returns:
      What the function returns, as `jax.ShapeDtypeStruct`s.
    Raises:
      TypeError: An argument holds what is neither traced nor hashable.
      Exception: What the function raises. It is not remembered, and is raised again.
    """
    traced, structure = split(asker, abstract)
    values, rest = split(asker, known)
    unknown = [isinstance(v, Tracer) or is_elsewhere(v) for v in values]
    call = functools.partial(_call, function, structure, known)
    if not remember or any(unknown) or any(np.size(value) > _LARGE for value in values):
        return jax.eval_shape(call, traced)
    contents = rest, *map(_contents_once, values)
    question = function, structure, tuple([_kind(value) for value in traced]), contents
    return _answers(question, lambda: jax.eval_shape(call, traced))


def _call(function: Callable, structure: Structure, known: Sequence, traced: list) -> Any:
    return function(*merge(structure, traced), *known)


def _kind(value: Any) -> tuple:
    kind = getattr(value, "dtype", type(value))
    return np.shape(value), kind, getattr(value, "weak_type", False)


def _contents(value: Any) -> tuple:
    kind = getattr(value, "dtype", None)
    if kind is not None and jnp.issubdtype(kind, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    return kind, array.shape, array.dtype, hashlib.blake2b(array.tobytes(), digest_size=16).digest()


_contents_once = OncePerArray(_contents)
