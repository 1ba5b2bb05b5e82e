"""Cross-validation as lanes: each is the single run on its rows, judged on rows it never saw."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 3)).astype(np.float32)
LABELS = np.asarray(X @ RANDOM.normal(size=(3, 3))).argmax(axis=1)
WEIGHTS = RANDOM.uniform(0.5, 2, 30).astype(np.float32)
NET = fnn.mlp((3, 8, 3), activation="tanh")
LOSS = fnn.softmax_cross_entropy
RATES = np.array([0.003, 0.03])
HALVES = [(np.arange(10), np.arange(10, 30)), (np.arange(10, 30), np.arange(10))]
METRICS = {"accuracy": fnn.accuracy, "f1": functools.partial(fnn.f1, average="macro")}


def cross_validate(data=(X, LABELS), optimizer=None, **options):
    optimizer = fnn.adam(RATES) if optimizer is None else optimizer
    options = {"key": jax.random.key(3), "folds": 3, "epochs": 4, "batch_size": 8, **options}
    return fnn.cross_validate(NET, LOSS, optimizer, data, progress=False, **options)


def single(cv, lane, data, options=lambda split: {}):
    """The run of a lane by `fit`, on the rows of its fold, and its outputs for those held out."""
    setting, rest = divmod(lane, len(cv) // cv.settings)
    repeat, fold = divmod(rest, len(cv.splits[0]))
    split = cv.splits[repeat][fold]
    run = fnn.fit(
        NET, LOSS, fnn.adam(RATES[setting]), tuple(part[split.train] for part in data),
        key=cv.keys[lane], order_key=cv.order_key, epochs=4, batch_size=8, **options(split),
    )  # fmt: skip
    return split, run, NET.apply(run.best_params, jnp.asarray(X[split.test]))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_lanes_are_single_runs_on_the_rows_of_their_folds(x64, weights):
    data = (X, LABELS) if weights is None else (X, LABELS, weights)
    cv = cross_validate(data, repeats=2, metrics=METRICS)
    assert len(cv) == 12
    of_rows = [np.full((30, 3), np.nan) for _ in range(4)]
    for lane in range(12):
        split, run, outputs = single(cv, lane, data)
        held_out = tuple(part[split.test] for part in data)
        for ours, theirs in zip(
            jax.tree.leaves(cv.lane(lane).params), jax.tree.leaves(run.params), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        expected = fnn.evaluate(NET, run.best_params, held_out, METRICS | {"loss": LOSS})
        for name, value in expected.items():
            np.testing.assert_allclose(cv.scores[f"test_{name}"][lane], value, rtol=1e-6)
        of_rows[lane // 3][split.test] = outputs
    for index, expected in enumerate(of_rows):
        setting, repeat = divmod(index, 2)
        np.testing.assert_allclose(cv.out_of_fold(setting, repeat), expected, rtol=1e-6)


def test_folds_of_unequal_size_are_padded_by_rows_that_do_not_count(x64):
    """A lane is the run with that row given twice, the second time with weight 0."""
    cv = cross_validate((X[:29], LABELS[:29]))
    assert [len(split.train) for split in cv.splits[0]] == [19, 19, 20]
    split = cv.splits[0][0]
    rows = np.append(split.train, split.train[-1])
    run = fnn.fit(
        NET, LOSS, fnn.adam(RATES[0]), (X[rows], LABELS[rows], np.arange(20) < 19),
        key=cv.keys[0], order_key=cv.order_key, epochs=4, batch_size=8,
    )  # fmt: skip
    np.testing.assert_allclose(cv.params[0].weight[0], run.params[0].weight, rtol=1e-9)
    assert np.isfinite(cv.out_of_fold()).all()


def test_held_out_rows_do_not_touch_training(x64):
    """Nonsense in the held-out rows of a fold changes its score, and nothing else of it."""
    before = cross_validate(stop=fnn.early_stopping(patience=2))
    held_out = before.splits[0][1].test
    x = X.copy()
    x[held_out] = 1e3
    after = cross_validate((x, LABELS), stop=fnn.early_stopping(patience=2))
    for lane in (1, 4):
        np.testing.assert_array_equal(after.params[0].weight[lane], before.params[0].weight[lane])
        assert after.best_epoch[lane] == before.best_epoch[lane]
        assert after.scores["test_loss"][lane] != before.scores["test_loss"][lane]
    assert (after.params[0].weight[0] != before.params[0].weight[0]).any(), "others train on them"


def test_a_stopping_rule_watches_rows_of_the_training_part(x64):
    stop = fnn.early_stopping(patience=1)
    cv = cross_validate(stop=stop, metrics=METRICS, stratify=True)
    assert [len(split.validation) for split in cv.splits[0]] == [4, 4, 4]
    assert {"validation_loss", "validation_accuracy", "validation_f1"} < cv.history.keys()

    def options(split):
        validation = X[split.validation], LABELS[split.validation]
        return {"validation": validation, "metrics": METRICS, "stop": stop}

    for lane in (0, 5):
        _, run, _ = single(cv, lane, (X, LABELS), options=options)
        np.testing.assert_allclose(
            cv.history["validation_loss"][lane], run.history["validation_loss"], rtol=1e-6
        )
        assert cv.epochs[lane] == run.epochs


@pytest.mark.long
def test_validation_can_be_the_held_out_rows_or_none():
    cv = cross_validate(validation="held_out", stop=fnn.early_stopping(patience=9))
    np.testing.assert_allclose(
        cv.scores["test_loss"], cv.history["validation_loss"].min(axis=1), rtol=1e-5
    )
    cv = cross_validate(stop=fnn.early_stopping(patience=9), monitor="loss")
    assert "validation_loss" not in cv.history
    assert len(cross_validate(validation=7).splits[0][0].validation) == 7


def test_labels_in_a_column_are_labels():
    flat, column = (cross_validate((X, y), stratify=True) for y in (LABELS, LABELS[:, None]))
    assert flat.scores["test_loss"].tolist() == column.scores["test_loss"].tolist()


def test_tables_have_settings_repeats_and_folds():
    cv = cross_validate(repeats=2, metrics=METRICS, score="accuracy", labels={"name": ["a", "b"]})
    table = cv.table()
    assert table["fold"].tolist() == [0, 1, 2] * 4
    assert table["repeat"].tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert table["name"].tolist() == ["a"] * 6 + ["b"] * 6
    assert not [name for name in table if name.startswith(("data", "validation")) or name == "seed"]
    summary = cv.summary()
    np.testing.assert_allclose(summary["learning_rate"], RATES)
    assert summary["count"].tolist() == [6, 6]
    of_settings = table["test_accuracy"].reshape(2, 6).astype(float)
    np.testing.assert_allclose(summary["mean"], of_settings.mean(axis=1))
    np.testing.assert_allclose(summary["standard_deviation"], of_settings.std(axis=1, ddof=1))
    assert cv.best_setting == of_settings.mean(axis=1).argmax()
    assert "Cross-validation of 2 settings over optimizer.learning_rate, name, 2 x 3 folds" in repr(
        cv
    )
    assert repr(cv).splitlines()[2].split()[0] == str(cv.best_setting)


def test_keys_of_settings_are_seeds():
    cv = cross_validate(key=jax.random.split(jax.random.key(0), 2))
    assert cv.table()["seed"].tolist() == [0, 0, 0, 1, 1, 1]
    first = cv.params[0].weight
    assert (first[0] != first[3]).any()
    one = cross_validate(optimizer=fnn.adam(0.01))
    assert one.settings == 1
    assert one.summary()["count"].tolist() == [3]


def test_the_best_setting_is_trained_on_all_rows(x64):
    cv = cross_validate(refit=True, metrics=METRICS, stop=fnn.early_stopping(patience=3))
    assert cv.best().history["validation_accuracy"].shape == (4,)
    assert cv.net == NET
    plain = cross_validate(refit=True, batch_size=30)
    rate = RATES[plain.best_setting]
    run = fnn.fit(NET, LOSS, fnn.adam(rate), (X, LABELS), epochs=4, batch_size=30,
                  key=jax.random.split(jax.random.key(3), 4)[3])  # fmt: skip
    np.testing.assert_allclose(plain.best().params[0].weight, run.params[0].weight, rtol=1e-9)
    with pytest.raises(ValueError, match="must have refit=True"):
        dataclasses.replace(plain, refit=None).best()


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": fnn.sgd(np.array([1e30, 1e32]))},
        {"folds": "leave_one_out", "metrics": {"r2": fnn.r2}, "score": "r2"},
    ],
)
def test_where_no_setting_is_the_best_there_is_still_a_result(options):
    x = X[:6]
    cv = fnn.cross_validate(
        fnn.mlp((3, 1)), fnn.squared_error, data=(x, x[:, 0]), key=jax.random.key(0), epochs=4,
        refit=True, progress=False, **{"optimizer": fnn.sgd(RATES), "folds": 2, **options},
    )  # fmt: skip
    assert cv.refit is None
    assert repr(cv).splitlines()[2].split()[2:5] == ["0", str(len(cv) // 2), "nan"]
    with pytest.raises(ValueError, match="best_setting: a setting must have a score in each fold"):
        cv.best_setting  # noqa: B018
    with pytest.raises(ValueError, match=r"best: .*a best setting; got no run on all rows"):
        cv.best()


FOUR = fnn.adam(np.array([0.001, 0.003, 0.03, 0.1]))


def test_halving_ends_all_folds_of_a_setting_by_their_mean():
    whole = cross_validate(optimizer=FOUR, validation=0.3)
    halved = cross_validate(optimizer=FOUR, halving=fnn.halving(2, factor=2), validation=0.3,
                            refit=True)  # fmt: skip
    at_two = whole.history["validation_loss"][:, :2].min(axis=1).reshape(4, 3).mean(axis=1)
    kept = np.sort(np.argsort(at_two)[:2])
    assert halved.dropped_at.reshape(4, 3)[kept].tolist() == [[-1] * 3] * 2
    others = np.setdiff1d(np.arange(4), kept)
    assert halved.dropped_at.reshape(4, 3)[others].tolist() == [[2] * 3] * 2
    for name, scores in whole.scores.items():
        ours, theirs = (values.reshape(4, 3)[kept] for values in (halved.scores[name], scores))
        np.testing.assert_array_equal(ours, theirs)
    means = whole.scores["test_loss"].reshape(4, 3).mean(axis=1)
    assert halved.best_setting == kept[np.argmin(means[kept])]
    assert halved.best().epochs == 4


def test_an_ended_setting_is_not_the_best_however_good_its_score():
    cv = cross_validate(optimizer=FOUR, halving=fnn.halving(2, factor=2))
    assert len(cv.splits[0][0].validation) > 0, "halving has validation rows, as stopping has"
    lowest = np.where(cv.dropped_at >= 0, 0.0, cv.scores["test_loss"])
    better = dataclasses.replace(cv, scores={"test_loss": lowest})
    assert better.dropped_at.reshape(4, 3)[better.best_setting].tolist() == [-1] * 3
    first = repr(better).splitlines()[2].split()
    assert int(first[0]) == better.best_setting, "the best setting is shown first"


def test_a_cross_validation_that_was_ended_continues_to_the_same_bits(tmp_path):
    options = {"checkpoint": tmp_path / "cv", "every": 1, "refit": True}
    part = cross_validate(callback=lambda done, latest: True, **options)
    assert not part.finished.any()
    assert part.refit is None
    rest, whole = cross_validate(**options), cross_validate(refit=True)
    for ours, theirs in zip(
        jax.tree.leaves((rest.params, rest.scores, rest.best().params)),
        jax.tree.leaves((whole.params, whole.scores, whole.best().params)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_runs_continue_from_a_state_and_take_a_batch_order():
    order = jax.random.key(8)
    whole = cross_validate(order_key=order)
    part = cross_validate(order_key=order, epochs=3)
    rest = cross_validate(state=part.state, epochs=1)
    for ours, theirs in zip(
        jax.tree.leaves(rest.params), jax.tree.leaves(whole.params), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(rest.scores["test_loss"], whole.scores["test_loss"])
    assert not np.array_equal(whole.params[0].weight, cross_validate().params[0].weight)
    with pytest.raises(ValueError, match="refit must be False"):
        cross_validate(state=part.state, epochs=1, refit=True)


def test_a_setting_with_a_diverged_fold_is_not_the_best():
    cv = cross_validate(optimizer=fnn.sgd(np.array([3e38, 1e-3])))
    assert (np.asarray(cv.diverged_at)[:3] >= 0).all()
    assert cv.best_setting == 1


def test_given_folds_that_hold_rows_out_twice_or_never():
    folds = [(np.arange(10), np.arange(10, 20)), (np.arange(10), np.arange(15, 25))]
    cv = cross_validate(folds=folds, allow_incomplete=True, optimizer=fnn.adam(0.01))
    outputs = cv.out_of_fold()
    assert np.isnan(outputs[:10]).all()
    assert np.isnan(outputs[25:]).all()
    one, other = (NET.apply(cv.lane(i).best_params, jnp.asarray(X[15:20])) for i in (0, 1))
    np.testing.assert_allclose(outputs[15:20], (one + other) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "f1"}, "score must be 'loss' or one of metrics: ; got 'f1'"),
        (
            {"metrics": {"f1": functools.partial(fnn.f1, average=None)}, "score": "f1"},
            r"score 'f1' must be one number; got shape \(3,\)",
        ),
        ({"folds": [(np.arange(5), np.arange(5, 30))]}, "in one fold"),
        ({"validation": "test"}, "validation must be a share of the rows"),
        ({"validation": 1.5}, r"validation must be a share in \(0, 1\)"),
        ({"validation": "held_out", "refit": True}, "rows of its own"),
        ({"labels": {"fold": [1, 2]}}, "labels must have names of their own; got 'fold'"),
        ({"labels": {"a": [1, 2, 3]}}, r"one value per setting \(2,\)"),
        ({"stratify": np.zeros(3)}, r"stratify must be labels of the rows, \(30,\)"),
        (
            {"groups": np.array([None, "a", "b"] * 10)},
            "groups must be labels that can be sorted; got NoneType and str",
        ),
        ({"repeats": 0}, "repeats"),
        ({"data": (X, LABELS, fnn.lanes(np.ones((2, 30))))}, "data must be shared"),
        ({"metrics": {"own": lambda outputs, targets: outputs.sum()}, "score": "own"}, "better"),
        ({"key": jax.random.split(jax.random.key(0), 3)}, "one length"),
        ({"data": (X, np.repeat([0, 1, 2], [1, 14, 15]))}, "none of class 0 in fold"),
        ({"data": (X, np.repeat([[0], [1], [2]], [1, 14, 15], axis=0))}, "none of class 0 in"),
        ({"data": (X, np.arange(30) == 0)}, "none of class True in fold"),
        (
            {"data": (X, LABELS, np.arange(30) > 0), "folds": "leave_one_out"},
            "weights of the rows of each part must not all be 0; got only 0 in test of fold",
        ),
        (
            {"data": (X, LABELS, np.arange(30) < 10), "folds": HALVES},
            "must not all be 0; got only 0 in test of fold 0",
        ),
        (
            {"data": (X, LABELS, np.arange(30) < 10), "folds": HALVES[::-1]},
            "must not all be 0; got only 0 in train of fold 0",
        ),
    ],
)
def test_what_cannot_be_cross_validated_is_refused_before_anything_is_trained(
    options, message, monkeypatch
):
    trained = "fnn.cross_validation.cross_validate.sweep"
    monkeypatch.setattr(trained, lambda **_: pytest.fail("it trains"))
    with pytest.raises((ValueError, TypeError), match=message):
        cross_validate(**options)
