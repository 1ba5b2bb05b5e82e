"""Packing of parameters inside a compiled run: few arrays, each in the faster orientation.

Every array of the parameters costs the optimizer several kernels per step, each to be compiled and
called. So small leaves are packed into one array. Larger matrices are transposed where the layer
has few outputs, as its gradient is faster that way.

Parameters are packed only for an optimizer that declares itself `elementwise`; one that also
declares `ignores_rank` may get matrices and vectors in one array.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optimizers.common import ignores_rank, is_elementwise
from fnn.types import Optimizer, Params

# numbers in a leaf; beyond, the saved calls are not worth the copies
_SMALL = 1024
# numbers in a leaf; products copy larger matrices out of the packed array first
_TINY = 256
# outputs; with more, both orientations are as fast, and transposing costs a copy
_FEW = 256


class Packing(NamedTuple):
    """Functions from parameters to packed arrays, and back."""

    pack: Callable[[Any], Any]
    """Packs each part of a tree that has the structure of the parameters; the rest is unchanged."""
    unpack: Callable[[Any], Any]


def packing_of(optimizer: Optimizer, params: Params) -> Packing:
    """The packing of these parameters (arrays or their shapes) for this optimizer."""
    if not is_elementwise(optimizer):
        return Packing(lambda tree: tree, lambda tree: tree)
    leaves, structure = jax.tree.flatten(params)
    groups = [list(group) for group in _groups(leaves, by_rank=not ignores_rank(optimizer))]

    def pack(params: Params) -> tuple[jax.Array, ...]:
        leaves = jax.tree.leaves(params)
        return tuple(_joined([leaves[index] for index in group]) for group in groups)

    def unpack(packed: tuple[jax.Array, ...]) -> Params:
        found = {}
        for group, array in zip(groups, packed, strict=True):
            shapes = [leaves[index].shape for index in group]
            found |= dict(zip(group, _parted(array, shapes), strict=True))
        return jax.tree.unflatten(structure, [found[index] for index in range(len(leaves))])

    packed = jax.eval_shape(pack, params)
    return Packing(wherever(params, pack), wherever(packed, unpack))


def _groups(leaves: list[Any], *, by_rank: bool) -> Iterator[list[int]]:
    """The leaves of each packed array: small ones of one dtype, matrices apart from vectors if they
    are not tiny, or if `by_rank`.
    """

    def kind(index: int) -> tuple:
        leaf = leaves[index]
        alone = index if leaf.size > _SMALL else -1
        apart = leaf.ndim >= 2 and (by_rank or leaf.size > _TINY)
        return alone, apart, str(leaf.dtype)

    for _, group in itertools.groupby(sorted(range(len(leaves)), key=kind), key=kind):
        yield list(group)


def _joined(leaves: list[jax.Array]) -> jax.Array:
    """One array of the leaves, of rank 2 if all are matrices: weight decay depends on the rank."""
    if len(leaves) == 1:
        (leaf,) = leaves
        return leaf.T if _is_transposed(leaf.shape) else leaf
    flat = jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])
    return flat[None] if all(leaf.ndim >= 2 for leaf in leaves) else flat


def _is_transposed(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[1] <= _FEW


def _parted(array: jax.Array, shapes: list[tuple[int, ...]]) -> list[jax.Array]:
    """The leaves of an array made by `_joined`."""
    if len(shapes) == 1:
        return [array.T if _is_transposed(shapes[0]) else array]
    ends = list(itertools.accumulate(map(math.prod, shapes)))
    parts = jnp.split(array.reshape(-1), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def wherever(like: Any, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`convert` applied to the parts of a tree that have the structure and shapes of `like`."""
    structure, shapes = jax.tree.structure(like), _shapes(like)

    def fits(tree: Any) -> bool:
        return jax.tree.structure(tree) == structure and _shapes(tree) == shapes

    def converted(tree: Any) -> Any:
        return jax.tree.map(lambda part: convert(part) if fits(part) else part, tree, is_leaf=fits)

    return converted


def _shapes(tree: Any) -> list[Any]:
    """The shapes of floating leaves, None for others, such as an optimizer's count of steps."""
    leaves = jax.tree.leaves(tree)
    return [leaf.shape if jnp.issubdtype(leaf.dtype, jnp.floating) else None for leaf in leaves]
