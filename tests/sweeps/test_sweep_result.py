"""What a sweep returns, and the mistakes it tells of."""

import functools
import itertools
import re

import jax
import numpy as np
import pytest
from small_sweeps import DATA, KEY, LABELS, NET, RATES, WEIGHTS, X, assert_same_bits, single, sweep

import fnn

# ---- the result


def classified(**options):
    grid = fnn.product(learning_rate=[1e-3, 1e-1, 3e38], seed=range(3))
    keys = jax.vmap(jax.random.key)(grid["seed"])
    return sweep(
        loss=fnn.softmax_cross_entropy, data=(X[:40], LABELS[:40]), key=keys,
        optimizer=fnn.sgd(grid["learning_rate"]), validation=(X[40:], LABELS[40:]),
        metrics={"accuracy": fnn.accuracy,
                 "recalls": functools.partial(fnn.recall, average=None)},
        **options,
    )  # fmt: skip


def test_product_is_the_grid_of_itertools():
    grid = fnn.product(a=[1, 2], b=("x", "y", "z"), c=[(1, 2), (3, 4)])
    rows = list(itertools.product([1, 2], "xyz", [(1, 2), (3, 4)]))
    assert list(grid) == ["a", "b", "c"]
    assert grid["a"].tolist() == [row[0] for row in rows]
    assert grid["b"].tolist() == [row[1] for row in rows]
    assert grid["c"].tolist() == [list(row[2]) for row in rows]


def test_a_sweep_is_shown_by_its_best_lanes():
    runs = classified()
    lines = str(runs).splitlines()
    assert repr(runs) == str(runs)
    assert lines[0] == (
        "Sweep of 9 lanes over optimizer.learning_rate, seed (3 diverged). "
        "The best by validation_loss:"
    )
    names = ["lane", "optimizer.learning_rate", "seed", "best_validation_loss"]
    assert lines[1].split() == [*names, "best_epoch", "epochs"]
    best = np.argsort(np.where(runs.diverged_at < 0, runs.state.best_value["validation_loss"], 1e9))
    assert [int(line.split()[0]) for line in lines[2:]] == best[:5].tolist()
    table = runs.table()
    for line, lane in zip(lines[2:], best, strict=False):
        assert float(line.split()[1]) == table["learning_rate"][lane]
        assert line.split()[3] == f"{table['best_validation_loss'][lane]:.4g}"
    html = runs._repr_html_()
    assert html.startswith(f"<p>{lines[0]}</p>\n<table>")
    assert html.count("<tr>") == 6
    assert "style" not in html


def test_a_sweep_by_a_monitor_whose_higher_values_are_better_shows_the_highest():
    runs = classified(monitor="validation_accuracy", halving=fnn.halving(1, factor=2))
    lines = str(runs).splitlines()
    assert "diverged" in lines[0]
    assert "dropped by halving" in lines[0]
    shown = [float(line.split()[3]) for line in lines[2:]]
    assert shown == sorted(shown, reverse=True)
    assert int(lines[2].split()[0]) == np.nanargmax(runs._reached(None) * -1)


def test_the_table_has_a_row_per_lane():
    runs = classified(labels={"kind": np.array(list("abcdefghi"))})
    table = runs.table()
    assert all(type(column) is np.ndarray and column.shape == (9,) for column in table.values())
    assert list(table) == [
        "optimizer.learning_rate", "kind", "seed", "loss", "validation_accuracy",
        "validation_loss", "validation_recalls[0]", "validation_recalls[1]",
        "best_validation_loss", "best_epoch", "epochs", "diverged_at",
    ]  # fmt: skip
    assert table["learning_rate"].tolist() == [1e-3] * 3 + [1e-1] * 3 + [3e38] * 3
    assert table["seed"].tolist() == [0, 1, 2] * 3
    for lane in range(6):
        run = runs.lane(lane)
        assert table["loss"][lane] == run.history["loss"][-1]
        assert table["validation_recalls[1]"][lane] == run.history["validation_recalls"][-1, 1]
        best = run.history["validation_loss"].min()
        assert table["best_validation_loss"][lane] == best
    assert (table["diverged_at"] >= 0).tolist() == [False] * 6 + [True] * 3
    with pytest.raises(KeyError, match=r"must be, or end, the name of one column.*'rate'"):
        table["rate"]
    assert "1e-03" in str(table) or "0.001" in str(table)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_are_read_as_they_are(library):
    frames = pytest.importorskip(library)
    table = sweep(optimizer=fnn.adam(RATES), labels={"name": ["a", "b", "c"]}).table()
    frame = frames.DataFrame(table)
    assert list(frame.columns) == list(table)
    assert len(frame) == 3
    assert list(frame["optimizer.learning_rate"]) == RATES.tolist()


def test_ends_of_names_must_be_unique():
    optimizer = fnn.chain(fnn.clip_by_global_norm(RATES), fnn.clip_by_global_norm(RATES))
    table = sweep(optimizer=fnn.chain(*optimizer.optimizers, fnn.sgd(0.1))).table()
    assert np.array_equal(table["optimizers.0.max_norm"], RATES)
    with pytest.raises(KeyError, match=r"which ends optimizer\.optimizers\.0\.max_norm and"):
        table["max_norm"]


def test_the_best_lane_is_the_best_by_any_monitor():
    runs = classified(monitor="validation_accuracy")
    table = runs.table()
    assert float(runs.best().state.best_value["validation_accuracy"]) == np.nanmax(
        table["best_validation_accuracy"]
    )
    lowest = np.nanmin(np.where(runs.epochs[:, None] > 0, runs.history["loss"], np.nan))
    assert runs.best("loss").history["loss"].min() == lowest
    with pytest.raises(ValueError, match="must be recorded: one of loss"):
        runs.best("accuracy")
    with pytest.raises(ValueError, match="must be one number"):
        runs.best("validation_recalls")
    with pytest.raises(IndexError, match=r"from -9 to 8; got 9"):
        runs.lane(9)
    with pytest.raises(IndexError, match=r"from -9 to 8; got True"):
        runs.lane(True)
    assert_same_bits(runs.lane(-1), runs.lane(8))


def test_the_summary_is_mean_and_spread_over_seeds():
    runs = classified()
    summary = runs.summary()
    assert list(summary) == ["optimizer.learning_rate", "count", "diverged", "mean",
                             "standard_deviation", "standard_error"]  # fmt: skip
    best = runs.table()["best_validation_loss"].reshape(3, 3)[:2].astype(float)
    assert summary["count"].tolist() == [3, 3, 0]
    assert summary["diverged"].tolist() == [0, 0, 3]
    np.testing.assert_allclose(summary["mean"][:2], best.mean(axis=1))
    np.testing.assert_allclose(summary["standard_deviation"][:2], best.std(axis=1, ddof=1))
    np.testing.assert_allclose(summary["standard_error"][:2], best.std(axis=1, ddof=1) / np.sqrt(3))
    assert np.isnan(summary["mean"][2])
    assert "one order" in summary.note
    assert classified(shared_order=False).summary().note == ""
    by_seed = runs.summary(by="seed", over="learning_rate", value="validation_accuracy")
    accuracy = runs.table()["validation_accuracy"].reshape(3, 3)[:2].mean(axis=0)
    np.testing.assert_allclose(by_seed["mean"], accuracy, rtol=1e-6)
    assert by_seed["seed"].tolist() == [0, 1, 2]


def test_predict_is_the_mean_and_spread_of_lanes_that_did_not_diverge(monkeypatch):
    monkeypatch.setattr("fnn.sweeps.result._AT_ONCE", 4)
    runs = classified()
    outputs = np.stack([NET.apply(runs.lane(lane).best_params, X) for lane in range(6)])
    mean, spread = runs.predict(X)
    np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(spread, outputs.std(axis=0), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="must not have diverged"):
        sweep(optimizer=fnn.sgd(np.array([1e30, 1e31]))).predict(X)


def test_predict_uses_each_lanes_own_network():
    active = np.array([[8], [2]])
    runs = sweep(fnn.mlp((3, 8, 2), active=active), key=jax.random.split(KEY, 2))
    each = [
        fnn.mlp((3, 8, 2), active=active[lane]).apply(runs.lane(lane).best_params, X)
        for lane in range(2)
    ]
    np.testing.assert_allclose(runs.predict(X)[0], np.mean(each, axis=0), rtol=1e-5, atol=1e-6)


# ---- widths


def test_what_padding_costs_is_told_and_much_of_it_must_be_meant():
    net = fnn.mlp((3, 8, 2), active=np.array([[8], [4]]))
    assert sweep(net).padding == pytest.approx(2 * 40 / (40 + 20))
    assert sweep(optimizer=fnn.adam(RATES)).padding == 1
    net = fnn.mlp((3, 16, 2), active=np.array([[1], [2]]))
    with pytest.raises(ValueError, match=r"padding must cost at most 4 times.*; got 10.7 times"):
        sweep(net)
    assert sweep(net, allow_padding=True).padding == pytest.approx(32 / 3)


# ---- mistakes

MISTAKES = {
    "nothing is swept": (lambda: sweep(), ValueError, "something must be swept"),
    "lengths differ": (
        lambda: sweep(optimizer=fnn.adam(RATES, b1=RATES[:2])), ValueError,
        r"one length; got optimizer.learning_rate: 3, optimizer.b1: 2",
    ),
    "keys of another length": (
        lambda: sweep(optimizer=fnn.adam(RATES), key=jax.random.split(KEY, 2)), ValueError,
        r"got optimizer.learning_rate: 3, key: 2",
    ),
    "in a loss": (
        lambda: sweep(optimizer=fnn.adam(RATES),
                      loss=functools.partial(fnn.huber, delta=fnn.lanes([1.0, 2.0]))),
        ValueError, r"got loss.delta: 2, optimizer.learning_rate: 3",
    ),
    "a lane's value is out of range": (
        lambda: sweep(loss=functools.partial(fnn.softmax_cross_entropy,
                                             label_smoothing=fnn.lanes([0.1, 0.2, 1.5])),
                      data=(X[:40], LABELS[:40])),
        ValueError, r"label_smoothing.*1.5",
    ),
    "a lane's weights are negative": (
        lambda: sweep(data=(*DATA, fnn.lanes(-WEIGHTS))), ValueError, "weights of data",
    ),
    "two axes more": (
        lambda: sweep(optimizer=fnn.Adam(np.ones((2, 2)), 0.9, 0.999, 1e-8)), ValueError,
        "something must be swept",
    ),
    "no key": (lambda: sweep(optimizer=fnn.adam(RATES), key=None), TypeError, "one PRNG key"),
    "no lanes": (lambda: sweep(optimizer=fnn.adam(RATES[:0])), ValueError, "at least one lane"),
    "labels of another length": (
        lambda: sweep(optimizer=fnn.adam(RATES), labels={"seed": [1, 2]}), ValueError,
        r"one value per lane \(3,\); got 'seed' of shape \(2,\)",
    ),
    "labels that are none": (
        lambda: sweep(optimizer=fnn.adam(RATES), labels=[1, 2, 3]), TypeError, "labels must be",
    ),
    "a label of a column's name": (
        lambda: sweep(optimizer=fnn.adam(RATES), labels={"optimizer.learning_rate": RATES}),
        ValueError, "names of their own",
    ),
    **{
        f"a label of the result's column {name}": (
            lambda name=name: sweep(optimizer=fnn.adam(RATES), labels={name: ["a", "b", "c"]}),
            ValueError, f"names of their own; got '{name}'",
        )
        for name in ("loss", "best_loss", "best_epoch", "epochs", "diverged_at", "count", "mean")
    },
    "halving that is none": (
        lambda: sweep(optimizer=fnn.adam(RATES), halving=3), TypeError, "halving must be",
    ),
    "no lanes at once": (
        lambda: sweep(optimizer=fnn.adam(RATES), at_once=0), ValueError, "at_once must be",
    ),
    "a state of another network": (
        lambda: sweep(optimizer=fnn.adam(RATES), key=None,
                      state=single(fnn.mlp((3, 4, 2)), epochs=1).state),
        ValueError, "state must have the structure",
    ),
    "lanes of nothing": (lambda: fnn.lanes(1.0), ValueError, r"shape \(lanes, ...\)"),
    "lanes of strings": (lambda: fnn.lanes(["a", "b"]), TypeError, "numbers, bools or keys"),
    "a product of nothing": (lambda: fnn.product(), ValueError, "at least one column"),
    "an empty column": (lambda: fnn.product(a=[]), ValueError, "at least one value"),
    "a column that is a number": (lambda: fnn.product(a=3), ValueError, "at least one value"),
    "a product of keys": (
        lambda: fnn.product(a=jax.random.split(jax.random.key(0), 2)), TypeError,
        r"product: a must hold what NumPy can hold .*; got key<fry> of shape \(2,\)",
    ),
    "labels that are keys": (
        lambda: sweep(optimizer=fnn.adam(RATES), labels={"a": jax.random.split(KEY, 3)}), TypeError,
        r"sweep: 'a' of labels must hold what NumPy can hold .*; got key<fry> of shape \(3,\)",
    ),
    "a factor that keeps all": (lambda: fnn.halving(2, factor=1), ValueError, "factor must be"),
    "no epochs before the first rung": (lambda: fnn.halving(0), ValueError, "min_epochs"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_words(mistake):
    action, error, words = MISTAKES[mistake]
    with pytest.raises(error, match=words):
        action()


def test_no_label_takes_the_name_of_a_column_of_the_tables():
    runs = sweep(optimizer=fnn.adam(RATES))
    columns = {*runs.table(), *runs.summary(over="optimizer.learning_rate")}
    assert {"loss", "epochs", "standard_error"} < columns
    for name in columns:
        with pytest.raises(ValueError, match=f"names of their own; got '{re.escape(name)}'"):
            sweep(optimizer=fnn.adam(RATES), labels={name: ["a", "b", "c"]})


def test_it_says_that_it_cannot_be_transformed():
    with pytest.raises(ValueError, match="must be known, as it runs on the host"):
        jax.jit(lambda rate: sweep(optimizer=fnn.adam(rate)).epochs)(RATES)


def test_fewer_lanes_than_a_rung_needs_leave_one():
    rule = fnn.halving(1, factor=3)
    assert rule.rungs(10) == (1, 3, 9)
    assert rule.kept(np.array([3.0, np.nan, 1.0, 2.0])).tolist() == [False, False, True, True]
    assert rule.kept(np.array([3.0])).tolist() == [True]
