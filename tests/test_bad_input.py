"""Bad input: what `fit`, `train`, `evaluate` and `train_step` refuse, in which words, and when.

Each row of a table is a name, what is changed in a call that is right, and the error. In its
words RUN is the function called, and * is anything.
"""

import re
from functools import partial

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
import fnn.evaluation
import fnn.training.run
import fnn.training.state

RANDOM = np.random.default_rng(0)
ROWS = 12
X = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)
VALUES = RANDOM.normal(size=(ROWS, 1)).astype(np.float32)
LABELS = np.arange(ROWS) % 4
NAMES = np.array(list("abcd"))[LABELS]
WEIGHTS = np.ones(ROWS, np.float32)

NET = fnn.mlp((3, 5, 4))
OTHER = fnn.mlp((3, 6, 4))
SOFTMAX = fnn.mlp((3, 5, 4), output="softmax")
SIGMOID = fnn.mlp((3, 5, 1), output="sigmoid")
LINE = fnn.mlp((3, 5, 1))
OPT = fnn.adam(1e-2)
ON_LABELS = {"net": NET, "loss": fnn.softmax_cross_entropy, "data": (X, LABELS)}
ON_VALUES = {"net": LINE, "loss": fnn.squared_error, "data": (X, VALUES)}
ACCURACY = {"accuracy": fnn.accuracy}


def key():
    return jax.random.key(0)


def spoilt(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


def transposed(function):
    """A function of targets and outputs: the wrong way round."""
    return lambda outputs, targets, *more: function(targets, outputs, *more)


def column(params, x):
    """A model of one's own that forgets the axis of outputs."""
    return LINE.apply(params, x)[:, 0]


class Unhashable:
    __hash__ = None
    init = staticmethod(NET.init)
    apply = staticmethod(NET.apply)


@pytest.fixture
def refuses(compiled, monkeypatch):
    """Calls, and holds that this very error is raised, and that nothing was compiled before."""

    def no_program(*_):
        pytest.fail("the program was called")

    monkeypatch.setattr(fnn.training.run, "_run_epochs", no_program)
    monkeypatch.setattr(fnn.training.state, "_begun", no_program)
    monkeypatch.setattr(fnn.evaluation, "_evaluate", no_program)

    def check(error, words, function, *args, eager=False, **keywords):
        words = re.escape(words.replace("RUN", function.__name__)).replace(r"\*", ".*")
        compiled.clear()
        with pytest.raises(error) as caught:
            function(*args, **keywords)
        assert type(caught.value) is error
        assert re.fullmatch(f"(?s){words}", str(caught.value)), caught.value
        assert eager or compiled == [], "something was compiled before the error"

    return check


def rows(table):
    return pytest.mark.parametrize(
        ("changes", "error", "words"),
        table.values(),
        ids=[name.replace(" ", "_") for name in table],
    )


def made(changes):
    return changes() if callable(changes) else changes


# --- Data, wherever they are given: as data, as validation, to evaluate ---

DATA = {
    "too few features": (
        (X[:, :2], LABELS),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12, 2)",
    ),
    "too many features": (
        (X[:, [0, 1, 2, 2]], LABELS),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12, 4)",
    ),
    "x without features": (
        (X[:, 0], LABELS),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12,)",
    ),
    "one row without the axis of rows": (
        (X[0], LABELS[:3]),
        ValueError,
        "RUN: outputs of the network must be one array (3, out); got float32(4,)",
    ),
    "x shorter than y": (
        (X[:-1], LABELS),
        ValueError,
        "RUN: x and y of DATA must be of one length; got 11 and 12 rows",
    ),
    "y shorter than x": (
        (X, LABELS[:-1]),
        ValueError,
        "RUN: x and y of DATA must be of one length; got 12 and 11 rows",
    ),
    "scalars": (
        (1.0, 2),
        ValueError,
        "RUN: x and y of DATA must have rows: shapes (rows, ...); got () and ()",
    ),
    "empty arrays": (
        (X[:0], LABELS[:0]),
        ValueError,
        "RUN: DATA must have at least one row; got none",
    ),
    "empty lists": (([], []), ValueError, "RUN: DATA must have at least one row; got none"),
    "labels that are floats": (
        (X, LABELS.astype(np.float32)),
        TypeError,
        "*: labels * be integers; got float32*",
    ),
    "labels that are names": (
        (X, NAMES),
        TypeError,
        "RUN: y of DATA must hold numbers (turn names into integer labels with names, labels = "
        "np.unique(y of DATA, return_inverse=True)); got <U1 of shape (12,)",
    ),
    "labels that are missing": (
        (X, [None] * ROWS),
        TypeError,
        "RUN: y of DATA must hold numbers (*); got object of shape (12,)",
    ),
    "labels that are dates": (
        (X, np.full(ROWS, "2020-01-01", "M8[D]")),
        TypeError,
        "RUN: y of DATA must hold real numbers; got dtype datetime64[D]",
    ),
    "labels from -1": ((X, LABELS - 1), ValueError, "*: labels must be from 0 to 3*; got -1"),
    "labels from 1": ((X, LABELS + 1), ValueError, "*: labels must be from 0 to 3*; got 4"),
    "labels that int32 would wrap": (
        (X, LABELS + 2**32),
        ValueError,
        "RUN: y of DATA must fit int32; got values from 4294967296 to 4294967299",
    ),
    "labels in a column": (
        (X, LABELS[:, None]),
        ValueError,
        "*: targets must * as outputs are (12, 4); got *(12, 1)",
    ),
    "distributions over too few classes": (
        (X, np.full((ROWS, 3), 1 / 3)),
        ValueError,
        "*: targets must * as outputs are (12, 4); got *(12, 3)",
    ),
    "x and y swapped": (
        (LABELS, X),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12,)",
    ),
    "x and y swapped, as many rows as features": (
        (LABELS[:3], X[:3]),
        ValueError,
        "RUN: outputs of the network must be one array (3, out); got float32(4,)",
    ),
    "NaN in x": (
        (spoilt(X, (1, 2), np.nan), LABELS),
        ValueError,
        "RUN: x of DATA must be finite everywhere; got nan at index (1, 2)",
    ),
    "infinity in x": (
        (spoilt(X, (1, 2), -np.inf), LABELS),
        ValueError,
        "RUN: x of DATA must be finite everywhere; got -inf at index (1, 2)",
    ),
    "x beyond float32": (
        (spoilt(X.astype(float), (1, 2), 1e300), LABELS),
        ValueError,
        f"RUN: x of DATA must fit float32; got values from {X.astype(float).min()} to 1e+300",
    ),
    "NaN in y": (
        (X, spoilt(VALUES, (5, 0), np.nan)),
        ValueError,
        "RUN: y of DATA must be finite everywhere; got nan at index (5, 0)",
    ),
    "infinity in y": (
        (X, spoilt(VALUES, (5, 0), np.inf)),
        ValueError,
        "RUN: y of DATA must be finite everywhere; got inf at index (5, 0)",
    ),
    "complex x": (
        (X + 1j, LABELS),
        TypeError,
        "RUN: x of DATA must hold real numbers; got dtype complex64",
    ),
    "ragged x": (
        ([[1.0, 2.0], [3.0]], [0, 1]),
        ValueError,
        "RUN: x of DATA must be an array, all of its rows of one shape; got rows of different "
        "shapes",
    ),
    "NaN in weights": (
        (X, LABELS, spoilt(WEIGHTS, 3, np.nan)),
        ValueError,
        "RUN: weights of DATA must be finite everywhere; got nan at index (3,)",
    ),
    "infinity in weights": (
        (X, LABELS, spoilt(WEIGHTS, 3, np.inf)),
        ValueError,
        "RUN: weights of DATA must be finite everywhere; got inf at index (3,)",
    ),
    "a negative weight": (
        (X, LABELS, spoilt(WEIGHTS, 3, -0.5)),
        ValueError,
        "RUN: weights of DATA must be >= 0; got -0.5",
    ),
    "weights that are all 0": (
        (X, LABELS, 0 * WEIGHTS),
        ValueError,
        "RUN: weights of DATA must not all be 0; got only 0",
    ),
    "weights in a column": (
        (X, LABELS, WEIGHTS[:, None]),
        ValueError,
        "RUN: weights of DATA must be (12,); got (12, 1)",
    ),
    "weights per class": (
        (X, LABELS, np.ones(4)),
        ValueError,
        "RUN: weights of DATA must be (12,); got (4,)",
    ),
    "one weight": ((X, LABELS, 1.0), ValueError, "RUN: weights of DATA must be (12,); got ()"),
    "an array for data": (
        X,
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got ndarray",
    ),
    "a dict for data": (
        {"x": X, "y": LABELS},
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got dict",
    ),
    "x alone": (
        (X,),
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got tuple of 1",
    ),
    "too much": (
        (X, LABELS, WEIGHTS, WEIGHTS),
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got tuple of 4",
    ),
}


def run(function, refuses, changes, error, words, **more):
    changes = {**ON_LABELS, "optimizer": OPT, "epochs": 2, "batch_size": 4, **more, **changes}
    changes.setdefault("key", key())
    positional = [changes.pop(name) for name in ("net", "loss", "optimizer", "data")]
    if function is fnn.train:
        changes["progress"] = False
    refuses(error, words, function, *positional, **changes)


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_nan_in_a_device_array_is_found_too(make, refuses):
    bad = make(spoilt(X, (1, 2), np.nan))
    words = "RUN: x of data must be finite everywhere; got nan at index (1, 2)"
    run(fnn.fit, refuses, {"data": (bad, LABELS)}, ValueError, words)


@rows(DATA)
@pytest.mark.parametrize("where", ["data", "validation"])
def test_no_run_starts_on(changes, error, words, where, refuses):
    run(fnn.fit, refuses, {where: changes}, error, words.replace("DATA", where))


@rows(DATA)
def test_nothing_is_evaluated_on(changes, error, words, refuses):
    params, words = NET.init(key()), words.replace("DATA", "data")
    refuses(error, words, fnn.evaluate, NET, params, changes, ACCURACY)


# --- The other arguments of a run ---

NO_COUNT = "RUN: {} must be an integer >= 1, known before compilation; got {}"
NO_KEY = "RUN: key must be one PRNG key, such as jax.random.key(0); got {}"
LOGITS = "RUN: {} takes logits, so the mlp must end in 'identity' (it loses no digits); got {}"
PROBABLE = "RUN: {} takes probabilities, so the mlp must end in 'softmax' or 'sigmoid'; got {}"
NO_LOSS = "RUN: the loss must return one floating number per example, (12,); got {}"
NOT_HASHABLE = "RUN: what is not a number, an array or a pytree of them must be hashable; got {}"
LIKE_OUTPUTS = (
    "squared_error: targets must have the shape of outputs, {}, or without the last axis if 1; "
    "got {}"
)

RUNS = {
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
        "RUN: net must have pure functions init and apply; got <class 'fnn.network.MLP'>",
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
        TypeError,
        "accuracy: outputs, which come before targets, must be floating; got int32(12,)",
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


# --- evaluate ---

NO_PARAMS = "mlp.apply: params of an mlp of (3, 5, 4) must have the structure\n*; got\n"
EVALUATIONS = {
    "parameters of other widths": (
        lambda: {"params": OTHER.init(key())},
        ValueError,
        NO_PARAMS.replace("*", "  [0].weight: float32(3, 5)\n*")
        + "  [0].weight: float32(3, 6)\n  [0].bias: float32(6,)\n*",
    ),
    "parameters of more layers": (
        lambda: {"params": fnn.mlp((3, 5, 5, 4)).init(key())},
        ValueError,
        NO_PARAMS + "*  [2].weight: float32(5, 4)\n*",
    ),
    "parameters in dicts": (
        lambda: {"params": [layer._asdict() for layer in NET.init(key())]},
        ValueError,
        NO_PARAMS + "*  [0]['weight']: float32(3, 5)\n*",
    ),
    "no parameters": ({"params": None}, ValueError, NO_PARAMS + "  (no arrays)"),
    **{
        f"batch_size = {value!r}": (
            {"batch_size": value},
            error,
            NO_COUNT.format("batch_size", value),
        )
        for value, error in [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)]
    },
    "metrics in a list": (
        {"metrics": [fnn.accuracy]},
        TypeError,
        "RUN: metrics must be a dict from names to functions; got [<function accuracy at *>]",
    ),
    "one metric without a name": (
        {"metrics": fnn.accuracy},
        TypeError,
        "RUN: metrics must be a dict from names to functions; got <function accuracy at *>",
    ),
    "a metric that is no function": (
        {"metrics": {"accuracy": 1}},
        TypeError,
        "RUN: metrics must be a dict from names to functions; got 'accuracy': 1",
    ),
    "outputs and targets swapped in a metric": (
        {"metrics": {"accuracy": transposed(fnn.accuracy)}},
        TypeError,
        "accuracy: outputs, which come before targets, must be floating; got int32(12,)",
    ),
    "a metric of values on labels": (
        {"metrics": {"r2": fnn.r2}},
        ValueError,
        "r2: targets must have the shape of outputs, (12, 4), or without the last axis if 1; got "
        "shape (12,)",
    ),
    "logits from a softmax": (
        {"net": SOFTMAX, "metrics": {"loss": fnn.softmax_cross_entropy}},
        ValueError,
        LOGITS.format("softmax_cross_entropy", "output='softmax'"),
    ),
    "probabilities from no softmax, in a partial": (
        {"metrics": {"loss": partial(fnn.cross_entropy)}},
        ValueError,
        PROBABLE.format("cross_entropy", "output='identity'"),
    ),
    "a model whose outputs have no axis of outputs": (
        lambda: {
            "net": fnn.Model(LINE.init, column),
            "params": LINE.init(key()),
            "data": (X, VALUES[:, 0]),
            "metrics": {"mse": fnn.mean_squared_error},
        },
        ValueError,
        "RUN: outputs of the network must be one array (12, out); got float32(12,)",
    ),
    "a network that cannot be hashed": (
        {"net": Unhashable()},
        TypeError,
        NOT_HASHABLE.format("Unhashable: <*Unhashable object at *>"),
    ),
}


@rows(EVALUATIONS)
def test_nothing_is_evaluated_with(changes, error, words, refuses):
    right = {"net": NET, "params": NET.init(key()), "data": (X, LABELS), "metrics": ACCURACY}
    changes = {**right, **made(changes)}
    positional = [changes.pop(name) for name in right]
    refuses(error, words, fnn.evaluate, *positional, **changes)


# --- One step ---

STEPS = {
    "values of two columns for one": (
        lambda: {
            "net": LINE,
            "loss": fnn.squared_error,
            "state": fnn.init_state(LINE, OPT, key()),
            "batch": (X, np.ones((ROWS, 2))),
        },
        ValueError,
        LIKE_OUTPUTS.format("(12, 1)", "(12, 2)"),
    ),
    "a loss of one's own that is reduced": (
        {"loss": lambda z, y: jnp.mean(fnn.softmax_cross_entropy(z, y))},
        ValueError,
        NO_LOSS.format("float32()"),
    ),
    "a loss of one's own that returns a pair": (
        {"loss": lambda z, y: (fnn.softmax_cross_entropy(z, y), {})},
        ValueError,
        NO_LOSS.format("tuple"),
    ),
    "parameters for a state": (
        lambda: {"state": NET.init(key())},
        TypeError,
        "RUN: state must be a TrainState, as init_state makes it; got tuple",
    ),
    "logits from a softmax": (
        {"net": SOFTMAX},
        ValueError,
        LOGITS.format("softmax_cross_entropy", "output='softmax'"),
    ),
    "the state of another network": (
        lambda: {"state": fnn.init_state(OTHER, OPT, key())},
        ValueError,
        NO_PARAMS.replace("*", "  [0].weight: float32(3, 5)\n*") + "  [0].weight: float32(3, 6)\n*",
    ),
    "the state of another optimizer": (
        lambda: {"state": fnn.init_state(NET, fnn.sgd(0.1), key())},
        TypeError,
        "adam: state must be the AdamState that init made; got SgdState",
    ),
}


STEPS |= {
    name: ({"batch": data}, error, words.replace("DATA", "batch"))
    for name, (data, error, words) in DATA.items()
}


@rows(STEPS)
@pytest.mark.parametrize("jitted", [False, True], ids=["eager", "jitted"])
def test_no_step_is_made_with(changes, error, words, jitted, refuses):
    right = {**ON_LABELS, "optimizer": OPT, "state": fnn.init_state(NET, OPT, key())}
    changes = {**right, "batch": (X, LABELS), **made(changes)}
    net, loss, optimizer, state, batch = (
        changes[name] for name in ("net", "loss", "optimizer", "state", "batch")
    )

    def train_step(net, optimizer, state):
        return fnn.train_step(net, loss, optimizer, state, batch)

    # without jit, a step is computed piece by piece until the error
    step = jax.jit(train_step) if jitted else train_step
    refuses(error, words, step, net, optimizer, state, eager=not jitted)


@pytest.mark.parametrize(
    ("bad", "shown", "error"),
    [
        (0, "0", TypeError),
        (None, "None", TypeError),
        (np.zeros(2), "float64 of shape (2,)", TypeError),
        (np.zeros((3, 2), np.uint32), "uint32 of shape (3, 2)", TypeError),
    ],
)
def test_no_state_is_made_without_a_key(bad, shown, error, refuses):
    refuses(error, NO_KEY.format(shown), fnn.init_state, NET, OPT, bad)


# --- Rates ---


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf, [0.1, -0.1]], ids=repr)
@pytest.mark.parametrize("make", ["sgd", "adam", "adamw"])
def test_no_optimizer_is_made_with_a_rate_that_is_negative_or_not_finite(make, bad, refuses):
    words = f"RUN: learning_rate must be a finite number >= 0; got {bad!r}"
    refuses(ValueError, words, getattr(fnn, make), bad)


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf], ids=repr)
@pytest.mark.parametrize(
    ("make", "name", "options"),
    [
        (fnn.linear_decay, "init_value", {"decay_steps": 5}),
        (fnn.exponential_decay, "init_value", {"decay_steps": 5, "decay_rate": 0.5}),
        (fnn.cosine_decay, "init_value", {"decay_steps": 5}),
        (fnn.warmup_cosine_decay, "peak_value",
         {"init_value": 0, "warmup_steps": 1, "decay_steps": 5}),
        (fnn.piecewise_constant, "values", {"boundaries": [1]}),
        (fnn.add_decayed_weights, "weight_decay", {}),
    ],
)  # fmt: skip
def test_no_schedule_or_decay_is_made_with_a_rate_that_is_negative_or_not_finite(
    make, name, options, bad, refuses
):
    values = [0.1, bad] if name == "values" else bad
    words = f"RUN: {name} must be a finite number >= 0; got {values!r}"
    refuses(ValueError, words, make, **{name: values}, **options)


# --- What looks bad and is not ---


@pytest.mark.parametrize("function", [fnn.fit, fnn.train], ids=["fit", "train"])
def test_a_batch_larger_than_the_data_is_one_batch_bit_for_bit(function, compiled):
    more = {"progress": False} if function is fnn.train else {}

    def trained(batch_size):
        return function(
            NET, fnn.softmax_cross_entropy, OPT, (X, LABELS), key=key(), epochs=3,
            batch_size=batch_size, **more,
        )  # fmt: skip

    one = trained(ROWS)
    assert int(one.state.train.step) == 3
    compiled.clear()
    runs = [trained(batch_size) for batch_size in (ROWS + 1, 1000, np.int64(2**40))]
    if function is fnn.fit:
        assert compiled == [], "it is the same program"
    for larger in runs:
        assert jax.tree.structure(larger) == jax.tree.structure(one)
        for a, b in zip(jax.tree.leaves(larger), jax.tree.leaves(one), strict=True):
            assert a.dtype == b.dtype
            if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
                a, b = jax.random.key_data(a), jax.random.key_data(b)
            np.testing.assert_array_equal(a, b)


def test_a_batch_larger_than_the_data_measures_the_same():
    params = NET.init(key())
    scores = [
        fnn.evaluate(NET, params, (X, LABELS), ACCURACY, batch_size=size)["accuracy"]
        for size in (None, ROWS, 1000)
    ]
    assert scores[0] == scores[1] == scores[2]


def test_data_are_taken_as_numpy_takes_them():
    params, loss = NET.init(key()), {"loss": fnn.softmax_cross_entropy}
    arrays = X, LABELS, WEIGHTS
    a, b = (
        fnn.evaluate(NET, params, data, loss)["loss"]
        for data in ([array.tolist() for array in arrays], tuple(map(jnp.asarray, arrays)))
    )
    assert a == b
