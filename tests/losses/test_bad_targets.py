"""What is no target, and other input that losses refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slopes import INF, NAN, losses_and_slope

from fnn.losses import (
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    huber,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)


@pytest.mark.parametrize("loss", [cross_entropy, softmax_cross_entropy])
def test_a_label_out_of_range_raises_when_concrete_and_gives_nan_when_compiled(loss):
    outputs = jnp.full((4, 3), 1 / 3)
    labels = np.array([0, 3, -1, 2])
    with pytest.raises(ValueError, match=f"{loss.__name__}: labels must be from 0 to 2; got -1"):
        loss(outputs, labels)
    with pytest.raises(ValueError, match=f"{loss.__name__}: labels must be from 0 to 2; got 3"):
        loss(outputs, labels.clip(0))
    losses, _ = losses_and_slope(loss, outputs, labels, {})
    assert np.isnan(losses).tolist() == [False, True, True, False]
    lanes = jax.jit(jax.vmap(loss))(outputs, labels)
    assert np.isnan(lanes).tolist() == [False, True, True, False]


def test_a_compiled_label_beyond_32_bits_does_not_wrap_into_range(x64):
    labels = np.array([1, 2**32 + 1])
    losses, _ = losses_and_slope(softmax_cross_entropy, jnp.zeros((2, 3)), labels, {})
    assert np.isnan(losses).tolist() == [False, True]


THREE = jnp.full((4, 3), 0.5)
ONE = jnp.full((4, 1), 0.5)
BAD = {  # loss, outputs, targets, options, error, what it says
    "float labels": (
        softmax_cross_entropy, THREE, np.zeros(4), {},
        TypeError, r"labels must be integers; got float\d\d\(4,\)",
    ),
    "float labels of probabilities": (
        cross_entropy, THREE, np.ones(4), {},
        TypeError, "cross_entropy: labels must be integers",
    ),
    "string labels": (
        softmax_cross_entropy, THREE, np.array(["cat", "dog", "cat", "cow"]), {},
        TypeError, "must hold numbers .*return_inverse=True.*'cat'",
    ),
    "string values": (
        squared_error, THREE, [["a", "b", "c"]] * 4, {},
        TypeError, "squared_error: targets must hold numbers",
    ),
    "objects": (
        squared_error, ONE, np.array([None] * 4), {}, TypeError, "targets must hold numbers",
    ),
    "complex targets": (
        squared_error, ONE, np.ones(4, complex), {}, TypeError, "targets must hold real numbers",
    ),
    "ragged targets": (
        squared_error, THREE, [[1.0], [1.0, 2.0]], {}, ValueError, "targets must be an array",
    ),
    "a negative label": (
        softmax_cross_entropy, THREE, [0, 1, -1, 2], {}, ValueError, "from 0 to 2; got -1",
    ),
    "a label that is no class": (
        softmax_cross_entropy, THREE, [0, 1, 3, 2], {}, ValueError, "from 0 to 2; got 3",
    ),
    "float labels in a column": (
        softmax_cross_entropy, THREE, np.zeros((4, 1)), {},
        ValueError, r"targets must be labels \(4,\) or distributions \(4, 3\).*got \(4, 1\)",
    ),
    "a label out of range in a column": (
        cross_entropy, THREE, np.full((4, 1), 3), {}, ValueError, "from 0 to 2; got 3",
    ),
    "labels in a row": (
        softmax_cross_entropy, THREE, np.zeros((1, 4), int), {}, ValueError, r"got \(1, 4\)",
    ),
    "fewer labels than outputs": (
        softmax_cross_entropy, THREE, [0, 1], {}, ValueError, r"labels \(4,\).*got \(2,\)",
    ),
    "one label for all": (
        cross_entropy, THREE, 1, {}, ValueError, r"labels \(4,\).*got \(\)",
    ),
    "distributions over fewer classes": (
        cross_entropy, THREE, np.full((4, 2), 0.5), {},
        ValueError, r"distributions \(4, 3\).*got \(4, 2\)",
    ),
    "one distribution for all": (
        cross_entropy, THREE, np.full((1, 3), 0.3), {}, ValueError, r"got \(1, 3\)",
    ),
    "a share above one": (
        cross_entropy, THREE, np.full((4, 3), 1.5), {},
        ValueError, r"targets \(..., classes\) must be probabilities; got 1.5",
    ),
    "a negative share": (
        softmax_cross_entropy, THREE, np.full((4, 3), -0.5), {}, ValueError, "got -0.5",
    ),
    "one class only": (
        softmax_cross_entropy, ONE, np.zeros(4, int), {},
        ValueError, "at least two .one column: sigmoid_cross_entropy.; got",
    ),
    "a row of values for all": (
        squared_error, THREE, np.zeros((1, 3)), {},
        ValueError, r"targets must have the shape of outputs, \(4, 3\).*; got \(1, 3\)",
    ),
    "a column of values for all": (
        huber, THREE, np.zeros((4, 1)), {}, ValueError, r"huber: .*got \(4, 1\)",
    ),
    "values without their axis": (
        absolute_error, THREE, np.zeros(4), {}, ValueError, r"absolute_error: .*got \(4,\)",
    ),
    "a row where a column is due": (
        squared_error, ONE, np.zeros((1, 4)), {}, ValueError, r"got \(1, 4\)",
    ),
    "outputs without the last axis": (
        squared_error, jnp.zeros(4), np.zeros((4, 1)), {}, ValueError, r"got \(4, 1\)",
    ),
    "labels where there are columns": (
        sigmoid_cross_entropy, THREE, np.zeros(4, int), {}, ValueError, r"got \(4,\)",
    ),
    "a scalar of outputs": (
        squared_error, jnp.array(1.0), 1.0, {},
        ValueError, r"outputs must have shape \(..., out\); got \(\)",
    ),
    "outputs and labels swapped": (
        softmax_cross_entropy, np.zeros(4, int), THREE, {},
        TypeError, r"outputs, which come before targets, must be floating; got int\d\d\(4,\)",
    ),
    "outputs and distributions swapped": (
        cross_entropy, np.ones((4, 3), bool), THREE, {}, TypeError, "come before targets.*bool",
    ),
    "outputs and values swapped": (
        squared_error, np.zeros((4, 3), int), THREE, {}, TypeError, "come before targets",
    ),
    "NaN among values": (
        squared_error, ONE, [1.0, NAN, 0.0, 1.0], {},
        ValueError, r"targets must be finite everywhere; got nan at index \(1,\)",
    ),
    "infinity among values": (
        absolute_error, ONE, [1.0, 0.0, -INF, 1.0], {}, ValueError, r"got -inf at index \(2,\)",
    ),
    "NaN among distributions": (
        cross_entropy, THREE, np.full((4, 3), NAN), {}, ValueError, "must be finite everywhere",
    ),
    "a binary target above one": (
        binary_cross_entropy, ONE, [0, 1, 2, 1], {},
        ValueError, "targets must be 0, 1 or a probability between; got 2",
    ),
    "a binary target of minus one": (
        sigmoid_cross_entropy, ONE, [-1, 1, -1, 1], {}, ValueError, "probability between; got -1",
    ),
    "a negative label_smoothing": (
        softmax_cross_entropy, THREE, [0, 0, 0, 0], {"label_smoothing": -0.1},
        ValueError, "label_smoothing must be a finite number >= 0 and <= 1; got -0.1",
    ),
    "a label_smoothing above one": (
        sigmoid_cross_entropy, ONE, [0, 0, 0, 0], {"label_smoothing": 1.1},
        ValueError, "sigmoid_cross_entropy: label_smoothing must be .*<= 1; got 1.1",
    ),
    "a label_smoothing of NaN": (
        softmax_cross_entropy, THREE, [0, 0, 0, 0], {"label_smoothing": NAN},
        ValueError, "label_smoothing must be a finite number",
    ),
    "a label_smoothing that is no number": (
        softmax_cross_entropy, THREE, [0, 0, 0, 0], {"label_smoothing": "0.1"},
        TypeError, "label_smoothing must be a finite number",
    ),
    "a delta of zero": (
        huber, ONE, [0, 0, 0, 0], {"delta": 0}, ValueError, "delta must be .*> 0; got 0",
    ),
    "a delta of infinity": (
        huber, ONE, [0, 0, 0, 0], {"delta": INF}, ValueError, "delta must be a finite number",
    ),
    "a delta that is True": (
        huber, ONE, [0, 0, 0, 0], {"delta": True}, TypeError, "delta must be a finite number",
    ),
    "a delta per row": (
        huber, ONE, [0, 0, 0, 0], {"delta": np.ones(4)},
        ValueError, r"delta must be one number; got shape \(4,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input_is_told_what_must_hold(case):
    loss, outputs, targets, options, error, match = case
    with pytest.raises(error, match=match) as raised:
        loss(outputs, targets, **options)
    assert str(raised.value).startswith(f"{loss.__name__}: ")


SHAPES_AND_TYPES = [name for name, case in BAD.items() if "got (" in case[-1].replace("\\", "")]


@pytest.mark.parametrize("name", [*SHAPES_AND_TYPES, "float labels"])
def test_bad_shapes_and_dtypes_are_told_while_tracing_too(name):
    loss, outputs, targets, _, error, match = BAD[name]
    with pytest.raises(error, match=match):
        jax.eval_shape(loss, outputs, np.asarray(targets))
