"""Tables: columns by name, one row per lane, per setting or per layer."""

import html
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from fnn._core import checks

# rows that are shown of a table that is not printed
_MOST = 20


class Table(dict):
    """Columns as NumPy arrays of one length, by name.

    A dict, so that `pandas.DataFrame(table)` and `polars.DataFrame(table)` take it as it is.
    A column is also found by the end of its name, where that is unique: `learning_rate` for
    `optimizer.learning_rate`.
    """

    note: str = ""
    """What the columns do not say."""

    def __missing__(self, name: Hashable) -> np.ndarray:
        return dict.__getitem__(self, self.full_name(name))

    def full_name(self, name: Any) -> str:
        """The full name of the column with this name, or with a name that ends in it.

        Raises:
          KeyError: There is none, or more than one.
        """
        if name in self.keys():
            return name
        ends = [full for full in self if full.endswith(f".{name}")]
        if len(ends) == 1:
            return ends[0]
        rule = f"name must be, or end, the name of one column: {', '.join(self)}"
        got = f"{name!r}, which ends {' and '.join(ends)}" if ends else repr(name)
        checks.require(False, "table", rule, got, KeyError)
        raise AssertionError

    def __str__(self) -> str:
        return self._as_text(self._rows())

    def __repr__(self) -> str:
        rows = self._rows()
        return self._as_text(rows[:_MOST], _left_out(rows))

    def _repr_html_(self) -> str:
        """The table in a notebook; of long ones the first rows. It has no colours of its own."""
        rows = self._rows()
        lines = [_html_row("th", map(str, self)), *(_html_row("td", row) for row in rows[:_MOST])]
        notes = [f"<p>{html.escape(note)}</p>" for note in (_left_out(rows), self.note) if note]
        return "\n".join(["<table>", *lines, "</table>", *notes])

    def _rows(self) -> list[tuple[str, ...]]:
        columns = [[_text(value) for value in column] for column in self.values()]
        return list(zip(*columns, strict=True))

    def _as_text(self, rows: list[tuple[str, ...]], left_out: str = "") -> str:
        rows = [tuple(map(str, self)), *rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join([*lines, *filter(None, (left_out, self.note))])


def flat_columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """A column, or one for each entry where a lane's value is an array."""
    if values.ndim == 1:
        return {name: values}
    places = np.ndindex(values.shape[1:])
    return {f"{name}[{', '.join(map(str, at))}]": values[(slice(None), *at)] for at in places}


def _left_out(rows: list) -> str:
    return f"... and {len(rows) - _MOST} more rows" if len(rows) > _MOST else ""


def _html_row(cell: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{cell}>{html.escape(text)}</{cell}>' for text in texts)}</tr>"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
