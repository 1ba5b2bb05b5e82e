"""Models, lanes, metrics, monitors and states that `fit` and `train` refuse, in which words."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from bad_input import (
    ACCURACY,
    LABELS,
    LINE,
    NET,
    NOT_HASHABLE,
    ON_VALUES,
    OPT,
    OTHER,
    VALUES,
    WEIGHTS,
    Unhashable,
    X,
    column,
    key,
    made,
    rows,
    run,
    transposed,
)

import fnn

RUNS = {
    # models of one's own
    "a model whose outputs have no axis of outputs": (
        {**ON_VALUES, "net": fnn.Model(LINE.init, column), "data": (X, VALUES[:, 0])},
        ValueError,
        "RUN: outputs of the network must be one array (12, out); got float32(12,)",
    ),
    "a model that loses rows": (
        {"net": fnn.Model(NET.init, lambda params, x: NET.apply(params, x)[1:])},
        ValueError,
        "RUN: outputs of the network must be one array (12, out); got float32(11, 4)",
    ),
    "a model of two outputs": (
        {"net": fnn.Model(NET.init, lambda params, x: (NET.apply(params, x), x))},
        ValueError,
        "RUN: outputs of the network must be one array (12, out); got tuple",
    ),
    "parameters for a network": (
        lambda: {"net": NET.init(key())},
        TypeError,
        "RUN: net must have pure functions init and apply; got tuple",
    ),
    "a class for a network": (
        {"net": fnn.MLP},
        TypeError,
        "RUN: net must have pure functions init and apply; got <class 'fnn.networks.mlp.MLP'>",
    ),
    "an optimizer by its name": (
        {"optimizer": "adam"},
        TypeError,
        "RUN: optimizer must have pure functions init and update; got str",
    ),
    "a rate for an optimizer": (
        {"optimizer": 1e-3},
        TypeError,
        "RUN: optimizer must have pure functions init and update; got float",
    ),
    "a factory for an optimizer": (
        {"optimizer": fnn.adam},
        TypeError,
        "RUN: optimizer must have pure functions init and update; got function",
    ),
    # numbers of many lanes, which would broadcast against the weights
    "the rates of four lanes": (
        {"optimizer": fnn.adam(np.full(4, 0.1))},
        ValueError,
        "RUN: learning_rate must be that of one run (for many, sweep, or vmap what makes "
        "optimizer); got "
        "shape (4,)",
    ),
    "the schedules of four lanes, in a chain": (
        {"optimizer": fnn.chain(fnn.sgd(fnn.linear_decay(np.full(4, 0.1), 5)))},
        ValueError,
        "RUN: init_value must be that of one run (for many, sweep, or vmap what makes "
        "optimizer); got shape (4,)",
    ),
    "the steps of four lanes": (
        {"optimizer": fnn.sgd(fnn.piecewise_constant(np.full((4, 1), 3), [0.1, 0.2]))},
        ValueError,
        "RUN: boundaries must be that of one run (for many, sweep, or vmap what makes "
        "optimizer); got "
        "shape (4, 1)",
    ),
    "the patience of four lanes": (
        {"stop": fnn.early_stopping(patience=np.arange(1, 5))},
        ValueError,
        "RUN: patience must be that of one run (for many, sweep, or vmap what makes "
        "stop); got shape (4,)",
    ),
    "the dropout of four lanes": (
        {"net": fnn.mlp((3, 5, 4), dropout=np.full(4, 0.1))},
        ValueError,
        "RUN: dropout must be that of one run (for many, sweep, or vmap what makes "
        "net); got shape (4,)",
    ),
    "the label smoothing of four lanes": (
        {"loss": partial(fnn.softmax_cross_entropy, label_smoothing=np.full(4, 0.1))},
        ValueError,
        "softmax_cross_entropy: label_smoothing must be one number; got shape (4,)",
    ),
    # metrics
    "metrics in a list": (
        {"metrics": [fnn.accuracy], "validation": (X, LABELS)},
        TypeError,
        "RUN: metrics must be a dict from names to functions; got [<function accuracy at *>]",
    ),
    "one metric without a name": (
        {"metrics": fnn.accuracy, "validation": (X, LABELS)},
        TypeError,
        "RUN: metrics must be a dict from names to functions; got <function accuracy at *>",
    ),
    "a metric by its name": (
        {"metrics": {"accuracy": "accuracy"}, "validation": (X, LABELS)},
        TypeError,
        "RUN: metrics must be a dict from names to functions; got 'accuracy': 'accuracy'",
    ),
    "a metric named by a number": (
        {"metrics": {1: fnn.accuracy}, "validation": (X, LABELS)},
        TypeError,
        "RUN: metrics must be a dict from names to functions; got 1: <function accuracy at *>",
    ),
    "metrics without validation": (
        {"metrics": ACCURACY},
        ValueError,
        "RUN: metrics are measured on validation data, so validation must be given; got "
        "validation=None",
    ),
    "a metric called loss": (
        {"metrics": {"loss": fnn.accuracy}, "validation": (X, LABELS)},
        ValueError,
        "RUN: no metric may be called 'loss', which is recorded in any case; got 'loss'",
    ),
    "outputs and targets swapped in a metric": (
        {"metrics": {"accuracy": transposed(fnn.accuracy)}, "validation": (X, LABELS)},
        ValueError,
        "accuracy: targets must have shape (12,) or (12, 1) beside predicted labels, which come "
        "before targets (of distributions: targets.argmax(axis=1)); got shape (12, 4)",
    ),
    "a metric that cannot weigh": (
        {
            "metrics": {"own": lambda outputs, targets: jnp.mean(outputs)},
            "validation": (X, LABELS, WEIGHTS),
        },
        ValueError,
        "RUN: metric 'validation_own' must take weights, or return a loss per example (12,); got "
        "float32()",
    ),
    "a metric of two values": (
        {
            "metrics": {"own": lambda outputs, targets, weights=None: (outputs, targets)},
            "validation": (X, LABELS),
        },
        TypeError,
        "RUN: metric 'validation_own' must return one array; got tuple",
    ),
    "a metric of two classes for four": (
        {"metrics": {"f1": fnn.f1}, "validation": (X, LABELS)},
        ValueError,
        'f1: average must be "macro", "micro", "weighted" or None for more than two classes; got '
        '"binary" for 4',
    ),
    # monitor, mode, stop
    "a monitor of validation without validation": (
        {"monitor": "validation_loss"},
        ValueError,
        "RUN: monitor must be recorded: one of loss; got 'validation_loss'",
    ),
    "a monitor without its prefix": (
        {"monitor": "accuracy", "metrics": ACCURACY, "validation": (X, LABELS)},
        ValueError,
        "RUN: monitor must be recorded: one of loss, validation_accuracy, validation_loss; got "
        "'accuracy'",
    ),
    **{
        f"monitor = {value!r}": (
            {"monitor": value},
            ValueError,
            f"RUN: monitor must be recorded: one of loss; got {value!r}",
        )
        for value in ("", 3, ["loss"], "Loss")
    },
    "a monitor that is a matrix": (
        {
            "monitor": "validation_table",
            "metrics": {"table": fnn.confusion_matrix},
            "validation": (X, LABELS),
        },
        ValueError,
        "RUN: monitor 'validation_table' must be one floating number per epoch; got float32(4, 4)",
    ),
    **{
        f"mode = {value!r}": (
            {"mode": value},
            ValueError,
            f"RUN: mode must be 'auto', 'min' or 'max'; got {value!r}",
        )
        for value in ("maximum", None, ["min"])
    },
    "a monitor that does not say which is better": (
        {
            "monitor": "validation_own",
            "metrics": {"own": lambda outputs, targets: jnp.mean(outputs)},
            "validation": (X, LABELS),
        },
        ValueError,
        "RUN: mode must be 'min' or 'max', as 'validation_own' does not say which is better; got "
        "'auto'",
    ),
    "a number to stop at": (
        {"stop": 5},
        TypeError,
        "RUN: stop must be an early_stopping(...) or None; got 5",
    ),
    "a dict to stop by": (
        {"stop": {"patience": 5}},
        TypeError,
        "RUN: stop must be an early_stopping(...) or None; got {'patience': 5}",
    ),
    "the factory to stop by": (
        {"stop": fnn.early_stopping},
        TypeError,
        "RUN: stop must be an early_stopping(...) or None; got <function early_stopping at *>",
    ),
    # states
    "parameters for a state": (
        lambda: {"state": NET.init(key())},
        TypeError,
        "RUN: state must be a FitState, a TrainState or None; got tuple",
    ),
    "the state of another network": (
        lambda: {"state": fnn.init_state(OTHER, OPT, key())},
        ValueError,
        "RUN: state must have the structure*.params[0].weight: float32(3, 5)\n*"
        "; got*.params[0].weight: float32(3, 6)\n*",
    ),
    "the state of another optimizer": (
        lambda: {"state": fnn.init_state(NET, fnn.sgd(0.1, momentum=0.9), key())},
        ValueError,
        "RUN: state must have the structure*.opt_state.mu[0].weight: float32(3, 5)\n*"
        "; got*.opt_state.velocity[0].weight: float32(3, 5)\n*",
    ),
    "the state of other dtypes": (
        lambda: {"state": fnn.init_state(fnn.mlp((3, 5, 4), param_dtype="float16"), OPT, key())},
        ValueError,
        "RUN: state must have the structure*.params[0].weight: float32(3, 5)\n*"
        "; got*.params[0].weight: float16(3, 5)\n*",
    ),
    # what jit cannot tell apart
    "a network that cannot be hashed": (
        {"net": Unhashable()},
        TypeError,
        NOT_HASHABLE.format("Unhashable: <*Unhashable object at *>"),
    ),
    "an option that cannot be hashed": (
        {"loss": partial(lambda z, y, options: z[:, 0], options={1})},
        TypeError,
        NOT_HASHABLE.format("set: {1}"),
    ),
}


@rows(RUNS)
@pytest.mark.parametrize("function", [fnn.fit, fnn.train], ids=["fit", "train"])
def test_no_run_starts_with(function, changes, error, words, refuses):
    run(function, refuses, made(changes), error, words)


@pytest.fixture(scope="module")
def run_of_another_network():
    return fnn.fit(OTHER, fnn.softmax_cross_entropy, OPT, (X, LABELS), key=key(), epochs=1)


def test_a_run_is_not_continued_with_another_network(run_of_another_network, refuses):
    words = (
        "RUN: state must have the structure*.train.params[0].weight: float32(3, 5)\n*"
        "; got*.train.params[0].weight: float32(3, 6)\n*"
    )
    changes = {"state": run_of_another_network.state}
    run(fnn.fit, refuses, changes, ValueError, words)
