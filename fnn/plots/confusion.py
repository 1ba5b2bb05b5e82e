"""What each class was taken for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn._core import checks
from fnn.plots.common import axes_or_new, ink_on, line_colours, numbers, paper, text_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# above so many classes the numbers of a confusion matrix would run into each other
_MOST_NUMBERED = 25


def confusion_matrix(
    matrix: Any, *, names: Sequence[Any] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """A confusion matrix: true classes down, predicted classes across.

    Right answers are blue, mistakes orange, the stronger the larger their share of the
    class (by its root, so that one mistake in a hundred is seen). Zeros are left empty,
    and so are all cells of more than 25 classes.

    Args:
      matrix: `(classes, classes)`, >= 0, as from `fnn.confusion_matrix`, normalised or not.
      names: A name per class; None: 0, 1, 2, ...
      ax: Where to draw; None makes a figure.
    Returns:
      The axes.
    Raises:
      ValueError, TypeError: The matrix is not square, is negative or not finite, or names
        are not as many as classes.
      ImportError: matplotlib is not installed.

    >>> ax = confusion_matrix([[8, 0], [1, 3]], names=["benign", "malignant"])
    >>> [text.get_text() for text in ax.texts]
    ['8', '1', '3']
    """
    name = "confusion_matrix"
    matrix = numbers(name, "matrix", matrix)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 0
    checks.require(square, name, "matrix must be (classes, classes)", f"shape {matrix.shape}")
    checks.require(bool((matrix >= 0).all()), name, "matrix must be >= 0", matrix.min())
    classes = len(matrix)
    labels = [str(one) for one in (range(classes) if names is None else names)]
    rule = f"names must be {classes}, one a class"
    checks.require(len(labels) == classes, name, rule, f"{len(labels)} names")

    size = float(np.clip(0.42 * classes + 1.2, 3.2, 12))
    ax = axes_or_new(name, ax, (size, size))
    totals = matrix.sum(axis=1, keepdims=True)
    strength = np.sqrt(matrix / np.where(totals > 0, totals, 1))
    colours = _cell_colours(ax, strength)
    ax.imshow(colours)
    if classes <= _MOST_NUMBERED:
        for (row, column), value in np.ndenumerate(matrix):
            if value > 0:
                ink = ink_on(colours[row, column])
                ax.text(column, row, _short(value), ha="center", va="center", color=ink)
        slanted = max(map(len, labels)) > 3
        # names are data, in which $ is a dollar
        ax.set_xticks(range(classes), labels, rotation=45 if slanted else 0,
                      ha="right" if slanted else "center", rotation_mode="anchor",
                      parse_math=False)  # fmt: skip
        ax.set_yticks(range(classes), labels, parse_math=False)
    ax.tick_params(length=0)
    ax.grid(False)
    for edge in np.arange(1, classes) - 0.5:
        for line in (ax.axhline, ax.axvline):
            line(edge, color=text_colour(ax), alpha=0.12, linewidth=0.8)
    ax.set(xlabel="predicted", ylabel="true")
    return ax


def _cell_colours(ax: "Axes", strength: np.ndarray) -> np.ndarray:
    """RGBA `(classes, classes, 4)`: paper to the first colour on the diagonal, else the second."""
    from matplotlib.colors import to_rgba

    right, wrong = (np.array(to_rgba(colour)) for colour in line_colours(ax)[:2])
    full = np.where(np.eye(len(strength), dtype=bool)[..., None], right, wrong)
    share = np.where(strength > 0, 0.1 + 0.9 * strength, 0)[..., None]
    return paper(ax) + share * (full - paper(ax))


def _short(value: float) -> str:
    """A count as it is; a share with two digits."""
    return f"{value:.0f}" if value == round(value) else f"{value:.2g}"
