"""Counts, keys, targets and losses that `fit` and `train` refuse, in which words, and when."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad_input import (
    LABELS,
    LIKE_OUTPUTS,
    LINE,
    LOGITS,
    NET,
    NO_COUNT,
    NO_KEY,
    NO_LOSS,
    ON_VALUES,
    PROBABLE,
    ROWS,
    SOFTMAX,
    VALUES,
    WEIGHTS,
    X,
    key,
    made,
    rows,
    run,
    transposed,
)

import fnn

SIGMOID = fnn.mlp((3, 5, 1), output="sigmoid")

OBJECTIVES = {
    # counts
    **{
        f"{name} = {value!r}": ({name: value}, error, NO_COUNT.format(name, shown))
        for name in ("epochs", "batch_size")
        for value, shown, error in [
            (0, "0", ValueError),
            (-3, "-3", ValueError),
            (np.int64(0), "0", ValueError),
            (2.0, "2.0", TypeError),
            (np.float32(2), "np.float32(2.0)", TypeError),
            (True, "True", TypeError),
            (np.True_, "True", TypeError),
            ("2", "'2'", TypeError),
            (None, "None", TypeError),
        ]
    },
    # keys
    **{
        f"{name} = {shown}": (
            lambda name=name, make=make: {name: make()},
            error,
            NO_KEY.format(shown),
        )
        for name in ("key", "order_key")
        for make, shown, error in [
            (lambda: 0, "0", TypeError),
            (lambda: "0", "'0'", TypeError),
            (lambda: jnp.zeros(2), "float32 of shape (2,)", TypeError),
            (lambda: jnp.zeros(3, np.uint32), "uint32 of shape (3,)", TypeError),
            (lambda: jax.random.split(key(), 3), "keys of shape (3,)", ValueError),
        ]
    },
    "no key": ({"key": None}, TypeError, NO_KEY.format("None")),
    # targets that do not fit the outputs
    "values of two columns for one": (
        {**ON_VALUES, "data": (X, np.ones((ROWS, 2)))},
        ValueError,
        LIKE_OUTPUTS.format("(12, 1)", "(12, 2)"),
    ),
    "values with an axis too many": (
        {**ON_VALUES, "data": (X, VALUES[..., None])},
        ValueError,
        LIKE_OUTPUTS.format("(12, 1)", "(12, 1, 1)"),
    ),
    "one column of values for four": (
        {**ON_VALUES, "net": NET},
        ValueError,
        LIKE_OUTPUTS.format("(12, 4)", "(12, 1)"),
    ),
    "flat values for four columns": (
        {**ON_VALUES, "net": NET, "data": (X, VALUES[:, 0])},
        ValueError,
        LIKE_OUTPUTS.format("(12, 4)", "(12,)"),
    ),
    "probabilities above 1": (
        {"data": (X, np.full((ROWS, 4), 2.0))},
        ValueError,
        "softmax_cross_entropy: targets (..., classes) must be probabilities; got 2.0",
    ),
    "values swapped with x": (
        {**ON_VALUES, "data": (VALUES, X)},
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12, 1)",
    ),
    # losses
    "outputs and targets swapped in a loss on labels": (
        {"loss": transposed(fnn.softmax_cross_entropy)},
        TypeError,
        "softmax_cross_entropy: outputs, which come before targets, must be floating; got "
        "int32(12,)",
    ),
    "outputs and targets swapped in a loss on values": (
        {**ON_VALUES, "loss": transposed(fnn.squared_error), "data": (X, VALUES[:, 0])},
        ValueError,
        LIKE_OUTPUTS.format("(12,)", "(12, 1)"),
    ),
    "a loss of one's own that is reduced": (
        {"loss": lambda z, y: jnp.mean(fnn.softmax_cross_entropy(z, y))},
        ValueError,
        NO_LOSS.format("float32()"),
    ),
    "a loss of one's own that is a mean of weighted examples": (
        {"loss": lambda z, y: jnp.mean(z), "data": (X, LABELS, WEIGHTS)},
        ValueError,
        NO_LOSS.format("float32()"),
    ),
    "a loss of one's own that keeps the axis of outputs": (
        {**ON_VALUES, "loss": lambda y_hat, y: (y_hat - y) ** 2},
        ValueError,
        NO_LOSS.format("float32(12, 1)"),
    ),
    "a loss of one's own that counts mistakes": (
        {"loss": lambda z, y: jnp.argmax(z, axis=-1).astype(np.int32) - y},
        ValueError,
        NO_LOSS.format("int32(12,)"),
    ),
    "a loss of one's own that returns a pair": (
        {"loss": lambda z, y: (fnn.softmax_cross_entropy(z, y), {})},
        ValueError,
        NO_LOSS.format("tuple"),
    ),
    "a loss of one's own that returns nothing": (
        {"loss": lambda z, y: None},
        ValueError,
        NO_LOSS.format("NoneType"),
    ),
    "a metric for a loss": ({"loss": fnn.accuracy}, ValueError, NO_LOSS.format("float32()")),
    "a loss by its name": (
        {"loss": "cross_entropy"},
        TypeError,
        "RUN: loss must be a function of outputs and targets; got 'cross_entropy'",
    ),
    # what the network ends in
    "logits from a softmax": (
        {"net": SOFTMAX},
        ValueError,
        LOGITS.format("softmax_cross_entropy", "output='softmax'"),
    ),
    "logits from a softmax of jax": (
        {"net": fnn.mlp((3, 4), output=jax.nn.softmax)},
        ValueError,
        LOGITS.format("softmax_cross_entropy", "output='softmax'"),
    ),
    "logits from a softmax, in partials": (
        {
            "net": SOFTMAX,
            "loss": partial(partial(fnn.softmax_cross_entropy), label_smoothing=0.1),
        },
        ValueError,
        LOGITS.format("softmax_cross_entropy", "output='softmax'"),
    ),
    "logits from a sigmoid": (
        {"net": SIGMOID, "loss": fnn.sigmoid_cross_entropy, "data": (X, LABELS > 1)},
        ValueError,
        LOGITS.format("sigmoid_cross_entropy", "output='sigmoid'"),
    ),
    "probabilities from no softmax": (
        {"loss": fnn.cross_entropy},
        ValueError,
        PROBABLE.format("cross_entropy", "output='identity'"),
    ),
    "probabilities from no softmax, in partials": (
        {"loss": partial(partial(fnn.cross_entropy))},
        ValueError,
        PROBABLE.format("cross_entropy", "output='identity'"),
    ),
    "probabilities from no sigmoid": (
        {"net": LINE, "loss": fnn.binary_cross_entropy, "data": (X, LABELS > 1)},
        ValueError,
        PROBABLE.format("binary_cross_entropy", "output='identity'"),
    ),
    "logits from a softmax, as a metric": (
        {
            "net": SOFTMAX,
            "loss": fnn.cross_entropy,
            "metrics": {"stable": partial(fnn.softmax_cross_entropy, label_smoothing=0.1)},
            "validation": (X, LABELS),
        },
        ValueError,
        LOGITS.format("softmax_cross_entropy", "output='softmax'"),
    ),
    "probabilities from no softmax, as a metric": (
        {"metrics": {"textbook": fnn.cross_entropy}, "validation": (X, LABELS)},
        ValueError,
        PROBABLE.format("cross_entropy", "output='identity'"),
    ),
}


@rows(OBJECTIVES)
@pytest.mark.parametrize("function", [fnn.fit, fnn.train], ids=["fit", "train"])
def test_no_run_starts_with(function, changes, error, words, refuses):
    run(function, refuses, made(changes), error, words)
