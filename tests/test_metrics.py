"""Metrics against scikit-learn's, which define them, in float64."""

import inspect
import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk

from fnn import metrics

ROWS = 24
AVERAGES = ("macro", "micro", "weighted", None)
CLASS_METRICS = {
    "precision": metrics.precision,
    "recall": metrics.recall,
    "f1": metrics.f1,
}
OF_CLASSES = {**CLASS_METRICS, "accuracy": metrics.accuracy, "confusion": metrics.confusion_matrix}
OF_VALUES = {
    "mae": (metrics.mean_absolute_error, sk.mean_absolute_error),
    "mse": (metrics.mean_squared_error, sk.mean_squared_error),
    "rmse": (metrics.root_mean_squared_error, sk.root_mean_squared_error),
    "r2": (metrics.r2, sk.r2_score),
}
VALUE_METRICS = [metric for metric, _ in OF_VALUES.values()]
ALL = [getattr(metrics, name) for name in metrics.__all__]

scores_of_two = np.array([[1.0], [-1.0], [2.0], [0.5]], np.float32)
labels_of_two = np.array([1, 0, 0, 1])
values_of_two = np.array([1.5, -0.5, 2.0, 1.0], np.float32)
scores_of_three = np.array([[2, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 3]], np.float32)
labels_of_three = np.array([0, 1, 2, 2])


def assert_close(actual, expected, rtol=1e-6, atol=1e-6):
    np.testing.assert_allclose(np.asarray(actual, np.float64), expected, rtol=rtol, atol=atol)


def differing(actual, expected):
    """The names under which two dictionaries of values differ."""
    assert actual.keys() == expected.keys()
    near = partial(np.allclose, rtol=1e-6, atol=1e-6, equal_nan=True)
    return [name for name in expected if not near(actual[name], expected[name])]


accuracy, roc_auc, r2 = map(jax.jit, (metrics.accuracy, metrics.roc_auc, metrics.r2))


def every_metric(outputs, labels, values, weights=None):
    return {
        metric.__name__: metric(outputs, values if metric in VALUE_METRICS else labels, weights)
        for metric in ALL
    }


every = jax.jit(every_metric)  # one program for each shape and dtype


# --- Classes, against scikit-learn ---


@partial(jax.jit, static_argnums=4)
def all_of_classes(outputs, targets, weights, zero_division, classes):
    """Every metric of classes with every static option: one program for each shape."""
    arguments = outputs, targets, weights
    values = {"accuracy": metrics.accuracy(*arguments)}
    for normalize in (None, "true", "pred", "all"):
        values[f"confusion {normalize}"] = metrics.confusion_matrix(*arguments, normalize=normalize)
    for name, metric in CLASS_METRICS.items():
        metric = partial(metric, *arguments, zero_division=zero_division)
        for average in AVERAGES:
            values[f"{name} {average}"] = metric(average=average)
        for pos_label in (0, 1) if classes == 2 else ():
            values[f"{name} binary {pos_label}"] = metric(pos_label=pos_label)
    return values


def sklearn_of_classes(predicted, targets, weights, zero_division, classes):
    options = {"sample_weight": weights.astype(np.float64)}
    labels = range(classes)
    values: dict[str, Any] = {"accuracy": sk.accuracy_score(targets, predicted, **options)}
    for normalize in (None, "true", "pred", "all"):
        values[f"confusion {normalize}"] = sk.confusion_matrix(
            targets, predicted, labels=labels, normalize=normalize, **options
        )
    choices: dict[Any, dict[str, Any]] = {average: {"average": average} for average in AVERAGES}
    choices[None]["labels"] = labels
    if classes == 2:
        choices |= {f"binary {k}": {"average": "binary", "pos_label": k} for k in (0, 1)}
    for choice, static in choices.items():
        three = sk.precision_recall_fscore_support(
            targets, predicted, zero_division=zero_division, **static, **options
        )
        values |= {f"{name} {choice}": three[i] for i, name in enumerate(CLASS_METRICS)}
    return values


def class_cases(classes, rng):
    """Predictions and targets: ordinary ones, and those where something is absent."""
    some = rng.integers(0, classes, ROWS)
    yield "random", rng.integers(0, classes, ROWS), some
    yield "mostly right", np.where(rng.random(ROWS) < 0.8, some, (some + 1) % classes), some
    yield "all right", some, some
    yield "all wrong", (some + 1) % classes, some
    yield "last class absent", np.minimum(some, classes - 2), np.minimum(some[::-1], classes - 2)
    yield "last class never predicted", np.minimum(some, classes - 2), some
    yield "first class never true", some, np.maximum(some, 1)
    yield "one class only", np.full(ROWS, classes - 1), np.full(ROWS, classes - 1)
    yield "one class, always wrong", np.full(ROWS, 0), np.full(ROWS, classes - 1)


def weighted_cases(targets, rng):
    """Weights, and the value of a division by zero."""
    yield np.ones(ROWS), 0.0
    yield np.ones(ROWS), np.nan
    yield rng.random(ROWS) * (rng.random(ROWS) < 0.6), 1.0
    if targets.any():
        yield rng.random(ROWS) * (targets != 0), np.nan


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
def test_metrics_of_classes_equal_sklearns(columns):
    rng = np.random.default_rng(columns)
    classes = max(columns, 2)
    for case, predicted, targets in class_cases(classes, rng):
        outputs = rng.normal(size=(ROWS, columns)).astype(np.float32)
        if columns == 1:
            outputs = np.where(predicted == 1, 1, -1)[:, None] * np.abs(outputs)
        else:
            outputs[np.arange(ROWS), predicted] += 9
        for weights, zero_division in weighted_cases(targets, rng):
            options = weights.astype(np.float32), zero_division, classes
            actual = all_of_classes(outputs, targets, *options)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = sklearn_of_classes(predicted, targets, *options)
            assert not differing(actual, expected), (case, weights, zero_division)


def test_one_column_is_class_1_only_strictly_above_the_threshold():
    outputs = np.array([[0.0], [0.25], [0.5], [1.0]])
    assert accuracy(outputs, np.array([0, 1, 1, 1])) == 1
    assert accuracy(outputs, np.array([0, 0, 0, 1]), threshold=0.5) == 1
    assert accuracy(outputs.astype(jnp.bfloat16), np.array([0, 0, 1, 1]), threshold=0.25) == 1


def test_the_first_of_equal_scores_is_predicted():
    assert accuracy(np.zeros((4, 3)), np.zeros(4, int)) == 1


def test_a_masked_class_is_never_predicted():
    outputs = np.array([[-np.inf, -5, -9], [1, -np.inf, 0], [0, -np.inf, 0], [0, 1, -np.inf]])
    assert accuracy(outputs, np.array([1, 0, 0, 1])) == 1


@pytest.mark.parametrize(
    "targets",
    [
        labels_of_two.tolist(),
        labels_of_two.astype(bool),
        labels_of_two.astype(np.uint8),
        labels_of_two.astype(np.float32),
        labels_of_two.astype(np.float64),
        jnp.asarray(labels_of_two, jnp.bfloat16),
        labels_of_two[:, None],
        labels_of_two[:, None].astype(np.float32),
    ],
)
@pytest.mark.parametrize("metric", [*OF_CLASSES.values(), metrics.roc_auc])
def test_one_column_takes_integer_bool_and_float_labels_in_either_shape(metric, targets):
    expected = metric(scores_of_two, labels_of_two)
    assert_close(metric(scores_of_two, targets), expected)


@pytest.mark.parametrize("dtype", [int, bool, np.float32, np.float64, jnp.bfloat16])
def test_distributions_count_as_their_largest_class(dtype):
    one_hot = np.eye(3)[labels_of_three].astype(dtype)
    expected = metrics.confusion_matrix(scores_of_three, labels_of_three)
    assert_close(metrics.confusion_matrix(scores_of_three, one_hot), expected)
    smooth = 0.7 * np.eye(3)[labels_of_three] + 0.1
    assert_close(metrics.confusion_matrix(scores_of_three, smooth), expected)


def test_a_class_present_only_in_rows_of_weight_0_counts_in_the_mean():
    measure = jax.jit(partial(metrics.recall, average="macro"))
    weights = np.array([1, 1, 0, 0])
    assert_close(measure(np.eye(3)[labels_of_three], labels_of_three, weights), 2 / 3)


# --- The area under the curve ---


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("ties", ["none", "many", "all"])
def test_roc_auc_equals_sklearns(columns, ties):
    rng = np.random.default_rng(columns)
    for _ in range(8):
        outputs = rng.normal(size=(ROWS, columns)).astype(np.float32)
        outputs = {"none": outputs, "many": np.round(outputs), "all": 0 * outputs}[ties]
        targets = rng.integers(0, 2, ROWS)
        targets[:2] = 0, 1
        score = outputs[:, 0] if columns == 1 else np.diff(outputs.astype(np.float64))[:, 0]
        for weights in (np.ones(ROWS), rng.random(ROWS), rng.integers(0, 2, ROWS) + targets):
            weights = weights.astype(np.float32)
            expected = sk.roc_auc_score(targets, score, sample_weight=weights)
            assert_close(roc_auc(outputs, targets, weights), expected)


def test_roc_auc_is_the_share_of_pairs_in_order_with_ties_as_half():
    rng = np.random.default_rng(0)
    score, targets = rng.integers(0, 5, ROWS), rng.integers(0, 2, ROWS)
    pairs = score[targets == 1][:, None] - score[targets == 0][None]
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert_close(roc_auc(score[:, None].astype(np.float32), targets, np.ones(ROWS)), expected)


@pytest.mark.parametrize("targets", [np.zeros(ROWS, int), np.ones(ROWS, int)])
def test_roc_auc_of_one_class_is_nan(targets):
    outputs = np.linspace(0, 1, ROWS, dtype=np.float32)[:, None]
    assert np.isnan(roc_auc(outputs, targets, np.ones(ROWS)))
    assert np.isnan(roc_auc(outputs, np.arange(ROWS) % 2, (targets == np.arange(ROWS) % 2) * 1.0))


def test_roc_auc_of_negative_zero_and_zero_is_a_tie():
    outputs = np.array([[-0.0], [0.0], [-0.0], [0.0]])
    assert roc_auc(outputs, np.array([0, 1, 0, 1]), np.ones(4)) == 0.5
    assert roc_auc(outputs, np.array([1, 0, 1, 0]), np.ones(4)) == 0.5


def test_roc_auc_of_two_columns_is_exact_where_their_rounded_difference_ties():
    rare = np.array([1e-12, 3e-12, 2e-9, 1e-9, 4e-5, 1e-5] * 4, np.float32)
    targets = np.array([0, 1, 1, 0, 1, 0] * 4)
    probabilities = np.stack([1 - rare, rare], axis=1)
    assert len(np.unique(np.diff(probabilities))) < len(np.unique(rare))
    expected = sk.roc_auc_score(targets, rare)
    assert_close(roc_auc(probabilities, targets, np.ones(ROWS)), expected)
    assert_close(roc_auc(probabilities[:, ::-1], 1 - targets, np.ones(ROWS)), expected)


def test_roc_auc_of_two_columns_is_the_same_from_logits_and_probabilities():
    rng = np.random.default_rng(1)
    logits = (5 * rng.normal(size=(ROWS, 2))).astype(np.float32)
    targets = rng.integers(0, 2, ROWS)
    from_logits = roc_auc(logits, targets, np.ones(ROWS))
    assert_close(roc_auc(jax.nn.softmax(logits), targets, np.ones(ROWS)), from_logits)


def test_roc_auc_of_infinite_logits_is_finite():
    outputs = np.array([[-np.inf, 0], [0, 1], [0, -np.inf]])
    assert roc_auc(outputs, np.array([1, 1, 0]), np.ones(3)) == 1


# --- Values, against scikit-learn ---


@jax.jit
def all_of_values(outputs, targets, weights):
    values = {}
    for name, (metric, _) in OF_VALUES.items():
        ways = ["uniform_average", "raw_values"] + ["variance_weighted"] * (name == "r2")
        for way in ways:
            values[name, way] = metric(outputs, targets, weights, multioutput=way)
    return values


def sklearn_of_values(outputs, targets, weights):
    outputs, targets = outputs.astype(np.float64), targets.astype(np.float64)
    return {
        (name, way): OF_VALUES[name][1](targets, outputs, sample_weight=weights, multioutput=way)
        for name, way in all_of_values.eval_shape(outputs, targets, weights)
    }


@pytest.mark.parametrize("offset", [0.0, -3.0, 1e3, 1e5])
@pytest.mark.parametrize("columns", [1, 3])
def test_metrics_of_values_equal_sklearns(columns, offset):
    rng = np.random.default_rng(columns)
    targets = (rng.normal(size=(ROWS, columns)) + offset).astype(np.float32)
    noise = rng.normal(size=targets.shape).astype(np.float32)
    constant = targets.copy()
    constant[:, -1] = offset
    for case, t, outputs in [
        ("random", targets, targets + 0.1 * noise),
        ("useless", targets, targets + 3 * noise),
        ("perfect", targets, targets),
        ("one output constant", constant, constant + 0.1 * noise),
        (
            "one output constant and perfect",
            constant,
            constant + 0.1 * noise * (constant != offset),
        ),
        ("all constant", np.full_like(targets, offset), targets),
    ]:
        for weights in (np.ones(ROWS), rng.random(ROWS), rng.integers(0, 3, ROWS)):
            weights = weights.astype(np.float32)
            actual = all_of_values(outputs, t, weights)
            expected = sklearn_of_values(outputs, t, weights.astype(np.float64))
            assert not differing(actual, expected), case


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_r2_keeps_its_digits_far_from_zero(offset):
    rng = np.random.default_rng(0)
    targets = (rng.normal(size=(1000, 1)) + offset).astype(np.float32)
    outputs = targets + (0.1 * rng.normal(size=(1000, 1))).astype(np.float32)
    expected = sk.r2_score(targets.astype(np.float64), outputs.astype(np.float64))
    assert_close(r2(outputs, targets), expected, rtol=1e-7, atol=0)


def test_r2_is_not_misled_by_a_far_row_of_weight_0():
    targets = np.array([1e9, 1, 2, 3, 4], np.float32)
    outputs, weights = np.array([[0], [1], [2], [3], [5]], np.float32), np.array([0, 1, 1, 1, 1])
    assert_close(r2(outputs, targets, weights), 0.8)


def test_r2_of_constant_targets_is_1_if_perfect_and_else_0():
    outputs = jnp.array([[0.1, 0.1], [0.1, 0.2], [0.1, 0.1]])
    scores = metrics.r2(outputs, jnp.full((3, 2), 0.1), multioutput="raw_values")
    assert scores.tolist() == [1, 0]


def test_r2_of_a_single_row_is_nan():
    outputs = jnp.ones((1, 2))
    assert np.isnan(metrics.r2(outputs, jnp.ones((1, 2))))
    assert np.isnan(metrics.r2(outputs, jnp.ones((1, 2)), multioutput="raw_values")).all()


@pytest.mark.parametrize("metric", VALUE_METRICS)
def test_values_take_integer_targets_and_flat_ones_for_one_output(metric):
    outputs, targets = jnp.array([[1.5], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    expected = metric(outputs, targets)
    for same in (targets.astype(int), targets[:, 0], targets[:, 0].astype(int), [1, 2, 3]):
        assert_close(metric(outputs, same), expected)


# --- All of them ---


@pytest.mark.parametrize("metric", ALL)
def test_outputs_come_first_and_options_are_keywords(metric):
    parameters = inspect.signature(metric).parameters
    assert list(parameters)[:3] == ["outputs", "targets", "weights"]
    options = list(parameters.values())[3:]
    assert all(option.kind is option.KEYWORD_ONLY for option in options)
    assert ("threshold" in parameters) == (metric in OF_CLASSES.values())


def test_a_metric_knows_whether_higher_is_better():
    known = {metric.__name__: metric.higher_is_better for metric in ALL}
    better = "accuracy", "precision", "recall", "f1", "roc_auc", "r2"
    worse = "mean_absolute_error", "mean_squared_error", "root_mean_squared_error"
    expected = dict.fromkeys(better, True) | dict.fromkeys(worse, False)
    assert known == expected | {"confusion_matrix": None}


def test_without_weights_every_row_counts_once():
    arguments = scores_of_two, labels_of_two, values_of_two
    assert not differing(every(*arguments), every(*arguments, np.ones(4)))


def test_whole_weights_count_rows_that_often_and_their_scale_is_immaterial():
    arguments = scores_of_two, labels_of_two, values_of_two
    weights = np.array([2, 1, 3, 1])
    repeated = every(*(np.repeat(argument, weights, axis=0) for argument in arguments))
    assert not differing(every(*arguments, 1.0 * weights), repeated)
    assert differing(every(*arguments, 0.1 * weights), repeated) == ["confusion_matrix"]


def test_weights_that_sum_to_0_make_the_result_nan():
    values = every(scores_of_two, labels_of_two, values_of_two, np.zeros(4))
    assert not differing(values, dict.fromkeys(values, np.nan))


def test_a_nan_among_outputs_makes_the_result_nan():
    outputs = scores_of_two.copy()
    outputs[1] = np.nan
    values = every(outputs, labels_of_two, values_of_two, np.ones(4))
    assert not differing(values, dict.fromkeys(values, np.nan))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_narrow_outputs_are_measured_in_float32(dtype):
    narrow = every(scores_of_two.astype(dtype), labels_of_two, values_of_two, np.ones(4, dtype))
    assert {value.dtype for value in narrow.values()} == {np.dtype(np.float32)}
    assert not differing(narrow, every(scores_of_two, labels_of_two, values_of_two, np.ones(4)))


def test_float64_outputs_are_measured_in_float64_and_float32_ones_stay(x64):
    narrow = every(scores_of_two, labels_of_two, values_of_two, np.ones(4))
    wide = every(scores_of_two.astype(np.float64), labels_of_two, values_of_two, np.ones(4))
    assert {value.dtype for value in narrow.values()} == {np.dtype(np.float32)}
    assert {value.dtype for value in wide.values()} == {np.dtype(np.float64)}
    assert not differing(wide, narrow)


def test_float64_loses_nothing_to_float32(x64):
    rng = np.random.default_rng(0)
    targets, outputs, weights = rng.normal(size=(3, ROWS, 1)) + 1e6
    weights = weights[:, 0]
    expected = sk.r2_score(targets, outputs, sample_weight=weights)
    assert_close(r2(outputs, targets, weights), expected, rtol=1e-9)
    labels = np.arange(ROWS) % 2
    expected = sk.roc_auc_score(labels, outputs[:, 0], sample_weight=weights)
    assert_close(roc_auc(outputs, labels, weights), expected, rtol=1e-12)


def test_metrics_are_the_same_alone_compiled_and_vmapped():
    lanes = np.random.default_rng(0).normal(size=(3, 4, 1)).astype(np.float32)
    weights = np.array([1, 2, 0.5, 1], np.float32)
    rest = labels_of_two, values_of_two, weights
    mapped = jax.jit(jax.vmap(every_metric, in_axes=(0, None, None, None)))(lanes, *rest)
    for i, outputs in enumerate(lanes):
        alone = every_metric(outputs, *rest)
        assert not differing(every(outputs, *rest), alone)
        assert not differing({name: value[i] for name, value in mapped.items()}, alone)


@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_thresholds_can_be_vmapped(metric):
    thresholds = np.array([-2.0, 0.0, 0.5, 1.0], np.float32)
    measure = jax.vmap(lambda t: metric(scores_of_two, labels_of_two, threshold=t))
    mapped = jax.jit(measure)(thresholds)
    alone = np.stack([metric(scores_of_two, labels_of_two, threshold=t) for t in thresholds])
    assert_close(mapped, alone)


@pytest.mark.parametrize("metric", CLASS_METRICS.values())
def test_zero_divisions_and_positive_labels_can_be_vmapped(metric):
    measure = partial(metric, -np.abs(scores_of_two), np.zeros(4, int))
    zero_divisions, pos_labels = np.array([0, 1, np.nan], np.float32), np.array([0, 1])
    by_zero_division = jax.jit(jax.vmap(lambda value: measure(zero_division=value)))
    assert_close(by_zero_division(zero_divisions), zero_divisions)
    by_label = jax.jit(jax.vmap(lambda value: measure(pos_label=value)))
    assert_close(by_label(pos_labels), [1, 0])


def test_new_numbers_do_not_retrace():
    traces = []

    @jax.jit
    def measure(weights, zero_division, threshold, pos_label):
        traces.append(1)
        options = {"zero_division": zero_division, "threshold": threshold, "pos_label": pos_label}
        return metrics.f1(scores_of_two, labels_of_two, weights, **options)

    measure(np.ones(4), 0.0, 0.0, 1)
    measure(np.arange(4.0), 1.0, 0.5, 0)
    measure(np.zeros(4), float("nan"), -2.0, 1)
    assert len(traces) == 1


def test_long_float32_sums_keep_their_digits():
    rng = np.random.default_rng(0)
    rows = 60_000
    outputs = rng.normal(size=(rows, 1)).astype(np.float32)
    values = outputs[:, 0] + np.float32(0.1)  # equal terms, whose rounding adds up
    labels = (values + rng.normal(size=rows) > 0).astype(int)
    actual = every(outputs, labels, values, np.full(rows, 0.1, np.float32))
    actual["confusion_matrix"] /= actual["confusion_matrix"].sum()
    score = outputs[:, 0].astype(np.float64)
    expected = {
        of_values.__name__: oracle(values, score) for of_values, oracle in OF_VALUES.values()
    }
    for oracle in (sk.accuracy_score, sk.precision_score, sk.recall_score, sk.f1_score):
        expected[oracle.__name__.removesuffix("_score")] = oracle(labels, score > 0)
    expected["roc_auc"] = sk.roc_auc_score(labels, score)
    expected["confusion_matrix"] = sk.confusion_matrix(labels, score > 0, normalize="all")
    assert not differing(actual, expected)


@pytest.mark.parametrize("average", AVERAGES)
def test_a_nan_among_outputs_makes_every_average_nan(average):
    outputs = scores_of_three.copy()
    outputs[0, 1] = np.nan
    measure = jax.jit(partial(metrics.f1, average=average))
    assert np.isnan(measure(outputs, labels_of_three)).all()


def test_a_nan_output_for_constant_targets_makes_r2_nan():
    assert np.isnan(metrics.r2(jnp.array([[jnp.nan], [1.0]]), jnp.ones(2)))


@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_once_compiled_a_label_out_of_range_makes_the_result_nan(metric):
    macro = {"average": "macro"} if metric in CLASS_METRICS.values() else {}
    measure = jax.jit(partial(metric, **macro))
    for label in (-1, 3):
        assert np.isnan(measure(scores_of_three, np.array([0, 1, 2, label]))).all()
    assert not np.isnan(measure(scores_of_three, labels_of_three)).any()


# --- Bad input ---


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"outputs": np.ones((4, 1), int)}, TypeError, "come before targets.*int"),
        ({"outputs": [["a"]] * 4}, TypeError, "outputs must hold numbers"),
        ({"outputs": np.ones(4)}, ValueError, r"outputs must be \(rows, out\).*got shape \(4,\)"),
        ({"outputs": np.ones((2, 4, 1))}, ValueError, r"outputs must be \(rows, out\)"),
        ({"outputs": np.ones((0, 1)), "targets": []}, ValueError, "at least one row"),
        ({"outputs": np.ones((4, 0))}, ValueError, "at least one row and one column"),
        ({"targets": np.ones(3, int)}, ValueError, r"targets must have.*got shape \(3,\)"),
        ({"targets": np.ones((1, 4), int)}, ValueError, r"targets must have.*got shape \(1, 4\)"),
        ({"targets": np.ones((4, 2))}, ValueError, r"targets must have.*got shape \(4, 2\)"),
        ({"targets": 1}, ValueError, r"targets must have.*got shape \(\)"),
        ({"targets": ["a", "b", "a", "b"]}, TypeError, "targets must hold numbers"),
        ({"targets": [1.0, 0.0, np.nan, 1.0]}, ValueError, "targets must be finite"),
        ({"weights": np.ones(3)}, ValueError, r"weights must have shape \(4,\).*got shape \(3,\)"),
        ({"weights": np.ones((4, 1))}, ValueError, r"weights must have shape \(4,\)"),
        ({"weights": 1.0}, ValueError, r"weights must have shape \(4,\)"),
        ({"weights": [1.0, -2.0, 1.0, 1.0]}, ValueError, "weights must be >= 0; got -2"),
        ({"weights": [1.0, np.inf, 1.0, 1.0]}, ValueError, "weights must be finite"),
        ({"weights": ["a"] * 4}, TypeError, "weights must hold numbers"),
    ],
)
def test_bad_arrays_are_refused_in_the_metrics_name(metric, change, error, message):
    targets = values_of_two if metric in VALUE_METRICS else labels_of_two
    arguments = {"outputs": scores_of_two, "targets": targets, "weights": None} | change
    with pytest.raises(error, match=f"(?s)^{metric.__name__}: .*{message}"):
        metric(**arguments)


@pytest.mark.parametrize("metric", ALL)
def test_shapes_are_refused_while_tracing(metric):
    with pytest.raises(ValueError, match="targets must have"):
        jax.eval_shape(metric, scores_of_two, labels_of_two[:3])


@pytest.mark.parametrize(
    ("outputs", "targets", "error", "message"),
    [
        (scores_of_two, [0, 1, 2, 1], ValueError, "labels must be from 0 to 1.*got 2"),
        (scores_of_two, [1, -1, -1, 1], ValueError, "labels must be from 0 to 1.*got -1"),
        (scores_of_two, [0.0, 1.0, 0.5, 1.0], ValueError, "labels must be from 0 to 1.*got 0.5"),
        (scores_of_three, [0, 1, 3, 1], ValueError, "labels must be from 0 to 2.*got 3"),
        (scores_of_three, [0.0, 1.0, 2.0, 1.0], TypeError, "must be integers; got float32"),
        (scores_of_three, np.ones((4, 1), int), ValueError, r"shape \(4,\) or \(4, 3\)"),
        (scores_of_three, np.ones((4, 3), int), ValueError, r"distributions.*got \[1 1 1\]"),
        (scores_of_three, np.eye(3)[[0, 1, 2, 2]] * 2 - 1 / 3, ValueError, "distributions"),
    ],
)
@pytest.mark.parametrize("metric", OF_CLASSES.values())
def test_what_is_no_label_is_refused(metric, outputs, targets, error, message):
    if metric in CLASS_METRICS.values():
        metric = partial(metric, average="macro")
    with pytest.raises(error, match=message):
        metric(outputs, targets)


@pytest.mark.parametrize("metric", CLASS_METRICS.values())
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"average": "samples"}, ValueError, "average must be 'binary', .*got 'samples'"),
        ({"average": np.ones(3)}, ValueError, "average must be"),
        ({"pos_label": 2}, ValueError, "pos_label must be 0 or 1; got 2"),
        ({"pos_label": [0, 1]}, ValueError, "pos_label must be 0 or 1; got shape"),
        ({"zero_division": 0.5}, ValueError, "zero_division must be 0 or 1 or nan; got 0.5"),
        ({"zero_division": "warn"}, TypeError, "zero_division must be .*; got warn"),
        ({"threshold": np.nan}, ValueError, "threshold must be a number; got nan"),
        ({"threshold": None}, TypeError, "threshold must be a number; got None"),
        ({"threshold": [0.5]}, ValueError, r"threshold must be a number; got shape \(1,\)"),
    ],
)
def test_bad_options_are_refused(metric, options, error, message):
    with pytest.raises(error, match=f"^{metric.__name__}: {message}"):
        metric(scores_of_two, labels_of_two, **options)


@pytest.mark.parametrize("metric", CLASS_METRICS.values())
def test_binary_is_refused_for_more_than_two_classes_naming_the_others(metric):
    with pytest.raises(ValueError, match=r'"macro", "micro", "weighted" or None.*got "binary"'):
        metric(scores_of_three, labels_of_three)


def test_bad_words_are_refused():
    with pytest.raises(ValueError, match="normalize must be None, 'true', 'pred' or 'all'"):
        metrics.confusion_matrix(scores_of_two, labels_of_two, normalize="rows")
    for metric in VALUE_METRICS:
        with pytest.raises(ValueError, match="multioutput must be 'uniform_average'"):
            metric(scores_of_two, labels_of_two, multioutput="mean")
    with pytest.raises(ValueError, match="multioutput must be"):
        metrics.mean_squared_error(scores_of_two, labels_of_two, multioutput="variance_weighted")


def test_roc_auc_of_many_classes_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"measure one against the rest.*got shape \(4, 3\)"):
        metrics.roc_auc(scores_of_three, labels_of_three)
