"""Pictures: what is drawn, what is refused, and that nothing global is touched."""

import io
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

import fnn
from fnn import plots

HISTORY = {
    "loss": jnp.array([1.0, 0.6, 0.4, 0.3, 0.3]),
    "validation_loss": jnp.array([0.9, 0.7, 0.6, 0.65, 0.65]),
}
ACCURACY = {"validation_accuracy": jnp.array([0.5, 0.7, 0.8, 0.8, 0.8])}
MATRIX = jnp.array([[8.0, 0.0, 2.0], [0.0, 5.0, 0.0], [1.0, 0.0, 4.0]])
GRID = {
    "rate": np.array([0.1, 0.1, 0.01, 0.01, 1.0]),
    "decay": np.array([0.0, 0.5, 0.5, 0.0, 0.5]),
    "mean": np.array([1.0, 2.0, 3.0, 4.0, np.nan]),
    "standard_error": np.array([0.1, 0.2, 0.3, np.nan, np.nan]),
}
OUTPUTS, TARGETS = jnp.array([[1.1], [1.9], [3.2]]), np.array([1, 2, 3])
IMAGES = np.arange(5 * 2 * 3).reshape(5, 2, 3)

POINTS, LABELS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]]), np.array([0, 1, 1, 0])


def wide_bowl(w):
    return w[0] ** 2 + 9 * w[1] ** 2


PATHS = {"straight": np.array([[2.0, 1.0], [1.0, 0.5], [0.0, 0.0]])}

DRAWN = {
    "learning_curves": lambda **given: plots.learning_curves(HISTORY | ACCURACY, **given),
    "confusion_matrix": lambda **given: plots.confusion_matrix(MATRIX, **given),
    "heat_map": lambda **given: plots.heat_map(GRID, "rate", "decay", **given),
    "predictions": lambda **given: plots.predictions(OUTPUTS, TARGETS, **given),
    "decision_boundary": lambda **given: plots.decision_boundary(
        lambda _, x: x[:, 0] - 0.5, None, POINTS, LABELS, resolution=9, **given
    ),
    "loss_surface": lambda **given: plots.loss_surface(
        wide_bowl, np.zeros(2), paths=PATHS, resolution=9, **given
    ),
}


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=60)
    return np.frombuffer(buffer.getvalue(), np.uint8)


def curves(ax):
    """The y of each line by its label, twin axes included."""
    lines = [line for one in ax.figure.axes for line in one.get_lines()]
    return {line.get_label(): np.asarray(line.get_ydata()) for line in lines}


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


# --- Learning curves ---


def test_only_the_epochs_that_are_real_are_drawn():
    drawn = curves(plots.learning_curves(HISTORY, epochs=jnp.int32(4)))
    np.testing.assert_array_equal(drawn["training"], HISTORY["loss"][:4])
    np.testing.assert_array_equal(drawn["validation"], HISTORY["validation_loss"][:4])


def test_the_best_epoch_is_marked_on_the_validation_loss():
    ax = plots.learning_curves(HISTORY, best_epoch=jnp.int32(2))
    by_label = {line.get_label(): line for line in ax.get_lines()}
    assert by_label["validation"].get_markevery() == [2]
    assert list(by_label["best epoch: 2"].get_xdata()) == [2, 2]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["training", "validation", "best epoch: 2"]


@pytest.mark.parametrize("best_epoch", [None, -1])
def test_without_a_best_epoch_none_is_marked(best_epoch):
    drawn = curves(plots.learning_curves({"loss": HISTORY["loss"]}, best_epoch=best_epoch))
    assert list(drawn) == ["training"]


def test_one_other_history_gets_an_axis_of_its_own_with_its_name():
    ax = plots.learning_curves(HISTORY | ACCURACY)
    left, right = ax.figure.axes
    assert left is ax
    assert right.get_ylabel() == "validation accuracy"
    assert "validation accuracy" in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("others", "drawn"),
    [
        ({"validation_mae": 40.0}, True),
        ({"validation_f1": 0.5, "validation_r2": 0.9}, True),
        ({"validation_mae": 40.0, "validation_r2": 0.9}, False),
        ({"a": 0.1, "b": 0.2, "c": 0.3}, True),
        ({"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}, False),
    ],
)
def test_other_histories_are_drawn_only_where_one_axis_serves_them_all(others, drawn):
    histories = {name: np.full(5, value) for name, value in others.items()}
    ax = plots.learning_curves(HISTORY | histories)
    assert len(ax.figure.axes) == (2 if drawn else 1)


def test_histories_of_more_than_a_number_per_epoch_are_left_out():
    ax = plots.learning_curves(HISTORY | {"validation_confusion": np.ones((5, 2, 2))})
    assert set(curves(ax)) == {"training", "validation"}


def test_a_single_epoch_is_seen():
    ax = plots.learning_curves({"loss": [1.0]})
    assert ax.get_lines()[0].get_marker() == "o"


@pytest.mark.parametrize(
    ("history", "options", "message"),
    [
        ({}, {}, "history must hold 'loss' or 'validation_loss'.*got nothing"),
        ({"accuracy": [1.0]}, {}, "history must hold 'loss'.*got accuracy"),
        ({"loss": np.ones((2, 3))}, {}, "history must hold 'loss'"),
        ({"loss": []}, {}, "at least 1"),
        ({"loss": [1.0], "validation_loss": [1.0, 2.0]}, {}, "of one length"),
        ({"loss": [1.0, np.nan]}, {}, "loss must be finite"),
        (HISTORY, {"epochs": 6}, "epochs must be at most 5.*got 6"),
        (HISTORY, {"epochs": 0}, "epochs must be an integer >= 1.*got 0"),
        (HISTORY, {"best_epoch": 5}, "best_epoch must be one of the 5 epochs.*got 5"),
        (HISTORY, {"epochs": 3, "best_epoch": 3}, "best_epoch must be one of the 3 epochs"),
        (HISTORY, {"best_epoch": -2}, "best_epoch must be an integer >= -1.*got -2"),
    ],
)
def test_histories_that_cannot_be_drawn_are_refused(history, options, message):
    with pytest.raises(ValueError, match=f"learning_curves: .*{message}"):
        plots.learning_curves(history, **options)


def test_a_history_that_is_no_dict_is_refused():
    with pytest.raises(TypeError, match=r"learning_curves: history must be a dict.*got list"):
        plots.learning_curves([1.0, 2.0])


# --- Confusion matrix ---


def test_counts_stand_in_their_cells_and_zeros_are_left_empty():
    ax = plots.confusion_matrix(MATRIX, names=["cat", "dog", "cow"])
    found = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert found == {(0, 0): "8", (2, 0): "2", (1, 1): "5", (0, 2): "1", (2, 2): "4"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog", "cow"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "dog", "cow"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")


def test_right_answers_and_mistakes_differ_in_hue_and_grow_with_their_share():
    cells = plots.confusion_matrix([[50, 1, 49], [0, 0, 0], [0, 0, 7]]).images[0].get_array()
    red, _, blue, _ = np.moveaxis(np.asarray(cells), -1, 0)
    assert blue[0, 0] > red[0, 0]
    assert red[0, 2] > blue[0, 2]
    assert blue[0, 2] < blue[0, 1] < 1  # one in a hundred is seen
    np.testing.assert_array_equal(cells[1], np.ones((3, 4)))  # an absent class stays paper


def test_shares_are_written_with_two_digits():
    ax = plots.confusion_matrix([[2 / 3, 1 / 3], [0.0, 1.0]])
    assert [text.get_text() for text in ax.texts] == ["0.67", "0.33", "1"]


def test_many_classes_are_drawn_without_numbers():
    ax = plots.confusion_matrix(np.eye(100))
    assert not ax.texts
    assert np.unique(pixels(ax.figure)).size > 2


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        (np.ones((2, 3)), None, r"matrix must be \(classes, classes\); got shape \(2, 3\)"),
        (np.ones((0, 0)), None, r"matrix must be \(classes, classes\)"),
        ([[1, -1], [0, 1]], None, "matrix must be >= 0; got -1"),
        ([[1, np.nan], [0, 1]], None, "matrix must be finite"),
        (np.eye(2), ["one"], "names must be 2, one a class; got 1 names"),
    ],
)
def test_matrices_that_are_none_are_refused(matrix, names, message):
    with pytest.raises(ValueError, match=f"confusion_matrix: {message}"):
        plots.confusion_matrix(matrix, names=names)


# --- Predictions ---


def test_true_values_lie_across_and_predictions_up_over_one_range():
    ax = plots.predictions(OUTPUTS, TARGETS)
    points = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(points, np.stack([TARGETS, OUTPUTS[:, 0]], axis=1))
    assert ax.get_xlim() == ax.get_ylim()


def test_a_single_value_predicted_exactly_has_a_range():
    low, high = plots.predictions([2.0], [2.0]).get_xlim()
    assert low < 2 < high


@pytest.mark.parametrize(
    ("outputs", "targets", "message"),
    [
        (np.ones((2, 2)), np.ones(2), r"outputs must be \(rows,\) or \(rows, 1\)"),
        (np.ones(2), np.ones((2, 1, 1)), r"targets must be \(rows,\) or \(rows, 1\)"),
        (np.ones(2), np.ones(3), "as many rows; got 2 and 3"),
        ([], [], "rows > 0"),
        ([np.inf], [1.0], "outputs must be finite"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(outputs, targets, message):
    with pytest.raises(ValueError, match=f"predictions: .*{message}"):
        plots.predictions(outputs, targets)


# --- Pictures ---


def test_pictures_stand_in_rows_under_their_titles():
    figure = plots.image_grid(IMAGES, ["a", "b", "c", "d", "e"], columns=3)
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c", "d", "e"]
    for ax, image in zip(figure.axes, IMAGES, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
        assert ax.images[0].get_clim() == (0, IMAGES.max())  # one scale for all
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 3)


def test_a_figure_or_subfigure_that_is_given_is_drawn_on_and_returned():
    left, _ = Figure().subfigures(1, 2)
    assert plots.image_grid(IMAGES, figure=left) is left
    assert len(left.axes) == 5


@pytest.mark.parametrize(("style", "paper", "ink"), [
    ("default", "#ffffff", "#000000"), ("dark_background", "#000000", "#ffffff"),
])  # fmt: skip
def test_ink_is_the_colour_of_text_and_paper_that_of_the_background(style, paper, ink):
    with matplotlib.style.context(style):
        image = plots.image_grid(IMAGES).axes[0].images[0]
    assert [to_hex(image.to_rgba(value)) for value in (0, IMAGES.max())] == [paper, ink]


def test_blank_and_coloured_pictures_are_drawn():
    assert pixels(plots.image_grid(np.zeros((1, 2, 2)))).size
    assert pixels(plots.image_grid(np.full((2, 2, 2, 3), 0.5))).size


@pytest.mark.parametrize(
    ("images", "titles", "message"),
    [
        (np.ones((2, 2)), None, r"images must be \(n, height, width\)"),
        (np.ones((0, 2, 2)), None, "n > 0"),
        (np.ones((1, 2, 2, 4)), None, r"images must be \(n, height, width\)"),
        (np.full((1, 2, 2), -1.0), None, "images must be >= 0"),
        (np.full((1, 2, 2, 3), 2.0), None, r"images must be in \[0, 1\]"),
        (IMAGES, ["one"], "titles must be 5, one a picture; got 1 titles"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(images, titles, message):
    with pytest.raises(ValueError, match=f"image_grid: .*{message}"):
        plots.image_grid(images, titles)


def test_columns_below_one_are_refused():
    with pytest.raises(ValueError, match="image_grid: columns must be an integer >= 1"):
        plots.image_grid(IMAGES, columns=0)


def test_a_heat_map_has_each_setting_in_its_place():
    ax = plots.heat_map(GRID, "rate", "decay")
    told = {text.get_position(): text.get_text() for text in ax.texts}
    assert told == {(1, 0): "1\n±0.1", (1, 1): "2\n±0.2", (0, 1): "3\n±0.3", (0, 0): "4"}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "0.5"]
    (image,) = ax.get_images()
    shown = image.get_array()
    assert shown[0, 1] == 1
    assert shown[1, 0] == 3
    assert shown.mask.tolist() == [[False, False, True], [False, False, True]]


def test_what_a_heat_map_cannot_show_is_told():
    with pytest.raises(ValueError, match="one row for each rate and rate; got several"):
        plots.heat_map(GRID, "rate", "rate")
    with pytest.raises(ValueError, match="one number per setting"):
        plots.heat_map({**GRID, "rate": np.zeros((5, 2))}, "rate", "decay")
    with pytest.raises(KeyError):
        plots.heat_map(GRID, "rate", "momentum")


# --- Decision boundary ---


def said(ax, *point):
    """The class whose region holds a point, as the order in which regions are drawn."""
    regions = [one for one in ax.collections if one.get_zorder() == 0]
    (index,) = [i for i, one in enumerate(regions) if inside(one, point)]
    return index


def inside(region, point):
    return any(path.contains_point(point) for path in region.get_paths())


@pytest.mark.parametrize("shape", ["(rows,)", "(rows, 1)", "(rows, 2)", "labels"])
def test_regions_are_where_the_classifier_says_so(shape):
    def classifier(cut, x):
        score = np.asarray(x)[:, 0] - cut
        two = np.stack([-score, score], axis=1)
        return {"(rows,)": score, "(rows, 1)": score[:, None], "(rows, 2)": two,
                "labels": two.argmax(axis=1)}[shape]  # fmt: skip

    ax = plots.decision_boundary(classifier, 0.3, POINTS, LABELS, resolution=60)
    for point in ((0.28, 0.3), (0.28, 1.9), (-0.05, 1)):
        assert said(ax, *point) == 0
    for point in ((0.32, 0.3), (0.32, 1.9), (1.05, 1)):
        assert said(ax, *point) == 1


def test_of_several_classes_the_one_with_the_highest_score_is_said():
    net = fnn.mlp((2, 3))
    weight, bias = jnp.array([[-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), jnp.array([0.5, -0.5, -1.2])
    ax = plots.decision_boundary(
        net, (fnn.Layer(weight, bias),), POINTS, LABELS, names="abc", resolution=40
    )
    assert [said(ax, *point) for point in ((0.1, 0.1), (0.9, 0.1), (0.5, 1.9))] == [0, 1, 2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("output", "threshold", "cut"),
    [("identity", None, 0.5), ("sigmoid", None, 0.5), ("sigmoid", 1 / (1 + np.exp(-0.2)), 0.7)],
)
def test_one_score_is_split_at_zero_or_where_a_sigmoid_is_one_half(output, threshold, cut):
    net = fnn.mlp((2, 1), output=output)
    params = (fnn.Layer(jnp.array([[1.0], [0.0]]), jnp.array([-0.5])),)
    ax = plots.decision_boundary(net, params, POINTS, LABELS, threshold=threshold, resolution=60)
    assert [said(ax, cut - 0.02, 1), said(ax, cut + 0.02, 1)] == [0, 1]


def test_every_row_is_drawn_in_its_class_and_none_is_cut_off():
    ax = DRAWN["decision_boundary"]()
    drawn = [np.asarray(one.get_offsets()) for one in ax.collections if one.get_zorder() == 3]
    for label, points in enumerate(drawn):
        np.testing.assert_array_equal(points, POINTS[label == LABELS])
    assert ax.get_xlim()[0] < 0 < 1 < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < 0 < 2 < ax.get_ylim()[1]
    assert ax.get_legend() is None


def test_a_class_that_is_never_said_has_points_and_no_region():
    ax = plots.decision_boundary(
        lambda _, x: np.ones(len(x)), None, POINTS, LABELS, names=["no", "yes"], resolution=5
    )
    regions = [one for one in ax.collections if one.get_zorder() == 0]
    assert len(regions) == 1
    assert inside(regions[0], (0.5, 1))
    assert len(ax.get_legend().get_texts()) == 2


def test_no_two_of_many_classes_look_alike():
    classes = np.arange(40)
    points = np.stack([classes, classes % 7], axis=1)
    ax = plots.decision_boundary(
        lambda _, x: np.zeros(len(x), int), None, points, classes, resolution=3
    )
    looks = [
        (to_hex(one.get_facecolor()[0]), len(one.get_paths()[0].vertices),
         one.get_paths()[0].vertices[0].tolist().__repr__())
        for one in ax.collections if one.get_zorder() == 3
    ]  # fmt: skip
    assert len(set(looks)) == len(looks) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones((4, 3))}, r"x must be \(rows, 2\), with rows > 0; got shape \(4, 3\)"),
        ({"x": np.ones((0, 2)), "y": np.ones(0, int)}, "with rows > 0"),
        ({"y": [0, 1]}, "y must hold 4 integer labels, one a row"),
        ({"y": [0.0, 1.0, 0.0, 1.0]}, "y must hold 4 integer labels"),
        ({"y": [0, 1, 2, 0]}, r"y must be labels in \[0, 2\).*got 0 to 2"),
        ({"y": [0, -1, 1, 0]}, "got -1 to 1"),
        ({"names": ["one"]}, "names must be 2, one a class; got 1 names"),
        ({"resolution": 1}, "resolution must be an integer >= 2"),
        ({"net": lambda _, x: x[:3]}, r"outputs must be scores \(81, classes\)"),
        ({"net": lambda _, x: x[:, 0] / 0}, "outputs must be finite"),
        ({"net": lambda _, x: -np.ones(len(x), int)}, "labels must be >= 0; got -1"),
    ],
)
def test_classifiers_and_data_that_do_not_fit_are_refused(change, message):
    given = {"net": lambda _, x: x[:, 0], "x": POINTS, "y": LABELS, "resolution": 9} | change
    with pytest.raises(ValueError, match=f"decision_boundary: .*{message}"):
        plots.decision_boundary(params=None, **given)


# --- Loss surface ---


def heights(ax):
    """The levels of the filled rings."""
    (filled,) = [one for one in ax.collections if getattr(one, "filled", False)]
    return filled


def ways(ax):
    """The points of each path by its label; the line with all of them comes before its end."""
    lines = ax.get_lines()
    return {
        end.get_label(): np.stack(line.get_data(), axis=1)
        for line, end in zip(lines[1::4], lines[3::4], strict=True)
    }


def test_two_parameters_are_the_axes_of_the_surface():
    ax = plots.loss_surface(wide_bowl, np.full(2, 7.0), x=(-3, 1), y=(-1, 2), resolution=41)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-3, 1), (-1, 2))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameter 0", "parameter 1")
    levels = heights(ax).levels
    assert levels[0] == pytest.approx(0, abs=0.02)
    assert levels[-1] == pytest.approx(9 + 36)
    lowest = heights(ax).get_paths()[0]
    assert lowest.contains_point((0, 0))
    assert not lowest.contains_point((1, 1))


@pytest.mark.parametrize("power", [1, 4])
def test_rings_of_a_bowl_are_evenly_spaced_however_steep_it_is(power):
    ax = plots.loss_surface(lambda w: (w**2).sum() ** power, np.zeros(2), resolution=60)
    radii = np.array(heights(ax).levels[1:-3]) ** (1 / (2 * power))
    np.testing.assert_allclose(np.diff(radii), np.diff(radii).mean(), rtol=0.15)


def test_without_ranges_the_surface_holds_all_paths():
    ax = DRAWN["loss_surface"]()
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert -0.5 < low < 0 < 2 < high < 2.5
    assert -0.5 < bottom < 0 < 1 < top < 1.5
    np.testing.assert_allclose(ways(ax)["straight"], PATHS["straight"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["straight"]


def test_a_plane_through_many_parameters_is_seen_from_its_directions():
    """A point of the plane is found again at its coordinates; what leaves it casts a shadow."""
    start = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(3.0)}
    first = {"w": jnp.array([1.0, 1.0]), "b": jnp.array(0.0)}
    second = {"w": jnp.array([0.0, 2.0]), "b": jnp.array(1.0)}
    off_the_plane = {"w": np.array([1.0, -1.0]), "b": 2.0}  # at right angles to both

    def at(a, b, c=0.0):
        return jax.tree.map(
            lambda *p: np.float32(p[0] + a * p[1] + b * p[2] + c * p[3]),
            start, first, second, off_the_plane,
        )  # fmt: skip

    asked = []

    def loss(params):
        jax.debug.callback(lambda w, b: asked.append([*w.tolist(), float(b)]), **params)
        return params["b"]

    steps = [at(0, 0), at(0.5, -0.25), at(1, 2, 7)]
    way = jax.tree.map(lambda *leaves: np.stack(leaves), *steps)
    ax = plots.loss_surface(
        loss, start, (first, second), paths={"run": way}, x=(0, 1), y=(0, 2), resolution=2
    )
    np.testing.assert_allclose(ways(ax)["run"], [[0, 0], [0.5, -0.25], [1, 2]], atol=1e-5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("direction 0", "direction 1")
    jax.effects_barrier()
    wanted = [[1, 2, 3], [2, 3, 3], [1, 6, 5], [2, 7, 5]]
    np.testing.assert_allclose(sorted(asked), sorted(wanted))


def test_where_the_loss_is_not_finite_the_surface_is_left_empty():
    ax = plots.loss_surface(
        lambda w: jnp.where(w[0] > 0, jnp.inf, w[0] ** 2), np.zeros(2), resolution=20
    )
    assert heights(ax).levels[-1] == pytest.approx(1)
    assert not any(path.contains_point((0.5, 0)) for path in heights(ax).get_paths())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": np.zeros(3)}, "params must hold two numbers.*got 3"),
        ({"params": np.zeros(3), "directions": (np.ones(3), np.ones(2))}, "directions must have"),
        (
            {"params": np.zeros(3), "directions": (np.ones(3), np.ones(3))},
            "directions must not be parallel",
        ),
        ({"paths": {"run": np.zeros((4, 3))}}, "each point of a path must have the structure"),
        ({"paths": {"run": np.full((4, 2), np.nan)}}, "paths must be finite"),
        ({"x": (1, 1)}, r"x must be \(low, high\) with low < high"),
        ({"loss": lambda w: w}, r"loss must return one number, \(\); got shape \(2,\)"),
        ({"loss": lambda w: w.sum() * jnp.nan}, "loss must be finite somewhere"),
        ({"loss": lambda w: w.sum() * 0 + 3}, "loss must vary over what is seen; got 3"),
    ],
)
def test_what_is_no_surface_is_refused(given, message):
    with pytest.raises(ValueError, match=f"loss_surface: {message}"):
        plots.loss_surface(**{"loss": wide_bowl, "params": np.zeros(2), "resolution": 4} | given)


def test_a_surface_over_integers_is_refused():
    with pytest.raises(TypeError, match="params must hold floating arrays; got int32"):
        plots.loss_surface(wide_bowl, np.zeros(2, np.int32))
