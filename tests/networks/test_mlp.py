"""The network: every neuron against a loop in plain Python, layer normalisation, dtypes."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import X, apply, forward, random_params

from fnn.networks.mlp import MLP, Layer, mlp

SIGMAS = {
    "relu": lambda z: max(z, 0.0),
    "tanh": math.tanh,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "identity": lambda z: z,
}


def neurons(params, x, sigmas, residual=False):
    """Forward propagation of one example, neuron by neuron: a list of (z, a) per layer."""
    layers, last = [], len(params) - 1
    for index, (layer, sigma) in enumerate(zip(params, sigmas, strict=True)):
        weight, z = np.asarray(layer.weight).tolist(), []
        for j in range(len(weight[0])):
            z_j = 0.0
            for i in range(len(x)):
                z_j += weight[i][j] * x[i]
            if layer.bias is not None:
                z_j += float(layer.bias[j])
            z.append(z_j)
        a = [SIGMAS[sigma](z_j) for z_j in z]
        if residual and 0 < index < last and len(a) == len(x):
            a = [a_j + x_j for a_j, x_j in zip(a, x, strict=True)]
        layers.append((z, a))
        x = a
    return layers


# ---- forward propagation ----

LAYERS = {
    "no hidden layer": ((3, 2), {"output": "sigmoid"}, ["sigmoid"]),
    "one hidden layer": ((3, 4, 2), {"activation": "tanh"}, ["tanh", "identity"]),
    "one neuron everywhere": ((3, 1, 1, 1), {"output": "tanh"}, ["relu", "relu", "tanh"]),
    "an activation per layer": (
        (3, 5, 4, 2), {"activation": ["relu", "sigmoid"], "output": "tanh"},
        ["relu", "sigmoid", "tanh"],
    ),
    "no biases": ((3, 4, 2), {"bias": False, "activation": "sigmoid"}, ["sigmoid", "identity"]),
    "residual": (
        (3, 3, 3, 4, 4, 4), {"residual": True, "activation": "tanh"}, ["tanh"] * 4 + ["identity"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)
def test_forward_shows_what_a_loop_over_all_neurons_computes(x64, case):
    sizes, options, sigmas = case
    net = mlp(sizes, **options)
    params = random_params(net)
    layers = forward(net, params, X)
    assert [(z.shape, a.shape) for z, a in layers] == [((4, out), (4, out)) for out in sizes[1:]]
    for row, x in enumerate(X.tolist()):
        expected = neurons(params, x, sigmas, options.get("residual", False))
        for (z, a), (z_expected, a_expected) in zip(layers, expected, strict=True):
            np.testing.assert_allclose(z[row], z_expected, rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(a[row], a_expected, rtol=1e-12, atol=1e-14)


def test_apply_returns_the_last_a_of_forward(key):
    net = mlp((3, 8, 8, 2), dropout=0.5, norm="layer", residual=True, output="softmax")
    params = random_params(net)
    x = np.float32(X)
    for given in (None, key):
        y_hat = apply(net, params, x, given)
        np.testing.assert_allclose(y_hat, forward(net, params, x, given)[-1][1], rtol=1e-6)
        np.testing.assert_allclose(y_hat.sum(-1), 1, rtol=1e-5)


def test_parameters_have_weights_in_out_and_biases_out(key):
    params = mlp((3, 5, 2)).init(key)
    assert [type(layer) for layer in params] == [Layer, Layer]
    assert [layer.weight.shape for layer in params] == [(3, 5), (5, 2)]
    assert [layer.bias.shape for layer in params] == [(5,), (2,)]
    assert all(layer.scale is None and layer.shift is None for layer in params)
    assert all(layer.bias is None for layer in mlp((3, 5, 2), bias=False).init(key))


@pytest.mark.parametrize("batch", [(), (0,), (2, 1, 2)])
def test_any_leading_axes_are_batch_axes(batch):
    net = mlp((3, 4, 2), norm="layer")
    params = random_params(net)
    size = math.prod(batch)
    x = np.float32(X)[:size].reshape(*batch, 3)
    y_hat = apply(net, params, x)
    assert y_hat.shape == (*batch, 2)
    expected = apply(net, params, np.float32(X))[:size]
    np.testing.assert_allclose(y_hat.reshape(size, 2), expected, rtol=1e-5, atol=1e-6)


def test_apply_agrees_with_itself_under_vmap_over_examples_and_over_parameters():
    net = mlp((3, 4, 2), activation="tanh")
    many = [random_params(net, seed) for seed in range(3)]
    x = np.float32(X)
    one_by_one = [apply(net, params, x) for params in many]
    by_example = jax.jit(jax.vmap(net.apply, (None, 0)))(many[0], x)
    np.testing.assert_allclose(by_example, one_by_one[0], rtol=1e-5, atol=1e-6)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    by_params = jax.jit(jax.vmap(net.apply, (0, None)))(stacked, x)
    np.testing.assert_allclose(by_params, one_by_one, rtol=1e-5, atol=1e-6)


def test_functions_of_ones_own_serve_as_activations():
    net = mlp((3, 4, 2), activation=lambda z: 2 * z, output=jnp.abs)
    params, x = random_params(net), np.float32(X)
    (z, a), (z_out, y_hat) = forward(net, params, x)
    np.testing.assert_allclose(a, 2 * z, rtol=1e-6)
    np.testing.assert_allclose(y_hat, abs(z_out), rtol=1e-6)


@pytest.mark.parametrize("x", [[1, 0, 2], [[True, False, True]], np.array([[1, 0, 2]], np.uint8)])
def test_x_may_hold_integers_or_bools_and_be_a_list(x):
    net = mlp((3, 4, 2))
    params = random_params(net)
    expected = apply(net, params, np.asarray(x, np.float32))
    assert net.apply(params, x).dtype == np.float32
    np.testing.assert_allclose(net.apply(params, x), expected, rtol=1e-5, atol=1e-6)


# ---- layer normalisation ----


def test_layer_normalisation_equals_its_formula_on_every_hidden_z(x64):
    net = mlp((3, 5, 4, 2), norm="layer", activation="tanh")
    params = random_params(net)
    layers = forward(net, params, X)
    a = X
    for layer, (z, shown_a) in zip(params, layers, strict=True):
        expected = a @ np.asarray(layer.weight) + np.asarray(layer.bias)
        if layer is not params[-1]:
            mean = expected.mean(-1, keepdims=True)
            variance = ((expected - mean) ** 2).mean(-1, keepdims=True)
            expected = (expected - mean) / np.sqrt(variance + 1e-5)
            expected = expected * np.asarray(layer.scale) + np.asarray(layer.shift)
        np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-13)
        a = np.asarray(shown_a)


def test_a_normalised_network_begins_with_scale_one_and_shift_zero_in_hidden_layers_only(key):
    *hidden, last = mlp((3, 5, 4, 2), norm="layer").init(key)
    assert [layer.scale.tolist() for layer in hidden] == [[1] * 5, [1] * 4]
    assert [layer.shift.tolist() for layer in hidden] == [[0] * 5, [0] * 4]
    assert last.scale is None
    assert last.shift is None


def test_layer_normalisation_of_a_constant_row_is_finite_and_so_is_its_gradient():
    net = mlp((3, 4, 2), norm="layer", activation="tanh")
    params = random_params(net)
    params = (params[0]._replace(weight=jnp.ones((3, 4)), bias=jnp.zeros(4)), params[1])

    @jax.jit
    def layers_and_slopes(params, x):
        def total(params, x):
            layers = net.forward(params, x)
            return jnp.sum(layers[-1][1]), layers

        return jax.value_and_grad(total, (0, 1), has_aux=True)(params, x)

    (_, layers), (slopes, x_slope) = layers_and_slopes(params, jnp.ones((1, 3)))
    np.testing.assert_allclose(layers[0][0][0], params[0].shift, rtol=1e-6)
    first, last = (jax.tree.map(np.asarray, layer) for layer in params)
    received = last.weight.sum(1) * (1 - np.tanh(first.shift) ** 2)
    np.testing.assert_allclose(slopes[0].shift, received, rtol=1e-5)
    np.testing.assert_allclose(slopes[0].scale, 0)
    # normalisation takes the mean off, and divides by the root of a variance of 0 + 1e-5
    passed = received * first.scale
    expected = (passed - passed.mean()) / np.sqrt(1e-5)
    np.testing.assert_allclose(slopes[0].weight, np.tile(expected, (3, 1)), rtol=1e-4)
    assert np.isfinite(x_slope).all()


# ---- dtypes ----


@pytest.mark.parametrize(
    ("dtype", "param_dtype", "computed"),
    [
        (None, None, "float32"),
        (None, "bfloat16", "bfloat16"),
        ("bfloat16", None, "bfloat16"),
        (jnp.float16, np.float32, "float16"),
        (np.float32, jnp.bfloat16, "float32"),
    ],
)
def test_the_network_computes_in_dtype_and_keeps_its_parameters_in_param_dtype(
    dtype, param_dtype, computed, key
):
    net = mlp((3, 4, 2), dtype=dtype, param_dtype=param_dtype, norm="layer", dropout=0.5)

    def slopes(params, x, key):
        return jax.grad(lambda params: net.apply(params, x, key=key).astype(np.float32).sum())(
            params
        )

    params = jax.eval_shape(net.init, key)
    wanted = jnp.dtype(param_dtype or "float32")
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {wanted}
    layers = jax.eval_shape(net.forward, params, np.float32(X), key=key)
    assert {leaf.dtype for leaf in jax.tree.leaves(layers)} == {jnp.dtype(computed)}
    gradient = jax.eval_shape(slopes, params, np.float32(X), key)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {wanted}


def test_bfloat16_computation_with_float32_parameters_is_near_the_float32_result():
    net, x = mlp((3, 16, 2), norm="layer", activation="tanh"), np.float32(X)
    params = random_params(net)
    narrow = dataclasses.replace(net, dtype=jnp.dtype("bfloat16"))
    y_hat = np.asarray(apply(narrow, params, x), np.float32)
    expected = apply(net, params, x)
    np.testing.assert_allclose(y_hat, expected, rtol=0.05, atol=0.1)
    assert (y_hat != expected).any()


def test_parameters_cast_to_another_dtype_are_computed_in_it():
    net = mlp((3, 4, 2))
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), random_params(net))
    assert jax.eval_shape(net.apply, params, np.float32(X)).dtype == jnp.float16


def test_float64_is_computed_in_float64_under_x64(x64):
    net = mlp((3, 4, 2))
    assert apply(net, random_params(net), np.float32(X)).dtype == np.float64
    assert (
        jax.eval_shape(mlp((3, 2), dtype="float64").apply, random_params(mlp((3, 2))), X).dtype
        == np.float64
    )


# ---- keys, equality ----


def test_keys_of_both_styles_are_understood_alike(key):
    net, old = mlp((3, 8, 2), dropout=0.5), jax.random.PRNGKey(0)
    typed, raw = net.init(key), net.init(old)
    for one, other in zip(jax.tree.leaves(typed), jax.tree.leaves(raw), strict=True):
        assert (one == other).all()
    x = np.float32(X)
    assert apply(net, typed, x, key).tolist() == apply(net, typed, x, old).tolist()


OPTIONS = [
    {"dropout": 0.25}, {"activation": "tanh"}, {"activation": ["relu", "tanh"]}, {"bias": False},
    {"output": "softmax"}, {"norm": "layer"}, {"residual": True}, {"dtype": "bfloat16"},
    {"param_dtype": jnp.float16}, {"initializer": "orthogonal"}, {"initializer": "he_normal"},
]  # fmt: skip


def test_networks_are_equal_by_value_and_so_are_their_hashes():
    plain = mlp((3, 4, 4, 2))
    assert plain == mlp([3, 4, 4, 2], activation=["relu", "relu"]) == mlp(np.array([3, 4, 4, 2]))
    nets = [plain, mlp((3, 4, 2)), *(mlp((3, 4, 4, 2), **options) for options in OPTIONS)]
    rebuilt = [
        mlp((3, 4, 4, 2)),
        mlp((3, 4, 2)),
        *(mlp((3, 4, 4, 2), **options) for options in OPTIONS),
    ]
    for index, net in enumerate(nets):
        assert [net == other for other in rebuilt] == [index == i for i in range(len(nets))]
        assert hash(net) == hash(rebuilt[index])
    assert mlp((3, 2), dropout=0.1) != mlp((3, 2), dropout=0.2)
    assert mlp((3, 2), dropout=0.1) != mlp((3, 2))
    assert plain != "a network"


def test_a_rebuilt_equal_network_does_not_recompile_and_another_does():
    traces = []

    @jax.jit
    def traced(net, x):
        traces.append(net)
        return x

    for options in ({}, {"activation": "tanh", "norm": "layer", "dropout": 0.1}):
        for _ in range(2):
            traced(mlp((3, 4, 2), **options), 1.0)
    assert len(traces) == 2


def test_the_only_number_of_a_network_is_its_dropout_rate():
    assert jax.tree.leaves(mlp((3, 4, 2), norm="layer")) == []
    leaves = jax.tree_util.tree_leaves_with_path(mlp((3, 4, 2), dropout=0.1))
    assert [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves] == [(".dropout", 0.1)]


def test_parameters_and_networks_are_immutable(key):
    net = mlp((3, 4, 2))
    params = net.init(key)
    with pytest.raises(TypeError):
        params[0] = params[1]
    with pytest.raises(AttributeError):
        params[0].weight = params[1].weight
    with pytest.raises(TypeError):
        params[0].weight[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        net.sizes = (3, 5, 2)


def test_the_output_activation_of_a_network_can_be_asked_for():
    assert mlp((3, 4, 2), output=jnp.abs).output is jnp.abs
    assert isinstance(mlp((3, 2)), MLP)
