"""Pictures: what holds for all of them, and that nothing global is touched."""

import subprocess
import sys

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from drawn import ACCURACY, DRAWN, HISTORY, IMAGES, MATRIX, pixels
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from fnn import plots


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_axes_that_are_given_are_drawn_on_and_returned(draw):
    ax = Figure().subplots()
    assert draw(ax=ax) is ax


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_without_axes_a_figure_is_made_that_can_be_written(draw):
    ax = draw()
    assert isinstance(ax, Axes)
    assert np.unique(pixels(ax.figure)).size > 10


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_everything_drawn_contrasts_with_its_paper_in_light_and_dark_styles(style):
    with matplotlib.style.context(style):
        ax = plots.learning_curves(HISTORY | ACCURACY, best_epoch=2)
        paper = luminance(ax.get_facecolor())
        for one in ax.figure.axes:
            for line in one.get_lines():
                drawn = luminance(to_rgba(line.get_color()))
                low, high = sorted([drawn, paper])
                assert (high + 0.05) / (low + 0.05) >= 3, line.get_label()
        for text in plots.confusion_matrix(MATRIX).texts:
            colours = text.axes.images[0].get_array()
            column, row = text.get_position()
            low, high = sorted(
                [luminance(colours[row, column]), luminance(to_rgba(text.get_color()))]
            )
            assert (high + 0.05) / (low + 0.05) >= 4.5, text.get_text()


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_transparent_paper_counts_as_what_text_is_not():
    with matplotlib.rc_context({"axes.facecolor": "none"}):
        light = plots.confusion_matrix(MATRIX).images[0].get_array()
        with matplotlib.rc_context({"axes.labelcolor": "white"}):
            dark = plots.confusion_matrix(MATRIX).images[0].get_array()
    assert (to_hex(light[0, 1]), to_hex(dark[0, 1])) == ("#ffffff", "#000000")


def test_neither_pyplot_nor_settings_are_touched():
    code = """
import sys, matplotlib, numpy as np
before = dict(matplotlib.rcParams)
from fnn import plots
plots.learning_curves({"loss": [2.0, 1.0]}).figure.savefig(sys.stdout.buffer, format="png")
plots.confusion_matrix(np.eye(2)); plots.predictions([1.0], [2.0])
plots.image_grid(np.ones((1, 2, 2)))
plots.decision_boundary(lambda _, x: x[:, 0], None, np.eye(2), [0, 1])
plots.loss_surface(lambda w: (w ** 2).sum(), np.zeros(2), resolution=9)
assert "matplotlib.pyplot" not in sys.modules
assert dict(matplotlib.rcParams) == before
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "draw",
    [*DRAWN.values(), lambda: plots.image_grid(IMAGES)],
    ids=[*DRAWN, "image_grid"],
)
def test_a_missing_matplotlib_is_told_with_the_extra_that_brings_it(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"needs matplotlib.*pip install 'fnn\[plots\]'"):
        draw()


NAME = r"$\none$"


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.learning_curves({"loss": [2.0, 1.0], NAME: [0.0, 1.0]}),
        lambda: plots.heat_map({NAME: [1, 2], "mean": [1, 2]}, NAME, NAME, value=NAME),
        lambda: plots.image_grid(np.eye(3)[None], [NAME]).axes[0],
        lambda: plots.decision_boundary(
            lambda _, x: x[:, 0], None, [[-1, 0], [1, 0]], [0, 1], names=[NAME, "$"]
        ),
        lambda: plots.loss_surface(
            lambda w: w @ w, np.zeros(2), paths={NAME: np.eye(2)}, resolution=3
        ),
    ],
)
def test_a_dollar_begins_no_formula(draw):
    figure = draw().figure
    pixels(figure)  # which fails for a formula that is none
    assert any(text.get_text() == NAME for text in figure.findobj(Text))
