"""Activations, each against its formula in float64 NumPy, and where numbers are extreme."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.activations import ACTIVATIONS, RELU_FAMILY, standardize

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def softplus(z):
    return np.logaddexp(0, z)


def sigmoid(z):
    return np.exp(-softplus(-z))


def elu(z, alpha=1.0):
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def softmax(z):
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_softmax(z):
    below = z - z.max(-1, keepdims=True)
    return below - np.log(np.exp(below).sum(-1, keepdims=True))


def hard_silu(z):
    return z * (np.clip(z + 3, 0, 6) / 6)


def gelu(z):
    return z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def squareplus(z):
    return np.where(z < 0, 2 / (np.hypot(z, 2) - z), z / 2 + np.hypot(z, 2) / 2)


def standardized(z):
    return (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5)


FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "softmax": softmax,
    "celu": elu,
    "elu": elu,
    "gelu": gelu,
    "hard_sigmoid": lambda z: np.clip(z + 3, 0, 6) / 6,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "log_sigmoid": lambda z: -softplus(-z),
    "log_softmax": log_softmax,
    "mish": lambda z: z * np.tanh(softplus(z)),
    "relu6": lambda z: np.clip(z, 0, 6),
    "selu": lambda z: SELU_SCALE * elu(z, SELU_ALPHA),
    "silu": lambda z: z * sigmoid(z),
    "soft_sign": lambda z: z / (1 + np.abs(z)),
    "softplus": softplus,
    "sparse_plus": lambda z: np.where(
        z <= -1, 0, np.where(z >= 1, z, (np.clip(z, -1, 1) + 1) ** 2 / 4)
    ),
    "sparse_sigmoid": lambda z: np.clip(z + 1, 0, 2) / 2,
    "squareplus": squareplus,
    "standardize": standardized,
    "swish": lambda z: z * sigmoid(z),
}

ORDINARY = np.array([[-7.3, -2.1, -0.4, 0.3, 0.8], [1.7, 2.6, 3.3, -0.9, 8.4]])
COTANGENT = np.array([[0.5, -1.0, 2.0, 0.25, -0.75], [1.5, 0.5, -0.5, 1.0, -2.0]])


@pytest.fixture(params=["float16", "bfloat16", "float32", "float64"])
def dtype(request):
    if request.param == "float64":
        request.getfixturevalue("x64")
    return jnp.dtype(request.param)


@functools.cache
def computed():
    """Each activation's values and slopes at the ordinary points, from one program."""

    @jax.jit
    def everything(z):
        results = {}
        for name, activation in ACTIVATIONS.items():
            a, pull = jax.vjp(activation, z)
            results[name] = a, pull(jnp.asarray(COTANGENT))[0]
        return results

    return everything(ORDINARY)


def slopes(formula, z, step):
    """The gradient of sum(COTANGENT * formula(z)) by central differences."""
    result = np.empty_like(z)
    for index in np.ndindex(z.shape):
        shift = np.zeros_like(z)
        shift[index] = step
        result[index] = np.sum(COTANGENT * (formula(z + shift) - formula(z - shift))) / (2 * step)
    return result


def test_every_activation_that_mlp_knows_by_name_has_a_formula_here():
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_and_its_slope_equal_the_formula(x64, name):
    a, slope = computed()[name]
    np.testing.assert_allclose(a, FORMULAS[name](ORDINARY), rtol=1e-12, atol=1e-14)
    expected = slopes(FORMULAS[name], ORDINARY, 1e-6)
    np.testing.assert_allclose(slope, expected, rtol=1e-7, atol=1e-8)


def test_activations_work_row_by_row_under_vmap():
    @jax.jit
    def row_by_row(z):
        return {name: jax.vmap(sigma)(z) for name, sigma in ACTIVATIONS.items()}

    for name, rows in row_by_row(jnp.asarray(ORDINARY, jnp.float32)).items():
        expected = FORMULAS[name](ORDINARY)
        np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-5, err_msg=name)


LOGITS = {
    "zeros": [0, 0, 0, 0],
    "ordinary": [1.5, -2, 0.25, 3],
    "one large": [1e4, 0, -1e4, 1],
    "two equal and largest": [1e4, 1e4, -1e4, 0],
    "all equal and large": [1e4, 1e4, 1e4, 1e4],
    "all equal and small": [-1e4, -1e4, -1e4, -1e4],
    "one masked": [-np.inf, 0.5, 1, -1],
    "masked beside large": [-np.inf, 1e4, -1e4, 1e4],
    "all but one masked": [-np.inf, -np.inf, -1e4, -np.inf],
}


def test_softmax_its_gradient_and_its_logarithm_are_right_at_all_kinds_of_logits(dtype):
    z = jnp.asarray(list(LOGITS.values()), dtype)
    cotangent = jnp.asarray([1.0, -2.0, 0.5, 0.25], dtype)

    @jax.jit
    def logarithm_value_and_slope(z):
        p, pull = jax.vjp(ACTIVATIONS["softmax"], z)
        return ACTIVATIONS["log_softmax"](z), p, pull(jnp.broadcast_to(cotangent, p.shape))[0]

    logarithm, p, slope = logarithm_value_and_slope(z)
    assert p.dtype == slope.dtype == dtype
    expected = softmax(np.asarray(z, np.float64))
    c = np.asarray(cotangent, np.float64)
    expected_slope = expected * (c - np.sum(c * expected, -1, keepdims=True))
    precision = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(p, np.float64), expected, atol=4 * precision)
    np.testing.assert_allclose(np.asarray(slope, np.float64), expected_slope, atol=8 * precision)
    np.testing.assert_allclose(
        np.asarray(logarithm, np.float64), log_softmax(np.asarray(z, np.float64)),
        rtol=4 * precision, atol=4 * precision,
    )  # fmt: skip
    masked = np.isneginf(np.asarray(z, np.float64))
    assert not np.asarray(p, np.float64)[masked].any(), "a masked class has probability 0"
    assert not np.asarray(slope, np.float64)[masked].any(), "and no slope"


@jax.jit
def standardized_and_slope(z):
    a, pull = jax.vjp(standardize, z)
    return a, pull(jnp.arange(z.size, dtype=z.dtype))[0]


def test_standardize_holds_far_from_zero():
    z = 1e4 + jnp.arange(8.0)
    a, _ = standardized_and_slope(z)
    np.testing.assert_allclose(a, standardized(np.asarray(z, np.float64)), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 9999.75])
def test_standardize_of_a_constant_row_is_zero_and_has_a_finite_slope(value):
    a, slope = standardized_and_slope(jnp.full(8, value))
    np.testing.assert_allclose(a, 0)
    expected = (np.arange(8) - 3.5) / np.sqrt(1e-5)  # the variance is 0 at such a row
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_the_relu_family_passes_large_z_on_and_holds_small_z_back():
    for name, formula in FORMULAS.items():
        low, high = formula(np.array([-5.0, 5.0]))
        assert (ACTIVATIONS[name] in RELU_FAMILY) == (high > 4 and low > -2), name


def test_the_relu_family_knows_the_functions_of_jax_nn_too():
    assert {jax.nn.relu, jax.nn.gelu, jax.nn.silu, jax.nn.squareplus} <= RELU_FAMILY
    assert not {jax.nn.tanh, jax.nn.sigmoid, jax.nn.softmax} & RELU_FAMILY
