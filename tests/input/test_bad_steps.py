"""What `evaluate`, `train_step` and the makers of optimizers and schedules refuse."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad_data import DATA
from bad_input import (
    ACCURACY,
    LABELS,
    LIKE_OUTPUTS,
    LINE,
    LOGITS,
    NET,
    NO_COUNT,
    NO_KEY,
    NO_LOSS,
    NOT_HASHABLE,
    ON_LABELS,
    OPT,
    OTHER,
    PROBABLE,
    ROWS,
    SOFTMAX,
    VALUES,
    Unhashable,
    X,
    column,
    key,
    made,
    rows,
    transposed,
)

import fnn

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
        ValueError,
        "accuracy: targets must have shape (12,) or (12, 1) beside predicted labels, which come "
        "before targets (of distributions: targets.argmax(axis=1)); got shape (12, 4)",
    ),
    "a metric of values on labels": (
        {"metrics": {"r2": fnn.r2}},
        ValueError,
        "r2: targets must have the shape of outputs, (12, 4); got shape (12,)",
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
