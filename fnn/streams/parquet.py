"""A source of Parquet files, read by PyArrow (the extra `cli`)."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fnn._core import checks
from fnn.streams.source import Source, checked_buffer_rows


def from_parquet(
    files: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    weights: str | None = None,
    buffer_rows: int | None = None,
) -> Source:
    """The source of Parquet files, whose row groups are the blocks.

    A row group is read as a whole, so a few of them have to fit into memory. Columns hold numbers
    and no missing values; of others make numbers first (`fnn.encode`).

    Args:
      files: A file, a folder of files that end in .parquet, or a list of files.
      target: The column of y, `(rows,)`; or a list of several, `(rows, columns)`.
      features: The columns of x, `(rows, columns)`. None: all others.
      weights: The column of the rows' weights, or None.
      buffer_rows: As in `from_arrays`.
    Returns:
      A `Source`.
    Raises:
      ValueError, TypeError: There is no such file or column, or there are no rows.
      ImportError: PyArrow is not installed.
      OSError: A file cannot be read.

    >>> import tempfile, pyarrow
    >>> from pyarrow import parquet
    >>> path = f"{tempfile.mkdtemp()}/table.parquet"
    >>> table = pyarrow.table({"a": [0.5, 1.0, 1.5], "b": [1.0, 2.0, 3.0], "y": [0, 1, 1]})
    >>> parquet.write_table(table, path, row_group_size=2)
    >>> from_parquet(path, target="y").rows
    3
    """
    name = "from_parquet"
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        rule = "it needs PyArrow, to be had with: pip install 'fnn[cli]'"
        raise ImportError(f"{name}: {rule}") from None
    paths = _paths(name, files)
    groups, lengths, sizes = [], [], []
    for path in paths:
        try:
            metadata = parquet.read_metadata(path)
        except ArrowInvalid as error:
            raise ValueError(f"{name}: files must be Parquet; got {path}: {error}") from None
        groups += [(path, group) for group in range(metadata.num_row_groups)]
        lengths += [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        sizes.append(path.stat().st_size)
    checks.require(sum(lengths) > 0, name, "files must have rows", "none")
    there = parquet.read_schema(paths[0]).names
    targets = _columns(name, "target", [target] if isinstance(target, str) else target, there)
    given = [] if weights is None else _columns(name, "weights", [weights], there)
    others = [column for column in there if column not in (*targets, *given)]
    inputs = _columns(name, "features", others if features is None else features, there)
    shown = {"target": targets, "features": inputs, "weights": given}
    return Source(
        _RowGroups(groups, inputs, targets, isinstance(target, str), given),
        facts={"of": "parquet", "files": [path.name for path in paths], "bytes": sizes, **shown},
        lengths=lengths, buffer_rows=checked_buffer_rows(name, buffer_rows),
    )  # fmt: skip


class _RowGroups:
    """A sequence of blocks: row groups of files."""

    def __init__(
        self,
        groups: list[tuple[Path, int]],
        inputs: list[str],
        targets: list[str],
        one_target: bool,
        weights: list[str],
    ):
        self._groups, self._inputs, self._targets = groups, inputs, targets
        self._one_target, self._weights = one_target, weights

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        from pyarrow import parquet

        path, group = self._groups[number]
        columns = [*self._inputs, *self._targets, *self._weights]
        with parquet.ParquetFile(path) as file:
            table = file.read_row_group(group, columns=columns)
        # a missing value becomes NaN, and is refused as that
        column = lambda name: table.column(name).to_numpy()  # noqa: E731
        x = np.column_stack([column(name) for name in self._inputs])
        y = [column(name) for name in self._targets]
        y = y[0] if self._one_target else np.column_stack(y)
        return (x, y, *(column(name) for name in self._weights))


def _paths(function: str, files: Any) -> list[Path]:
    if isinstance(files, (list, tuple)):
        paths = [checks.path(function, "every one of files", file) for file in files]
    else:
        path = checks.path(function, "files", files)
        paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    checks.require(bool(paths), function, "files must be at least one .parquet", "none")
    for path in paths:
        checks.require(path.is_file(), function, "files must be there", path)
    return paths


def _columns(function: str, name: str, wanted: Any, there: list[str]) -> list[str]:
    rule = f"{name} must be names of columns, of {there}"
    is_list = isinstance(wanted, (list, tuple)) and len(wanted) > 0
    checks.require(is_list, function, rule, repr(wanted), TypeError)
    missing = [column for column in wanted if column not in there]
    checks.require(not missing, function, rule, missing)
    return list(wanted)
