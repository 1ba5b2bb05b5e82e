"""Dropout: its share, its expectation, its keys and its place."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import X, apply, forward, random_params

from fnn.networks.mlp import Layer, mlp

pytestmark = pytest.mark.usefixtures("fused_as_for_users")

WIDE = mlp((1, 400, 400, 1), activation="identity", bias=False, dropout=0.3)
ONES = (
    Layer(jnp.ones((1, 400))),
    Layer(jnp.ones((400, 400)) / 400),
    Layer(jnp.ones((400, 1)) / 400),
)


def wide_forward(rate, key, rows=25):
    net = dataclasses.replace(WIDE, dropout=np.float64(rate))
    return jax.tree.map(np.asarray, forward(net, ONES, np.ones((rows, 1), np.float32), key))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_leaves_out_that_share_of_neurons_and_scales_the_others_up(rate, key):
    (z, a), *_ = wide_forward(rate, key)
    dropped = a == 0
    assert abs(dropped.mean() - rate) < 5 * math.sqrt(rate * (1 - rate) / a.size)
    np.testing.assert_allclose(a[~dropped], z[~dropped] / (1 - rate), rtol=1e-6)


def test_dropout_preserves_the_expectation_of_every_layer(key):
    means = np.array(
        [[a.mean() for _, a in wide_forward(0.3, key)] for key in jax.random.split(key, 8)]
    )
    deviation = math.sqrt(0.3 / 0.7 / (25 * 400))  # of the mean of a layer, at least
    assert (abs(means.mean(0) - 1) < 5 * 2 * deviation / math.sqrt(8)).all()
    assert (means.std(0) > 0).all(), "each key drops other neurons"


def test_dropout_is_drawn_anew_for_each_layer_and_each_row(key):
    masks = [a != 0 for _, a in wide_forward(0.5, key)[:2]]
    for one, other in (masks, (masks[0][0], masks[0][1])):
        assert abs((one == other).mean() - 0.5) < 0.15


def test_dropout_is_the_same_for_the_same_key_and_differs_for_another(key):
    first, again, other = (wide_forward(0.5, k)[0][1] for k in (key, key, jax.random.key(1)))
    assert (first == again).all()
    assert 0.4 < (first == other).mean() < 0.6


def test_dropout_never_touches_the_outputs_or_a_network_without_hidden_layers(key):
    z, y_hat = wide_forward(0.9, key)[-1]
    assert (z == y_hat).all()
    assert (y_hat != 0).all()
    line = mlp((3, 5), dropout=0.9)
    params, x = random_params(line), np.float32(X)
    assert (apply(line, params, x, key) == apply(line, params, x)).all()


def test_the_next_layer_receives_what_dropout_left(key):
    net = mlp((3, 8, 2), dropout=0.25)
    params = random_params(net)
    (_, a), (z, _) = forward(net, params, np.float32(X), key)
    np.testing.assert_allclose(z, a @ params[1].weight + params[1].bias[None], rtol=1e-5, atol=1e-6)


def test_without_a_key_dropout_is_off_and_a_rate_of_zero_equals_none(key):
    plain, x = mlp((3, 8, 2)), np.float32(X)
    params = random_params(plain)
    expected = apply(plain, params, x).tolist()
    assert apply(mlp((3, 8, 2), dropout=0.9), params, x).tolist() == expected
    assert apply(mlp((3, 8, 2), dropout=0.0), params, x, key).tolist() == expected
    assert apply(mlp((3, 8, 2), dropout=0.9), params, x, key).tolist() != expected
    assert apply(plain, params, x, key).tolist() == expected


def test_a_narrow_layers_mask_is_the_beginning_of_a_wide_layers(key):
    masks = []
    for width in (8, 32):
        net = mlp((3, width, 1), activation="identity", dropout=0.5)
        (_, a), _ = forward(net, random_params(net), np.float32(X), key)
        masks.append(np.asarray(a) != 0)
    assert (masks[0] == masks[1][:, :8]).all()
    assert 0 < masks[0].sum() < masks[0].size


def test_the_dropout_rate_is_traced_vmapped_and_lanes_equal_single_networks(key):
    traces = []

    @jax.jit
    def hidden(net, params, x, key):
        traces.append(net)
        return net.forward(params, x, key=key)[0][1]

    net, x = mlp((3, 8, 2), dropout=0.0), np.float32(X)
    params, rates = random_params(net), [0.0, 0.2, 0.5, 0.8]
    alone = [hidden(mlp((3, 8, 2), dropout=rate), params, x, key) for rate in rates]
    assert len(traces) == 1, "a new rate must not retrace"
    lanes = dataclasses.replace(net, dropout=np.array(rates))
    together = jax.jit(jax.vmap(hidden, (0, None, None, None)))(lanes, params, x, key)
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    zeros = [(np.asarray(a) == 0).sum() for a in alone]
    assert zeros == sorted(zeros), "a higher rate drops the same neurons and more"


def test_dropout_comes_before_the_residual_connection(key):
    net = mlp((3, 8, 8, 1), activation="identity", dropout=0.5, residual=True)
    params = random_params(net)
    (_, before), (z, a), _ = jax.tree.map(np.asarray, forward(net, params, np.float32(X), key))
    kept = np.isclose(a, before + 2 * z, rtol=1e-5, atol=1e-5)
    assert (kept | (a == before)).all()
    assert 0 < kept.sum() < kept.size
