"""What the network refuses, when it is made and when it is applied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import random_params

from fnn.networks.mlp import mlp

BAD_NETWORKS = {  # arguments, error, what it says
    "one layer": (([3],), {}, ValueError, r"mlp: sizes must be .*at least two layers; got \[3\]"),
    "no layers": (((),), {}, ValueError, "at least two layers"),
    "a number of neurons": ((3,), {}, TypeError, "sizes must be neurons per layer.*got 3"),
    "a string of sizes": (("32",), {}, TypeError, "sizes must be neurons per layer.*got '32'"),
    "a layer of no neurons": (((3, 0, 2),), {}, ValueError, "each of sizes must be .* >= 1"),
    "a negative size": (((3, -4, 2),), {}, ValueError, "integer >= 1, .*; got -4"),
    "half a neuron": (((3, 4.5, 2),), {}, TypeError, "each of sizes must be an integer.*got 4.5"),
    "a whole float": (((3, 4.0, 2),), {}, TypeError, "each of sizes must be an integer.*got 4.0"),
    "a size of True": (((3, True),), {}, TypeError, "each of sizes must be an integer.*got True"),
    "a matrix of sizes": ((np.ones((2, 2), int),), {}, TypeError, "each of sizes must be"),
    "a misspelt activation": (
        ((3, 4, 2),), {"activation": "rellu"},
        ValueError, "activation must be a function or one of .*'rellu' .did you mean 'relu'.",
    ),
    "an activation in capitals": (
        ((3, 4, 2),), {"activation": "ReLU"}, ValueError, "'ReLU' .did you mean 'relu'.",
    ),
    "a misspelt output": (
        ((3, 4, 2),), {"output": "sofmax"}, ValueError, "output .*did you mean 'softmax'.",
    ),
    "an unheard-of activation": (
        ((3, 4, 2),), {"activation": "zzzz"}, ValueError, "one of identity, .*got 'zzzz'$",
    ),
    "an activation that is no function": (
        ((3, 4, 2),), {"activation": 3}, TypeError, "activation must be a function or one of",
    ),
    "no activation": (((3, 4, 2),), {"activation": None}, TypeError, "activation must be a func"),
    "too many activations": (
        ((3, 4, 2),), {"activation": ["relu", "tanh"]},
        ValueError, r"activation must be one, or one per hidden layer \(1\); got 2",
    ),
    "too few activations": (
        ((3, 4, 4, 2),), {"activation": ["relu"]}, ValueError, r"hidden layer \(2\); got 1",
    ),
    "a bad one among activations": (
        ((3, 4, 4, 2),), {"activation": ["relu", "tan"]}, ValueError, "did you mean 'tanh'",
    ),
    "a dropout of one": (
        ((3, 4, 2),), {"dropout": 1.0},
        ValueError, "mlp: dropout must be a finite number >= 0 and < 1; got 1.0",
    ),
    "a negative dropout": (((3, 4, 2),), {"dropout": -0.1}, ValueError, "dropout .*got -0.1"),
    "a dropout of NaN": (((3, 4, 2),), {"dropout": np.nan}, ValueError, "dropout .*got nan"),
    "a dropout in words": (((3, 4, 2),), {"dropout": "0.1"}, TypeError, "dropout must be a finite"),
    "a dropout of True": (((3, 4, 2),), {"dropout": True}, TypeError, "dropout must be a finite"),
    "an unknown norm": (
        ((3, 4, 2),), {"norm": "batch"}, ValueError, "norm must be None or 'layer'; got 'batch'",
    ),
    "a norm that is True": (((3, 4, 2),), {"norm": True}, ValueError, "norm must be None or"),
    "a bias in words": (((3, 4, 2),), {"bias": "no"}, TypeError, "bias must be True or False"),
    "a residual of one": (((3, 4, 2),), {"residual": 1}, TypeError, "residual must be True or"),
    "an integer dtype": (
        ((3, 4, 2),), {"dtype": "int32"}, TypeError, "dtype must be a floating dtype or None; got",
    ),
    "no dtype at all": (((3, 4, 2),), {"dtype": "flot32"}, TypeError, "dtype must be a floating"),
    "complex parameters": (
        ((3, 4, 2),), {"param_dtype": complex}, TypeError, "param_dtype must be a floating dtype",
    ),
    "float64 without x64": (
        ((3, 4, 2),), {"param_dtype": "float64"},
        ValueError, r"param_dtype must be enabled \(jax_enable_x64\); got float64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_NETWORKS.values(), ids=BAD_NETWORKS)
def test_a_network_that_cannot_be_is_refused_when_it_is_made(case):
    arguments, options, error, match = case
    with pytest.raises(error, match=match) as raised:
        mlp(*arguments, **options)
    assert str(raised.value).startswith("mlp: ")


NET = mlp((3, 4, 2), dropout=0.5)
PARAMS = random_params(NET)

BAD_X = {
    "too many features": (np.ones((2, 4)), ValueError, r"must have shape \(..., 3\); got \(2, 4\)"),
    "features first": (np.ones((3, 2)), ValueError, r"must have shape \(..., 3\); got \(3, 2\)"),
    "a number": (1.0, ValueError, r"x must have shape \(..., 3\); got \(\)"),
    "too many features in a jax array": (jnp.ones((2, 4)), ValueError, r"got \(2, 4\)"),
    "strings": ([["a", "b", "c"]], TypeError, "x must hold numbers .*np.unique"),
    "a string": ("abc", TypeError, "x must hold numbers"),
    "objects": (np.array([None, 1, 2]), TypeError, "x must hold"),
    "complex numbers": (np.ones(3, complex), TypeError, "x must hold real numbers; got dtype"),
    "complex numbers of jax": (
        jnp.ones(3, jnp.complex64), TypeError, "x must hold real numbers; got dtype complex64",
    ),
    "keys": (jax.random.split(jax.random.key(0), 3), TypeError, "x must hold real numbers"),
    "NaN": (
        [[0, 0, 0], [0, np.nan, 0]], ValueError,
        r"x must be finite everywhere; got nan at index \(1, 1\)",
    ),
    "infinity": ([np.inf, 0, 0], ValueError, r"x must be finite everywhere; got inf at index"),
    "ragged lists": ([[1, 2, 3], [1, 2]], ValueError, "x must be an array"),
}  # fmt: skip


@pytest.mark.parametrize("function", ["apply", "forward"])
@pytest.mark.parametrize("case", BAD_X.values(), ids=BAD_X)
def test_bad_x_is_told_what_must_hold(case, function):
    x, error, match = case
    with pytest.raises(error, match=match) as raised:
        getattr(NET, function)(PARAMS, x)
    assert str(raised.value).startswith(f"mlp.{function}: ")


def test_a_wrong_feature_count_is_told_while_tracing():
    with pytest.raises(ValueError, match=r"mlp.apply: x must have shape \(..., 3\); got \(2, 4\)"):
        jax.eval_shape(NET.apply, PARAMS, np.ones((2, 4), np.float32))


OTHERS = {  # networks whose parameters NET must refuse, and what the error shows of both
    "other widths": (mlp((3, 5, 2)), r"\[0\].weight: float32\(3, 4\).*got.*float32\(3, 5\)"),
    "more layers": (mlp((3, 4, 4, 2)), r"\[1\].weight.*got.*\[2\].weight: float32\(4, 2\)"),
    "fewer layers": (mlp((3, 2)), r"\[1\].weight: float32\(4, 2\).*got.*float32\(3, 2\)"),
    "no biases": (mlp((3, 4, 2), bias=False), r"\[1\].bias: float32\(2,\).*got.*\[1\].weight"),
    "a norm": (mlp((3, 4, 2), norm="layer"), r"\[0\].bias.*got.*\[0\].scale: float32\(4,\)"),
}


@pytest.mark.parametrize("case", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("function", ["apply", "forward"])
def test_parameters_of_another_network_are_refused_showing_both_structures(case, function):
    other, match = case
    match = rf"(?s)mlp.{function}: params of an mlp of \(3, 4, 2\) must have the structure.*{match}"
    with pytest.raises(ValueError, match=match):
        getattr(NET, function)(random_params(other), np.ones(3))
    with pytest.raises(ValueError, match="must have the structure"):
        getattr(other, function)(PARAMS, np.ones(3))


def test_a_bias_that_broadcasting_would_accept_is_refused():
    bad = (PARAMS[0]._replace(bias=jnp.zeros(1)), PARAMS[1])
    with pytest.raises(ValueError, match=r"(?s)\[0\].bias: float32\(4,\).*got.*float32\(1,\)"):
        NET.apply(bad, np.ones(3))


@pytest.mark.parametrize("params", [None, (), {}, 1.0, (jnp.ones((3, 4)),) * 2])
def test_what_are_no_parameters_at_all_is_refused(params):
    with pytest.raises(ValueError, match=r"params of an mlp of .* must have the structure"):
        NET.apply(params, np.ones(3))


BAD_KEYS = {
    "a seed": (0, TypeError, "got 0$"),
    "no key": ("key", TypeError, "got 'key'"),
    "an array of floats": (jnp.zeros(2), TypeError, r"got float32 of shape \(2,\)"),
    "two keys": (
        jax.random.split(jax.random.key(0)), ValueError, r"got keys of shape \(2,\)",
    ),
    "two old keys": (np.zeros((2, 2), np.uint32), TypeError, r"got uint32 of shape \(2, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_that_is_no_key_is_refused(case):
    key, error, match = case
    rule = rf"key must be one PRNG key, such as jax.random.key\(0\); {match}"
    with pytest.raises(error, match=f"mlp.init: {rule}"):
        NET.init(key)
    with pytest.raises(error, match=f"mlp.apply: {rule}"):
        NET.apply(PARAMS, np.ones(3), key=key)
    with pytest.raises(error, match=f"mlp.forward: {rule}"):
        NET.forward(PARAMS, np.ones(3), key=key)


def test_many_dropout_rates_are_refused_outside_of_vmap(key):
    net = mlp((3, 4, 2), dropout=[0.1, 0.2, 0.3, 0.4])
    with pytest.raises(ValueError, match=r"dropout must be one number here .*; got shape \(4,\)"):
        net.apply(PARAMS, np.ones((4, 3)), key=key)
