"""What is shown of a config: the call that makes it."""

import copy

import jax
import numpy as np
import pytest
from config_examples import MAKES, Affine, config_classes

import fnn
from fnn.networks.mlp import mlp
from fnn.optimizers import adam, sgd

TEXTS = [
    "mlp((64, 128, 10))",
    "mlp((64, 128, 10), dropout=0.1)",
    'mlp((2, 1), output="sigmoid")',
    'mlp((2, 3, 4, 1), activation=["tanh", "relu"])',
    'mlp((2, 3, 4, 1), activation="tanh", bias=False, initializer="he_normal")',
    "mlp((2, 3, 1), activation=relu6)",
    'mlp((2, 3, 1), activation="silu", initializer="orthogonal")',
    'mlp((2, 3, 3, 1), norm="layer", residual=True, dtype="bfloat16", param_dtype="float32")',
    "mlp((2, 3, 4, 1), dropout=0.0, active=[2, 3])",
    "adam(0.001)",
    "adam(0.001, b1=0.8, b2=0.99, eps=1e-06)",
    'adamw(0.1, weight_decay=0.0, mask={"a": True, "b": [False, True]})',
    "sgd(0.1)",
    "sgd(0.1, momentum=0.9, nesterov=True)",
    "sgd(cosine_decay(0.1, decay_steps=50))",
    "add_decayed_weights(0.01)",
    "clip_by_global_norm(1.0)",
    "chain(clip_by_global_norm(1.0), adamw(cosine_decay(0.001, decay_steps=5000), "
    "weight_decay=0.01))",
    "linear_decay(0.1, decay_steps=10, end_value=0.01)",
    "exponential_decay(0.1, decay_steps=10, decay_rate=0.5)",
    "cosine_decay(0.1, decay_steps=10, alpha=0.1)",
    "warmup_cosine_decay(0.0, peak_value=0.1, warmup_steps=5, decay_steps=50)",
    "piecewise_constant([3, 6], values=[1.0, 0.5, 0.1])",
    "early_stopping(patience=5)",
    "early_stopping(min_delta=0.1, target=0.01, max_epochs=20)",
    "halving(5)",
    "halving(5, factor=2.5)",
    "Model(init=identity, apply=relu)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_config_is_shown_as_the_call_that_makes_it(text):
    names = {**vars(fnn), "relu6": jax.nn.relu6}
    value = eval(text, names)
    expected = text.replace("activation=relu6", 'activation="relu6"')
    assert repr(value) == str(value) == expected
    assert eval(repr(value), names) == value
    assert repr(jax.tree.map(lambda leaf: leaf, value)) == expected
    assert repr(copy.copy(value)) == expected


def test_every_config_class_is_among_these_texts():
    shown = {type(eval(text, {**vars(fnn), "relu6": jax.nn.relu6})) for text in TEXTS}
    others = {
        "KeyData",
        "Lanes",
        "MinMaxScaler",
        "Plan",
        "QuantileScaler",
        "Rewritten",
        "RobustScaler",
        "Shifted",
        "StandardScaler",
    }  # inner ones, or of arrays
    assert {cls.__name__ for cls in config_classes()} - {c.__name__ for c in shown} <= others


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (adam(np.geomspace(1e-4, 1e-1, 4)), "adam(<4 values from 0.0001 to 0.1>)"),
        (fnn.lanes([0.5, 1.0]), "lanes(<2 values from 0.5 to 1>)"),
        (fnn.lanes(jax.random.split(jax.random.key(0))), "lanes(<2 keys>)"),
        (
            mlp((2, 3, 1), active=[[1], [2]], dropout=[0.1, 0.2]),
            "mlp((2, 3, 1), dropout=<2 values from 0.1 to 0.2>, "
            "active=<2 values of shape (1,) from 1 to 2>)",
        ),
        (mlp((2, 3, 1), activation=lambda z: z), "mlp((2, 3, 1), activation=<lambda>)"),
        (
            fnn.standard_scaler(np.array([[1.0, 5.0], [3.0, 5.0]])),
            "StandardScaler(mean=[2.0, 5.0], scale=[1.0, 1.0])",
        ),
        (
            fnn.robust_scaler(np.array([[1.0], [3.0]])),
            "RobustScaler(median=[2.0], scale=[1.0], quantile_range=(25.0, 75.0))",
        ),
        (Affine("times", np.float64(2), None), 'Affine(kind="times", slope=2.0, shift=None)'),
        (
            jax.eval_shape(lambda value: value, sgd(0.1, momentum=0.9)),
            "sgd(<float32>, momentum=<float32>)",
        ),
        (jax.tree.map(lambda _: None, sgd(0.1)), "sgd(None)"),
        (jax.tree.map(lambda _: object(), sgd(0.1)), "sgd(<object>)"),
    ],
)
def test_what_a_config_holds_besides_numbers_is_shown_short(value, text):
    assert repr(value) == text


@MAKES
def test_no_config_shows_addresses_types_or_many_lines(make):
    text = repr(make())
    assert not any(part in text for part in (" at 0x", "np.", "array", "dtype(", "\n"))


def test_a_config_is_shown_inside_of_transformations():
    texts = []

    def seen(value):
        texts.append(repr(value))
        return value.learning_rate

    jax.jit(seen)(sgd(0.1))
    jax.vmap(seen)(sgd(np.array([0.1, 0.2])))
    jax.grad(seen)(sgd(0.1))
    assert texts == ["sgd(<traced float32>)"] * 3


@MAKES
def test_treescope_shows_configs(make):
    treescope = pytest.importorskip("treescope")
    assert type(make()).__name__ in treescope.render_to_text(make())
    assert treescope.render_to_html(make()).startswith("<")
