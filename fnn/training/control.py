"""Control flow that stays cheap under `vmap`, and updates in place."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.experimental.xla_metadata import set_xla_metadata


@jax.custom_batching.custom_vmap
def any_active(active: jax.Array) -> jax.Array:
    """Whether any lane is active: one bool for all lanes, under any number of vmaps.

    A batched predicate would turn `cond` into a select of both branches and copy the data for every
    lane. With one bool, shared data stay shared, and an epoch is skipped once no lane needs it.
    """
    return active


@any_active.def_vmap
def _any_active_of_many(axis_size: int, in_batched: list[bool], active: jax.Array):
    del axis_size, in_batched
    return any_active(jnp.any(active, axis=0)), False


def lanes_of(tree: Any) -> int:
    """By how many lanes the arrays of a tree are vmapped; 1 for none.

    A vmap goes unseen that is around a `jit`, `scan` or `cond` with this in it.
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, Tracer)]
    if not leaves:
        return 1
    sizes = []

    @jax.custom_batching.custom_vmap
    def look(*leaves: jax.Array) -> jax.Array:
        return jnp.zeros(())

    @look.def_vmap
    def look_at_many(axis_size: int, in_batched: list[bool], *leaves: jax.Array):
        sizes.append(axis_size)
        return look(*leaves), False  # for a vmap around this one

    look(*map(jax.lax.stop_gradient, leaves))
    return math.prod(sizes)


def materialized(tree: Any, *, on_cpu: bool = True) -> Any:
    """The same tree, written to memory before anything is computed from it.

    Compilers fuse what looks cheap into all operations that read it, and compute it in each again.

    Args:
      tree: Arrays.
      on_cpu: Whether to do so on a CPU too; else there is no effect there.
    """
    on_cpus = _called if on_cpu else lambda tree: tree
    return jax.lax.platform_dependent(tree, cpu=on_cpus, default=jax.lax.optimization_barrier)


def _called(tree: Any) -> Any:
    # XLA on a CPU drops barriers before it fuses operations. It does not fuse across a call that it
    # may not inline, and a call of a function that does nothing is free.
    with set_xla_metadata(inlineable="false"):
        return _identity(tree)


@jax.jit
def _identity(tree: Any) -> Any:
    return tree


def where_in_place(tree: Any, condition: jax.Array, values: Any) -> Any:
    """`values` where the condition holds, else `tree`; free if it holds in no lane.

    A select would read both trees and write a third; this writes into the arrays of `tree`.
    """
    leaves, structure = jax.tree.flatten(tree)
    pairs = enumerate(zip(leaves, jax.tree.leaves(values), strict=True))
    places = [index for index, (old, new) in pairs if old is not new]
    new = [jax.tree.leaves(values)[index] for index in places]
    written = _write(condition, [leaves[index] for index in places], new)
    for index, leaf in zip(places, written, strict=True):
        leaves[index] = leaf
    return jax.tree.unflatten(structure, leaves)


@jax.custom_jvp
def _write(condition: jax.Array, old: list[jax.Array], new: list[jax.Array]) -> list[jax.Array]:
    # a loop of one trip or none: loops work in place, while the branches of a cond copy
    def write(carry):
        pending, _ = carry
        return jnp.zeros_like(pending), new

    return jax.lax.while_loop(lambda carry: carry[0], write, (condition, old))[1]


@_write.defjvp
def _write_jvp(primals, tangents):
    condition, old, new = primals
    _, old_slopes, new_slopes = tangents

    def slope(old_slope, new_slope):
        if old_slope.dtype == jax.dtypes.float0:  # of integers
            return old_slope
        return jnp.where(condition, new_slope, old_slope)

    return _write(condition, old, new), list(map(slope, old_slopes, new_slopes))
