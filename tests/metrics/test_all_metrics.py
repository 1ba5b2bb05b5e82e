"""What holds for all metrics: weights, dtypes, NaN, tracing."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from metric_cases import (
    ALL,
    AVERAGES,
    CLASS_METRICS,
    OF_CLASSES,
    OF_VALUES,
    ROWS,
    VALUE_METRICS,
    assert_close,
    differing,
    labels_of_three,
    labels_of_two,
    r2,
    roc_auc,
    scores_of_three,
    scores_of_two,
    values_of_two,
)

from fnn import metrics


def every_metric(outputs, labels, values, weights=None):
    return {
        metric.__name__: metric(outputs, values if metric in VALUE_METRICS else labels, weights)
        for metric in ALL
    }


every = jax.jit(every_metric)  # one program for each shape and dtype


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
    each = {"average": None} if metric in CLASS_METRICS.values() else {}
    measure = jax.jit(partial(metric, **each))
    for label in (-1, 3):
        assert np.isnan(measure(scores_of_three, np.array([0, 1, 2, label]))).all()
        # and so where a class is neither true nor predicted
        assert np.isnan(measure(np.eye(3)[[0, 0, 2, 2]], np.array([0, 0, 2, label]))).all()
    assert not np.isnan(measure(scores_of_three, labels_of_three)).any()
