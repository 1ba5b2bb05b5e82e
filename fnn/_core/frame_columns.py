"""Columns of data frames, of any library that narwhals knows, and of dicts, as NumPy's arrays."""

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fnn._core import checks


class DictColumn(NamedTuple):
    """A column of a dict: an array, of objects where a list was given."""

    name: str
    values: np.ndarray


class DictFrame:
    """A dict of columns, for which no library of data frames is needed."""

    def __init__(self, function: str, given: Mapping[Any, Any]):
        checks.require(len(given) > 0, function, "frame must have columns", "an empty dict")
        strange = next((name for name in given if not isinstance(name, str)), None)
        rule = "names of columns must be texts"
        checks.require(strange is None, function, rule, repr(strange), TypeError)
        self._arrays = {name: _array_of(function, name, v) for name, v in given.items()}
        lengths = {name: len(values) for name, values in self._arrays.items()}
        rule = "columns of a dict must be of one length"
        checks.require(len(set(lengths.values())) == 1, function, rule, lengths)
        self.columns = list(given)

    def __len__(self) -> int:
        return len(self._arrays[self.columns[0]])

    def __getitem__(self, name: str) -> DictColumn:
        return DictColumn(name, self._arrays[name])


def _array_of(function: str, name: str, values: Any) -> np.ndarray:
    """A column `(rows,)`; a list as objects, as NumPy would make texts of numbers beside texts."""
    rule = f"column {name!r} must be a list or an array (rows,)"
    is_list = isinstance(values, (list, tuple))
    given = hasattr(values, "__array__") or is_list
    checks.require(given, function, rule, type(values).__name__, TypeError)
    if is_list:
        array = np.empty(len(values), object)
        array[:] = values
        return array
    array = np.asarray(values)
    checks.require(array.ndim == 1, function, rule, f"shape {array.shape}")
    return array


def opened(function: str, frame: Any) -> Any:
    """The frame as narwhals has it, or a dict, with columns of different names."""
    if isinstance(frame, Mapping):
        return DictFrame(function, frame)
    try:
        import narwhals.stable.v1 as narwhals
        from narwhals.dependencies import is_into_dataframe, is_pyarrow_table
    except ImportError:
        rule = "data frames need narwhals, to be had with: pip install 'fnn[frames]'"
        raise ImportError(f"{function}: {rule}") from None
    rule = "frame must be a data frame in memory, such as of pandas or Polars, or a dict of columns"
    got = type(frame).__name__
    checks.require(is_into_dataframe(frame), function, rule, got, TypeError)
    names = list(frame.column_names if is_pyarrow_table(frame) else frame.columns)
    check_different(function, "columns", names)
    strange = next((name for name in names if not isinstance(name, str)), None)
    rule = "names of columns must be texts (frame.columns = ...)"
    checks.require(strange is None, function, rule, repr(strange), TypeError)
    return narwhals.from_native(frame, eager_only=True)


def check_different(function: str, what: str, names: Sequence[Any]) -> None:
    """Raises where a name occurs twice."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    checks.require(twice is None, function, f"{what} must have different names", f"two {twice!r}")


def column_of(function: str, frame: Any, name: str) -> Any:
    """The column of that name, which must be there."""
    columns = frame.columns
    if name not in columns:
        rule = f"frame must have a column {name!r}"
        checks.require(False, function, rule, ", ".join(map(str, columns)))
    return frame[name]


def read(function: str, series: Any) -> tuple[str, np.ndarray]:
    """The kind of a column and its values: float64 with NaN, or texts and None."""
    if isinstance(series, DictColumn):
        return _read_array(function, *series)
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
        kind, numbers = "number", series.fill_null(0)
        if dtype not in (nw.Int64, nw.UInt64):  # of which PyArrow refuses to round large ones
            numbers = numbers.cast(nw.Float64)
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
    return kind, _finite(function, series.name, values)


def _finite(function: str, name: str, values: np.ndarray) -> np.ndarray:
    rule = f"column {name!r} must hold finite numbers"
    checks.require(not np.isinf(values).any(), function, rule, "infinite ones")
    return values


def holds_integers(series: Any) -> bool:
    """Whether all values of a column of numbers are integers by their type."""
    if not isinstance(series, DictColumn):
        return series.dtype.is_integer()
    if series.values.dtype == object:
        return {type(value) for value in _plain_objects(series.values)} == {int}
    return series.values.dtype.kind in "iu"


def _read_array(function: str, name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """`read` of a column of a dict."""
    kind = values.dtype.kind
    if kind == "O":
        return _read_list(function, name, _plain_objects(values))
    if kind == "U":
        return "category", values.astype(object)
    if kind in "biuf":
        numbers = _finite(function, name, values.astype(np.float64))
        return "boolean" if kind == "b" else "number", numbers
    rule = f"column {name!r} must hold numbers, booleans, dates, durations or texts"
    checks.require(kind in "mM", function, rule, values.dtype, TypeError)
    seconds = values.astype(f"{kind}8[us]").astype(np.int64) / 1e6
    return "time" if kind == "M" else "duration", np.where(np.isnat(values), math.nan, seconds)


def _plain_objects(values: np.ndarray) -> list[Any]:
    """The values as Python has them, missing ones as None."""
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    return [None if isinstance(value, float) and value != value else value for value in plain]


def _read_list(function: str, name: str, values: list[Any]) -> tuple[str, np.ndarray]:
    """Python's objects, which must be of one kind, integers and floats being one."""
    kinds = {type(value) for value in values if value is not None}
    read_as: tuple[str, Any] | None = None
    if kinds and kinds <= {int, float}:
        read_as = "number", float
    elif kinds == {datetime.datetime}:
        read_as = "time", _timestamp
    elif kinds == {datetime.timedelta}:
        read_as = "duration", datetime.timedelta.total_seconds
    if read_as is None:
        return _read_objects(function, name, values, np.array([value is None for value in values]))
    kind, number_of = read_as
    numbers = np.array([math.nan if value is None else number_of(value) for value in values])
    return kind, _finite(function, name, numbers)


def _timestamp(time: datetime.datetime) -> float:
    """Seconds since 1970, in UTC where there is no time zone."""
    return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()


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
