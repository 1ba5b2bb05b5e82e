"""What a piece of work was asked to do, in words that a later call can be compared with."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.partition import is_number

# numbers of an array that are told one by one; of more there is a digest
_FEW = 8


def told(**arguments: Any) -> dict[str, str]:
    """By path (`optimizer.learning_rate`), what each part of the arguments is.

    Numbers are told by value and dtype, arrays by shape, dtype and a digest of all bytes,
    functions by module and qualified name, configs and other objects by their parts. Two
    functions of one name are told alike, whatever they do; and so are the numbers that a
    function has closed over.
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


def _parts(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if value is None or isinstance(value, (bool, str, bytes, np.dtype)):
        yield path, repr(value)
    elif hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        yield path, f"{value.dtype} {_numbers(np.asarray(jax.random.key_data(value)))}"
    elif isinstance(value, jax.ShapeDtypeStruct):
        yield path, f"{value.dtype}{value.shape}"
    elif is_number(value):
        yield path, _numbers(np.asarray(value))
    elif isinstance(value, (functools.partial, jax.tree_util.Partial)):
        yield from _parts(path, value.func)
        for index, argument in enumerate(value.args):
            yield from _parts(f"{path}[{index}]", argument)
        for name, argument in value.keywords.items():
            yield from _parts(f"{path}.{name}", argument)
    elif hasattr(value, "__qualname__"):  # a function, a method or a class
        yield path, _name(value)
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, type(dataclasses)):
            yield from _parts(f"{path}.__self__", owner)
    elif isinstance(value, Mapping):
        for name, member in value.items():
            yield from _parts(f"{path}[{name!r}]", member)
    elif isinstance(value, (tuple, list)) and not hasattr(value, "_fields"):
        yield path, f"{type(value).__name__} of {len(value)}"
        for index, member in enumerate(value):
            yield from _parts(f"{path}[{index}]", member)
    else:
        yield path, _name(type(value))
        for name, member in _members(value).items():
            yield from _parts(f"{path}.{name}", member)


def _numbers(array: np.ndarray) -> str:
    if array.size <= _FEW:
        return f"{array.dtype} {array.tolist()}"
    contents = np.ascontiguousarray(array)
    digest = hashlib.sha256(contents.reshape(-1).view(np.uint8).data).hexdigest()
    return f"{array.dtype}{array.shape} with digest {digest[:32]}"


def _members(value: Any) -> dict[str, Any]:
    """The parts of a NamedTuple, a dataclass or another object."""
    if hasattr(value, "_fields"):
        return value._asdict()
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return getattr(value, "__dict__", {})


def _name(function: Any) -> str:
    return f"{getattr(function, '__module__', None)}.{function.__qualname__}"
