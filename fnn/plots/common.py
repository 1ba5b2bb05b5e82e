"""What the pictures share: axes to draw on, colours, and the ink to write on them with."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fnn._core import checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ON_LIGHT = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # blue, vermillion, green, purple
_ON_DARK = "#56B4E9", "#E69F00", "#2BC89B", "#E0A3C6"  # the green and the purple made lighter

# the luminance with which black and white contrast alike
_EVEN = 0.18


def numbers(function: str, name: str, values: Any) -> np.ndarray:
    """A finite array to draw, in float64."""
    return np.asarray(checks.array(function, name, values)).astype(np.float64)


def new_figure(function: str, size: tuple[float, float]) -> "Figure":
    """An empty figure, of that many inches, which pyplot does not know."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            f"{function}: drawing needs matplotlib, to be had with: pip install 'fnn[plots]'"
        ) from None
    return Figure(figsize=size, layout="constrained")


def axes_or_new(function: str, ax: "Axes | None", size: tuple[float, float]) -> "Axes":
    """The axes that were given, or those of a new figure."""
    return new_figure(function, size).subplots() if ax is None else ax


def add_legend(ax: "Axes", **options: Any) -> None:
    """A legend of names that are data, in which $ is a dollar and begins no formula."""
    for text in ax.legend(**options).get_texts():
        text.set_parse_math(False)


def text_colour(ax: "Axes") -> Any:
    """The colour of text beside these axes."""
    return ax.xaxis.label.get_color()


def on_dark(ax: "Axes") -> bool:
    """Whether text is light; the ground may be transparent, so its colour does not say."""
    from matplotlib.colors import to_rgba

    return luminance(to_rgba(text_colour(ax))) > _EVEN


def line_colours(ax: "Axes") -> tuple[str, ...]:
    """Four colours legible on these axes."""
    return _ON_DARK if on_dark(ax) else _ON_LIGHT


def paper(ax: "Axes") -> np.ndarray:
    """What lies behind the axes, RGBA `(4,)`: black or white where it is transparent."""
    from matplotlib.colors import to_rgba

    face = to_rgba(ax.get_facecolor())
    return np.array(face if face[3] == 1 else to_rgba("black" if on_dark(ax) else "white"))


def ink_on(colour: Any) -> str:
    """Black or white, whichever is legible on a colour."""
    return "black" if luminance(colour) > _EVEN else "white"


def luminance(colour: Any) -> float:
    """The relative luminance of RGB(A), in [0, 1], as WCAG 2 defines it."""
    colour = np.asarray(colour)[:3]
    linear = np.where(colour < 0.04, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
