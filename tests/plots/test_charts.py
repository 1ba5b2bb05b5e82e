"""Learning curves, confusion matrices, predictions and pictures: what is drawn and refused."""

import jax.numpy as jnp
import matplotlib
import matplotlib.style
import numpy as np
import pytest
from drawn import ACCURACY, GRID, HISTORY, IMAGES, MATRIX, OUTPUTS, TARGETS, pixels
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fnn import plots


def curves(ax):
    """The y of each line by its label, twin axes included."""
    lines = [line for one in ax.figure.axes for line in one.get_lines()]
    return {line.get_label(): np.asarray(line.get_ydata()) for line in lines}


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


def test_a_dollar_in_a_name_is_a_dollar():
    ax = plots.confusion_matrix(np.eye(2), names=["$20_$30", r"$\none$"])
    pixels(ax.figure)  # drawn, where the names were no formulas
    labels = [*ax.get_xticklabels(), *ax.get_yticklabels()]
    assert [label.get_text() for label in labels] == ["$20_$30", r"$\none$"] * 2


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
    shown = {text.get_position(): text.get_text() for text in ax.texts}
    assert shown == {(1, 0): "1\n±0.1", (1, 1): "2\n±0.2", (0, 1): "3\n±0.3", (0, 0): "4"}
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
    with pytest.raises(TypeError, match="heat_map: column 'rate' must hold numbers; got <U"):
        plots.heat_map({**GRID, "rate": list("abcde")}, "rate", "decay")
    with pytest.raises(ValueError, match="one number per setting"):
        plots.heat_map({**GRID, "standard_error": [0.1]}, "rate", "decay")
