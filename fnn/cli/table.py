"""A table in a file, CSV or Parquet, as PyArrow reads it."""

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fnn._core import checks

_CSV, _PARQUET = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
_DELIMITERS = ",;\t|"
_QUOTED = re.compile('"[^"]*"')
# texts that stand for a missing value, beside those that PyArrow knows
_MISSING = ["?"]


def read_table(path: Path, texts: Collection[str] = ()) -> Any:
    """The table of a file.

    The delimiter of a CSV file is the one of `,` `;` tab `|` that its first line has most outside
    of quotes. Empty values and those spelled NA, NaN, null, ? and the like are missing ones.

    Args:
      path: A file whose name ends in .csv, .tsv, .txt, .parquet or .pq.
      texts: Columns of a CSV file that hold texts, though they may look like numbers.
    Returns:
      A `pyarrow.Table` with at least one row.
    Raises:
      ValueError: It is no such file, or a line has more or fewer values than the first one.
      OSError: It cannot be read.
    """
    kind = path.suffix.lower()
    rule = f"the table must be a file that ends in {', '.join((*_CSV, *_PARQUET))}"
    checks.require(kind in (*_CSV, *_PARQUET), str(path), rule, kind or "no ending")
    table = _read_parquet(path) if kind in _PARQUET else _read_csv(path, texts)
    names = table.column_names
    twice = next((name for name in names if names.count(name) > 1), None)
    checks.require(twice is None, str(path), "columns must have different names", f"two {twice!r}")
    checks.require(table.num_rows > 0, str(path), "the table must have rows", "only their names")
    return table


def _read_parquet(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: it must be a Parquet file; {error}") from None


def _read_csv(path: Path, texts: Collection[str]) -> Any:
    import pyarrow as pa
    from pyarrow import csv as reader

    with open(path, encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    delimiter = max(_DELIMITERS, key=_QUOTED.sub("", first).count)
    convert = reader.ConvertOptions(
        strings_can_be_null=True,
        null_values=[*reader.ConvertOptions().null_values, *_MISSING],
        column_types=dict.fromkeys(texts, pa.string()),
    )
    try:
        table = reader.read_csv(
            path,
            parse_options=reader.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=convert,
        )
    except pa.ArrowInvalid as error:
        _check_lines(path, delimiter)
        raise ValueError(f"{path}: {error}") from None
    for field in table.schema:
        rule = f"column {field.name!r} must hold text in UTF-8"
        checks.require(not pa.types.is_binary(field.type), str(path), rule, "other bytes")
    return table


def _check_lines(path: Path, delimiter: str) -> None:
    """Raises where a line has another number of values; PyArrow counts rows, not lines."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        width = len(next(rows, []))
        end = rows.line_num
        for row in rows:
            begin, end = end + 1, rows.line_num
            rule = f"every line must have {width} values, as the first one has"
            got = f"{len(row)} in line {begin}"
            checks.require(len(row) in (0, width), str(path), rule, got)
