"""Pictures side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fnn._core import checks
from fnn.plots.common import new_figure, numbers, paper, text_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


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
      titles: One each; may have several lines. None: no titles.
      columns: Pictures in a row; None: up to 10.
      figure: Where to draw, a figure or a subfigure; None makes one.
    Returns:
      The figure, with one axes per picture.
    Raises:
      ValueError, TypeError: There is no picture, shapes or ranges are not as described, or titles
        are not as many.
      ImportError: matplotlib is not installed.

    >>> figure = image_grid(np.eye(3)[None].repeat(4, axis=0), "abcd", columns=2)
    >>> [ax.get_title() for ax in figure.axes]
    ['a', 'b', 'c', 'd']
    """
    name = "image_grid"
    images = numbers(name, "images", images)
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

    figure = figure or new_figure(name, (1.1 * columns, 1.5 * rows))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, image, title in zip(grid, images, titles, strict=False):
        ax.imshow(image, cmap=None if coloured else _ink_on_paper(ax), vmin=0, vmax=high or 1)
        ax.set_title(title, fontsize="medium", parse_math=False)  # $ is a dollar
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    for ax in grid[len(images) :]:
        ax.remove()
    return figure


def _ink_on_paper(ax: "Axes") -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ink", [paper(ax), text_colour(ax)])
