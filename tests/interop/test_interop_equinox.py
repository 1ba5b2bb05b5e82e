"""Equinox: modules, there and back."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interop_cases import CASES, REFUSED, SIGMAS, X, assert_close, assert_refused, params_of

import fnn
from fnn.interop import from_equinox, to_equinox

equinox = pytest.importorskip("equinox")
nn = equinox.nn

KEY = jax.random.key(0)
LINEAR = nn.Linear(4, 3, key=KEY)


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_the_same_there_and_back(case):
    net, x = CASES[case]
    params = params_of(net)
    module = to_equinox(net, params)
    expected = net.apply(params, x)
    assert_close(jax.vmap(module)(x), expected)
    assert_close(equinox.filter_jit(equinox.filter_vmap(module))(x), expected)
    again, same = from_equinox(module)
    assert_close(again.apply(same, x), expected)
    assert (again.sizes, again.norm) == (net.sizes, net.norm)
    assert again.dropout == net.dropout
    assert again.activations == net.activations


@pytest.mark.parametrize("sigma", SIGMAS)
def test_activations_are_the_same(sigma):
    net = fnn.mlp((4, 5, 3), activation=SIGMAS[sigma])
    params = params_of(net)
    module = to_equinox(net, params)
    assert_close(jax.vmap(module)(X), net.apply(params, X))
    assert from_equinox(module)[0] == net


@pytest.mark.parametrize("case", REFUSED)
def test_networks_that_equinox_has_no_layers_for_are_refused(case):
    net, text = REFUSED[case]
    assert_refused(lambda: to_equinox(net, net.init(KEY)), "to_equinox", text)


def test_dropout_can_be_turned_on():
    net = fnn.mlp((4, 50, 3), dropout=0.5)
    params = params_of(net)
    module = nn.inference_mode(to_equinox(net, params), False)
    assert abs(module(X[0], key=KEY) - net.apply(params, X[0])).max() > 0.01


@pytest.mark.parametrize("scan", [False, True])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_mlp_of_equinox(depth, scan):
    if scan and "scan" not in inspect.signature(nn.MLP).parameters:
        pytest.skip("this version of Equinox has no scan")
    options = {"scan": True} if scan else {}
    module = nn.MLP(4, 3, 5, depth, activation=jnp.tanh, final_activation=jax.nn.sigmoid,
                    use_final_bias=False, key=KEY, **options)  # fmt: skip
    net, params = from_equinox(module)
    assert net.sizes == (4, *[5] * depth, 3)
    assert depth == 0 or net.output is fnn.sigmoid  # without hidden layers, versions differ
    assert_close(net.apply(params, X), jax.vmap(module)(X))


def test_the_defaults_of_an_mlp_have_names():
    net, _ = from_equinox(nn.MLP(4, 3, 5, 2, key=KEY))
    assert net == fnn.mlp((4, 5, 5, 3))


def test_a_sequence_of_equinox_with_an_mlp_in_it():
    module = nn.Sequential([
        nn.Identity(),
        nn.Sequential([nn.Linear(4, 6, use_bias=False, key=KEY)]),
        nn.LayerNorm(6, use_bias=False),
        nn.Lambda(jnp.sin),
        nn.Dropout(0.5, inference=True),
        nn.MLP(6, 3, 1, depth=0, key=KEY),
        nn.Lambda(jax.nn.log_softmax),
    ])  # fmt: skip
    net, params = from_equinox(module)
    assert net.activations[0] is jnp.sin
    assert net.dropout == 0.5
    assert_close(net.apply(params, X), jax.vmap(module)(X))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_parameters_keep_their_dtype(dtype):
    net = fnn.mlp((4, 6, 3), norm="layer", param_dtype=dtype)
    params = params_of(net)
    again, same = from_equinox(to_equinox(net, params))
    assert again == net
    for one, other in zip(jax.tree.leaves(params), jax.tree.leaves(same), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def mlp_with(sigma):
    return nn.MLP(4, 3, 5, 1, activation=sigma, key=KEY)


BAD = {
    "Conv1d": (nn.Sequential([LINEAR, nn.Conv1d(3, 3, 1, key=KEY)]), "layer '1', a Conv1d"),
    "PReLU": (nn.Sequential([LINEAR, nn.PReLU()]), "layer '1', a PReLU"),
    "nested": (nn.Sequential([LINEAR, nn.Sequential([nn.RMSNorm(3)])]), "layer '1.0', a RMSNorm"),
    "eps": (nn.Sequential([nn.Linear(4, 4, key=KEY), nn.LayerNorm(4, eps=1e-3), LINEAR]), "0.001"),
    "softmax": (mlp_with(jax.nn.softmax), "activation must not join neurons", "softmax"),
    "log_softmax": (mlp_with(jax.nn.log_softmax), "must not join neurons", "log_softmax"),
    "standardize": (mlp_with(jax.nn.standardize), "must not join neurons", "standardize"),
    "of one's own": (mlp_with(lambda z: z / jnp.sqrt(1 + jnp.sum(z**2))), "must not join neurons"),
    "learnt": (mlp_with(nn.PReLU()), "must have no parameters", "PReLU"),
    "scalar": (nn.MLP("scalar", 3, 5, 1, key=KEY), "a scalar"),
    "sizes": (nn.Sequential([LINEAR, LINEAR]), "layer '1', a Linear", "3 outputs"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_modules_without_a_counterpart_are_refused_by_name(case):
    module, *texts = BAD[case]
    assert_refused(lambda: from_equinox(module), "from_equinox", *texts)


def test_what_is_no_sequence_is_refused():
    assert_refused(lambda: from_equinox(LINEAR), "Sequential", "Linear", error=TypeError)
