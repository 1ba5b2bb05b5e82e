"""How near predicted values are to true ones."""

from typing import TYPE_CHECKING, Any

from fnn._core import checks
from fnn.plots.common import axes_or_new, line_colours, numbers, text_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def predictions(outputs: Any, targets: Any, *, ax: "Axes | None" = None) -> "Axes":
    """Predicted values against true ones; on the line, they agree.

    Args:
      outputs: `(rows,)` or `(rows, 1)`, in the units of the targets.
      targets: `(rows,)` or `(rows, 1)`.
      ax: Where to draw; None makes a figure.
    Returns:
      The axes, both of them over the same range.
    Raises:
      ValueError, TypeError: Shapes are not as described, differ, or values are not finite.
      ImportError: matplotlib is not installed.

    >>> ax = predictions([[1.1], [1.8], [3.2]], [1, 2, 3])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('true', 'predicted')
    """
    name = "predictions"
    values = []
    for what, given in (("outputs", outputs), ("targets", targets)):
        array = numbers(name, what, given)
        rule = f"{what} must be (rows,) or (rows, 1), with rows > 0"
        column = array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)
        checks.require(column and array.size > 0, name, rule, f"shape {array.shape}")
        values.append(array.reshape(-1))
    predicted, true = values
    rule = "outputs and targets must have as many rows"
    checks.require(len(predicted) == len(true), name, rule, f"{len(predicted)} and {len(true)}")

    ax = axes_or_new(name, ax, (4.4, 4.4))
    ax.scatter(true, predicted, s=28, color=line_colours(ax)[0], alpha=0.8, linewidths=0)
    low, high = min(predicted.min(), true.min()), max(predicted.max(), true.max())
    margin = 0.05 * (high - low) or 1.0
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=text_colour(ax), alpha=0.6, linewidth=1, zorder=0)
    ax.set(xlim=ends, ylim=ends, xlabel="true", ylabel="predicted", aspect="equal")
    return ax
