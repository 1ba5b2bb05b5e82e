"""Trees of lanes, on the host as NumPy arrays or on a device: rows are taken and written."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.config import config, number, static
from fnn.programs import compiled


@config
class KeyData:
    """Typed keys as plain numbers; NumPy knows no such dtype."""

    data: Any = number()
    kind: Any = static()


def to_host(tree: Any) -> Any:
    """The tree in NumPy arrays at JAX's precision, keys as `KeyData`."""

    def moved(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)

    return jax.tree.map(moved, without_keys(tree))


def from_host(tree: Any) -> Any:
    """The tree on the default device, keys typed again."""
    leaves, structure = jax.tree.flatten(tree)
    del tree  # so that each array is let go once it is moved, if the caller keeps no other
    leaves.reverse()
    moved = [jax.device_put(leaves.pop()) for _ in range(len(leaves))]
    return with_keys(jax.tree.unflatten(structure, moved))


def without_keys(tree: Any) -> Any:
    """The tree with typed keys as `KeyData`."""

    def plain(leaf: Any) -> Any:
        if not is_key(leaf):
            return leaf
        return KeyData(jax.random.key_data(leaf), str(jax.random.key_impl(leaf)))

    return jax.tree.map(plain, tree)


def with_keys(tree: Any) -> Any:
    """The tree with typed keys for `KeyData`."""

    def typed(node: Any) -> Any:
        if not isinstance(node, KeyData):
            return node
        return jax.random.wrap_key_data(node.data, impl=node.kind)

    return jax.tree.map(typed, tree, is_leaf=lambda node: isinstance(node, KeyData))


def rows_of(tree: Any, rows: Any) -> Any:
    """These rows of every array."""
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def write_rows(tree: Any, rows: np.ndarray, values: Any) -> None:
    """Overwrites these rows with the first ones of `values`."""
    for leaf, new in zip(jax.tree.leaves(tree), jax.tree.leaves(values), strict=True):
        leaf[rows] = new[: len(rows)]


def empty_rows(like: Any, rows: int) -> Any:
    """So many rows of what is like this, not yet written."""
    return jax.tree.map(lambda leaf: np.empty((rows, *leaf.shape), leaf.dtype), like)


@compiled()
def gathered(tree: Any, rows: Any) -> Any:
    """`rows_of` a tree on a device."""
    return rows_of(tree, rows)


@compiled(donate_argnums=0)
def scattered(tree: Any, rows: Any, values: Any) -> Any:
    """A tree on a device with `values` in these rows; those beyond its end are left out."""
    return jax.tree.map(lambda leaf, new: leaf.at[rows].set(new, mode="drop"), tree, values)


@compiled(0)
def zero_rows(rows: int, like: Any) -> Any:
    """So many rows of zeros on a device, of what is like a row of this."""
    return jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape[1:]), leaf.dtype), like)


def is_key(leaf: Any) -> bool:
    """Whether this is an array of typed keys."""
    return jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)
