"""Columns of data frames, of any library that narwhals knows, as NumPy's arrays."""

import datetime
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fnn._core import checks


def opened(function: str, frame: Any) -> Any:
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


def column_of(function: str, frame: Any, name: str) -> Any:
    """The column of that name, which must be there."""
    rule = f"frame must have a column {name!r}"
    checks.require(name in frame.columns, function, rule, ", ".join(map(str, frame.columns)))
    return frame[name]


def read(function: str, series: Any) -> tuple[str, np.ndarray]:
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


def is_missing(values: np.ndarray) -> np.ndarray:
    if values.dtype == object:
        return np.array([value is None for value in values], bool)
    return np.isnan(values)


def _text(category: Any) -> str:
    """The text of a category, of which pandas turns integers to floats where some are missing."""
    is_whole = isinstance(category, float) and category.is_integer()
    return str(int(category) if is_whole else category)
