"""Tables: columns by name, one row per lane or per setting."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from fnn import checks


class Table(dict):
    """Columns as NumPy arrays of one length, by name.

    A dict, so that `pandas.DataFrame(table)` and `polars.DataFrame(table)` take it as it is.
    A column is also found by the end of its name, where that is unique: `learning_rate` for
    `optimizer.learning_rate`.
    """

    note: str = ""
    """What the figures do not say."""

    def __missing__(self, name: Hashable) -> np.ndarray:
        return dict.__getitem__(self, self.full_name(name))

    def full_name(self, name: Any) -> str:
        """The name of the column that this, or its end, is the name of.

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
        texts = {name: [_text(value) for value in column] for name, column in self.items()}
        widths = {name: max(map(len, [name, *column])) for name, column in texts.items()}
        rows = [list(texts), *zip(*texts.values(), strict=True)]
        lines = [
            "  ".join(text.rjust(width) for text, width in zip(row, widths.values(), strict=True))
            for row in rows
        ]
        return "\n".join([*lines, *([self.note] if self.note else [])])


def flat_columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """A column, or one for each entry where a lane's value is an array."""
    if values.ndim == 1:
        return {name: values}
    places = np.ndindex(values.shape[1:])
    return {f"{name}[{', '.join(map(str, at))}]": values[(slice(None), *at)] for at in places}


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
