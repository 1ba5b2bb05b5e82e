"""The columns of a sweep: values by lane, and the paths of the arguments that they belong to."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.config import config, makes, number
from fnn._core.partition import by_value, is_number

__all__ = ["Lanes", "lanes", "product"]


@config
class Lanes:
    """The marker that `lanes` makes."""

    values: Any = number()


@makes(Lanes)
def lanes(values: Any) -> Lanes:
    """Marks an array as one value per lane, where no config declares the rank of one value.

    Configs (networks, optimizers, schedules, stopping rules) declare the rank of their
    numbers, so there an array with one axis more is swept as it is. Elsewhere, mark the array
    with `lanes`: in a loss or a metric bound with `functools.partial`, in a model of one's own
    that is a pytree, in a mask, in data.

    Args:
      values: `(lanes, ...)`: numbers, bools or keys.
    Returns:
      A marker, for arguments of `sweep`.
    Raises:
      TypeError: It holds neither numbers, bools nor keys.
      ValueError: It has no axis.

    >>> from functools import partial
    >>> loss = partial(fnn.huber, delta=lanes([0.5, 1.0, 2.0]))
    """
    values = checks.rectangular("lanes", "values", values)
    rule = "values must hold numbers, bools or keys"
    checks.require(is_number(values), "lanes", rule, f"dtype {values.dtype}", TypeError)
    rule = "values must be one per lane: shape (lanes, ...)"
    checks.require(np.ndim(values) >= 1, "lanes", rule, f"shape {np.shape(values)}")
    return Lanes(values)


def product(**columns: Any) -> dict[str, np.ndarray]:
    """The columns of a grid: every combination of the values, the last name running fastest.

    Args:
      **columns: By name, the values: anything with a length, such as a list, an array or a
        `range`. Values may have shapes (`active=[(16, 16), (32, 32)]`).
    Returns:
      By name, an array with a value per combination, in the order of `itertools.product`.
    Raises:
      ValueError: There are no columns, or one has no values or is no sequence.
      TypeError: A column holds keys. Make them of a column of seeds: `jax.vmap(jax.random.key)`.

    >>> grid = product(learning_rate=[1e-3, 1e-2], seed=range(3))
    >>> print(grid["learning_rate"], grid["seed"])
    [0.001 0.001 0.001 0.01  0.01  0.01 ] [0 1 2 0 1 2]
    """
    checks.require(columns, "product", "there must be at least one column", "none")
    arrays = {}
    for name, values in columns.items():
        array = column_of("product", name, values)
        rule = f"{name} must be a sequence of at least one value"
        checks.require(array.ndim >= 1 and len(array), "product", rule, f"shape {array.shape}")
        arrays[name] = array
    places = np.indices([len(array) for array in arrays.values()]).reshape(len(arrays), -1)
    return {name: array[place] for (name, array), place in zip(arrays.items(), places, strict=True)}


def column_of(function: str, name: str, values: Any) -> np.ndarray:
    """What was given as a column, as a NumPy array.

    Raises:
      TypeError: It holds keys.
      ValueError: It is not rectangular, or a tracer.
    """
    values = checks.rectangular(function, name, values)
    rule = f"{name} must hold what NumPy can hold (for keys, their seeds)"
    got = f"{values.dtype} of shape {values.shape}"
    are_keys = jnp.issubdtype(values.dtype, jax.dtypes.prng_key)
    checks.require(not are_keys, function, rule, got, TypeError)
    checks.no_tracers(function, values)
    return np.asarray(values)


def is_lanes(node: Any) -> bool:
    """Whether this is a marker."""
    return isinstance(node, Lanes)


def marked(value: Any) -> Any:
    """A config in which every number with one axis more than it declares is marked."""
    if is_lanes(value):
        return value
    if type(value) is tuple:
        return tuple(map(marked, value))
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    fields = [field for field in dataclasses.fields(value) if "rank" in field.metadata]
    changed = {}
    for field in fields:
        old = getattr(value, field.name)
        is_array = is_number(old) and getattr(old, "dtype", None) != np.bool_  # masks have shapes
        if is_array and np.ndim(old) == field.metadata["rank"] + 1:
            changed[field.name] = Lanes(old)
        else:
            changed[field.name] = marked(old)
    kept = all(changed[field.name] is getattr(value, field.name) for field in fields)
    return value if kept else dataclasses.replace(value, **changed)


def columns_of(tree: Any) -> dict[str, Any]:
    """The marked values of a tree by the path to them, as in `optimizer.learning_rate`."""
    found, _ = jax.tree_util.tree_flatten_with_path(by_value(tree), is_leaf=is_lanes)
    return {_path(path): leaf.values for path, leaf in found if is_lanes(leaf)}


def numbers_of(tree: Any) -> dict[str, Any]:
    """All numbers of a tree by the path to them, as `columns_of` names them."""
    found, _ = jax.tree_util.tree_flatten_with_path(by_value(tree))
    return {_path(path): leaf for path, leaf in found if is_number(leaf)}


def of_lane(tree: Any, index: int) -> Any:
    """The tree of one lane: its value in place of each marker."""

    def chosen(node: Any) -> Any:
        return node.values[index] if is_lanes(node) else node

    return jax.tree.map(chosen, by_value(tree), is_leaf=is_lanes)


def number_of_lanes(function: str, columns: Mapping[str, Any]) -> int:
    """The length that all columns share.

    Raises:
      ValueError: There are none, or their lengths differ, or are 0.
    """
    rule = (
        "something must be swept: a number of a config with one axis more than one run has, "
        "what lanes(...) marks, or a batch of keys"
    )
    checks.require(columns, function, rule, "one run, which is for fit")
    lengths = {name: np.shape(values)[0] for name, values in columns.items()}
    lengths_by_name = ", ".join(f"{name}: {length}" for name, length in lengths.items())
    rule = "everything swept must have a value for each lane, so one length"
    checks.require(len(set(lengths.values())) == 1, function, rule, lengths_by_name)
    size = next(iter(lengths.values()))
    checks.require(size > 0, function, "there must be at least one lane", lengths_by_name)
    return size


def _path(path: tuple) -> str:
    # a partial's positional and keyword arguments have no names of their own
    named = [key for key in path if not isinstance(key, jax.tree_util.FlattenedIndexKey)]
    return jax.tree_util.keystr(tuple(named), simple=True, separator=".")
