"""Metrics of several labels a row against scikit-learn's, which define them."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from metric_cases import CLASS_METRICS, ROWS, differing

import fnn
from fnn import metrics

LABELS = 4
AVERAGES = ("macro", "micro", "weighted", "samples", None)


def all_multilabel(outputs, targets, weights, zero_division=0.0, of_scores=True):
    arguments = outputs, targets, weights
    values = {"accuracy": metrics.accuracy(*arguments, multilabel=True)}
    for average in AVERAGES:
        options = {"average": average, "multilabel": True}
        for name, metric in CLASS_METRICS.items():
            values[f"{name} {average}"] = metric(*arguments, zero_division=zero_division, **options)
        if of_scores:
            values[f"roc_auc {average}"] = metrics.roc_auc(*arguments, **options)
    return values


compiled = jax.jit(all_multilabel, static_argnames="of_scores")


def sklearn_multilabel(scores, predicted, targets, weights, zero_division):
    options = {"sample_weight": weights.astype(np.float64)}
    values = {"accuracy": sk.accuracy_score(targets, predicted, **options)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for average in AVERAGES:
            three = sk.precision_recall_fscore_support(
                targets, predicted, average=average, zero_division=zero_division, **options
            )
            values |= {f"{name} {average}": three[i] for i, name in enumerate(CLASS_METRICS)}
            area = sk.roc_auc_score(targets, scores, average=average, **options)
            values[f"roc_auc {average}"] = area
    return values


def cases(rng):
    """Scores and targets: ordinary ones, and those where something is absent."""
    scores, some = rng.normal(size=(ROWS, LABELS)), rng.integers(0, 2, (ROWS, LABELS))
    of_both = some.copy()
    of_both[:, 0], of_both[:, 1] = rng.permutation([[0, 1]] * ROWS, axis=1).T
    column, row = np.arange(LABELS) == 1, (np.arange(ROWS) < 5)[:, None]
    yield "random", scores, some
    yield "both kinds in each row", scores, of_both
    yield "ties", np.round(scores), of_both
    yield "all right", np.where(some == 1, 1, -1) * abs(scores), some
    yield "all wrong", np.where(some == 1, -1, 1) * abs(scores), some
    yield "a label never true", scores, some * ~column
    yield "a label always true", scores, some | column
    yield "a label never predicted", np.where(column, -1, scores), some
    yield "a label neither", np.where(column, -1, scores), some * ~column
    yield "rows without labels", scores, some * ~row
    yield "rows without labels or predictions", np.where(row, -1, scores), some * ~row
    yield "no labels", scores, 0 * some
    yield "no labels, no predictions", -abs(scores), 0 * some
    yield "nothing but labels", abs(scores), 0 * some + 1


def weightings(rng):
    """Weights, and the value of a division by zero."""
    yield np.ones(ROWS), 0.0
    yield np.ones(ROWS), 1.0
    yield rng.random(ROWS), np.nan
    yield rng.random(ROWS) * (rng.random(ROWS) < 0.6), 1.0
    yield rng.random(ROWS) * (np.arange(ROWS) < 5), np.nan
    yield rng.random(ROWS) * (np.arange(ROWS) >= 5), np.nan


def check_against_sklearn(seed, dtype, tolerance):
    rng = np.random.default_rng(seed)
    for case, scores, targets in cases(rng):
        scores = scores.astype(dtype)
        for weights, zero_division in weightings(rng):
            weights = weights.astype(dtype)
            predicted = (scores > 0).astype(int)
            wide = scores.astype(np.float64), predicted, targets, weights
            expected = sklearn_multilabel(*wide, zero_division)
            actual = compiled(scores, targets, weights, zero_division)
            assert not differing(actual, expected, tolerance), (case, weights, zero_division)
            given = compiled(predicted, targets, weights, zero_division, of_scores=False)
            expected = {name: expected[name] for name in given}
            assert not differing(given, expected, tolerance), (case, weights, zero_division)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_float32_metrics_of_several_labels_equal_sklearns(seed):
    check_against_sklearn(seed, np.float32, 1e-6)


@pytest.mark.parametrize(
    "seed", [3, *[pytest.param(seed, marks=pytest.mark.long) for seed in (4, 5)]]
)
def test_float64_metrics_of_several_labels_equal_sklearns(x64, seed):
    check_against_sklearn(seed, np.float64, 1e-12)


def few(seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(ROWS, LABELS)).astype(np.float32)
    return scores, rng.integers(0, 2, (ROWS, LABELS)), rng.random(ROWS).astype(np.float32)


@pytest.mark.long
def test_they_are_the_same_alone_compiled_and_vmapped():
    scores, targets, weights = few()
    lanes = np.stack([scores, -scores, scores**2])
    mapped = jax.jit(jax.vmap(all_multilabel, in_axes=(0, None, None)))(lanes, targets, weights)
    for i, outputs in enumerate(lanes):
        alone = compiled(outputs, targets, weights)
        assert not differing({name: value[i] for name, value in mapped.items()}, alone)
    assert not differing(all_multilabel(*few()), compiled(*few()))


@pytest.mark.parametrize(
    "kind", [bool, np.uint8, np.int64, np.float32, np.float64, np.ndarray.tolist, jnp.bfloat16]
)
def test_targets_and_predictions_may_be_of_any_kind(kind):
    scores, targets, weights = few()
    expected = compiled(scores, targets, weights)
    held = kind(targets) if kind is np.ndarray.tolist else targets.astype(kind)
    assert not differing(all_multilabel(scores, held, weights), expected)
    if not isinstance(held, list) and held.dtype.kind in "biu":
        predicted = (scores > 0).astype(kind)
        given = all_multilabel(predicted, held, weights, of_scores=False)
        assert not differing(given, {name: expected[name] for name in given})


def test_samples_alone_says_that_a_row_has_several_labels():
    scores, targets, weights = few()
    for metric in (*CLASS_METRICS.values(), metrics.roc_auc):
        measure = partial(metric, scores, targets, weights, average="samples")
        assert np.array_equal(measure(), measure(multilabel=True), equal_nan=True)


def test_one_label_a_row_of_one_column_is_a_class_of_its_own():
    scores, targets, weights = few()
    one = scores[:, :1], targets[:, :1], weights
    expected = metrics.f1(*one)
    assert metrics.f1(*one, average="macro", multilabel=True) == expected
    assert metrics.accuracy(*one, multilabel=True) == metrics.accuracy(*one)
    assert metrics.roc_auc(*one, multilabel=True) == metrics.roc_auc(*one)


def test_one_hot_targets_are_distributions_unless_they_are_said_to_be_labels():
    scores = np.array([[1, 2], [2, 1], [-1, -2], [1, 3]], np.float32)
    targets = np.eye(2)[[1, 0, 0, 0]]
    assert metrics.accuracy(scores, targets) == 0.75
    assert metrics.accuracy(scores, targets, multilabel=True) == 0


def test_each_label_is_split_at_the_threshold():
    scores, targets, weights = few()
    measure = jax.jit(partial(metrics.f1, average="micro", multilabel=True))
    for threshold in (-0.5, 0.25):
        expected = sk.f1_score(
            targets, scores > threshold, average="micro", sample_weight=weights.astype(np.float64)
        )
        actual = float(measure(scores, targets, weights, threshold=threshold))
        assert actual == pytest.approx(expected, abs=1e-6)


def test_what_is_unsound_makes_every_result_nan():
    scores, targets, weights = few()
    spoilt = scores.copy()
    spoilt[2, 1] = np.nan
    wrong = targets.copy()
    wrong[2, 1] = 2
    for arguments in [
        (spoilt, targets, weights), (spoilt, 0 * targets, weights), (scores, wrong, weights),
        (scores, targets, 0 * weights), (scores, np.float32(targets) * 0.75, weights),
    ]:  # fmt: skip
        assert all(np.isnan(value).all() for value in compiled(*arguments).values())
    given = compiled(wrong, targets, weights, of_scores=False)
    assert all(np.isnan(value).all() for value in given.values())


def test_long_float32_sums_of_rows_keep_their_digits():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(60_000, 2)).astype(np.float32)
    targets = (scores + rng.normal(size=scores.shape) > 0).astype(int)
    weights = np.full(len(scores), 0.1, np.float32)
    actual = jax.jit(partial(metrics.f1, average="samples"))(scores, targets, weights)
    expected = sk.f1_score(targets, scores > 0, average="samples", zero_division=0)
    assert float(actual) == pytest.approx(expected, abs=1e-6)


X = np.random.default_rng(1).normal(size=(ROWS, 3)).astype(np.float32)
Y = (X @ np.random.default_rng(2).normal(size=(3, LABELS)) > 0.3).astype(np.float32)
MEASURES = {
    "samples": partial(fnn.f1, average="samples"),
    "accuracy": partial(fnn.accuracy, multilabel=True),
    "auc": partial(fnn.roc_auc, multilabel=True, average="micro"),
}


def sklearn_measures(scores, threshold):
    predicted = scores > threshold
    return {
        "samples": sk.f1_score(Y, predicted, average="samples", zero_division=0),
        "accuracy": sk.accuracy_score(Y, predicted),
        "auc": sk.roc_auc_score(Y, scores, average="micro"),
    }


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_a_network_of_several_labels_is_measured_while_it_trains(output):
    net = fnn.mlp((3, LABELS), output=output)
    loss = fnn.sigmoid_cross_entropy if output == "identity" else fnn.binary_cross_entropy
    options = {"key": jax.random.key(0), "epochs": 3, "batch_size": 8, "validation": (X, Y)}
    run = fnn.fit(net, loss, fnn.adam(0.1), (X, Y), metrics=MEASURES,
                  monitor="validation_samples", **options)  # fmt: skip
    threshold = 0 if output == "identity" else 0.5
    expected = sklearn_measures(np.asarray(net.apply(run.params, X)), threshold)
    assert not differing(fnn.evaluate(net, run.params, (X, Y), MEASURES), expected)
    last = {name: run.history[f"validation_{name}"][-1] for name in MEASURES}
    assert not differing(last, expected)


def test_the_lanes_of_a_sweep_are_measured_with_several_labels():
    net, rates = fnn.mlp((3, LABELS)), np.array([0.01, 0.1])
    runs = fnn.sweep(net, fnn.sigmoid_cross_entropy, fnn.adam(rates), (X, Y), epochs=2,
                     key=jax.random.key(0), validation=(X, Y), metrics=MEASURES)  # fmt: skip
    for lane in range(2):
        scores = np.asarray(net.apply(runs.lane(lane).params, X))
        last = {name: runs.history[f"validation_{name}"][lane, -1] for name in MEASURES}
        assert not differing(last, sklearn_measures(scores, 0))


def test_probabilities_and_logits_are_not_taken_for_each_other():
    probabilities = np.array([[0.25, 0.75], [0.5, 1.0], [0.0, 0.625]])
    targets = np.array([[0, 1], [0, 1], [0, 1]])
    measure = partial(metrics.accuracy, multilabel=True)
    with pytest.raises(ValueError, match=r"threshold=0.5.*threshold=0\); got None"):
        measure(probabilities, targets)
    assert measure(probabilities, targets, threshold=0.5) == 1
    assert measure(probabilities, targets, threshold=0) == np.float32(1 / 3)
    assert jax.jit(measure)(probabilities, targets) == np.float32(1 / 3)  # 0, as for one column


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.confusion_matrix, metrics.f1])
def test_several_labels_that_are_not_said_to_be_make_the_result_nan_once_compiled(metric):
    scores, targets, _ = few()
    options = {"average": "macro"} if metric is metrics.f1 else {}
    one_hot = np.eye(LABELS, dtype=int)[targets.argmax(axis=1)]
    measure = jax.jit(partial(metric, **options))
    assert np.isnan(measure(scores, targets)).all()
    assert np.array_equal(measure(scores, one_hot), measure(scores, one_hot.argmax(axis=1)))
    thirds = np.full(scores.shape, 1 / LABELS, jnp.bfloat16)
    assert not np.isnan(measure(scores, thirds)).any()


TWO = np.array([[1.0, -1.0], [0.5, 2.0], [-1.0, 3.0]], np.float32)
BOTH = np.array([[1, 0], [1, 1], [0, 0]])


@pytest.mark.parametrize("metric", [*CLASS_METRICS.values(), metrics.accuracy, metrics.roc_auc])
@pytest.mark.parametrize(
    ("outputs", "targets", "error", "message"),
    [
        (TWO, BOTH[:, 0], ValueError, r"targets must have shape \(3, 2\), .*got shape \(3,\)"),
        (TWO, BOTH[:, :1], ValueError, r"targets must have shape \(3, 2\), .*got shape \(3, 1\)"),
        (TWO[:, 0], BOTH[:, 0], ValueError, r"must be \(rows, labels\).*got shape \(3,\)"),
        (TWO[None], BOTH, ValueError, r"must be \(rows, .*got shape \(1, 3, 2\)"),
        (TWO, BOTH + 1, ValueError, "targets of several labels a row must be 0 or 1; got 2"),
        (TWO, BOTH * 0.5, ValueError, "targets of several labels a row must be 0 or 1; got 0.5"),
        (TWO, BOTH * np.nan, ValueError, "targets must be finite"),
    ],
)
def test_what_is_no_row_of_labels_is_refused(metric, outputs, targets, error, message):
    options = {} if metric in (metrics.accuracy, metrics.roc_auc) else {"average": "macro"}
    with pytest.raises(error, match=f"^{metric.__name__}: .*{message}"):
        metric(outputs, targets, multilabel=True, **options)


@pytest.mark.parametrize("metric", [*CLASS_METRICS.values(), metrics.accuracy])
def test_wrong_predictions_of_several_labels_are_refused(metric):
    options = {} if metric is metrics.accuracy else {"average": "macro"}
    with pytest.raises(ValueError, match="predictions of several labels must be 0 or 1; got 2"):
        metric(2 * BOTH, BOTH, multilabel=True, **options)
    with pytest.raises(TypeError, match=r"argmax\(axis=1\).*multilabel=True.*scores"):
        metric(BOTH, BOTH, **options)
    with pytest.raises(ValueError, match=r"each row >= 0, with sum 1 .*multilabel=True.*got \[1"):
        metric(TWO, BOTH, **options)


@pytest.mark.parametrize("metric", CLASS_METRICS.values())
def test_binary_is_refused_for_several_labels_naming_the_others(metric):
    with pytest.raises(ValueError, match=r'"samples" or None for several labels; got "binary"'):
        metric(TWO, BOTH, multilabel=True)


def test_roc_auc_says_what_its_options_need():
    with pytest.raises(ValueError, match=r"roc_auc: average must be 'macro', .*got 'binary'"):
        metrics.roc_auc(TWO, BOTH, average="binary", multilabel=True)
    with pytest.raises(ValueError, match=r"average must be left out unless .*got 'weighted'"):
        metrics.roc_auc(TWO, [0, 1, 1], average="weighted")
    with pytest.raises(TypeError, match="multilabel must be True or False; got 'yes'"):
        metrics.roc_auc(TWO, BOTH, multilabel="yes")
    with pytest.raises(TypeError, match=r"must be scores.*predicted labels are none; got int"):
        metrics.roc_auc(BOTH, BOTH, multilabel=True)
