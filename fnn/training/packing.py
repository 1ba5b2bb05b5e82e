"""Packing of parameters inside a compiled run: few arrays, each in the faster orientation.

Every array of the parameters costs the optimizer several kernels per step, each to be compiled and
called. So small leaves are packed into one array, and those of many layers of one shape are
stacked, as the network's loop over these layers takes them. Larger matrices are transposed where
the layer has few outputs, as its gradient is faster that way. Where products are sums (see
`platform`), larger matrices are packed, too: sums are fused with the slices that they read.

Parameters are packed only for an optimizer that declares itself `elementwise`; one that also
declares `ignores_rank` may get matrices and vectors in one array.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.networks.deep import is_stacked, ranks_of, stacked
from fnn.networks.mlp import MLP
from fnn.optimizers.common import ignores_rank, is_elementwise
from fnn.types import Network, Optimizer, Params

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
    """The way back, but for layers that the network computes by a loop: they stay stacked."""


UNPACKED = Packing(lambda tree: tree, lambda tree: tree)
"""Every array by itself, as it is."""


class _Leaf(NamedTuple):
    """A leaf of the parameters, or the same one of many layers, stacked."""

    shape: tuple[int, ...]
    dtype: Any
    rank: int
    """The axes that it has in one layer."""
    summed: bool
    """Whether it is a weight whose products are sums."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def by_columns(self) -> bool:
        """Whether it is packed with others column by column: sums then read what is adjacent."""
        return self.summed and self.shape[1] < self.shape[0]


def packing_of(
    optimizer: Optimizer, params: Params, net: Network | None = None, *, largest_summed: int = 0
) -> Packing:
    """The packing of these parameters (arrays or their shapes) for this optimizer.

    The network is the one they belong to; without it, layers are not stacked. Products with
    weights of at most `largest_summed` numbers are sums, which read them where they are packed.
    """
    if not is_elementwise(optimizer):
        return UNPACKED
    stack = lambda params: params  # noqa: E731
    if type(net) is MLP and not is_stacked(params):
        stack = functools.partial(stacked, net._runs)
    stacks = jax.eval_shape(stack, params)
    shapes, structure = jax.tree_util.tree_flatten_with_path(stacks)
    ranks = jax.tree.leaves(ranks_of(stacks))
    leaves = []
    for (path, leaf), rank in zip(shapes, ranks, strict=True):
        is_weight = jax.tree_util.keystr(path[-1:]) == ".weight" and len(leaf.shape) == 2
        summed = is_weight and leaf.size <= largest_summed
        leaves.append(_Leaf(leaf.shape, leaf.dtype, rank, summed))
    groups = [list(group) for group in _groups(leaves, by_rank=not ignores_rank(optimizer))]

    def pack(params: Params) -> tuple[jax.Array, ...]:
        given = jax.tree.leaves(params)
        return tuple(_joined([(leaves[i], given[i]) for i in group]) for group in groups)

    def unpack(packed: tuple[jax.Array, ...]) -> Params:
        found = {}
        for group, array in zip(groups, packed, strict=True):
            parts = _parted(array, [leaves[index] for index in group])
            found |= dict(zip(group, parts, strict=True))
        return jax.tree.unflatten(structure, [found[index] for index in range(len(leaves))])

    packed = jax.eval_shape(pack, stacks)
    to_stacks, packing = wherever(params, stack), wherever(stacks, pack)
    return Packing(lambda tree: packing(to_stacks(tree)), wherever(packed, unpack))


class Stacking(NamedTuple):
    """An `mlp` that makes its first parameters stacked, as they are packed."""

    net: MLP

    def init(self, key: jax.Array) -> Params:
        """As `MLP.init`, but stacked."""
        return self.net._stacked_init(key)

    def apply(self, params: Params, x: Any, *, key: jax.Array | None = None) -> jax.Array:
        """As `MLP.apply`."""
        return self.net.apply(params, x, key=key)


def _groups(leaves: list[_Leaf], *, by_rank: bool) -> Iterator[list[int]]:
    """The leaves of each packed array: small ones of one dtype, matrices apart from vectors if they
    are not tiny, or if `by_rank`.
    """

    def kind(index: int) -> tuple:
        leaf = leaves[index]
        alone = index if leaf.size > _SMALL and not leaf.summed else -1
        apart = leaf.rank >= 2 and (by_rank or (leaf.size > _TINY and not leaf.summed))
        return alone, apart, str(leaf.dtype)

    for _, group in itertools.groupby(sorted(range(len(leaves)), key=kind), key=kind):
        yield list(group)


def _joined(leaves: list[tuple[_Leaf, jax.Array]]) -> jax.Array:
    """One array of the leaves, of rank 2 if all are matrices: weight decay depends on the rank."""
    if len(leaves) == 1:
        ((like, leaf),) = leaves
        if _is_transposed(like):
            return leaf.T
        return leaf.reshape(-1) if like.rank == 1 else leaf
    flat = jnp.concatenate(
        [jnp.ravel(leaf.T if like.by_columns else leaf) for like, leaf in leaves]
    )
    return flat[None] if all(like.rank >= 2 for like, _ in leaves) else flat


def _is_transposed(like: _Leaf) -> bool:
    return len(like.shape) == like.rank == 2 and like.shape[1] <= _FEW


def _parted(array: jax.Array, leaves: list[_Leaf]) -> list[jax.Array]:
    """The leaves of an array made by `_joined`."""
    if len(leaves) == 1:
        (like,) = leaves
        return [array.T if _is_transposed(like) else array.reshape(like.shape)]
    ends = list(itertools.accumulate(like.size for like in leaves))
    parts = jnp.split(array.reshape(-1), ends[:-1])
    return [
        part.reshape(like.shape[::-1]).T if like.by_columns else part.reshape(like.shape)
        for part, like in zip(parts, leaves, strict=True)
    ]


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
