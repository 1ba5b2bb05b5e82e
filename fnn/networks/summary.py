"""What a network consists of, as a table."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from fnn._core.table import Table


def table_of_layers(
    sizes: tuple[int, ...],
    shapes: list[list[tuple[int, ...] | None]],
    activations: list[str],
    dtype: np.dtype,
) -> Table:
    """A row for each layer of an `mlp`.

    Args:
      sizes: Neurons per layer, the input's features first.
      shapes: By layer, those of its parameters; None where it has none.
      activations: By layer, the name.
      dtype: Of the parameters.
    """
    counts = [sum(math.prod(shape) for shape in layer if shape is not None) for layer in shapes]
    multiplications = [math.prod(sizes[index : index + 2]) for index in range(len(shapes))]
    table = Table(
        layer=np.arange(len(shapes)),
        weight=np.array([str(layer[0]) for layer in shapes]),
        activation=np.array(activations),
        parameters=np.array(counts),
        bytes=np.array(counts) * dtype.itemsize,
        multiplications=np.array(multiplications),
    )
    table.note = f"{_totals(table)}, {sum(multiplications):,} multiplications per row"
    return table


def table_of_leaves(init: Callable[[jax.Array], Any]) -> Table:
    """A row for each array of the parameters that `init` makes; none of them is made."""
    params = jax.eval_shape(lambda: init(jax.random.key(0)))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    counts = np.array([math.prod(leaf.shape) for _, leaf in leaves], int)
    table = Table(
        leaf=np.array([jax.tree_util.keystr(path) for path, _ in leaves], str),
        shape=np.array([str(leaf.shape) for _, leaf in leaves], str),
        dtype=np.array([str(leaf.dtype) for _, leaf in leaves], str),
        parameters=counts,
        bytes=counts * np.array([leaf.dtype.itemsize for _, leaf in leaves], int),
    )
    table.note = _totals(table)
    return table


def _totals(table: Table) -> str:
    return f"{table['parameters'].sum():,} parameters in {table['bytes'].sum():,} bytes"
