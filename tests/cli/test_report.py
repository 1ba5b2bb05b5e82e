"""The report, and the model behind it, without a training."""

import re

import jax
import numpy as np
import pyarrow as pa
import pytest
from small_tables import people

from fnn.__main__ import main
from fnn.cli import sections
from fnn.cli.learning import network_of, scores_of
from fnn.cli.model import TableModel, load_model, save_model
from fnn.cli.report import Picture, Section, as_html, as_text
from fnn.cli.task import task_of

KEY = jax.random.key(0)
SECTIONS = [
    Section("First & last", ["One <b>line</b>.", "Another."]),
    Section("Table", [], {"what": ["a", "long one"], "how many": ["1,000", "2"]}),
]


def test_text_is_aligned_in_columns():
    assert as_text(SECTIONS) == (
        "First & last\n  One <b>line</b>.\n  Another.\n\n"
        "Table\n  what      how many\n  a            1,000\n  long one         2"
    )


def test_texts_are_escaped_on_the_page():
    page = as_html("a < b", SECTIONS)
    assert "<title>a &lt; b</title>" in page
    assert "<h2>First &amp; last</h2>" in page
    assert "<p>One &lt;b&gt;line&lt;/b&gt;.</p>" in page
    assert "<tr><td>long one</td><td>2</td></tr>" in page
    assert not re.search("<b>|a < b", page)


def test_a_picture_is_drawn_on_light_and_on_dark_paper():
    faces = []
    picture = Picture(lambda ax: faces.append(ax.get_facecolor()), (1, 1), 'the "picture"')
    page = as_html("title", [Section("Picture", picture=picture)])
    assert [sum(face[:3]) for face in faces] == [pytest.approx(3), pytest.approx(0.23, abs=0.1)]
    assert 'alt="the &quot;picture&quot;"' in page


@pytest.fixture(scope="module")
def untrained():
    """Tasks of both kinds, each with a model that has learnt nothing."""
    table = pa.Table.from_pylist(people(200)).drop_columns(["planet", "nothing"])
    found = {}
    for target in ("ill", "age"):
        task = task_of(table, target, key=KEY)
        net = network_of(task, (3,))
        found[target] = task, TableModel(net, net.init(KEY), task.encoder)
    return found


def test_scores_are_those_of_the_rows_to_test_on(untrained):
    task, model = untrained["ill"]
    scores = scores_of(task, model)
    right = scores.outputs.argmax(axis=1) == task.test.y
    assert scores.network["accuracy"] == pytest.approx(right.mean())
    share = (task.test.y == np.bincount(task.train.y).argmax()).mean()
    assert scores.baseline["accuracy"] == pytest.approx(share)
    assert scores.baseline["ROC AUC"] == 0.5
    assert np.trace(scores.confusion) == right.sum()

    task, model = untrained["age"]
    scores = scores_of(task, model)
    errors = model.net.apply(model.params, task.test.x)[:, 0] - task.test.y
    assert scores.network["RMSE"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    assert scores.baseline["MAE"] == pytest.approx(
        np.abs(task.test.y - task.train.y.mean()).mean(), rel=1e-5
    )


@pytest.mark.parametrize("target", ["ill", "age"])
def test_a_network_that_is_no_better_than_the_baseline_is_called_so(target, untrained):
    task, model = untrained[target]
    scores = scores_of(task, model)
    worse = scores._replace(network=scores.baseline)
    better = dict(scores.baseline)
    better[next(iter(better))] += -0.1 if target == "age" else 0.1
    for given, is_worse in ((worse, True), (scores._replace(network=better), False)):
        text = as_text([sections._test(task, given)])
        assert ("The network is no better than that" in text) == is_worse


@pytest.mark.parametrize("target", ["ill", "age"])
def test_a_saved_model_has_the_same_bits(target, untrained, tmp_path):
    task, model = untrained[target]
    save_model(tmp_path / "model.fnn", model)
    loaded = load_model(tmp_path / "model.fnn")
    assert loaded.encoder == model.encoder
    np.testing.assert_array_equal(loaded.outputs(task.test.x), model.outputs(task.test.x))
    assert not np.array_equal(loaded.outputs(task.test.x)[0], loaded.outputs(task.test.x)[1])


def test_a_category_of_digits_is_read_as_one_in_a_new_table(tmp_path, capsys):
    codes = pa.table({"code": ["1", "2", "a"] * 10, "y": [True, False, True] * 10})
    task = task_of(codes, "y", key=KEY)
    net = network_of(task, (3,))
    save_model(tmp_path / "model.fnn", TableModel(net, net.init(KEY), task.encoder))
    (tmp_path / "new.csv").write_text("code\n1\n2\n")
    main(["predict", str(tmp_path / "model.fnn"), str(tmp_path / "new.csv")])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "y,probability of False,probability of True"
    assert len(lines) == 2


def test_more_than_two_classes_have_no_roc_auc():
    y = ["a", "b", "c"] * 20
    task = task_of(pa.table({"x": np.arange(60.0), "y": y}), "y", key=KEY)
    net = network_of(task, (3,))
    scores = scores_of(task, TableModel(net, net.init(KEY), task.encoder))
    assert list(scores.network) == ["accuracy", "F1 (macro)"]
    assert scores.confusion.shape == (3, 3)
