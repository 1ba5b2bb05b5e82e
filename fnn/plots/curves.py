"""How training went: losses and metrics over the epochs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn._core import checks
from fnn.plots.common import add_legend, axes_or_new, line_colours, numbers, text_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_LOSSES = {"loss": "training", "validation_loss": "validation"}
_DASHES = ["--", ":", "-."]


def learning_curves(
    history: Mapping[str, Any],
    *,
    epochs: Any = None,
    best_epoch: Any = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """The losses over the epochs, on training and on validation data.

    Other histories of a number per epoch are drawn dashed against a second axis on the
    right if one axis serves them all: one history, or up to three that stay in [0, 1].
    Leave out of `history` what should not be drawn.

    Args:
      history: As in `Fit.history`: by name, `(epochs,)`; "loss", "validation_loss" or both.
      epochs: How many of them are real, as in `Fit.epochs`; None: all.
      best_epoch: The epoch to mark, from 0, as in `Fit.best_epoch`; None or -1: none.
      ax: Where to draw; None makes a figure.
    Returns:
      The axes of the losses, epochs counted from 0 as everywhere here.
    Raises:
      ValueError, TypeError: There is no loss, histories differ in length, or `epochs` or
        `best_epoch` lie beyond them (join the histories of a run that was continued).
      ImportError: matplotlib is not installed.

    >>> history = {"loss": [0.9, 0.5, 0.3], "validation_loss": [0.8, 0.6, 0.7]}
    >>> ax = learning_curves(history, best_epoch=1)
    >>> [line.get_label() for line in ax.get_lines()]
    ['training', 'validation', 'best epoch: 1']
    """
    name = "learning_curves"
    losses, others, rows = _curves(name, history, epochs)
    best = -1 if best_epoch is None else checks.count(name, "best_epoch", best_epoch, at_least=-1)
    rule = f"best_epoch must be one of the {rows} epochs of the history, counted from 0"
    checks.require(best < rows, name, rule, best)

    ax = axes_or_new(name, ax, (6.4, 4.2))
    from matplotlib.ticker import MaxNLocator

    marker = "o" if rows == 1 else None
    for (key, values), colour in zip(losses.items(), line_colours(ax), strict=False):
        ax.plot(values, color=colour, label=_LOSSES[key], marker=marker)
    if best >= 0:
        ax.get_lines()[-1].set(marker="o", markevery=[best])
        ax.axvline(best, color=text_colour(ax), alpha=0.6, linewidth=1, linestyle=(0, (4, 3)),
                   zorder=1, label=f"best epoch: {best}")  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="loss")
    handles = ax.get_legend_handles_labels()[0] + _draw_on_the_right(ax, others, marker)
    # losses end at the bottom right, and what rises at the top right
    add_legend(ax, handles=handles, loc="center right" if others else "best")
    return ax


def _curves(
    function: str, history: Any, epochs: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
    """Losses, the other histories that one axis serves, and the number of epochs."""
    rule = "history must be a dict from names to a value per epoch"
    checks.require(isinstance(history, Mapping), function, rule, type(history).__name__, TypeError)
    rows = {key: np.asarray(values) for key, values in history.items()}
    curves = {key: numbers(function, key, row) for key, row in rows.items() if row.ndim == 1}
    losses = {key: curves.pop(key) for key in _LOSSES if key in curves}
    rule = "history must hold 'loss' or 'validation_loss', a number per epoch"
    checks.require(bool(losses), function, rule, ", ".join(history) or "nothing")
    lengths = {key: len(row) for key, row in (losses | curves).items()}
    length = min(lengths.values())
    rule = "histories must be of one length, at least 1"
    checks.require(set(lengths.values()) == {length} and length > 0, function, rule, lengths)
    if epochs is not None:
        epochs = checks.count(function, "epochs", epochs)
        rule = f"epochs must be at most {length}, as many as the history has"
        checks.require(epochs <= length, function, rule, epochs)
        losses, curves = ({k: row[:epochs] for k, row in d.items()} for d in (losses, curves))
    shares = all(row.min() >= 0 and row.max() <= 1 for row in curves.values())
    drawn = len(curves) == 1 or (shares and len(curves) <= len(_DASHES))
    return losses, curves if drawn else {}, epochs or length


def _draw_on_the_right(ax: "Axes", curves: Mapping[str, Any], marker: str | None) -> list[Any]:
    """Draws curves against an axis of their own; returns their lines."""
    if not curves:
        return []
    right = ax.twinx()
    first, second, *later = line_colours(ax)
    lines = []
    styles = zip([*later, first, second], _DASHES, strict=False)
    for (key, values), (colour, dashes) in zip(curves.items(), styles, strict=False):
        label = key.replace("_", " ")
        lines += right.plot(values, color=colour, linestyle=dashes, label=label, marker=marker)
    if len(curves) == 1:
        right.set_ylabel(next(iter(curves)).replace("_", " "), parse_math=False)
    right.grid(False)
    # below the losses, so that the legend lies above all lines
    right.patch.set(visible=True, facecolor=ax.get_facecolor())
    ax.set_zorder(right.get_zorder() + 1)
    ax.patch.set_visible(False)
    return lines
