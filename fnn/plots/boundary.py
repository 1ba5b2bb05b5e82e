"""What a classifier says everywhere in the plane."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.activations import sigmoid
from fnn.networks.suitable import ends_in
from fnn.plots.common import (
    add_legend,
    axes_or_new,
    line_colours,
    numbers,
    on_dark,
    paper,
    text_colour,
)
from fnn.types import Network, Params

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# what the four colours of lines leave of Okabe and Ito's
_MORE_ON_LIGHT = "#E69F00", "#56B4E9", "#F0E442"  # orange, sky blue, yellow
_MORE_ON_DARK = "#D55E00", "#0072B2", "#F0E442"  # vermillion, blue, yellow
# not as many as colours, so that classes of one colour differ here
_MARKERS = "o^sDvP"


def decision_boundary(
    net: Network | Callable[[Params, Any], Any],
    params: Params,
    x: Any,
    y: Any,
    *,
    names: Sequence[Any] | None = None,
    threshold: float | None = None,
    resolution: int = 200,
    ax: "Axes | None" = None,
) -> "Axes":
    """The regions where a classifier of two features predicts each class, and the data.

    The boundary is where the two highest scores are equal. Classes have a colour and a marker
    each.

    Args:
      net: A network, or a function `(params, x)` from x `(rows, 2)` to scores
        `(rows, classes)`, to one score `(rows, 1)` or `(rows,)` for two classes, or to
        integer labels `(rows,)`: `lambda params, x: net.apply(params, scale(x))`, or
        `lambda _, x: classifier.predict(x)`.
      params: The network's parameters; the first argument of the function.
      x: `(rows, 2)`.
      y: Integer labels `(rows,)` in [0, classes).
      names: A name per class, for a legend; None for no legend.
      threshold: Where one score is split. None: 0, for logits, or 0.5 where an `mlp` ends
        in a sigmoid.
      resolution: Grid points per axis.
      ax: Where to draw; None makes a figure.
    Returns:
      The axes, of the range of x and a margin.
    Raises:
      ValueError, TypeError: Shapes are not as described, values are not finite, labels are not of
        that many classes, or names are not as many.
      ImportError: matplotlib is not installed.

    >>> above = lambda slope, x: x[:, 1] - slope * x[:, 0]
    >>> ax = decision_boundary(above, 2.0, [[0.0, 1.0], [1.0, 1.0]], [1, 0], names=["no", "yes"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['no', 'yes']
    """
    name = "decision_boundary"
    x = numbers(name, "x", x)
    sound = x.ndim == 2 and x.shape[1] == 2 and len(x) > 0
    checks.require(sound, name, "x must be (rows, 2), with rows > 0", f"shape {x.shape}")
    y = np.asarray(checks.array(name, "y", y))
    rule = f"y must hold {len(x)} integer labels, one a row"
    labelled = y.shape == (len(x),) and y.dtype.kind in "biu"
    checks.require(labelled, name, rule, f"{y.dtype} of shape {y.shape}")
    resolution = checks.count(name, "resolution", resolution, at_least=2)
    if threshold is None:
        threshold = 0.5 if ends_in(net, sigmoid) else 0.0

    margin = 0.08 * np.ptp(x, axis=0) + (np.ptp(x, axis=0) == 0)
    across, up = np.linspace(x.min(axis=0) - margin, x.max(axis=0) + margin, resolution).T
    points = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    ax = axes_or_new(name, ax, (5, 4.2))
    apply: Any = getattr(net, "apply", net)
    outputs = np.asarray(apply(params, jnp.asarray(points, float)))
    scores = _scores(name, outputs, len(points), threshold, least=int(y.max()) + 1)
    classes = scores.shape[1]
    rule = f"y must be labels in [0, {classes}), of the classes that have scores"
    checks.require(y.min() >= 0 and y.max() < classes, name, rule, f"{y.min()} to {y.max()}")
    labels = [str(one) for one in (range(classes) if names is None else names)]
    rule = f"names must be {classes}, one a class"
    checks.require(len(labels) == classes, name, rule, f"{len(labels)} names")

    palette = [*line_colours(ax), *(_MORE_ON_DARK if on_dark(ax) else _MORE_ON_LIGHT)]
    for index in range(classes):
        colour, marker = palette[index % len(palette)], _MARKERS[index % len(_MARKERS)]
        lead = scores[:, index] - np.delete(scores, index, axis=1).max(axis=1)
        _draw_region(ax, across, up, lead.reshape(resolution, resolution), colour)
        ax.scatter(*x[y == index].T, s=22, color=colour, marker=marker, label=labels[index],
                   edgecolors=[tuple(paper(ax))], linewidths=0.6, zorder=3)  # fmt: skip
    ax.set(xlim=across[[0, -1]], ylim=up[[0, -1]])
    ax.grid(False)
    if names is not None:
        add_legend(ax)
    return ax


def _scores(
    function: str, outputs: np.ndarray, points: int, threshold: float, least: int
) -> np.ndarray:
    """A score per class, `(points, classes)`, the highest for the class that is said."""
    outputs = np.asarray(checks.array(function, "outputs", outputs))
    rule = f"outputs must be scores ({points}, classes), ({points}, 1) or ({points},), or labels"
    sound = outputs.ndim in (1, 2) and len(outputs) == points and outputs.size > 0
    checks.require(sound, function, rule, f"{outputs.dtype} of shape {outputs.shape}")
    if outputs.ndim == 1 and outputs.dtype.kind in "biu":
        checks.require(outputs.min() >= 0, function, "labels must be >= 0", outputs.min())
        return np.eye(max(int(outputs.max()) + 1, least, 2))[outputs.astype(int)]
    scores = numbers(function, "outputs", outputs).reshape(points, -1)
    if scores.shape[1] == 1:
        scores = (scores - threshold) * [-1, 1]
    return scores


def _draw_region(ax: "Axes", across: Any, up: Any, lead: np.ndarray, colour: str) -> None:
    """Fills where a class leads all others, and draws the line around."""
    from matplotlib.colors import to_rgba

    if lead.max() > 0:
        pale = paper(ax) + 0.3 * (np.array(to_rgba(colour)) - paper(ax))
        ax.contourf(across, up, lead, levels=[0, lead.max()], colors=[pale], zorder=0)
        if lead.min() < 0:
            ax.contour(across, up, lead, levels=[0], colors=[text_colour(ax)], linewidths=1)
