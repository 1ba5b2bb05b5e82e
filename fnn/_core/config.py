"""Configs: frozen dataclasses whose numbers are traced and whose structure is static.

A config is a pytree. Its numbers are the leaves, so they can be traced, vmapped and
differentiated. What is not a number (sizes, names, flags, functions) is in the
treedef, where it compares by value, so an equal config never recompiles. A field that
is None has no leaf: the option is absent, and costs nothing.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

from fnn._core.display import call_of

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable)

_factories: dict[type, Callable] = {}
"""By config class, the function that makes its configs."""


def static(**options: Any) -> Any:
    """A field that is part of the structure: hashable, compared by value, never traced."""
    return dataclasses.field(metadata={"static": True}, **options)


def number(*, rank: int = 0, **options: Any) -> Any:
    """A field of numbers that declares its rank; one axis more makes it a swept one."""
    return dataclasses.field(metadata={"rank": rank}, **options)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static, number))
def config(cls: C) -> C:
    """Class decorator: a frozen dataclass that is a pytree, as this module describes.

    A field marked `static()` is structure, and so is a function in any field (a
    schedule of one's own as the learning rate, say): functions compare by identity.
    """
    # Not `jax.tree_util.register_dataclass`: there two classes of equal shape have equal
    # treedefs, and `jit` runs the program of the one for the other.
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    fields = [
        (field.name, field.metadata.get("static", False)) for field in dataclasses.fields(cls)
    ]

    def split(self) -> tuple[list[tuple[str, Any]], tuple]:
        numbers, structure = [], []
        for name, is_static in fields:
            value = getattr(self, name)
            fixed = is_static or _is_function(value)
            (structure if fixed else numbers).append((name, value))
        return numbers, tuple(structure)

    def flatten(self):
        numbers, structure = split(self)
        return [value for _, value in numbers], structure

    def flatten_with_keys(self):
        numbers, structure = split(self)
        return [(jax.tree_util.GetAttrKey(name), value) for name, value in numbers], structure

    def unflatten(structure, children):
        self = object.__new__(cls)
        values = dict(structure)
        children = iter(children)
        for name, _ in fields:
            value = values[name] if name in values else next(children)
            object.__setattr__(self, name, value)
        return self

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    cls.__eq__ = _equal  # pyright: ignore[reportAttributeAccessIssue]
    cls.__hash__ = _hash  # pyright: ignore[reportAttributeAccessIssue]
    cls.__repr__ = _repr  # pyright: ignore[reportAttributeAccessIssue]
    return cls


def makes(cls: type) -> Callable[[F], F]:
    """Decorator of the function that makes configs of this class: their `repr` is a call of it.

    Its arguments are the fields of the same names. A class in which one has no such field has a
    method `_arguments` that returns these by name.
    """

    def mark(factory: F) -> F:
        _factories[cls] = factory
        return factory

    return mark


def _is_function(value: Any) -> bool:
    return callable(value) and jax.tree_util.all_leaves([value])


def _equal(self, other: object) -> bool:
    if type(self) is not type(other):
        return NotImplemented
    mine, structure = jax.tree.flatten(self)
    others, other_structure = jax.tree.flatten(other)
    return structure == other_structure and all(map(np.array_equal, mine, others))


def _repr(self) -> str:
    fields = dataclasses.fields(self)
    values = {field.name: getattr(self, field.name) for field in fields}
    if hasattr(self, "_arguments"):
        values |= self._arguments()
    ranks = {field.name: field.metadata["rank"] for field in fields if "rank" in field.metadata}
    return call_of(_factories.get(type(self), type(self)), values, ranks)


def _hash(self) -> int:
    return hash(jax.tree.structure(self))
