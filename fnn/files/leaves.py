"""A leaf of a tree in a file: its description in the manifest, its numbers, and back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn._core import checks

# What `np.load` can name. Others are stored as unsigned integers of their width.
_PLAIN = frozenset("?bhilqBHILQefdFD")


def described(function: str, where: str, leaf: Any) -> tuple[dict[str, Any], np.ndarray]:
    """The description of a leaf in the manifest, and its numbers as a file holds them."""
    description = template(function, where, leaf)
    if isinstance(leaf, jax.Array):
        rule = f"{where or 'the tree'} must be on this process's devices"
        checks.require(leaf.is_fully_addressable, function, rule, leaf.sharding)
    if description["kind"] == "key":
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    stored = array if array.dtype.char in _PLAIN else array.view(f"u{array.dtype.itemsize}")
    stored = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    return description, np.asarray(stored, order="C")


def template(function: str, where: str, leaf: Any) -> dict[str, Any]:
    """The description of a leaf in the manifest, without the digest."""
    if isinstance(leaf, Tracer):
        rule = f"{where or 'the tree'} must be known, not traced"
        raise TypeError(f"{function}: {rule}; got {leaf}")
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        like = jax.ShapeDtypeStruct(leaf.shape, dtype)  # all that it has to be
        data = jax.eval_shape(jax.random.key_data, like)
        # the dtype of keys is named after its generator
        return _description(where, "key", str(dtype), data.shape)
    if dtype is None and isinstance(leaf, (bool, int, float, complex)):
        array = np.asarray(leaf)
        whole = array.dtype.kind in "bifc"  # larger integers are unsigned, or objects
        rule = f"{where or 'the tree'} must fit 64 bits"
        checks.require(whole, function, rule, leaf)
        return _description(where, "number", type(leaf).__name__, ())
    rule = f"{where or 'the tree'} must be an array of numbers, bools or keys"
    is_array = dtype is not None and hasattr(leaf, "shape")
    checks.require(is_array, function, rule, f"{type(leaf).__name__}: {leaf!r}", TypeError)
    dtype = np.dtype(dtype)
    numeric = dtype.kind in "biufc" or jnp.issubdtype(dtype, np.number)
    storable = dtype.char in _PLAIN or (numeric and dtype.itemsize <= 2)
    checks.require(storable, function, rule, f"dtype {dtype}", TypeError)
    return _description(where, "array", dtype.name, leaf.shape)


def _description(where: str, kind: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"path": where, "kind": kind, "dtype": dtype, "shape": list(shape)}


def stored(description: dict, like: Any) -> tuple[np.dtype, tuple[int, ...]]:
    """The dtype and shape that a leaf has in the file."""
    if description["kind"] == "key":
        return np.dtype("<u4"), tuple(description["shape"])
    dtype = np.asarray(like).dtype if description["kind"] == "number" else np.dtype(like.dtype)
    plain = dtype if dtype.char in _PLAIN else np.dtype(f"u{dtype.itemsize}")
    return plain.newbyteorder("<"), tuple(description["shape"])


def as_like(where: str, array: np.ndarray, like: Any) -> Any:
    """The numbers as a leaf of the kind that `like` is, placed where it is."""
    if isinstance(like, (bool, int, float, complex)) and not isinstance(like, np.generic):
        return type(like)(array.item())
    sharding = getattr(like, "sharding", None)
    is_placed = sharding is not None and getattr(like, "committed", True)
    spread = sharding if is_placed else None
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        keys = jax.random.wrap_key_data(jnp.asarray(array), impl=_generator(like))
        return keys if spread is None else jax.device_put(keys, spread)
    array = array.view(like.dtype.newbyteorder("=")).astype(like.dtype, copy=False)
    if isinstance(like, (np.ndarray, np.generic)):
        return array[()] if isinstance(like, np.generic) else array
    moved = jax.device_put(array, spread)
    rule = f"{where or 'the tree'} is {like.dtype}, which must be enabled (jax_enable_x64)"
    checks.require(moved.dtype == like.dtype, "load", rule, moved.dtype)
    return moved


def _generator(like: Any) -> Any:
    """The random generator of keys, or of the shape of keys."""
    found = []
    shape = jax.ShapeDtypeStruct(like.shape, like.dtype)
    jax.eval_shape(lambda keys: found.append(jax.random.key_impl(keys)), shape)
    return found[0]
