"""The one place where arguments are split into what is traced and what is static.

`jit` needs every argument to be either arrays or hashable. A user hands us trees of
both: configs, functions, `functools.partial`s of our losses, models of their own.
`split` takes such a tree apart, `merge` puts it together again inside the program.
"""

import contextlib
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_NUMBERS = (int, float, complex, jax.Array, jax.ShapeDtypeStruct)


class Structure(NamedTuple):
    """What is static in a tree: hashable, a key to the cache of compiled programs."""

    treedef: Any
    static: tuple


class _Traced:
    """Stands in a `Structure` where a number or an array was."""


def split(function: str, tree: Any) -> tuple[list[Any], Structure]:
    """The tree's numbers and arrays, and the hashable rest.

    Numbers, arrays and keys are traced. Everything else (functions, strings, bools,
    objects) is static and compares by its own `==`; functions compare by identity. A
    partial is taken by value: its numbers are traced, the rest of it is static.

    Args:
      function: The name of the caller, for errors.
      tree: Any pytree.
    Returns:
      The traced leaves, and the `Structure` that `merge` needs beside them.
    Raises:
      TypeError: A leaf is neither traced nor hashable.
    """
    leaves, treedef = jax.tree.flatten(by_value(tree))
    traced = [leaf for leaf in leaves if is_number(leaf)]
    static = tuple([_Traced if is_number(leaf) else leaf for leaf in leaves])
    for leaf in static:
        try:
            hash(leaf)
        except TypeError:
            raise TypeError(
                f"{function}: what is not a number, an array or a pytree of them must be "
                f"hashable; got {type(leaf).__name__}: {leaf!r}"
            ) from None
    return traced, Structure(treedef, static)


def merge(structure: Structure, traced: list[Any]) -> Any:
    """The tree that `split` took apart, with `traced` for its numbers and arrays."""
    values = iter(traced)
    leaves = [next(values) if leaf is _Traced else leaf for leaf in structure.static]
    return jax.tree.unflatten(structure.treedef, leaves)


def host_numbers() -> contextlib.AbstractContextManager:
    """Lets numbers go to the device along with a call, whatever `jax.transfer_guard` forbids.

    Configs hold theirs in NumPy. Handed to a compiled program as they are, they cost
    microseconds; an explicit `jax.device_put` of ten takes a quarter of a millisecond.
    """
    return jax.transfer_guard_host_to_device("allow")


def is_number(leaf: Any) -> bool:
    """Whether a leaf is traced: a number, an array, a key, or the shape of one; not a bool."""
    if isinstance(leaf, (np.generic, np.ndarray)):  # which may hold strings and objects
        return _are_numbers(leaf.dtype)
    return isinstance(leaf, _NUMBERS) and not isinstance(leaf, bool)


@functools.cache
def _are_numbers(dtype: np.dtype) -> bool:
    return dtype == np.bool_ or jnp.issubdtype(dtype, np.number)


def by_value(tree: Any) -> Any:
    """The tree with partials turned into pytrees of their arguments, at any depth."""
    if not any(map(_is_partial, jax.tree.leaves(tree))):
        return tree  # as most trees, in a third of the time

    def convert(node):
        if not _is_partial(node):
            return node
        args, keywords = by_value((node.args, node.keywords))
        return jax.tree_util.Partial(node.func, *args, **keywords)

    return jax.tree.map(convert, tree, is_leaf=_is_partial)


def _is_partial(node: Any) -> bool:
    return isinstance(node, functools.partial)
