"""A fingerprint of the arguments: whether a checkpoint, or another process, is of the same work."""

import contextlib
import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from types import CodeType, ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn._core.partition import by_value, is_number
from fnn._core.processes import (
    digest_on_devices,
    is_elsewhere,
    require_same,
    spans_processes,
)

_PARTIAL = (functools.partial, jax.tree_util.Partial)
# whose functions are known by name alone
_KNOWN_BY_NAME = ("jax", "jaxlib", "numpy", "builtins", "functools")
# numbers of an array that are listed; of a larger one there is a digest
_FEW = 8
# Objects of fnn are known by their names, whatever module they are in.
_MODULES = re.compile(r"^fnn(?:\.[a-z_][a-z_0-9]*)+\.(?=\w)")
_RENAMED = {"fnn.Beginning": "fnn.InitialState"}
# Fields that older checkpoints have of an `mlp`, and the values that they always had.
_FORMER = {".written_out": "True", ".features_first": "False"}
# Fields that older checkpoints do not have, and the values that they always had.
_ADDED = {"plan.accumulate": "int64 1", "net.remat": "False"}


def fingerprint(**arguments: Any) -> dict[str, str]:
    """A description of each part of the arguments, by path (`optimizer.learning_rate`).

    Numbers are described by value and dtype, arrays by shape, dtype and a digest of all bytes,
    functions by module, qualified name and what they close over, configs and other objects by their
    parts. The code of a function is not compared.
    """
    found = {}
    for name, value in arguments.items():
        found |= {path: text for path, text, _ in _parts(name, value)}
    return found


def codes(**arguments: Any) -> dict[str, CodeType]:
    """The code of each function of the arguments, and of what they close over, by path.

    With it, functions can be compared that were unpickled from two copies.
    """
    found = {}
    for name, value in arguments.items():
        for path, _, part in _parts(name, value):
            function = part.func if isinstance(part, _PARTIAL) else part
            code = getattr(function, "__code__", None)
            if isinstance(code, CodeType):
                found[f"{path}.__code__"] = code
    return found


def require_same_arguments(function: str, arguments: dict[str, Any]) -> None:
    """Raises ValueError, in every process, unless all have the same; where "data" span processes.

    Of arrays that span processes, and of tracers, shapes and dtypes are compared.
    """
    if jax.process_count() == 1 or not spans_processes(arguments["data"]):
        return

    def known(leaf: Any) -> Any:
        is_known = not isinstance(leaf, Tracer) and not spans_processes(leaf)
        return leaf if is_known else jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)

    compared = jax.tree.map(known, by_value(arguments)) | {"jax": jax.__version__}
    require_same(function, lambda: fingerprint(**compared))


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """A line for each difference between two fingerprints.

    Modules of fnn, and fields that its configs no longer have, are not compared: older checkpoints
    have others. Fields that they do not have are options that are absent now.
    """
    there = {
        name: _without_modules(text) for name, text in there.items() if not _is_former(name, text)
    }
    names = [name for name in {**there, **here}
             if there.get(name, _absent(name)) != here.get(name, _absent(name))]  # fmt: skip
    nothing = "not there"
    return [f"{name}: {there.get(name, nothing)} then, {here.get(name, nothing)} now"
            for name in names]  # fmt: skip


def _absent(name: str) -> str:
    """The description of a part that an older fingerprint does not have."""
    return next((text for field, text in _ADDED.items() if name.endswith(field)), "None")


def _without_modules(text: str) -> str:
    text = _MODULES.sub("fnn.", text)
    for former, name in _RENAMED.items():
        text = re.sub(rf"^{re.escape(former)}\b", name, text)
    return text


def _is_former(name: str, text: str) -> bool:
    return any(name.endswith(field) and text == value for field, value in _FORMER.items())


def _parts(path: str, value: Any, above: tuple[int, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    """Path, description and value of each part; `above` are the ids of what contains the value."""
    if id(value) in above:
        yield path, "what it is a part of", None
        return
    yield path, _own(value), value
    for name, part in _members(value).items():
        yield from _parts(f"{path}{name}", part, (*above, id(value)))


def _own(value: Any) -> str:
    """The description of a value without its parts."""
    if isinstance(value, (set, frozenset)):
        return repr(sorted(map(_of_set, value)))
    if value is None or isinstance(value, (bool, str, bytes, range, np.dtype)):
        return repr(value)
    if isinstance(value, jax.ShapeDtypeStruct):
        return f"{value.dtype}{value.shape}"
    if isinstance(value, jax.sharding.Mesh):
        return f"mesh {dict(value.shape)} of {[device.id for device in value.devices.flat]}"
    if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"{value.dtype} {_numbers(np.asarray(jax.random.key_data(value)))}"
    if is_elsewhere(value):
        return f"{value.dtype}{value.shape} with digest {digest_on_devices(value)} on devices"
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


def _of_set(member: Any) -> str:
    """A member of a set, which has no path: all of its parts, as a `repr` may leave some out."""
    if member is None or isinstance(member, (bool, str, bytes, int, float)):
        return repr(member)
    return repr({path: text for path, text, _ in _parts("", member)})


def _numbers(array: np.ndarray) -> str:
    if array.size <= _FEW:
        return f"{array.dtype} {array.tolist()}"
    contents = np.ascontiguousarray(array)
    digest = hashlib.sha256(contents.reshape(-1).view(np.uint8).data).hexdigest()
    return f"{array.dtype}{array.shape} with digest {digest[:32]}"


def _members(value: Any) -> dict[str, Any]:
    """The parts of a value, by what is added to the path."""
    whole = (str, bytes, type, ModuleType, jax.sharding.Mesh)
    if value is None or isinstance(value, whole) or is_number(value):
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
    """The values bound to a function: its object, its defaults and its closure."""
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
    return _without_modules(f"{getattr(function, '__module__', None)}.{name}")
