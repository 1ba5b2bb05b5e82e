"""Values as short Python text, for the `repr` of what a user sees.

No text has an address in it, none is long, and none needs to know a value: tracers, shapes and
arrays that were given away are shown by their dtype and shape.
"""

import functools
import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

_PARTIAL = (functools.partial, jax.tree_util.Partial)
# arrays of at most so many numbers are shown in full, where that is their place
_FEW = 8
# digits of the lowest and the highest of many numbers
_DIGITS = 4
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def text_of(value: Any, *, rank: int | None = None, digits: int | None = None) -> str:
    """A value in one line: as Python, where it is short, or described in angle brackets.

    Args:
      value: Anything.
      rank: The axes of one run's value, if it is a number of a config. Of such an array a few
        numbers are shown in full; an array with one axis more is one of many values.
      digits: Of floating numbers. None: as many as distinguish them.

    >>> text_of(np.float64(0.001)), text_of(np.array([1, 2]), rank=0), text_of("a")
    ('0.001', '<2 values from 1 to 2>', '"a"')
    """
    inner = functools.partial(text_of, digits=digits)
    if isinstance(value, str):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, np.dtype):
        return inner(value.name)
    if isinstance(value, (bool, int, float, np.generic)):
        return _number(value, digits)
    if isinstance(value, (np.ndarray, jax.Array, jax.ShapeDtypeStruct)):
        return _array(value, rank, digits)
    if isinstance(value, _PARTIAL):
        return call_text("partial", [value.func, *value.args], value.keywords, digits=digits)
    if type(value) is dict:
        return "{" + ", ".join(f"{inner(k)}: {inner(v)}" for k, v in value.items()) + "}"
    if hasattr(value, "_fields") and type(value).__repr__.__module__ == "collections":
        return call_text(type(value).__name__, [], value._asdict(), digits=digits)
    if type(value) is tuple:
        return f"({', '.join(map(inner, value))}{',' if len(value) == 1 else ''})"
    if type(value) is list:
        return f"[{', '.join(map(inner, value))}]"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    if type(value).__repr__ is object.__repr__:
        return f"<{type(value).__name__}>"
    return _ADDRESS.sub("", repr(value))


def call_text(
    name: str,
    positional: list[Any],
    keywords: Mapping[str, Any],
    *,
    ranks: Mapping[str, int] | None = None,
    digits: int | None = None,
) -> str:
    """A call in one line.

    Args:
      name: Of what is called.
      positional: The first arguments.
      keywords: The others, by name.
      ranks: The `rank` of those that are numbers of a config.
      digits: As in `text_of`.

    >>> call_text("sgd", [0.1], {"nesterov": True})
    'sgd(0.1, nesterov=True)'
    """
    ranks = ranks or {}
    texts = [text_of(value, digits=digits) for value in positional]
    for key, value in keywords.items():
        texts.append(f"{key}={text_of(value, rank=ranks.get(key), digits=digits)}")
    return f"{name}({', '.join(texts)})"


def call_of(factory: Callable, arguments: Mapping[str, Any], ranks: Mapping[str, int]) -> str:
    """The call of a function that makes such a value, without the options at their defaults.

    The first argument is written by its place and the others by name; those of a class are all
    written by name.
    """
    texts = []
    for index, (name, parameter) in enumerate(inspect.signature(factory).parameters.items()):
        value = arguments[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            texts += map(text_of, value)
            continue
        text = text_of(value, rank=ranks.get(name))
        default = parameter.default
        if default is not parameter.empty and text in _texts_of_default(default):
            continue
        by_place = index == 0 and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        texts.append(text if by_place and not inspect.isclass(factory) else f"{name}={text}")
    return f"{factory.__name__}({', '.join(texts)})"


def _texts_of_default(default: Any) -> set[str]:
    """The texts of a default; a whole number may be stored as a float."""
    texts = {text_of(default)}
    return texts | {text_of(float(default))} if type(default) is int else texts


def _number(value: Any, digits: int | None) -> str:
    if digits is not None and isinstance(value, (float, np.floating)):
        return f"{value:.{digits}g}"
    return str(value)


def _array(array: Any, rank: int | None, digits: int | None) -> str:
    """Numbers, if they are few and known; else what there is of them."""
    shape = tuple(array.shape)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return "<key>" if not shape else f"<{_times(shape[0], 'key')}>"
    if not _is_known(array):
        sizes = f"[{','.join(map(str, shape))}]" if shape else ""
        return f"<{'traced ' if isinstance(array, Tracer) else ''}{array.dtype}{sizes}>"
    if not shape:
        return _number(np.asarray(jax.device_get(array))[()], digits)
    if rank is None:
        return f"<{array.dtype}[{','.join(map(str, shape))}]>"
    array = np.asarray(jax.device_get(array))
    if array.ndim == rank and array.size <= _FEW:
        return _nested(array, digits)
    text = _times(len(array), "value")
    if array.ndim > 1:
        text += f" of shape {shape[1:]}"
    if array.size and array.dtype != np.bool_:
        low, high = (_number(bound, digits or _DIGITS) for bound in (array.min(), array.max()))
        text += f" from {low} to {high}" if low != high else f", all {low}"
    return f"<{text}>"


def _nested(array: np.ndarray, digits: int | None) -> str:
    if array.ndim == 0:
        return _number(array[()], digits)
    return f"[{', '.join(_nested(part, digits) for part in array)}]"


def _is_known(array: Any) -> bool:
    """Whether the numbers can be read here and now."""
    if isinstance(array, np.ndarray):
        return True
    if isinstance(array, (Tracer, jax.ShapeDtypeStruct)):
        return False
    return array.is_fully_addressable and not array.is_deleted()


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
