"""How a compiled run carries its parameters: in few arrays, each the way around that is fast.

Every array of the parameters costs several kernels a step in the optimizer, each to be
called and to be compiled. So small leaves lie side by side in one array. Larger matrices
are turned around where the layer has few outputs, as its gradient is faster that way.

An optimizer that says it is `elementwise` cannot tell the difference; one that says it
`ignores_rank` may find matrices and vectors in one array. Others find their parameters as they
know them.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optimizers.common import ignores_rank, is_elementwise
from fnn.types import Optimizer, Params

# numbers; beyond, the calls saved are no longer worth the copying
_SMALL = 1024
# numbers; larger matrices are read by products that have to copy them out of a longer array
_TINY = 256
# outputs; with more, the other way around is as fast, and turning costs a copy
_FEW = 256


class Packing(NamedTuple):
    """From parameters to the arrays that a run carries, and back."""

    pack: Callable[[Any], Any]
    """Of any tree: what in it is shaped as the parameters is packed, the rest is as it was."""
    unpack: Callable[[Any], Any]


def packing_of(optimizer: Optimizer, params: Params) -> Packing:
    """How to carry these parameters (arrays or their shapes) with this optimizer."""
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
    return Packing(_wherever(params, pack), _wherever(packed, unpack))


def _groups(leaves: list[Any], *, by_rank: bool) -> Iterator[list[int]]:
    """Which leaves are carried together: small ones of one type, matrices apart from vectors where
    they are not tiny, or by rank.
    """

    def kind(index: int) -> tuple:
        leaf = leaves[index]
        alone = index if leaf.size > _SMALL else -1
        apart = leaf.ndim >= 2 and (by_rank or leaf.size > _TINY)
        return alone, apart, str(leaf.dtype)

    for _, group in itertools.groupby(sorted(range(len(leaves)), key=kind), key=kind):
        yield list(group)


def _joined(leaves: list[jax.Array]) -> jax.Array:
    """One array of them; its rank tells matrices from vectors, as decay goes by that."""
    if len(leaves) == 1:
        (leaf,) = leaves
        return leaf.T if _is_turned(leaf.shape) else leaf
    flat = jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])
    return flat[None] if all(leaf.ndim >= 2 for leaf in leaves) else flat


def _is_turned(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[1] <= _FEW


def _parted(array: jax.Array, shapes: list[tuple[int, ...]]) -> list[jax.Array]:
    """The leaves that `_joined` took."""
    if len(shapes) == 1:
        return [array.T if _is_turned(shapes[0]) else array]
    ends = list(itertools.accumulate(map(math.prod, shapes)))
    parts = jnp.split(array.reshape(-1), ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _wherever(like: Any, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Applies `convert` to those parts of a tree that have the structure and shapes of `like`."""
    structure, shapes = jax.tree.structure(like), _shapes(like)

    def fits(tree: Any) -> bool:
        return jax.tree.structure(tree) == structure and _shapes(tree) == shapes

    def converted(tree: Any) -> Any:
        return jax.tree.map(lambda part: convert(part) if fits(part) else part, tree, is_leaf=fits)

    return converted


def _shapes(tree: Any) -> list[Any]:
    """Shapes of what an optimizer keeps of parameters: floats, unlike its count of steps."""
    leaves = jax.tree.leaves(tree)
    return [leaf.shape if jnp.issubdtype(leaf.dtype, jnp.floating) else None for leaf in leaves]
