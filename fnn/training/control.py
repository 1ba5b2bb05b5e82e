"""Control flow of compiled programs that lanes share and that works in place."""

from typing import Any

import jax
import jax.numpy as jnp


@jax.custom_batching.custom_vmap
def any_lane(live: jax.Array) -> jax.Array:
    """Whether any lane lives, one bool for all lanes.

    A batched predicate would turn `cond` into a select of both sides, and give every lane
    its own copy of the data; this one stays a single bool under any number of vmaps, so
    shared data stay shared, and an epoch is skipped once no lane needs it.
    """
    return live


@any_lane.def_vmap
def _any_lane_of_many(axis_size: int, in_batched: list[bool], live: jax.Array):
    del axis_size, in_batched
    return any_lane(jnp.any(live, axis=0)), False


def stored_first(tree: Any) -> Any:
    """The same tree. An accelerator stores it before it computes anything from it.

    Otherwise its compiler may compute a gradient again for each moment of Adam, in a kernel each;
    one kernel updates all that reads stored gradients. A CPU does nothing here.
    """
    return jax.lax.platform_dependent(
        tree, cpu=lambda tree: tree, default=jax.lax.optimization_barrier
    )


def overwritten(tree: Any, condition: jax.Array, values: Any) -> Any:
    """`values` where the condition holds, else `tree`, for nothing where no lane's does.

    A select would read both and write a third; this changes the arrays where they lie.
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
    # a loop of one trip or none, as loops work in place, where a cond's branches copy
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
