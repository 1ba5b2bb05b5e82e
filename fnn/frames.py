"""Data frames as arrays: numbers, dates, booleans, categories and missing values, by an `Encoder`.

It reads pandas, Polars, PyArrow and every other eager frame that narwhals knows, which it needs
(the extra `frames`).
"""

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fnn._core import checks
from fnn._core.display import call_text

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

    @property
    def names(self) -> list[str]:
        """A name for each column of x that it becomes."""
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

    def __call__(self, frame: Any) -> np.ndarray:
        """x, float64 `(rows, columns)`, of a frame with the columns that the encoder knows.

        Their order does not matter, and others are ignored, the target among them.

        Raises:
          ValueError, TypeError: A column is not there or holds another kind of values, or with
            `unknown="error"` a category that was not seen before.
          ImportError: narwhals is not installed.
        """
        frame = _opened("encoder", frame)
        parts = [part for column in self.columns for part in self._parts(frame, column)]
        return np.stack(parts, axis=1) if parts else np.empty((len(frame), 0))

    def targets(self, frame: Any) -> np.ndarray:
        """y, as `encode` returns it, of a frame with the target's column.

        Raises:
          ValueError, TypeError: There is none, a value is missing, or a class is not known.
        """
        if self.target is None:
            raise ValueError("encoder: it must have a target: encode(frame, target); got None")
        kind, values = _read(
            "encoder", _column_of("encoder", _opened("encoder", frame), self.target)
        )
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
        kind, values = _read("encoder", _column_of("encoder", frame, column.name))
        rule = f"column {column.name!r} must hold what it did, a {column.kind}"
        missing = _is_missing(values)
        # a column in which all is missing may be of any kind
        checks.require(kind == column.kind or missing.all(), "encoder", rule, f"a {kind}")
        if column.kind != "category":
            filled = np.where(missing, column.fill, np.where(missing, 0, values).astype(float))
            return [filled, *([missing.astype(float)] if column.has_missing else [])]
        known = [values == category for category in column.categories]
        if column.has_missing:
            known.append(missing)
        other = ~np.any(known, axis=0) if known else np.ones(len(values), bool)
        refused = other & ~missing
        if self.unknown == "error" and refused.any():
            rule = f"column {column.name!r} must hold categories seen before"
            checks.require(False, "encoder", rule, repr(values[refused.argmax()]))
        return [part.astype(float) for part in (*known, other)]

    def __repr__(self) -> str:
        kinds = {column.name: column.kind for column in self.columns}
        shown: dict[str, Any] = {"columns": kinds, "target": self.target}
        if self.classes is not None:
            shown["classes"] = list(self.classes)
        return call_text("Encoder", [], shown)


def encode(
    frame: Any, target: str | None = None, *, task: str | None = None, unknown: str = "slot"
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
      frame: `(rows, columns)`: of pandas, Polars, PyArrow or another eager frame.
      target: The name of the column to predict. None: there is none.
      task: "classification" or "regression", for a target of integers, which may be labels or
        values; other targets need none: texts, categories and booleans are classes, floats values.
      unknown: What to do with categories that only new rows have: "slot", the column for others,
        or "error".
    Returns:
      An `Encoded`: x, y and the encoder.
    Raises:
      ValueError, TypeError: A column has an unsupported type, infinite numbers or no values; its
        name is not a string, or would occur twice in `Encoder.names`; a target is missing in a row,
        is the same in all, or needs a `task`.
      ImportError: narwhals is not installed.

    >>> import pandas
    >>> frame = pandas.DataFrame({"age": [20, None, 40], "home": ["a", "b", "a"],
    ...                           "ill": ["no", "yes", "no"]})
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
    opened = _opened(name, frame)
    rule = "target must be the name of a column, or None"
    is_name = target is None or isinstance(target, str)
    checks.require(is_name, name, rule, repr(target), TypeError)
    checks.require(len(opened) > 0, name, "frame must have rows", "none")
    if target is not None:
        _column_of(name, opened, target)
    columns = tuple(_column(name, opened[column]) for column in opened.columns if column != target)
    classes = None if target is None else _classes(name, opened[target], task)
    encoder = Encoder(columns, target, classes, unknown)
    names = encoder.names
    twice = next((one for one in names if names.count(one) > 1), None)
    checks.require(twice is None, name, "columns of x must have different names", f"two {twice!r}")
    y = None if target is None else encoder.targets(frame)
    return Encoded(encoder(frame), y, encoder)


def _opened(function: str, frame: Any) -> Any:
    """The frame as narwhals has it, with columns of different names."""
    try:
        import narwhals.stable.v1 as narwhals
        from narwhals.dependencies import is_into_dataframe, is_pyarrow_table
    except ImportError:
        rule = "data frames need narwhals, to be had with: pip install 'fnn[frames]'"
        raise ImportError(f"{function}: {rule}") from None
    rule = "frame must be a data frame in memory, such as of pandas or Polars"
    got = type(frame).__name__
    checks.require(is_into_dataframe(frame), function, rule, got, TypeError)
    names = list(frame.column_names if is_pyarrow_table(frame) else frame.columns)
    twice = next((name for name in names if names.count(name) > 1), None)
    checks.require(twice is None, function, "columns must have different names", f"two {twice!r}")
    strange = next((name for name in names if not isinstance(name, str)), None)
    rule = "names of columns must be texts (frame.columns = ...)"
    checks.require(strange is None, function, rule, repr(strange), TypeError)
    return narwhals.from_native(frame, eager_only=True)


def _column_of(function: str, frame: Any, name: str) -> Any:
    rule = f"frame must have a column {name!r}"
    checks.require(name in frame.columns, function, rule, ", ".join(map(str, frame.columns)))
    return frame[name]


def _column(function: str, series: Any) -> Column:
    """How this column is to be encoded."""
    kind, values = _read(function, series)
    missing = _is_missing(values)
    rule = f"column {series.name!r} must have a value"
    checks.require(not missing.all(), function, rule, "nothing but missing ones")
    has_missing = bool(missing.any())
    if kind == "category":
        categories = tuple(sorted(set(values[~missing])))
        return Column(series.name, kind, has_missing=has_missing, categories=categories)
    return Column(series.name, kind, float(values[~missing].mean()), has_missing)


def _classes(function: str, series: Any, task: str | None) -> tuple | None:
    """The classes of a target, or None where it is a number."""
    kind, values = _read(function, series)
    _check_targets(function, series.name, values)
    rule = f"target {series.name!r} must hold numbers, texts, categories or booleans"
    checks.require(kind in ("number", "category", "boolean"), function, rule, f"a {kind}")
    if kind == "number" and task is None:
        whole = series.dtype.is_integer()
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
        found = [int(value) for value in found]
    return tuple(found)


def _check_targets(function: str, name: str, values: np.ndarray) -> None:
    missing = _is_missing(values)
    rule = f"target {name!r} must have a value in each row"
    checks.require(not missing.any(), function, rule, f"none in row {missing.argmax()}")


def _plain(kind: str, values: np.ndarray) -> list:
    """The values as Python has them."""
    return [bool(value) for value in values] if kind == "boolean" else values.tolist()


def _is_missing(values: np.ndarray) -> np.ndarray:
    if values.dtype == object:
        return np.array([value is None for value in values], bool)
    return np.isnan(values)


def _read(function: str, series: Any) -> tuple[str, np.ndarray]:
    """The kind of a column and its values: float64 with NaN, or texts and None."""
    import narwhals.stable.v1 as nw

    dtype, missing = series.dtype, series.is_null().to_numpy()
    if missing.all():  # of any kind
        return "category", np.full(len(missing), None, object)
    if dtype == nw.Object:
        return _read_objects(function, series.name, series.to_list(), missing)
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        values = series.to_list() if dtype == nw.Categorical else series.cast(nw.String).to_list()
        texts = [None if gone else _text(v) for v, gone in zip(values, missing, strict=True)]
        return "category", np.array(texts, object)
    if dtype == nw.Boolean:
        kind, numbers = "boolean", series.fill_null(False).cast(nw.Float64)
    elif dtype.is_numeric():
        kind, numbers = "number", series.fill_null(0).cast(nw.Float64)
    elif dtype in (nw.Date, nw.Datetime):
        times = series.cast(nw.Datetime("us")) if dtype == nw.Date else series
        kind, numbers = "time", times.dt.timestamp("us").fill_null(0).cast(nw.Float64) / 1e6
    elif dtype == nw.Duration:
        kind = "duration"
        numbers = series.dt.total_microseconds().fill_null(0).cast(nw.Float64) / 1e6
    else:
        rule = f"column {series.name!r} must hold numbers, booleans, dates, durations or texts"
        raise TypeError(f"{function}: {rule}; got {dtype}")
    values = np.array(numbers.to_numpy(), np.float64)
    values[missing] = math.nan
    rule = f"column {series.name!r} must hold finite numbers"
    checks.require(not np.isinf(values).any(), function, rule, "infinite ones")
    return kind, values


def _text(category: Any) -> str:
    """The text of a category, of which pandas turns integers to floats where some are missing."""
    is_whole = isinstance(category, float) and category.is_integer()
    return str(int(category) if is_whole else category)


def _read_objects(
    function: str, name: str, values: Sequence[Any], missing: np.ndarray
) -> tuple[str, np.ndarray]:
    """A column of Python's objects, which must be of one kind."""
    present = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    kinds = {type(value) for value in present if value is not None}
    if kinds <= {str}:
        return "category", np.array(present, object)
    if kinds <= {bool}:
        return "boolean", np.array([math.nan if value is None else value for value in present])
    if kinds == {datetime.date}:
        days = [math.nan if value is None else value.toordinal() for value in present]
        return "time", 86400.0 * (np.array(days) - datetime.date(1970, 1, 1).toordinal())
    rule = f"column {name!r} must hold values of one kind: texts, booleans or dates, if objects"
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(f"{function}: {rule}; got {names}")
