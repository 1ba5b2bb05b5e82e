"""Data frames as arrays: numbers, dates, booleans, categories and missing values, by an `Encoder`.

It reads pandas, Polars, PyArrow and every other eager frame that narwhals knows, which it needs
(the extra `frames`); and dicts of columns, for which it needs nothing.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fnn._core import checks
from fnn._core.display import call_text
from fnn._core.frame_columns import (
    check_different,
    column_of,
    holds_integers,
    is_missing,
    opened,
    read,
)

__all__ = ["Encoded", "Encoder", "encode"]


class Encoded(NamedTuple):
    """The result of `encode`: arrays, and the encoder that made them."""

    x: np.ndarray
    """float64, `(rows, columns)`, without missing values."""
    y: np.ndarray | None
    """Labels, int32, or values, float64, `(rows,)`; None without a target."""
    encoder: "Encoder"
    """Does the same to new rows."""


@dataclasses.dataclass(frozen=True)
class Column:
    """How a column of a frame is encoded."""

    name: str
    kind: str
    """"number", "boolean", "time", "duration" or "category"."""
    fill: float = 0.0
    """What stands for a missing value: the mean of the others."""
    has_missing: bool = False
    """Whether a value was missing when the encoder was made."""
    categories: tuple[str, ...] = ()
    is_coded: bool = False
    """Whether categories become codes in one column."""

    @property
    def codes(self) -> int:
        """How many codes there are: for others, for each category, and for missing values."""
        return 1 + len(self.categories) + self.has_missing

    @property
    def names(self) -> list[str]:
        """A name for each column of x that it becomes."""
        if self.is_coded:
            return [self.name]
        if self.kind == "category":
            found, last = [f"{self.name} = {text}" for text in self.categories], ["other"]
        else:
            found, last = [self.name], []
        return found + [f"{self.name} is {word}" for word in ["missing"] * self.has_missing + last]


@dataclasses.dataclass(frozen=True, repr=False)
class Encoder:
    """Turns frames into arrays, always in the same way; made by `encode`."""

    columns: tuple[Column, ...]
    target: str | None
    classes: tuple[Any, ...] | None
    """The values of the target by label; None where it is a number."""
    unknown: str

    @property
    def names(self) -> list[str]:
        """A name for each column of x, such as "age is missing" and "colour = red"."""
        return [name for column in self.columns for name in column.names]

    @property
    def embeddings(self) -> dict[int, tuple[int, int]]:
        """For `mlp(embeddings=)`: by column of x that holds codes, their number n and a width.

        The width is 1.6 n^0.56, rounded, at most 600.

        Source: fastai's `emb_sz_rule`.
        """
        owners = [column for column in self.columns for _ in column.names]
        return {
            index: (column.codes, min(600, round(1.6 * column.codes**0.56)))
            for index, column in enumerate(owners)
            if column.is_coded
        }

    def __call__(self, frame: Any) -> np.ndarray:
        """x, float64 `(rows, columns)`, of a frame with the columns that the encoder knows.

        Their order does not matter, and others are ignored, the target among them.

        Raises:
          ValueError, TypeError: A column is not there or holds another kind of values, or with
            `unknown="error"` a category that was not seen before.
          ImportError: narwhals is not installed.
        """
        frame = opened("encoder", frame)
        parts = [part for column in self.columns for part in self._parts(frame, column)]
        return np.stack(parts, axis=1) if parts else np.empty((len(frame), 0))

    def targets(self, frame: Any) -> np.ndarray:
        """y, as `encode` returns it, of a frame with the target's column.

        Raises:
          ValueError, TypeError: There is none, a value is missing, or a class is not known.
        """
        if self.target is None:
            raise ValueError("encoder: it must have a target: encode(frame, target); got None")
        kind, values = read("encoder", column_of("encoder", opened("encoder", frame), self.target))
        _check_targets("encoder", self.target, values)
        if self.classes is None:
            checks.require(kind == "number", "encoder", f"{self.target!r} must hold numbers", kind)
            return values
        labels = {value: label for label, value in enumerate(self.classes)}
        plain = _plain(kind, values)
        unknown = next((value for value in plain if value not in labels), None)
        rule = f"{self.target!r} must hold the classes {', '.join(map(str, self.classes))}"
        checks.require(unknown is None, "encoder", rule, repr(unknown))
        return np.array([labels[value] for value in plain], np.int32)

    def decode(self, outputs: Any) -> np.ndarray:
        """The classes of labels `(rows,)`, or of the largest scores of rows `(rows, classes)`.

        Raises:
          ValueError: The target has no classes, outputs are neither, or a score is NaN.
        """
        if self.classes is None:
            raise ValueError("encoder: the target must have classes; got a target of numbers")
        outputs = np.asarray(outputs)
        is_scores = outputs.ndim == 2 and outputs.shape[1] == len(self.classes)
        if is_scores:
            checks.require(not np.isnan(outputs).any(), "encoder", "scores must be numbers", "NaN")
        labels = outputs.argmax(axis=1) if is_scores else outputs
        rule = f"outputs must be labels (rows,) or scores (rows, {len(self.classes)})"
        is_labels = labels.ndim == 1 and labels.dtype.kind in "iu"
        checks.require(is_labels, "encoder", rule, f"{outputs.dtype}{outputs.shape}")
        in_range = labels.size == 0 or (labels.min() >= 0 and labels.max() < len(self.classes))
        checks.require(in_range, "encoder", rule, "labels out of range")
        return np.array(self.classes)[labels]

    def to_dict(self) -> dict[str, Any]:
        """The encoder as strings, numbers, lists and dicts, for the metadata of `save`."""
        found = dataclasses.asdict(self)
        found["columns"] = [column | {"categories": list(column["categories"])}
                            for column in found["columns"]]  # fmt: skip
        return found | {"classes": None if self.classes is None else list(self.classes)}

    @classmethod
    def from_dict(cls, contents: Mapping[str, Any]) -> "Encoder":
        """The encoder from the result of `to_dict`."""
        columns = tuple(
            Column(**column | {"categories": tuple(column["categories"])})
            for column in contents["columns"]
        )
        classes = contents["classes"]
        classes = None if classes is None else tuple(classes)
        return cls(columns, contents["target"], classes, contents["unknown"])

    def _parts(self, frame: Any, column: Column) -> list[np.ndarray]:
        """The columns of x that a column becomes."""
        kind, values = read("encoder", column_of("encoder", frame, column.name))
        rule = f"column {column.name!r} must hold what it did, a {column.kind}"
        missing = is_missing(values)
        # a column in which all is missing may be of any kind
        checks.require(kind == column.kind or missing.all(), "encoder", rule, f"a {kind}")
        if column.kind != "category":
            filled = np.where(missing, column.fill, np.where(missing, 0, values).astype(float))
            return [filled, *([missing.astype(float)] if column.has_missing else [])]
        known: dict[str | None, int]
        known = {category: code for code, category in enumerate(column.categories, 1)}
        if column.has_missing:
            known[None] = len(known) + 1
        codes = np.array([known.get(value, 0) for value in values], int)
        refused = (codes == 0) & ~missing
        if self.unknown == "error" and refused.any():
            rule = f"column {column.name!r} must hold categories seen before"
            checks.require(False, "encoder", rule, repr(values[refused.argmax()]))
        if column.is_coded:
            return [codes.astype(float)]
        return [(codes == code).astype(float) for code in (*known.values(), 0)]

    def __repr__(self) -> str:
        kinds = {column.name: column.kind for column in self.columns}
        shown: dict[str, Any] = {"columns": kinds, "target": self.target}
        if self.classes is not None:
            shown["classes"] = list(self.classes)
        return call_text("Encoder", [], shown)


def encode(
    frame: Any,
    target: str | None = None,
    *,
    task: str | None = None,
    unknown: str = "slot",
    categories: str = "one-hot",
) -> Encoded:
    """A data frame as arrays, and the encoder that does the same to new rows.

    - Numbers stay as they are: scaling is for `standard_scaler` and `mlp(inputs=)`. Booleans are 0
      and 1, dates and times seconds since 1970 (UTC), durations seconds.
    - A missing number becomes the mean of its column. Each column with missing numbers gets an
      indicator column, which is 1 where the number is missing.
    - Texts, categoricals and enums are categories: a column of 0 and 1 for each that is there, in
      sorted order, then one for missing values, if there are any, and one for all others, which new
      rows may have.

    Args:
      frame: `(rows, columns)`: of pandas, Polars, PyArrow or another eager frame; or a dict from
        names to lists or arrays `(rows,)`, in which None and NaN are missing.
      target: The name of the column to predict. None: there is none.
      task: "classification" or "regression", for a target of integers, which may be labels or
        values; other targets need none: texts, categories and booleans are classes, floats values.
      unknown: What to do with categories that only new rows have: "slot", the column for others,
        or "error".
      categories: "one-hot", the columns above, or "codes" for `mlp(embeddings=encoder.embeddings)`:
        one column, in which 0 stands for all others, 1 and up for the categories in sorted order,
        and one more for missing values, if there are any.
    Returns:
      An `Encoded`: x, y and the encoder.
    Raises:
      ValueError, TypeError: A column has an unsupported type, infinite numbers or no values; its
        name is not a string, or would occur twice in `Encoder.names`; a target is missing in a row,
        is the same in all, or needs a `task`.
      ImportError: narwhals is not installed, and the frame is no dict.

    >>> frame = {"age": [20, None, 40], "home": ["a", "b", "a"], "ill": ["no", "yes", "no"]}
    >>> encoded = encode(frame, "ill")
    >>> encoded.encoder.names
    ['age', 'age is missing', 'home = a', 'home = b', 'home is other']
    >>> print(encoded.x, encoded.y)
    [[20.  0.  1.  0.  0.]
     [30.  1.  0.  1.  0.]
     [40.  0.  1.  0.  0.]] [0 1 0]
    >>> Encoder.from_dict(encoded.encoder.to_dict()) == encoded.encoder
    True
    """
    name = "encode"
    checks.word(name, "unknown", unknown, "slot", "error")
    checks.word(name, "task", task, None, "classification", "regression")
    checks.word(name, "categories", categories, "one-hot", "codes")
    table = opened(name, frame)
    rule = "target must be the name of a column, or None"
    is_name = target is None or isinstance(target, str)
    checks.require(is_name, name, rule, repr(target), TypeError)
    checks.require(len(table) > 0, name, "frame must have rows", "none")
    if target is not None:
        column_of(name, table, target)
    features = [column for column in table.columns if column != target]
    columns = tuple(_column(name, table[column], categories == "codes") for column in features)
    classes = None if target is None else _classes(name, table[target], task)
    encoder = Encoder(columns, target, classes, unknown)
    check_different(name, "columns of x", encoder.names)
    y = None if target is None else encoder.targets(frame)
    return Encoded(encoder(frame), y, encoder)


def _column(function: str, series: Any, is_coded: bool) -> Column:
    """How this column is to be encoded."""
    kind, values = read(function, series)
    missing = is_missing(values)
    rule = f"column {series.name!r} must have a value"
    checks.require(not missing.all(), function, rule, "nothing but missing ones")
    has_missing = bool(missing.any())
    if kind == "category":
        categories = tuple(sorted(set(values[~missing])))
        return Column(
            series.name, kind, has_missing=has_missing, categories=categories, is_coded=is_coded
        )
    return Column(series.name, kind, float(values[~missing].mean()), has_missing)


def _classes(function: str, series: Any, task: str | None) -> tuple | None:
    """The classes of a target, or None where it is a number."""
    kind, values = read(function, series)
    _check_targets(function, series.name, values)
    rule = f"target {series.name!r} must hold numbers, texts, categories or booleans"
    checks.require(kind in ("number", "category", "boolean"), function, rule, f"a {kind}")
    if kind == "number" and task is None:
        whole = holds_integers(series)
        rule = (f"target {series.name!r} holds integers, so task must be 'classification' or "
                "'regression'")  # fmt: skip
        checks.require(not whole, function, rule, "None")
        task = "regression"
    rule = f"target {series.name!r} must hold numbers for a regression"
    checks.require(task != "regression" or kind == "number", function, rule, f"a {kind}")
    plain = _plain(kind, values)
    found = sorted(set(plain))
    rule = f"target {series.name!r} must have two values at least"
    checks.require(len(found) > 1, function, rule, f"only {found[0]!r}")
    if task == "regression":
        return None
    if kind == "number":
        whole = all(value == int(value) for value in found)
        rule = f"target {series.name!r} must hold integers for a classification"
        checks.require(whole, function, rule, found[0])
        exact = max(map(abs, found)) < 2**53  # beyond, float64 does not hold all of them
        checks.require(exact, function, f"{rule}, below 2**53 in magnitude", "larger ones")
        found = [int(value) for value in found]
    return tuple(found)


def _check_targets(function: str, name: str, values: np.ndarray) -> None:
    missing = is_missing(values)
    rule = f"target {name!r} must have a value in each row"
    checks.require(not missing.any(), function, rule, f"none in row {missing.argmax()}")


def _plain(kind: str, values: np.ndarray) -> list:
    """The values as Python has them."""
    return [bool(value) for value in values] if kind == "boolean" else values.tolist()
