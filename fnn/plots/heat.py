"""A figure over two swept numbers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn._core import checks
from fnn.plots.common import axes_or_new, ink_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def heat_map(
    table: Mapping[str, Any],
    x: str,
    y: str,
    *,
    value: str = "mean",
    error: str | None = "standard_error",
    ax: "Axes | None" = None,
) -> "Axes":
    """A heat map of a value over two swept numbers, with its error: dark is low.

    Settings without a finite value are left empty.

    Args:
      table: Columns of one length, a row per setting, as from `Sweep.summary`.
      x: The column that is laid out across, each value once, in order.
      y: The column that is laid out upwards, likewise.
      value: The column that is shown.
      error: A column that is written beside it after a plus-minus; None or missing: none.
      ax: Where to draw; None makes a figure.
    Returns:
      The axes.
    Raises:
      ValueError, TypeError: The columns are no numbers of one length, or two rows have the
        same x and y (summarise over what else differs).
      KeyError: There is no such column.
      ImportError: matplotlib is not installed.

    >>> table = {"rate": [0.1, 0.2], "decay": [0, 0], "mean": [0.5, 0.75]}
    >>> ax = heat_map(table, "rate", "decay")
    >>> [text.get_text() for text in ax.texts]
    ['0.5', '0.75']
    """
    name = "heat_map"
    shown = [x, y, value] if error is None or error not in table else [x, y, value, error]
    columns = [_numbers(table, column) for column in shown]
    one_length = {column.shape for column in columns} == {(columns[0].size,)}
    rule = "columns must hold one number per setting"
    checks.require(one_length, name, rule, [column.shape for column in columns])
    xs, ys = (np.unique(column, return_inverse=True) for column in columns[:2])
    places = list(zip(ys[1].tolist(), xs[1].tolist(), strict=True))
    once = len(set(places)) == len(places)
    checks.require(once, name, f"there must be one row for each {x} and {y}", "several")
    errors = columns[3] if len(columns) > 3 else np.full(len(places), np.nan)

    across, up = len(xs[0]), len(ys[0])
    ax = axes_or_new(name, ax, (1.6 + 0.95 * across, 1.2 + 0.5 * up))
    grid = np.full((up, across), np.nan)
    grid[tuple(np.transpose(places))] = columns[2]
    image = ax.imshow(np.ma.masked_invalid(grid), cmap="cividis", origin="lower", aspect="auto")
    for (row, column), shown, spread in zip(places, columns[2], errors, strict=True):
        if np.isfinite(shown):
            cell = np.array(image.cmap(image.norm(shown))[:3])
            ink = ink_on(cell)
            text = f"{shown:.3g}" + (f"\n±{spread:.1g}" if np.isfinite(spread) else "")
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize="small")
    ax.set_xticks(range(across), [f"{number:g}" for number in xs[0]])
    ax.set_yticks(range(up), [f"{number:g}" for number in ys[0]])
    # names are data, in which $ is a dollar
    ax.set_xlabel(x, parse_math=False)
    ax.set_ylabel(y, parse_math=False)
    ax.tick_params(length=0)
    ax.figure.colorbar(image, ax=ax).set_label(value, parse_math=False)
    return ax


def _numbers(table: Mapping[str, Any], name: str) -> np.ndarray:
    column = np.asarray(table[name])
    try:
        return column.astype(float)
    except (TypeError, ValueError):
        rule = f"column {name!r} must hold numbers"
        raise TypeError(f"heat_map: {rule}; got {column.dtype}") from None
