"""Predicted labels in place of scores, scores and labels in any shape that has one reading."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from metric_cases import (
    AVERAGES,
    CLASS_METRICS,
    OF_CLASSES,
    ROWS,
    assert_close,
    differing,
    labels_of_three,
    labels_of_two,
    scores_of_three,
    scores_of_two,
)

import fnn
from fnn import metrics


def of_labels(predicted, targets, weights, zero_division, classes):
    """Every metric that needs no more than labels."""
    arguments = predicted, targets, weights
    values = {"accuracy": metrics.accuracy(*arguments)}
    for normalize in (None, "true", "pred", "all"):
        values[f"confusion {normalize}"] = metrics.confusion_matrix(
            *arguments, normalize=normalize, num_classes=classes
        )
    for name, metric in CLASS_METRICS.items():
        for average in AVERAGES + ("binary",) * (classes == 2):
            values[f"{name} {average}"] = metric(
                *arguments, average=average, zero_division=zero_division, num_classes=classes
            )
    return values


compiled = jax.jit(of_labels, static_argnums=4)


def sklearn_of_labels(predicted, targets, weights, zero_division, classes):
    options = {"sample_weight": weights.astype(np.float64)}
    values = {"accuracy": sk.accuracy_score(targets, predicted, **options)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for normalize in (None, "true", "pred", "all"):
            values[f"confusion {normalize}"] = sk.confusion_matrix(
                targets, predicted, labels=range(classes), normalize=normalize, **options
            )
        for average in AVERAGES + ("binary",) * (classes == 2):
            labels = {} if average is not None else {"labels": range(classes)}
            three = sk.precision_recall_fscore_support(
                targets, predicted, average=average, zero_division=zero_division,
                **labels, **options,
            )  # fmt: skip
            values |= {f"{name} {average}": three[i] for i, name in enumerate(CLASS_METRICS)}
    return values


def label_cases(classes, rng):
    some = rng.integers(0, classes, ROWS)
    yield rng.integers(0, classes, ROWS), some
    yield np.where(rng.random(ROWS) < 0.8, some, 0), some
    yield some, some
    yield np.minimum(some, classes - 2), some
    yield np.zeros(ROWS, int), np.full(ROWS, classes - 1)


def check_against_sklearn(seed, classes, dtype, tolerance):
    rng = np.random.default_rng(seed)
    for predicted, targets in label_cases(classes, rng):
        for weights, zero_division in [
            (np.ones(ROWS), 0.0), (rng.random(ROWS), 1.0), (rng.random(ROWS), np.nan)
        ]:  # fmt: skip
            arguments = predicted, targets, weights.astype(dtype), zero_division, classes
            assert not differing(compiled(*arguments), sklearn_of_labels(*arguments), tolerance)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_float32_metrics_of_predicted_labels_equal_sklearns(classes):
    check_against_sklearn(classes, classes, np.float32, 1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_float64_metrics_of_predicted_labels_equal_sklearns(x64, classes):
    check_against_sklearn(classes, classes, np.float64, 1e-12)


LABELS = np.array([0, 1, 2, 2, 1, 0])
GUESSES = np.array([0, 2, 2, 1, 1, 0])
WEIGHTS = np.array([1, 2, 0.5, 1, 1, 3], np.float32)


@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_labels_are_those_of_the_scores_that_they_were_read_off(metric):
    macro = {"average": "macro"} if metric in CLASS_METRICS.values() else {}
    expected = metric(scores_of_three, labels_of_three, **macro)
    predicted = scores_of_three.argmax(axis=1)
    for held in (
        predicted, predicted.astype(np.uint8), predicted.tolist(), jnp.asarray(predicted),
        predicted[:, None],
    ):  # fmt: skip
        assert_close(metric(held, labels_of_three, **macro), expected)
        assert_close(metric(held, labels_of_three[:, None], **macro), expected)
    for positive in (scores_of_two[:, 0] > 0, scores_of_two > 0):
        expected = metric(scores_of_two, labels_of_two)
        for targets in (labels_of_two, labels_of_two == 1, np.float32(labels_of_two)):
            assert_close(metric(positive, targets), expected)


@pytest.mark.parametrize("metric", [*OF_CLASSES.values(), metrics.roc_auc])
def test_floats_of_one_dimension_are_one_column_of_scores(metric):
    expected = metric(scores_of_two, labels_of_two)
    flat = scores_of_two[:, 0]
    for outputs in (flat, flat.tolist(), jnp.asarray(flat), flat.astype(jnp.bfloat16)):
        assert_close(metric(outputs, labels_of_two), expected)
        assert_close(metric(outputs, labels_of_two[:, None]), expected)
    if metric is not metrics.roc_auc:
        split = metric(scores_of_two, labels_of_two, threshold=0.75)
        assert_close(metric(flat, labels_of_two, threshold=0.75), split)


@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_floats_from_0_to_1_are_split_only_where_it_is_clear_or_said_at_what(metric):
    targets, probabilities = np.array([0, 1, 1, 0]), np.array([0.25, 0.75, 1.0, 0.5])
    with pytest.raises(ValueError, match=r"^\w+: threshold must.*=0.5\) or logits .*got None"):
        metric(probabilities, targets)
    for threshold in (0, 0.5):
        expected = metric(probabilities[:, None], targets, threshold=threshold)
        assert_close(metric(probabilities, targets, threshold=threshold), expected)
    by_logit = metric(probabilities[:, None], targets)  # a column, as networks return it
    assert_close(jax.jit(metric)(probabilities, targets), by_logit)
    for clear in (
        np.array([0.25, 0.75, 1.0, -0.5]), np.array([0.25, 0.75, 1.5, 0.5]),
        np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.75, 1.0, 0.0]),
    ):  # fmt: skip
        assert_close(metric(clear, targets), metric(clear[:, None], targets))


@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_a_column_of_labels_is_a_label_a_row(metric):
    macro = {"average": "macro"} if metric in CLASS_METRICS.values() else {}
    expected = metric(scores_of_three, labels_of_three, **macro)
    for column in (labels_of_three[:, None], labels_of_three[:, None].tolist()):
        assert_close(metric(scores_of_three, column, **macro), expected)
    measure = jax.jit(partial(metric, **macro))
    assert_close(measure(scores_of_three, labels_of_three[:, None].astype(np.uint8)), expected)


def test_labels_say_how_many_classes_there_are_if_their_values_are_known():
    matrix = sk.confusion_matrix(LABELS, GUESSES, sample_weight=WEIGHTS)
    assert_close(metrics.confusion_matrix(GUESSES, LABELS, WEIGHTS), matrix)
    wide = metrics.confusion_matrix(GUESSES, LABELS, WEIGHTS, num_classes=5)
    assert wide.shape == (5, 5)
    assert_close(wide[:3, :3], matrix)
    assert metrics.confusion_matrix([0, 0], [0, 0]).shape == (2, 2)
    each = sk.recall_score(LABELS, GUESSES, average=None)
    assert_close(metrics.recall(GUESSES, LABELS, average=None), each)


def test_once_compiled_the_number_of_classes_must_be_given_where_it_counts():
    assert_close(jax.jit(metrics.accuracy)(GUESSES, LABELS), sk.accuracy_score(LABELS, GUESSES))
    binary = jax.jit(metrics.f1)(GUESSES > 1, LABELS > 1)
    assert_close(binary, sk.f1_score(LABELS > 1, GUESSES > 1))
    for measure in (metrics.confusion_matrix, partial(metrics.f1, average="macro")):
        with pytest.raises(ValueError, match="num_classes must be given for predicted labels"):
            jax.jit(measure)(GUESSES, LABELS)
        with pytest.raises(ValueError, match="num_classes must be given for predicted labels"):
            jax.jit(partial(measure, targets=LABELS))(GUESSES)
        alone = measure(GUESSES, LABELS)
        assert_close(jax.jit(partial(measure, num_classes=3))(GUESSES, LABELS), alone)


def test_predicted_labels_can_be_vmapped():
    lanes = np.stack([GUESSES, LABELS, 2 - LABELS])
    mapped = jax.jit(jax.vmap(partial(of_labels, classes=3), in_axes=(0, None, None, None)))
    values = mapped(lanes, LABELS, WEIGHTS, 0.0)
    for i, predicted in enumerate(lanes):
        alone = compiled(predicted, LABELS, WEIGHTS, 0.0, 3)
        assert not differing({name: value[i] for name, value in values.items()}, alone)


@pytest.mark.parametrize("label", [-1, 3])
def test_once_compiled_a_label_out_of_range_makes_the_result_nan(label):
    wrong = np.where(LABELS == 1, label, LABELS)
    for arguments in ((wrong, LABELS), (GUESSES, wrong)):
        values = compiled(*arguments, WEIGHTS, 0.0, 3)
        accuracy = values.pop("accuracy")  # which does not know how many classes there are
        assert np.isnan(accuracy) == (label < 0)
        assert all(np.isnan(value).all() for value in values.values())


@pytest.mark.parametrize("metric", OF_CLASSES.values())
@pytest.mark.parametrize(
    ("outputs", "targets", "options", "error", "message"),
    [
        (GUESSES, np.eye(3)[LABELS], {}, ValueError, r"targets.argmax.*got shape \(6, 3\)"),
        (GUESSES, LABELS[:5], {}, ValueError, r"shape \(6,\) or \(6, 1\) .*got shape \(5,\)"),
        (GUESSES, LABELS / 2, {}, ValueError, "integers, or floats known to be 0 or 1.*got 0.5"),
        (GUESSES, LABELS - 1, {}, ValueError, "labels must be >= 0; got -1"),
        (GUESSES - 1, LABELS, {}, ValueError, "predicted labels must be >= 0; got -1"),
        (GUESSES[:0], LABELS[:0], {}, ValueError, r"at least one row.*got shape \(0,\)"),
        (np.int32(1), LABELS, {}, ValueError, r"\(rows, out\) or \(rows,\).*got shape \(\)"),
        (GUESSES[:, None, None], LABELS, {}, ValueError, r"got shape \(6, 1, 1\)"),
        (np.eye(3, dtype=int), [0, 1, 2], {}, TypeError, r"argmax.*multilabel=True.*int\d\d\(3"),
        (GUESSES, LABELS, {"threshold": 0.5}, ValueError, "threshold must be left out, .*got 0.5"),
    ],
)
def test_what_has_no_reading_as_predicted_labels_is_refused(
    metric, outputs, targets, options, error, message
):
    macro = {"average": "macro"} if metric in CLASS_METRICS.values() else {}
    with pytest.raises(error, match=f"^{metric.__name__}: .*{message}"):
        metric(outputs, targets, **macro, **options)


@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_scores_in_the_place_of_targets_are_not_taken_for_labels(metric):
    with pytest.raises(ValueError, match="scores come before targets"):
        metric(labels_of_two, scores_of_two)
    with pytest.raises(TypeError, match="scores come before targets"):
        jax.eval_shape(metric, labels_of_two, scores_of_two)


def test_labels_beyond_the_number_of_classes_are_refused():
    for measure in (metrics.confusion_matrix, partial(metrics.f1, average="micro")):
        for arguments in ((GUESSES, LABELS > 1), (GUESSES > 1, LABELS)):
            with pytest.raises(ValueError, match="from 0 to 1, as num_classes is 2; got 2"):
                measure(*arguments, num_classes=2)


def test_labels_like_order_numbers_are_refused_rather_than_counted():
    numbers = np.array([0, 10**9])
    for measure in (metrics.confusion_matrix, partial(metrics.f1, average="macro")):
        for arguments in ((numbers, [0, 1]), ([0, 1], numbers)):
            with pytest.raises(ValueError, match=r"np.unique.*got label 1000000000"):
                measure(*arguments)
    assert metrics.accuracy(numbers, numbers) == 1
    assert metrics.f1([0, 9999], [0, 9999], average="macro") == 1


def test_once_compiled_a_label_beyond_32_bits_does_not_wrap_into_range(x64):
    wrong = np.array([1, 2**32 + 1])
    assert np.isnan(jax.jit(metrics.accuracy)(np.eye(2), wrong))
    assert np.isnan(jax.jit(metrics.accuracy)(wrong, np.array([1, 1])))
    assert np.isnan(jax.jit(metrics.f1)(np.array([1, 1]), wrong))


def test_predicted_labels_have_no_area_under_a_curve():
    for predicted in (labels_of_two, labels_of_two == 1, labels_of_two[:, None]):
        with pytest.raises(TypeError, match=r"^roc_auc: .*must be scores .*predicted labels are"):
            metrics.roc_auc(predicted, labels_of_two)


def test_binary_is_refused_for_predicted_labels_of_more_classes():
    with pytest.raises(ValueError, match='for more than two classes; got "binary" for 3'):
        metrics.f1(GUESSES, LABELS)


# --- Columns of labels, in runs ---

X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
CLASSES = np.arange(ROWS) % 3
NET = fnn.mlp((3, 3))
MEASURES = {"accuracy": fnn.accuracy, "f1": partial(fnn.f1, average="macro")}


@pytest.mark.long
def test_runs_take_labels_in_a_column_as_labels():
    def runs(y):
        options = {"epochs": 2, "batch_size": 8, "key": jax.random.key(0), "metrics": MEASURES}
        options["validation"] = X, y
        fit = fnn.fit(NET, fnn.softmax_cross_entropy, fnn.adam(0.1), (X, y), **options)
        rates = np.array([0.1, 0.01])
        sweep = fnn.sweep(NET, fnn.softmax_cross_entropy, fnn.adam(rates), (X, y), **options)
        scores = fnn.evaluate(NET, fit.params, (X, y), MEASURES | {"l": fnn.softmax_cross_entropy})
        return fit.history, sweep.history, scores

    flat, column = runs(CLASSES), runs(CLASSES[:, None])
    jax.tree.map(np.testing.assert_array_equal, column, flat)


def test_labels_in_a_column_out_of_range_are_refused_before_a_run():
    with pytest.raises(ValueError, match="labels must be from 0 to 2; got 3"):
        fnn.fit(NET, fnn.softmax_cross_entropy, fnn.adam(0.1), (X, CLASSES[:, None] + 1),
                key=jax.random.key(0), epochs=1)  # fmt: skip
