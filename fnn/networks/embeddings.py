"""Embeddings: columns of codes become vectors that are trained, a row of a table for each code."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks


class Embedding(NamedTuple):
    """How one column is embedded."""

    column: int
    """Of x."""
    categories: int
    """Rows of its table, for the codes 0 to categories - 1."""
    width: int
    """Columns of its table."""


def checked_embeddings(embeddings: Any, features: int) -> tuple[Embedding, ...]:
    """From `{column: (categories, width)}`, or None, in the order of the columns."""
    if embeddings is None:
        return ()
    rule = "embeddings must be a dict {column: (categories, width)}, or None"
    is_dict = isinstance(embeddings, Mapping)
    checks.require(is_dict, "mlp", rule, repr(embeddings), TypeError)
    found = []
    for column, pair in embeddings.items():
        is_pair = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
        checks.require(is_pair, "mlp", rule, f"{column!r}: {pair!r}", TypeError)
        where = f"the column {column!r} of embeddings"
        column = checks.count("mlp", where, column, at_least=0, at_most=features - 1)
        names = (f"{part} of column {column} of embeddings" for part in ("categories", "width"))
        counts = [
            checks.count("mlp", name, count, at_most=checks.INT32)
            for name, count in zip(names, pair, strict=True)
        ]
        found.append(Embedding(column, *counts))
    return tuple(sorted(found))


def width_of_inputs(features: int, embeddings: Sequence[Embedding]) -> int:
    """The number of columns that enter the first layer."""
    return features + sum(embedding.width - 1 for embedding in embeddings)


def first_tables(
    embeddings: Sequence[Embedding], key: jax.Array, dtype: Any
) -> tuple[jax.Array, ...] | None:
    """Tables of standard normal numbers, as scaled features have, or None without embeddings."""
    # far from the numbers by which layers fold the key
    keys = [jax.random.fold_in(key, checks.INT32 - embedding.column) for embedding in embeddings]
    shapes = [(embedding.categories, embedding.width) for embedding in embeddings]
    tables = (jax.random.normal(one, shape, dtype) for one, shape in zip(keys, shapes, strict=True))
    return tuple(tables) or None


def embedded(
    embeddings: Sequence[Embedding], tables: Sequence[jax.Array], x: jax.Array, others: jax.Array
) -> jax.Array:
    """What enters the first layer: the columns without codes, then the vectors of the codes.

    Args:
      embeddings: Of the network.
      tables: `(categories, width)` for each.
      x: `(..., features)`, from which codes are read. One that is not in the table gives NaN.
      others: `(..., features)`, scaled, in the dtype of the result.
    """
    columns = [one.column for one in embeddings]
    gaps = zip([0, *[column + 1 for column in columns]], [*columns, x.shape[-1]], strict=True)
    parts = [others[..., start:end] for start, end in gaps if start < end]
    for embedding, table in zip(embeddings, tables, strict=True):
        given = x[..., embedding.column]
        codes = given.astype(np.int32)
        known = (codes.astype(given.dtype) == given) & (codes >= 0)
        codes = jnp.where(known, codes, embedding.categories)
        parts.append(table.at[codes].get(mode="fill", fill_value=np.nan).astype(others.dtype))
    return jnp.concatenate(parts, axis=-1)


def check_codes(embeddings: Sequence[Embedding], x: Any) -> None:
    """Raises where NumPy's x `(..., features)` holds what is no code; other x are not looked at."""
    is_known = isinstance(x, np.ndarray) and x.ndim > 0 and embeddings
    if not is_known or x.shape[-1] <= embeddings[-1].column:  # which is refused elsewhere
        return
    for column, categories, _ in embeddings:
        codes = x[..., column].ravel()
        is_code = (codes >= 0) & (codes < categories) & (codes == np.floor(codes))
        rule = f"column {column} of x must hold codes, integers from 0 to {categories - 1}"
        first = is_code.argmin()
        got = "" if is_code.all() else f"{codes[first]} in row {first}"
        checks.require(is_code.all(), "mlp", rule, got)
