"""Layers of one shape, many of them, as one loop: so a deep network compiles as fast as a shallow.

Each layer that is written out adds to the program, and to the time that it takes to compile.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.types import Params

# Fewer layers are written out: they compile in a few seconds, and take less time if they are small.
_MANY = 32
# With `remat`, as a CPU's compiler keeps what written-out layers would compute again.
_MANY_REMAT = 4


class Stack(NamedTuple):
    """The parameters of several layers of one shape."""

    layers: Any
    """As those of one layer, each array with a leading axis of layers."""


def runs_of(kinds: Sequence[Any], *, remat: bool = False) -> tuple[range, ...]:
    """The layers, by number, in runs: many of one kind in a row, others each alone."""
    runs, many = [], _MANY_REMAT if remat else _MANY
    for _, group in itertools.groupby(range(len(kinds)), key=kinds.__getitem__):
        numbers = list(group)
        run = range(numbers[0], numbers[-1] + 1)
        runs += [run] if len(run) >= many else [range(index, index + 1) for index in run]
    return tuple(runs)


def is_stacked(params: Any) -> bool:
    """Whether these are parameters as `stacked` returns them, with a `Stack` among them."""
    return isinstance(params, tuple) and any(isinstance(part, Stack) for part in params)


def stacked(runs: Sequence[range], params: Params) -> tuple:
    """The parameters of the layers in runs: a `Stack` for each of many layers."""
    return tuple(
        Stack(jax.tree.map(lambda *leaves: jnp.stack(leaves), *params[run.start : run.stop]))
        if len(run) > 1
        else params[run.start]
        for run in runs
    )


def unstacked(tree: Any, axis: int = 0) -> Any:
    """The tree with its stacked parameters layer by layer.

    Args:
      tree: Any pytree, with parameters as `stacked` returns them in it.
      axis: That of the layers: 0, or 1 after one of lanes.
    """
    return jax.tree.map(
        lambda part: _layers(part, axis) if is_stacked(part) else part, tree, is_leaf=is_stacked
    )


def _layers(params: tuple, axis: int) -> tuple:
    layers = []
    for part in params:
        if not isinstance(part, Stack):
            layers.append(part)
            continue
        leaves, structure = jax.tree.flatten(part.layers)
        layers += [
            # outside of compiled programs, a small one reads each
            jax.tree.unflatten(structure, [_row(leaf, np.int32(index), axis) for leaf in leaves])
            for index in range(leaves[0].shape[axis])
        ]
    return tuple(layers)


@functools.partial(jax.jit, static_argnums=2)
def _row(stack: jax.Array, index: jax.Array, axis: int) -> jax.Array:
    return jax.lax.dynamic_index_in_dim(stack, index, axis, keepdims=False)


def ranks_of(params: tuple) -> tuple:
    """How many axes each leaf has in one layer, of what `stacked` returns."""

    def of_part(part: Any) -> Any:
        axes = 1 if isinstance(part, Stack) else 0
        return jax.tree.map(lambda leaf: leaf.ndim - axes, part)

    return jax.tree.map(of_part, params, is_leaf=lambda part: isinstance(part, Stack))


def looped(body: Callable, a: jax.Array, inputs: Any, *, remat: bool) -> tuple[jax.Array, Any]:
    """`jax.lax.scan(body, a, inputs)`; with `remat` it keeps what enters each block of layers.

    There are about as many blocks as layers in one. The gradient computes each block again, and
    then each layer, so that memory grows with the root of the number of layers.
    """
    if not remat:
        return jax.lax.scan(body, a, inputs)
    body = jax.checkpoint(body, prevent_cse=False)
    layers = len(jax.tree.leaves(inputs)[0])
    size = math.isqrt(layers)
    rest = layers % size
    a, _ = jax.lax.scan(body, a, jax.tree.map(lambda leaf: leaf[:rest], inputs))

    def block(a: jax.Array, inputs: Any) -> tuple[jax.Array, Any]:
        return jax.lax.scan(body, a, inputs)

    blocks = jax.tree.map(lambda leaf: leaf[rest:].reshape(-1, size, *leaf.shape[1:]), inputs)
    return jax.lax.scan(jax.checkpoint(block, prevent_cse=False), a, blocks)
