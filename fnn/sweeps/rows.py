"""Rows of trees of arrays, a row per lane, gathered and scattered on the host or on a device."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core.array_cache import OncePerArray, has_own_memory
from fnn._core.config import config, number, static
from fnn._core.jit_cache import compiled


@config
class KeyData:
    """Typed keys as plain numbers, as NumPy has no dtype for keys."""

    data: Any = number()
    kind: Any = static()


def to_host(tree: Any) -> Any:
    """The tree in NumPy arrays at JAX's precision, keys as `KeyData`."""

    def moved(leaf: Any) -> Any:
        if is_key(leaf):
            return KeyData(key_numbers(leaf), str(jax.random.key_impl(leaf)))
        array = np.asarray(leaf)
        return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)

    return jax.tree.map(moved, tree)


@OncePerArray
def key_numbers(keys: jax.Array) -> np.ndarray:
    """The data of typed keys, on the host."""
    return np.asarray(jax.random.key_data(keys))


def plain(tree: Any) -> Any:
    """The tree with keys as `KeyData`, on the host; what is on an accelerator stays there."""
    arrays = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)]
    devices = {device for array in arrays for device in array.devices()}
    return without_keys(tree) if has_own_memory(devices) else to_host(tree)


def from_host(tree: Any) -> Any:
    """The tree on the default device, keys typed again."""
    return with_keys(jax.device_put(tree))


def without_keys(tree: Any) -> Any:
    """The tree with typed keys as `KeyData`."""

    def plain(leaf: Any) -> Any:
        if not is_key(leaf):
            return leaf
        return KeyData(jax.random.key_data(leaf), str(jax.random.key_impl(leaf)))

    return jax.tree.map(plain, tree)


def shapes_without_keys(like: Any) -> Any:
    """The shapes of `without_keys` of a tree: arrays as they are, `KeyData` of shapes."""

    def plain(leaf: Any) -> Any:
        return _key_shapes(leaf.shape, leaf.dtype) if is_key(leaf) else leaf

    return jax.tree.map(plain, like)


@functools.cache
def _key_shapes(shape: tuple[int, ...], dtype: Any) -> KeyData:
    return jax.eval_shape(without_keys, jax.ShapeDtypeStruct(shape, dtype))


def with_keys(tree: Any) -> Any:
    """The tree with typed keys for `KeyData`."""

    def typed(node: Any) -> Any:
        if not _is_key_data(node):
            return node
        return jax.random.wrap_key_data(node.data, impl=node.kind)

    return jax.tree.map(typed, tree, is_leaf=_is_key_data)


def over_lanes(function: Callable, in_axes: Any = 0) -> Callable:
    """`jax.vmap` of a function of keys, in which each lane draws from its own key.

    For a batch of keys of another kind than threefry, JAX draws all numbers from the first one's:
    lanes with such keys run one after the other.
    """

    def mapped(*args: Any) -> Any:
        leaves = jax.tree.leaves(without_keys(args), is_leaf=_is_key_data)
        kinds = {leaf.kind for leaf in leaves if _is_key_data(leaf)}
        one_by_one = kinds - {"threefry2x32"}
        of_lane = jax.custom_batching.sequential_vmap(function) if one_by_one else function
        return jax.vmap(of_lane, in_axes)(*args)

    return mapped


def rows_of(tree: Any, rows: Any) -> Any:
    """The given rows of every array."""
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def copied_rows(tree: Any, rows: np.ndarray) -> Any:
    """`rows_of` a tree, in new arrays where it is."""
    on_host = all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(tree))
    return rows_of(tree, rows) if on_host else gathered(tree, rows.astype(np.int32))


def write_rows(tree: Any, rows: np.ndarray, values: Any) -> None:
    """Overwrites these rows with the first ones of `values`."""
    for leaf, new in zip(jax.tree.leaves(tree), jax.tree.leaves(values), strict=True):
        leaf[rows] = new[: len(rows)]


def empty_rows(like: Any, rows: int) -> Any:
    """Uninitialized rows with the shapes and dtypes of `like`, aligned to cache lines.

    So aligned, JAX on a CPU takes an array without copying it.
    """

    def empty(leaf: Any) -> np.ndarray:
        shape, dtype = (rows, *leaf.shape), np.dtype(leaf.dtype)
        size = math.prod(shape) * dtype.itemsize
        memory = np.empty(size + 64, np.uint8)
        first = -memory.ctypes.data % 64
        return memory[first : first + size].view(dtype).reshape(shape)

    return jax.tree.map(empty, like)


@compiled()
def gathered(tree: Any, rows: Any) -> Any:
    """`rows_of` a tree on a device."""
    return rows_of(tree, rows)


@compiled(donate_argnums=0)
def scattered(tree: Any, rows: Any, values: Any) -> Any:
    """A tree on a device with `values` in these rows; rows beyond its end are dropped."""
    return jax.tree.map(lambda leaf, new: leaf.at[rows].set(new, mode="drop"), tree, values)


@compiled(0)
def zero_rows(rows: int, like: Any) -> Any:
    """Rows of zeros on a device, with the shapes and dtypes of a row of `like`."""
    return jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape[1:]), leaf.dtype), like)


def is_key(leaf: Any) -> bool:
    """Whether this is an array of typed keys."""
    dtype: Any = getattr(leaf, "dtype", None)
    if dtype is None or isinstance(dtype, np.dtype):  # which takes less time to find out
        return False
    return jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _is_key_data(node: Any) -> bool:
    return isinstance(node, KeyData)
