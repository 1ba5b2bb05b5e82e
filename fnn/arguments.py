"""What a piece of work was asked to do, in words that a later call can be compared with."""

import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.partition import is_number

_PARTIAL = (functools.partial, jax.tree_util.Partial)
# whose functions a name tells all of
_KNOWN_BY_NAME = ("jax", "jaxlib", "numpy", "builtins", "functools")
# numbers of an array that are told one by one; of more there is a digest
_FEW = 8


def told(**arguments: Any) -> dict[str, str]:
    """By path (`optimizer.learning_rate`), what each part of the arguments is.

    Numbers are told by value and dtype, arrays by shape, dtype and a digest of all bytes,
    functions by module, qualified name and what they have closed over, configs and other
    objects by their parts. What a function does is not looked at.
    """
    found = {}
    for name, value in arguments.items():
        found |= dict(_parts(name, value))
    return found


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What differs, a line each."""
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    nothing = "not there"
    return [f"{name}: {there.get(name, nothing)} then, {here.get(name, nothing)} now"
            for name in names]  # fmt: skip


def _parts(path: str, value: Any, above: tuple[int, ...] = ()) -> Iterator[tuple[str, str]]:
    """The value in parts; `above` are the ids of those that it is a part of."""
    if id(value) in above:
        yield path, "what it is a part of"
        return
    yield path, _own(value)
    for name, part in _members(value).items():
        yield from _parts(f"{path}{name}", part, (*above, id(value)))


def _own(value: Any) -> str:
    """What a value is, without its parts."""
    if value is None or isinstance(value, (bool, str, bytes, range, np.dtype, set, frozenset)):
        return repr(sorted(map(repr, value)) if isinstance(value, (set, frozenset)) else value)
    if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"{value.dtype} {_numbers(np.asarray(jax.random.key_data(value)))}"
    if isinstance(value, jax.ShapeDtypeStruct):
        return f"{value.dtype}{value.shape}"
    if is_number(value):
        return _numbers(np.asarray(value))
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.tolist()}"
    if isinstance(value, _PARTIAL):
        return _name(value.func)
    if hasattr(value, "__name__"):  # a function, a method, a class or a module
        return _name(value)
    if isinstance(value, (tuple, list, Mapping)):
        return f"{_name(type(value))} of {len(value)}"
    return _name(type(value))


def _numbers(array: np.ndarray) -> str:
    if array.size <= _FEW:
        return f"{array.dtype} {array.tolist()}"
    contents = np.ascontiguousarray(array)
    digest = hashlib.sha256(contents.reshape(-1).view(np.uint8).data).hexdigest()
    return f"{array.dtype}{array.shape} with digest {digest[:32]}"


def _members(value: Any) -> dict[str, Any]:
    """The parts of a value, by what is added to the path."""
    if value is None or isinstance(value, (str, bytes, type, ModuleType)) or is_number(value):
        return {}
    if isinstance(value, _PARTIAL):
        arguments = {f"[{index}]": part for index, part in enumerate(value.args)}
        arguments |= {f".{name}": part for name, part in value.keywords.items()}
        return {f".func{name}": part for name, part in _members(value.func).items()} | arguments
    if isinstance(value, Mapping):
        return {f"[{name!r}]": part for name, part in value.items()}
    if hasattr(value, "_fields"):
        return {f".{name}": part for name, part in value._asdict().items()}
    if isinstance(value, (tuple, list)):
        return {f"[{index}]": part for index, part in enumerate(value)}
    if dataclasses.is_dataclass(value):
        return {f".{field.name}": getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "dtype"):
        return {}
    if hasattr(value, "__name__"):
        return {f".{name}": part for name, part in _closed_over(value).items()}
    names = [*getattr(value, "__dict__", {}), *getattr(type(value), "__slots__", ())]
    return {f".{name}": getattr(value, name) for name in names if hasattr(value, name)}


def _closed_over(function: Any) -> dict[str, Any]:
    """What a function brings along: its object, its defaults and what it has closed over."""
    if str(getattr(function, "__module__", "")).split(".")[0] in _KNOWN_BY_NAME:
        return {}
    found = {"__self__": getattr(function, "__self__", None)}
    found |= {"__wrapped__": getattr(function, "__wrapped__", None)}
    found |= {"__defaults__": getattr(function, "__defaults__", None)}
    found |= {"__kwdefaults__": getattr(function, "__kwdefaults__", None)}
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is not filled yet
            found[name] = cell.cell_contents
    return {name: part for name, part in found.items() if part is not None}


def _name(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or function.__name__
    return f"{getattr(function, '__module__', None)}.{name}"
