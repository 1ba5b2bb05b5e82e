"""Decision boundaries and loss surfaces: what is drawn and refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import DRAWN, LABELS, PATHS, POINTS, wide_bowl
from matplotlib.colors import to_hex

import fnn
from fnn import plots

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


def test_names_may_be_an_array():
    names = np.array(["no", "yes"])
    ax = plots.decision_boundary(
        lambda _, x: x[:, 0] - 0.5, None, POINTS, LABELS, names=names, resolution=5
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no", "yes"]


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


def test_no_two_of_many_paths_look_alike():
    paths = {str(number): np.eye(2) * (number + 1) for number in range(20)}
    ax = plots.loss_surface(wide_bowl, np.zeros(2), paths=paths, resolution=3)
    ends = [line for line in ax.get_lines() if line.get_label() in paths]
    assert len({(line.get_color(), line.get_marker()) for line in ends}) == len(ends) == 20


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
