"""What is to be learnt from a table: the problem, and its columns and rows, chosen and encoded."""

import difflib
import math
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import numpy as np

import fnn
from fnn._core import checks
from fnn.cli.common import count

# A target of whole numbers is one of classes if it has at most so many different ones, each in at
# least so many rows on average.
_MOST_CLASSES, _ROWS_OF_EACH = 20, 5
# one each to train on, to validate and to test
_FEWEST_OF_A_CLASS = 3
# Texts that differ more often than not, or so often, are names rather than categories.
_MOST_CATEGORIES = 1000
_VALIDATION = 0.1
_LARGEST = 1e30


class Problem(NamedTuple):
    """What kind of target it is, and why."""

    kind: str
    """"classification" or "regression"."""
    because: str
    is_open: bool = False
    """Whether the same target could be meant otherwise."""


class Part(NamedTuple):
    """Encoded rows."""

    x: np.ndarray
    """float64 `(rows, features)`."""
    y: np.ndarray
    """Labels, int32, or values, float64, `(rows,)`."""


class Task(NamedTuple):
    """A table that is ready for training."""

    target: str
    problem: Problem
    encoder: fnn.Encoder
    """Made of the rows to train on, so that the others are new to it."""
    train: Part
    validation: Part
    test: Part
    left_out: dict[str, str]
    """Columns by name that are not used, and why."""
    missing: dict[str, int]
    """Missing values of the columns that are used."""
    unlabelled: int
    """Rows that are not used, as their target is missing."""


def task_of(
    table: Any,
    target: str,
    *,
    problem: str | None = None,
    test_size: float = 0.2,
    key: jax.Array,
    ignored: Collection[str] = (),
) -> Task:
    """The task that a table and the name of its target make.

    Args:
      table: A `pyarrow.Table`.
      target: The name of a column.
      problem: "classification" or "regression"; None: guessed by the target.
      test_size: The share of rows to test on.
      key: A PRNG key, which decides the split.
      ignored: Columns not to use.
    Raises:
      ValueError, TypeError: A name is not one of a column; the target is missing everywhere, is the
        same in all rows, or has a class of too few; no column is left; or as `fnn.encode`.
    """
    for name in (target, *ignored):
        _check_name(table, name)
    is_missing = _is_missing(table[target])
    rule = f"target {target!r} must have values"
    checks.require(not is_missing.all(), "table", rule, "nothing but missing ones")
    counting = [name for name in table.column_names if _counts_rows(table[name])]
    known = table.filter(~is_missing)
    guessed = problem_of(known[target]) if problem is None else Problem(problem, "as asked for")
    y: Any = fnn.encode(known.select([target]), target, task=guessed.kind).y
    labels = y if guessed.kind == "classification" else None
    if labels is not None:
        _check_classes(known[target], target, labels)
    rows = _split(len(y), labels, test_size, key)
    left_out = dict.fromkeys(counting, "it counts the rows")
    left_out |= _useless(known.take(rows[0]))
    left_out |= dict.fromkeys(ignored, "to be ignored")
    left_out.pop(target, None)
    used = [name for name in known.column_names if name not in left_out and name != target]
    rule = "there must be a column to learn from"
    got = "; ".join(f"{name!r}: {why}" for name, why in left_out.items()) or "the target alone"
    checks.require(used, "table", rule, got)
    parts = [known.select([*used, target]).take(index) for index in rows]
    encoder = fnn.encode(parts[0], target, task=guessed.kind).encoder
    train, validation, test = [Part(encoder(part), encoder.targets(part)) for part in parts]
    for part in (train, validation, test):
        _check_sizes([*encoder.names, target], np.column_stack(part))
    _check_spreads([*encoder.names, target], np.column_stack(train))
    missing = {name: int(_is_missing(table[name]).sum()) for name in used}
    return Task(target, guessed, encoder, train, validation, test, left_out, missing,
                unlabelled=int(is_missing.sum()))  # fmt: skip


def problem_of(values: Any) -> Problem:
    """The problem that a target makes, of a `pyarrow.ChunkedArray` without missing values."""
    import pyarrow as pa

    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        what = "true and false" if pa.types.is_boolean(values.type) else "texts"
        return Problem("classification", f"as it holds {what}")
    different = len(values.unique())
    numbers = values.to_numpy()
    if not np.array_equal(numbers, np.floor(numbers)):
        return Problem("regression", "as it holds numbers with fractions")
    because = f"as it holds {different:,} different whole numbers in {count(len(values), 'row')}"
    few = different <= min(_MOST_CLASSES, max(2, len(values) // _ROWS_OF_EACH))
    return Problem("classification" if few else "regression", because, is_open=True)


def _check_name(table: Any, name: str) -> None:
    names = table.column_names
    near = difflib.get_close_matches(name.lower(), [known.lower() for known in names], n=1)
    hint = [known for known in names if near and known.lower() == near[0]]
    got = f"{name!r}" + (f" (did you mean {hint[0]!r}?)" if hint else "")
    rule = f"the table must have a column of each name given; it has {', '.join(names)}"
    checks.require(name in names, "table", rule, got)


def _is_missing(values: Any) -> np.ndarray:
    """Of a column of PyArrow, NaN included, `(rows,)`."""
    return values.is_null(nan_is_null=True).to_numpy()


def _check_classes(values: Any, target: str, labels: np.ndarray) -> None:
    sizes = np.bincount(labels)
    rarest = int(sizes.argmin())
    name = values[int(np.flatnonzero(labels == rarest)[0])].as_py()
    rule = f"each class of target {target!r} must have {_FEWEST_OF_A_CLASS} rows at least"
    checks.require(sizes[rarest] >= _FEWEST_OF_A_CLASS, "table", rule,
                   f"{count(int(sizes[rarest]), 'row')} of {name!r}")  # fmt: skip


def _check_sizes(names: list[str], numbers: np.ndarray) -> None:
    """Raises where a number, `(rows, columns)`, is too large to be scaled in float32."""
    largest = np.abs(numbers).max(axis=0)
    worst = int(largest.argmax())
    rule = f"column {names[worst]!r} must hold numbers up to {_LARGEST:g}"
    checks.require(largest[worst] <= _LARGEST, "table", rule, f"{largest[worst]:g}")


def _check_spreads(names: list[str], numbers: np.ndarray) -> None:
    """Raises where numbers, `(rows, columns)`, differ too little to be scaled in float32."""
    spreads = np.ptp(numbers, axis=0)
    least = int(np.where(spreads > 0, spreads, np.inf).argmin())
    rule = f"column {names[least]!r} must hold numbers that differ by {1 / _LARGEST:g} or more"
    good = spreads[least] == 0 or spreads[least] >= 1 / _LARGEST
    checks.require(good, "table", rule, f"{spreads[least]:g}")


def _split(
    rows: int, labels: np.ndarray | None, test_size: float, key: jax.Array
) -> list[np.ndarray]:
    """The rows to train on, to validate and to test; of classes, a row of each fits in each."""
    fewest = 1 if labels is None else int(labels.max()) + 1
    left, parts = np.arange(rows), []
    for size, of_part in zip((test_size, _VALIDATION), jax.random.split(key), strict=True):
        share = max(math.ceil(size * len(left)), fewest)
        stratify = None if labels is None else labels[left]
        left, part = fnn.train_test_split(left, key=of_part, test_size=share, stratify=stratify)
        parts.append(part)
    return [left, *parts[::-1]]


def _counts_rows(values: Any) -> bool:
    """Whether a column holds whole numbers that go up by one from row to row."""
    import pyarrow as pa

    if not pa.types.is_integer(values.type) or values.null_count or len(values) < 3:
        return False
    return bool((np.diff(values.to_numpy()) == 1).all())


def _useless(table: Any) -> dict[str, str]:
    """Columns from which nothing can be learnt in these rows, and why."""
    import pyarrow as pa

    found = {}
    for name in table.column_names:
        values = table[name]
        there = len(values) - values.null_count
        if there == 0:
            found[name] = "it has no values"
        if there == 0 or pa.types.is_nested(values.type):  # which `encode` refuses
            continue
        different = len(values.drop_null().unique())
        if different == 1 and there == len(values):
            found[name] = "it is the same in all rows"
        is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        if is_text and different > min(there / 2, _MOST_CATEGORIES) and different > _MOST_CLASSES:
            found[name] = f"it has {different:,} different texts in {count(there, 'row')}"
    return found
