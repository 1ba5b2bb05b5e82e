"""Gradients: jax.grad against the chain rule by hand, and against finite differences."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.activations import relu
from fnn.losses import (
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    huber,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
from fnn.networks.mlp import mlp

rng = np.random.default_rng(0)
X = rng.normal(size=(5, 3))
VALUES = rng.normal(size=(5, 2)) * 2
LABELS = np.array([0, 1, 1, 0, 1])
ONE_HOT = np.eye(2)[LABELS]
DISTRIBUTIONS = rng.dirichlet(np.ones(2), size=5)
SHARES = rng.uniform(size=(5, 2))


def random_params(net, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)


@functools.partial(jax.jit, static_argnames="loss")
def value_and_grad(net, loss, params, x, y, key=None):
    """The mean loss of a batch and its gradient with respect to the parameters."""

    def mean_loss(params):
        return jnp.mean(loss(net.apply(params, x, key=key), y))

    return jax.value_and_grad(mean_loss)(params)


# ---- the chain rule by hand: dL/dw = dL/dy_hat . dy_hat/dz . dz/dw ----
#
# For one example, each output gives dL/dy_hat (out,) and dy_hat/dz (out, out).


def linear(z):
    return z, np.eye(len(z))


def sigmoid(z):
    y_hat = 1 / (1 + np.exp(-z))
    return y_hat, np.diag(y_hat * (1 - y_hat))


def softmax(z):
    y_hat = np.exp(z) / np.exp(z).sum()
    return y_hat, np.diag(y_hat) - np.outer(y_hat, y_hat)


def squared_error_slope(y_hat, y):
    return 2 * (y_hat - y) / len(y)


def cross_entropy_slope(y_hat, y):
    return -y / y_hat


def binary_cross_entropy_slope(y_hat, y):
    return ((1 - y) / (1 - y_hat) - y / y_hat) / len(y)


def chain_rule(params, x, y, output, loss_slope):
    """dL/dw and dL/db of every weight and bias of a two-layer network, mean over examples."""
    (w1, b1), (w2, b2) = ((np.asarray(layer.weight), np.asarray(layer.bias)) for layer in params)
    slopes = [np.zeros_like(array) for array in (w1, b1, w2, b2)]
    dw1, db1, dw2, db2 = slopes
    inputs, hidden, outputs = w1.shape[0], w1.shape[1], w2.shape[1]
    for x_n, y_n in zip(x, y, strict=True):
        z1 = np.array(
            [sum(w1[i, j] * x_n[i] for i in range(inputs)) + b1[j] for j in range(hidden)]
        )
        a1 = np.tanh(z1)
        z2 = np.array(
            [sum(w2[j, k] * a1[j] for j in range(hidden)) + b2[k] for k in range(outputs)]
        )
        y_hat, dy_hat_dz2 = output(z2)
        dl_dy_hat = loss_slope(y_hat, y_n)
        dl_dz2 = [
            sum(dl_dy_hat[m] * dy_hat_dz2[m, k] for m in range(outputs)) for k in range(outputs)
        ]
        for k in range(outputs):
            db2[k] += dl_dz2[k] / len(x)  # dz2_k/db2_k = 1
            for j in range(hidden):
                dw2[j, k] += dl_dz2[k] * a1[j] / len(x)  # dz2_k/dw2_jk = a1_j
        for j in range(hidden):
            dl_da1 = sum(dl_dz2[k] * w2[j, k] for k in range(outputs))  # dz2_k/da1_j = w2_jk
            dl_dz1 = dl_da1 * (1 - a1[j] ** 2)  # tanh' = 1 - tanh^2
            db1[j] += dl_dz1 / len(x)
            for i in range(inputs):
                dw1[i, j] += dl_dz1 * x_n[i] / len(x)  # dz1_j/dw1_ij = x_i
    return slopes


BY_HAND = {  # output, loss, targets; the same for the chain rule
    "a linear output and the squared error": (
        "identity", squared_error, VALUES, linear, squared_error_slope, VALUES,
    ),
    "logits and softmax cross-entropy, labels": (
        "identity", softmax_cross_entropy, LABELS, softmax, cross_entropy_slope, ONE_HOT,
    ),
    "logits and softmax cross-entropy, distributions": (
        "identity", softmax_cross_entropy, DISTRIBUTIONS, softmax, cross_entropy_slope,
        DISTRIBUTIONS,
    ),
    "a softmax and cross-entropy": (
        "softmax", cross_entropy, LABELS, softmax, cross_entropy_slope, ONE_HOT,
    ),
    "a sigmoid and binary cross-entropy": (
        "sigmoid", binary_cross_entropy, SHARES, sigmoid, binary_cross_entropy_slope, SHARES,
    ),
    "logits and sigmoid cross-entropy": (
        "identity", sigmoid_cross_entropy, SHARES, sigmoid, binary_cross_entropy_slope, SHARES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND.values(), ids=BY_HAND)
def test_the_gradient_is_the_chain_rule_written_out_by_hand(x64, case):
    output, loss, targets, output_by_hand, slope_by_hand, targets_by_hand = case
    net = mlp((3, 4, 2), activation="tanh", output=output)
    params = random_params(net)
    _, slopes = value_and_grad(net, loss, params, X, targets)
    expected = chain_rule(params, X, targets_by_hand, output_by_hand, slope_by_hand)
    for slope, by_hand in zip(jax.tree.leaves(slopes), expected, strict=True):
        assert slope.shape == by_hand.shape
        np.testing.assert_allclose(slope, by_hand, rtol=1e-10, atol=1e-14)


# ---- finite differences ----


def slopes_and_differences(net, loss, targets, params, key=None, step=1e-5):
    """Every partial derivative, and beside it (L(w + h) - L(w - h)) / 2h."""
    leaves, treedef = jax.tree.flatten(params)
    sizes = np.cumsum([leaf.size for leaf in leaves])[:-1]
    flat = jnp.concatenate([leaf.ravel() for leaf in leaves])

    def mean_loss(flat):
        pieces = jnp.split(flat, sizes)
        shaped = [piece.reshape(leaf.shape) for piece, leaf in zip(pieces, leaves, strict=True)]
        y_hat = net.apply(treedef.unflatten(shaped), X, key=key)
        return jnp.mean(loss(y_hat, targets))

    steps = step * jnp.eye(flat.size)
    ahead, behind = (jax.vmap(mean_loss)(flat[None] + sign * steps) for sign in (1, -1))
    return jax.grad(mean_loss)(flat), (ahead - behind) / (2 * step)


def assert_agree(slopes, differences):
    assert np.isfinite(slopes).all()
    assert (abs(slopes) > 1e-12).mean() > 0.4, "or there is nothing to compare"
    np.testing.assert_allclose(slopes, differences, rtol=1e-6, atol=1e-8)


LOSSES = {
    "squared_error": (squared_error, "identity", VALUES),
    "absolute_error": (absolute_error, "identity", VALUES),
    "huber": (functools.partial(huber, delta=0.7), "identity", VALUES),
    "cross_entropy": (cross_entropy, "softmax", LABELS),
    "binary_cross_entropy": (binary_cross_entropy, "sigmoid", SHARES),
    "softmax_cross_entropy": (
        functools.partial(softmax_cross_entropy, label_smoothing=0.1), "identity", LABELS,
    ),
    "sigmoid_cross_entropy": (
        functools.partial(sigmoid_cross_entropy, label_smoothing=0.1), "identity", SHARES,
    ),
}  # fmt: skip


@functools.cache
def of_every_loss():
    """Slopes and differences of each loss, from one program."""

    @jax.jit
    def everything(params):
        return {
            name: slopes_and_differences(
                mlp((3, 4, 2), activation="tanh", output=output), loss, targets, params
            )
            for name, (loss, output, targets) in LOSSES.items()
        }

    return everything(random_params(mlp((3, 4, 2))))


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_every_loss_agrees_with_finite_differences(x64, name):
    assert_agree(*of_every_loss()[name])


FEATURES = {
    "relu": {"activation": "relu"},
    "gelu and softplus": {"activation": ["gelu", "softplus"]},
    "layer normalisation": {"activation": "tanh", "norm": "layer"},
    "residual connections and dropout": {"activation": "elu", "residual": True, "dropout": 0.4},
    "everything": {"activation": "silu", "norm": "layer", "residual": True, "dropout": 0.4},
}


@pytest.mark.parametrize("options", FEATURES.values(), ids=FEATURES)
def test_the_gradient_through_every_feature_agrees_with_finite_differences(x64, options, key):
    net = mlp((3, 4, 4, 2), **options)
    both = jax.jit(functools.partial(slopes_and_differences, net, softmax_cross_entropy, LABELS))
    assert_agree(*both(random_params(net), key))


def test_the_gradient_with_respect_to_x_and_the_dropout_rate_agrees_with_finite_differences(
    x64, key
):
    # in binary, so that the rate and its steps are exact in the float32 of the mask
    net, step = mlp((3, 4, 2), activation="tanh", dropout=0.375), 2.0**-12
    params = random_params(net)

    @jax.jit
    def mean_loss(rate, x):
        y_hat = dataclasses.replace(net, dropout=rate).apply(params, x, key=key)
        return jnp.mean(squared_error(y_hat, VALUES))

    rate_slope, x_slope = jax.jit(jax.grad(mean_loss, (0, 1)))(0.375, X)
    difference = (mean_loss(0.375 + step, X) - mean_loss(0.375 - step, X)) / (2 * step)
    assert abs(rate_slope) > 1e-3
    np.testing.assert_allclose(rate_slope, difference, rtol=1e-5)
    direction = np.random.default_rng(2).normal(size=X.shape)
    ahead, behind = (mean_loss(0.375, X + sign * 1e-5 * direction) for sign in (1, -1))
    np.testing.assert_allclose((x_slope * direction).sum(), (ahead - behind) / 2e-5, rtol=1e-7)


def test_the_gradient_in_bfloat16_points_where_the_float32_one_does(key):
    net = mlp((3, 16, 2), activation="tanh", norm="layer")
    params, x = random_params(net), np.float32(X)
    narrow = dataclasses.replace(net, dtype=jnp.dtype("bfloat16"))
    slopes = [
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)])
        for _, gradient in (
            value_and_grad(one, softmax_cross_entropy, params, x, LABELS) for one in (net, narrow)
        )
    ]
    assert slopes[1].dtype == np.float32
    assert slopes[0] @ slopes[1] > 0.99 * np.linalg.norm(slopes[0]) * np.linalg.norm(slopes[1])


# ---- gradients under vmap ----


def test_gradients_per_example_under_vmap_average_to_the_gradient_of_the_batch(x64):
    net = mlp((3, 4, 2), activation="tanh")
    params = random_params(net)

    def loss(params, x, y):
        return softmax_cross_entropy(net.apply(params, x), y)

    each = jax.jit(jax.vmap(jax.grad(loss), (None, 0, 0)))(params, X, LABELS)
    _, whole = value_and_grad(net, softmax_cross_entropy, params, X, LABELS)
    for per_example, mean in zip(jax.tree.leaves(each), jax.tree.leaves(whole), strict=True):
        assert per_example.shape == (5, *mean.shape)
        np.testing.assert_allclose(per_example.mean(0), mean, rtol=1e-12, atol=1e-15)


def test_gradients_of_many_networks_under_vmap_equal_those_of_each_alone(x64):
    net = mlp((3, 4, 2), activation="tanh")
    many = [random_params(net, seed) for seed in range(3)]
    alone = [value_and_grad(net, softmax_cross_entropy, params, X, LABELS) for params in many]
    lanes, expected = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees) for trees in (many, alone)
    )

    def of_params(params):
        return value_and_grad(net, softmax_cross_entropy, params, X, LABELS)

    together = jax.jit(jax.vmap(of_params))(lanes)
    for lane, single in zip(jax.tree.leaves(together), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(lane, single, rtol=1e-12, atol=1e-15)


def test_the_example_of_micrograd_gives_its_published_numbers(x64):
    def g(a, b):
        c = a + b
        d = a * b + b**3
        c = c + c + 1
        c = c + 1 + c + (-a)
        d = d + d * 2 + relu(b + a)
        d = d + 3 * d + relu(b - a)
        f = (c - d) ** 2
        return f / 2 + 10 / f

    value, (to_a, to_b) = jax.jit(jax.value_and_grad(g, (0, 1)))(-4.0, 2.0)
    assert math.isclose(value, 24.7041, abs_tol=5e-5)
    assert math.isclose(to_a, 138.8338, abs_tol=5e-5)
    assert math.isclose(to_b, 645.5773, abs_tol=5e-5)
