"""A loss as a landscape, and the ways that optimizers take through it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from fnn._core import checks
from fnn.plots.common import add_legend, axes_or_new, line_colours, numbers, paper, text_colour
from fnn.types import Params

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RINGS = 14
# not as many as colours, so that paths of one colour differ here
_MARKERS = "os^Dv"


def loss_surface(
    loss: Callable[[Params], Any],
    params: Params,
    directions: tuple[Params, Params] | None = None,
    *,
    paths: Mapping[str, Params] | None = None,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    resolution: int = 80,
    ax: "Axes | None" = None,
) -> "Axes":
    """The contours of a loss over two parameters, or over a plane through many.

        loss(params + a direction_0 + b direction_1)

    Contours are at quantiles of the values on the grid, chosen so that those of a quadratic bowl
    are evenly spaced. Paths are projected onto the plane; a ring marks where each begins and a
    large point where it ends.

    Args:
      loss: From parameters to one number, `()`; pure, as it is compiled.
      params: The point (0, 0) of the plane: a pytree of floating arrays. Without
        `directions` it holds two numbers in all, and they are the axes.
      directions: Two pytrees as `params`, not parallel: from a run's start to where it
        ended, say, or drawn at random (Li et al. 2018, arXiv:1712.09913).
      paths: By label, pytrees as `params` with one axis more in front, `(steps, ...)`.
      x: The range across, in units of the first axis. None: that of the paths and a
        margin, or -1 to 1 without paths.
      y: The range upwards, likewise.
      resolution: Grid points per axis; the loss is computed at one after the other.
      ax: Where to draw; None makes a figure.
    Returns:
      The axes.
    Raises:
      ValueError, TypeError: Trees do not fit one another, directions are parallel, a range
        is empty, the loss is no single number, or its values on the grid are constant or nowhere
        finite.
      ImportError: matplotlib is not installed.

    >>> bowl = lambda w: w[0] ** 2 + 10 * w[1] ** 2
    >>> way = np.array([[1.0, 1.0], [0.5, 0.2], [0.1, 0.0]])
    >>> ax = loss_surface(bowl, np.zeros(2), paths={"by hand": way})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['by hand']
    """
    name = "loss_surface"
    params = jax.tree.map(jnp.asarray, params)
    kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(params)}
    floating = all(jnp.issubdtype(kind, jnp.floating) for kind in kinds)
    rule = "params must hold floating arrays"
    checks.require(floating, name, rule, ", ".join(sorted(kinds)), TypeError)
    resolution = checks.count(name, "resolution", resolution, at_least=2)
    if directions is None:
        flat, unflatten = ravel_pytree(params)
        rule = "params must hold two numbers where there are no directions"
        checks.require(flat.size == 2, name, rule, flat.size)
        axis = "parameter"
        origin, units = unflatten(jnp.zeros_like(flat)), jnp.eye(2, dtype=flat.dtype)
        plane = unflatten(units[0]), unflatten(units[1])
    else:
        axis, origin = "direction", params
        plane = jax.tree.map(jnp.asarray, tuple(directions))
        checks.same_structure(name, "directions", (params, params), plane)
    basis = np.stack([_flat(name, "directions", one, 0) for one in plane])
    rule = "directions must not be parallel or zero"
    checks.require(np.linalg.matrix_rank(basis) == 2, name, rule, "a line")
    ways = {label: _seen(name, path, origin, basis) for label, path in (paths or {}).items()}
    across, up = (
        _ticks(name, what, given, [way[:, i] for way in ways.values()], resolution)
        for i, (what, given) in enumerate((("x", x), ("y", y)))
    )
    ax = axes_or_new(name, ax, (6, 4.6))
    grid = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    points = jnp.asarray(grid, float)
    values = np.asarray(_values(loss, origin, plane, points), np.float64)
    levels = _levels(name, values)
    _draw_rings(ax, across, up, values.reshape(resolution, resolution), levels)
    _draw_ways(ax, ways)
    ax.set(xlim=across[[0, -1]], ylim=up[[0, -1]], xlabel=f"{axis} 0", ylabel=f"{axis} 1")
    return ax


def _flat(function: str, what: str, tree: Params, lead: int) -> np.ndarray:
    """All numbers of a tree in a row, `(..., n)`, behind `lead` axes."""
    leaves = [numbers(function, what, leaf) for leaf in jax.tree.leaves(tree)]
    return np.concatenate([leaf.reshape(*leaf.shape[:lead], -1) for leaf in leaves], axis=-1)


def _seen(function: str, path: Params, origin: Params, basis: np.ndarray) -> np.ndarray:
    """A path's coordinates on the plane, `(steps, 2)`: the nearest points, by least squares."""
    path = jax.tree.map(jnp.asarray, path)
    first = jax.tree.map(lambda leaf: leaf[0] if leaf.ndim and len(leaf) else leaf, path)
    checks.same_structure(function, "each point of a path", origin, first)
    offsets = _flat(function, "paths", path, 1) - _flat(function, "params", origin, 0)
    return np.linalg.lstsq(basis.T, offsets.T)[0].T


def _ticks(
    function: str, what: str, given: Any, ways: list[np.ndarray], resolution: int
) -> np.ndarray:
    """Where the loss is asked along one axis."""
    if given is not None:
        low, high = given
        rule = f"{what} must be (low, high) with low < high"
        checks.require(low < high, function, rule, given)
    elif ways:
        low, high = min(way.min() for way in ways), max(way.max() for way in ways)
        margin = 0.15 * (high - low) or 1.0
        low, high = low - margin, high + margin
    else:
        low, high = -1.0, 1.0
    return np.linspace(low, high, resolution)


def _values(loss: Any, origin: Params, directions: tuple, points: jax.Array) -> jax.Array:
    """The loss at each point of the plane, `(points,)`."""

    def at(point: jax.Array) -> jax.Array:
        def moved(zero, first, second):
            a, b = point.astype(zero.dtype)
            return zero + a * first + b * second

        value = jnp.asarray(loss(jax.tree.map(moved, origin, *directions)))
        rule = "loss must return one number, ()"
        checks.require(value.shape == (), "loss_surface", rule, f"shape {value.shape}")
        return value

    return jax.jit(lambda points: jax.lax.map(at, points))(points)


def _levels(function: str, values: np.ndarray) -> np.ndarray:
    """The losses at which rings are drawn: of a bowl, they are as far apart everywhere."""
    finite = values[np.isfinite(values)]
    checks.require(finite.size > 0, function, "loss must be finite somewhere", "nowhere")
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, _RINGS) ** 2))
    checks.require(len(levels) > 1, function, "loss must vary over what is seen", finite[0])
    return levels


def _draw_rings(ax: "Axes", across: Any, up: Any, values: np.ndarray, levels: np.ndarray) -> None:
    from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, to_rgba

    hill = paper(ax) + 0.35 * (np.array(to_rgba(text_colour(ax))) - paper(ax))
    shades = LinearSegmentedColormap.from_list("shades", [paper(ax), hill])
    shown = np.ma.masked_invalid(values)
    filled = ax.contourf(across, up, shown, levels=levels, cmap=shades,
                         norm=BoundaryNorm(levels, shades.N))  # fmt: skip
    ax.contour(across, up, shown, levels=levels[1:-1], colors=[text_colour(ax)], linewidths=0.4,
               alpha=0.5)  # fmt: skip
    ax.figure.colorbar(
        filled, ax=ax, label="loss", format="%.2g", ticks=list(levels[:: max(1, len(levels) // 6)])
    )


def _draw_ways(ax: "Axes", ways: Mapping[str, np.ndarray]) -> None:
    back = tuple(paper(ax))
    for index, (label, way) in enumerate(ways.items()):
        style: dict[str, Any] = {
            "color": line_colours(ax)[index % 4],
            "marker": _MARKERS[index % len(_MARKERS)],
        }
        # a rim of paper, then the steps; where they end lies above the lines of all
        ax.plot(*way.T, color=back, linewidth=3.5)
        ax.plot(*way.T, **style, markersize=3.5, markeredgewidth=0, linewidth=1.4)
        ax.plot(*way[0], **style, markersize=8, markerfacecolor=back, zorder=3)
        ax.plot(*way[-1], **style, markersize=8, markeredgecolor=back, zorder=4, label=label)
    if ways:
        add_legend(ax)
