"""Pictures of training and its results, drawn with matplotlib (the extra `plots`).

    from fnn import plots

Functions draw on the axes they are given and return them. Given none, they make a figure
of their own, which pyplot does not know: `axes.figure` is shown as it is by a notebook,
and `axes.figure.savefig(path)` writes it. Nothing is shown and no setting is changed.
Colours are Okabe and Ito's, which colour-blind readers tell apart, the bright ones on dark
paper; everything else follows the style in force.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn import checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["confusion_matrix", "heat_map", "image_grid", "learning_curves", "predictions"]

_ON_LIGHT = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # blue, vermillion, green, purple
_ON_DARK = "#56B4E9", "#E69F00", "#2BC89B", "#E0A3C6"  # the green and the purple made lighter

_LOSSES = {"loss": "training", "validation_loss": "validation"}
_DASHES = ["--", ":", "-."]

# the luminance with which black and white contrast alike
_EVEN = 0.18
# above so many classes the numbers of a confusion matrix would run into each other
_MOST_NUMBERED = 25


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

    ax = _axes(name, ax, (6.4, 4.2))
    from matplotlib.ticker import MaxNLocator

    marker = "o" if rows == 1 else None
    for (key, values), colour in zip(losses.items(), _colours(ax), strict=False):
        ax.plot(values, color=colour, label=_LOSSES[key], marker=marker)
    if best >= 0:
        ax.get_lines()[-1].set(marker="o", markevery=[best])
        ax.axvline(best, color=_text_colour(ax), alpha=0.6, linewidth=1, linestyle=(0, (4, 3)),
                   zorder=1, label=f"best epoch: {best}")  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch", ylabel="loss")
    handles = ax.get_legend_handles_labels()[0] + _draw_on_the_right(ax, others, marker)
    # losses end at the bottom right, and what rises at the top right
    ax.legend(handles=handles, loc="center right" if others else "best")
    return ax


def confusion_matrix(
    matrix: Any, *, names: Sequence[Any] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """What the rows of each class (down) were taken for (across).

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
    matrix = _numbers(name, "matrix", matrix)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > 0
    checks.require(square, name, "matrix must be (classes, classes)", f"shape {matrix.shape}")
    checks.require(bool((matrix >= 0).all()), name, "matrix must be >= 0", matrix.min())
    classes = len(matrix)
    labels = [str(one) for one in (range(classes) if names is None else names)]
    rule = f"names must be {classes}, one a class"
    checks.require(len(labels) == classes, name, rule, f"{len(labels)} names")

    size = float(np.clip(0.42 * classes + 1.2, 3.2, 12))
    ax = _axes(name, ax, (size, size))
    totals = matrix.sum(axis=1, keepdims=True)
    strength = np.sqrt(matrix / np.where(totals > 0, totals, 1))
    colours = _cell_colours(ax, strength)
    ax.imshow(colours)
    if classes <= _MOST_NUMBERED:
        for (row, column), value in np.ndenumerate(matrix):
            if value > 0:
                ink = "black" if _luminance(colours[row, column]) > _EVEN else "white"
                ax.text(column, row, _short(value), ha="center", va="center", color=ink)
        slanted = max(map(len, labels)) > 3
        ax.set_xticks(range(classes), labels, rotation=45 if slanted else 0,
                      ha="right" if slanted else "center", rotation_mode="anchor")  # fmt: skip
        ax.set_yticks(range(classes), labels)
    ax.tick_params(length=0)
    ax.grid(False)
    for edge in np.arange(1, classes) - 0.5:
        for line in (ax.axhline, ax.axvline):
            line(edge, color=_text_colour(ax), alpha=0.12, linewidth=0.8)
    ax.set(xlabel="predicted", ylabel="true")
    return ax


def heat_map(
    table: Mapping[str, Any],
    x: str,
    y: str,
    *,
    value: str = "mean",
    error: str | None = "standard_error",
    ax: "Axes | None" = None,
) -> "Axes":
    """A figure over two swept numbers, with its error: dark is low, bright is high.

    Settings of which there is no finite figure are left empty.

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
    columns = [np.asarray(table[column], float) for column in (x, y, value)]
    one_length = {column.shape for column in columns} == {(len(columns[0]),)}
    rule = "columns must hold one number per setting"
    checks.require(one_length, name, rule, [column.shape for column in columns])
    xs, ys = (np.unique(column, return_inverse=True) for column in columns[:2])
    places = list(zip(ys[1].tolist(), xs[1].tolist(), strict=True))
    once = len(set(places)) == len(places)
    checks.require(once, name, f"there must be one row for each {x} and {y}", "several")
    none = np.full(len(places), np.nan)
    errors = none if error is None or error not in table else np.asarray(table[error], float)

    across, up = len(xs[0]), len(ys[0])
    ax = _axes(name, ax, (1.6 + 0.95 * across, 1.2 + 0.5 * up))
    grid = np.full((up, across), np.nan)
    grid[tuple(np.transpose(places))] = columns[2]
    image = ax.imshow(np.ma.masked_invalid(grid), cmap="cividis", origin="lower", aspect="auto")
    for (row, column), shown, spread in zip(places, columns[2], errors, strict=True):
        if np.isfinite(shown):
            cell = np.array(image.cmap(image.norm(shown))[:3])
            ink = "black" if _luminance(cell) > _EVEN else "white"
            text = f"{shown:.3g}" + (f"\n±{spread:.1g}" if np.isfinite(spread) else "")
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize="small")
    ax.set_xticks(range(across), [f"{number:g}" for number in xs[0]])
    ax.set_yticks(range(up), [f"{number:g}" for number in ys[0]])
    ax.set(xlabel=x, ylabel=y)
    ax.tick_params(length=0)
    ax.figure.colorbar(image, ax=ax, label=value)
    return ax


def predictions(outputs: Any, targets: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Predicted values against true ones; on the line, they agree.

    Args:
      outputs: `(rows,)` or `(rows, 1)`, in the units of the targets.
      targets: `(rows,)` or `(rows, 1)`.
      ax: Where to draw; None makes a figure.
    Returns:
      The axes, both of them over the same range.
    Raises:
      ValueError, TypeError: Shapes are not as said, differ, or values are not finite.
      ImportError: matplotlib is not installed.

    >>> ax = predictions([[1.1], [1.8], [3.2]], [1, 2, 3])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('true', 'predicted')
    """
    name = "predictions"
    values = []
    for what, given in (("outputs", outputs), ("targets", targets)):
        array = _numbers(name, what, given)
        rule = f"{what} must be (rows,) or (rows, 1), with rows > 0"
        column = array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)
        checks.require(column and array.size > 0, name, rule, f"shape {array.shape}")
        values.append(array.reshape(-1))
    predicted, true = values
    rule = "outputs and targets must have as many rows"
    checks.require(len(predicted) == len(true), name, rule, f"{len(predicted)} and {len(true)}")

    ax = _axes(name, ax, (4.4, 4.4))
    ax.scatter(true, predicted, s=28, color=_colours(ax)[0], alpha=0.8, linewidths=0)
    low, high = min(predicted.min(), true.min()), max(predicted.max(), true.max())
    margin = 0.05 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=_text_colour(ax), alpha=0.6, linewidth=1, zorder=0)
    ax.set(xlim=ends, ylim=ends, xlabel="true", ylabel="predicted", aspect="equal")
    return ax


def image_grid(
    images: Any,
    titles: Sequence[Any] | None = None,
    *,
    columns: int | None = None,
    figure: "Figure | SubFigure | None" = None,
) -> "Figure | SubFigure":
    """Pictures side by side, each under its title: the mistaken digits, say.

    Grey pictures are drawn as ink on paper: 0 in the colour of the background, the largest
    value in that of text.

    Args:
      images: `(n, height, width)`, >= 0, or `(n, height, width, 3)` of colours in [0, 1].
      titles: One each; may have several lines. None does without.
      columns: Pictures in a row; None: up to 10.
      figure: Where to draw, a figure or a subfigure; None makes one.
    Returns:
      The figure, with one axes per picture.
    Raises:
      ValueError, TypeError: There is no picture, shapes or ranges are not as said, or
        titles are not as many.
      ImportError: matplotlib is not installed.

    >>> figure = image_grid(np.eye(3)[None].repeat(4, axis=0), "abcd", columns=2)
    >>> [ax.get_title() for ax in figure.axes]
    ['a', 'b', 'c', 'd']
    """
    name = "image_grid"
    images = _numbers(name, "images", images)
    coloured = images.ndim == 4 and images.shape[-1] == 3
    rule = "images must be (n, height, width) or (n, height, width, 3), with n > 0"
    sound = (images.ndim == 3 or coloured) and images.size > 0
    checks.require(sound, name, rule, f"shape {images.shape}")
    low, high = images.min(), images.max()
    rule = "images must be in [0, 1] where they are coloured" if coloured else "images must be >= 0"
    checks.require(low >= 0 and (high <= 1 or not coloured), name, rule, f"{low} to {high}")
    titles = [""] * len(images) if titles is None else [str(title) for title in titles]
    rule = f"titles must be {len(images)}, one a picture"
    checks.require(len(titles) == len(images), name, rule, f"{len(titles)} titles")
    columns = min(len(images), 10 if columns is None else checks.count(name, "columns", columns))
    rows = -(-len(images) // columns)

    figure = figure or _figure(name, (1.1 * columns, 1.5 * rows))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, image, title in zip(grid, images, titles, strict=False):
        ax.imshow(image, cmap=None if coloured else _ink_on_paper(ax), vmin=0, vmax=high or 1)
        ax.set_title(title, fontsize="medium")
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    for ax in grid[len(images) :]:
        ax.remove()
    return figure


def _curves(
    function: str, history: Any, epochs: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
    """Losses, the other histories that one axis serves, and the number of epochs."""
    rule = "history must be a dict from names to a value per epoch"
    checks.require(isinstance(history, Mapping), function, rule, type(history).__name__, TypeError)
    rows = {key: np.asarray(values) for key, values in history.items()}
    curves = {key: _numbers(function, key, row) for key, row in rows.items() if row.ndim == 1}
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
    first, second, *later = _colours(ax)
    lines = []
    styles = zip([*later, first, second], _DASHES, strict=False)
    for (key, values), (colour, dashes) in zip(curves.items(), styles, strict=False):
        label = key.replace("_", " ")
        lines += right.plot(values, color=colour, linestyle=dashes, label=label, marker=marker)
    if len(curves) == 1:
        right.set_ylabel(next(iter(curves)).replace("_", " "))
    right.grid(False)
    # below the losses, so that the legend lies above all lines
    right.patch.set(visible=True, facecolor=ax.get_facecolor())
    ax.set_zorder(right.get_zorder() + 1)
    ax.patch.set_visible(False)
    return lines


def _numbers(function: str, name: str, values: Any) -> np.ndarray:
    """A finite array to draw, in float64."""
    return np.asarray(checks.array(function, name, values)).astype(np.float64)


def _figure(function: str, size: tuple[float, float]) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            f"{function}: drawing needs matplotlib, to be had with: pip install 'fnn[plots]'"
        ) from None
    return Figure(figsize=size, layout="constrained")


def _axes(function: str, ax: "Axes | None", size: tuple[float, float]) -> "Axes":
    return _figure(function, size).subplots() if ax is None else ax


def _text_colour(ax: "Axes") -> Any:
    return ax.xaxis.label.get_color()


def _on_dark(ax: "Axes") -> bool:
    """Whether text is light: paper need not be opaque, so that its colour does not tell."""
    from matplotlib.colors import to_rgba

    return _luminance(to_rgba(_text_colour(ax))) > _EVEN


def _colours(ax: "Axes") -> tuple[str, ...]:
    """Four colours legible on these axes."""
    return _ON_DARK if _on_dark(ax) else _ON_LIGHT


def _paper(ax: "Axes") -> np.ndarray:
    """What lies behind the axes, RGBA `(4,)`: black or white where it is transparent."""
    from matplotlib.colors import to_rgba

    face = to_rgba(ax.get_facecolor())
    return np.array(face if face[3] == 1 else to_rgba("black" if _on_dark(ax) else "white"))


def _cell_colours(ax: "Axes", strength: np.ndarray) -> np.ndarray:
    """RGBA `(classes, classes, 4)`: paper to the first colour on the diagonal, else the second."""
    from matplotlib.colors import to_rgba

    right, wrong = (np.array(to_rgba(colour)) for colour in _colours(ax)[:2])
    full = np.where(np.eye(len(strength), dtype=bool)[..., None], right, wrong)
    share = np.where(strength > 0, 0.1 + 0.9 * strength, 0)[..., None]
    return _paper(ax) + share * (full - _paper(ax))


def _luminance(colour: Any) -> float:
    """The relative luminance of RGB(A), in [0, 1], as WCAG 2 defines it."""
    colour = np.asarray(colour)[:3]
    linear = np.where(colour < 0.04, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _ink_on_paper(ax: "Axes") -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ink", [_paper(ax), _text_colour(ax)])


def _short(value: float) -> str:
    """A count as it is; a share with two digits."""
    return f"{value:.0f}" if value == round(value) else f"{value:.2g}"
