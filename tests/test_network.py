"""The network: every neuron against a loop in plain Python, every option, and bad inputs."""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.network import MLP, Layer, mlp

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


def random_params(net, seed=0):
    """Parameters of which none is 0 or 1, biases included."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)


@jax.jit
def compiled(net, params, x, key=None):
    return net.apply(params, x, key=key), net.forward(params, x, key=key)


def apply(*arguments):
    return compiled(*arguments)[0]


def forward(*arguments):
    return compiled(*arguments)[1]


X = np.random.default_rng(1).normal(size=(4, 3))

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


# ---- dropout ----

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


# ---- bad input ----

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


# ---- active units


def narrowed(params, widths):
    """The parameters of the network that is as wide as the active units are."""
    return tuple(
        fnn.Layer(layer.weight[:ins, :outs], *[a if a is None else a[:outs] for a in layer[1:]])
        for layer, ins, outs in zip(params, widths[:-1], widths[1:], strict=True)
    )


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", [None, "layer"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("active", [(5, 5), (3, 8), (8, 8)])
def test_active_units_train_as_the_narrow_network_does(x64, active, activation, norm, residual):
    """From the same weights, dropout and weight decay and norms of gradients included."""
    options = {"activation": activation, "norm": norm, "residual": residual, "dropout": 0.3}
    wide = fnn.mlp((3, 8, 8, 2), active=active, **options)
    narrow = fnn.mlp((3, *active, 2), **options)
    opt = fnn.chain(fnn.add_decayed_weights(0.1), fnn.clip_by_global_norm(0.5), fnn.adam(1e-2))
    widths = (3, *active, 2)
    start = fnn.init_state(wide, opt, jax.random.key(0))
    params = narrowed(start.params, widths)
    other = fnn.TrainState(params, opt.init(params), start.step, start.key)
    x = np.random.default_rng(0).normal(size=(20, 3))
    run = {"data": (x, x[:, :2]), "epochs": 3, "batch_size": 8, "order_key": jax.random.key(1)}
    one = fnn.fit(wide, fnn.squared_error, opt, state=start, **run)
    same = fnn.fit(narrow, fnn.squared_error, opt, state=other, **run)
    np.testing.assert_allclose(one.history["loss"], same.history["loss"], rtol=1e-10)
    chex.assert_trees_all_close(narrowed(one.params, widths), same.params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        wide.apply(one.params, x), narrow.apply(same.params, x), rtol=1e-9, atol=1e-12
    )
    assert sum(np.count_nonzero(layer.weight) for layer in one.params) == sum(
        layer.weight.size for layer in same.params
    )


@pytest.mark.parametrize("initializer", ["he_normal", "glorot_uniform", "lecun_normal", None])
def test_first_weights_are_scaled_to_the_active_units(initializer):
    options = {"initializer": initializer, "activation": "tanh"}
    for active in [(300, 40), (40, 300)]:
        wide = fnn.mlp((50, 400, 400, 60), active=active, **options).init(jax.random.key(0))
        narrow = fnn.mlp((50, *active, 60), **options).init(jax.random.key(1))
        for a, b in zip(narrowed(wide, (50, *active, 60)), narrow, strict=True):
            assert float(a.weight.std()) == pytest.approx(float(b.weight.std()), rel=0.05)


def test_neurons_that_are_not_there_pass_nothing_on(key):
    net = fnn.mlp((3, 4, 2), activation="sigmoid", active=(3,))
    params = jax.tree.map(jnp.ones_like, net.init(key))
    (z, a), _ = net.forward(params, np.ones(3))
    assert z[3] == 0
    assert a[3] == 0
    assert (z[:3] == 4).all()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"active": (3,)}, ValueError, r"one number per hidden layer \(2\); got shape \(1,\)"),
        ({"active": 3}, ValueError, "rank 1"),
        ({"active": (3, 9)}, ValueError, r"at most the sizes of the hidden layers, \(4, 5\)"),
        ({"active": (0, 1)}, ValueError, "from 1 to"),
        ({"active": (1.5, 1)}, TypeError, "must be an integer"),
        ({"active": (3, 3), "activation": "softmax"}, ValueError, "may join .* got softmax"),
    ],
)
def test_active_units_are_checked(options, error, words):
    with pytest.raises(error, match=words):
        fnn.mlp((3, 4, 5, 2), **options)


def test_active_units_of_many_lanes_are_told_to_be_vmapped(key):
    net = fnn.mlp((3, 4, 2), active=[[3], [4]])
    with pytest.raises(ValueError, match="active must be that of one network here"):
        net.init(key)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "activation": "tanh"},
        {"activation": jax.nn.softmax, "output": "softmax"},
        {"activation": lambda z: jnp.cumsum(z, axis=-1)},
        {"norm": "layer", "residual": True, "dropout": 0.3},
        {"dropout": 0.3, "active": (3, 4), "norm": "layer"},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_features_first_is_another_way_to_the_same_outputs_and_gradients(x64, options):
    net = fnn.mlp((3, 4, 4, 2), **options)
    turned = dataclasses.replace(net, features_first=True)
    params, key = net.init(jax.random.key(0)), jax.random.key(1)
    x = np.random.default_rng(0).normal(size=(5, 3))

    def outputs_and_slopes(net):
        def total(params):
            outputs = net.apply(params, x, key=key)
            return jnp.sum(outputs**2), net.forward(params, x)

        return jax.value_and_grad(total, has_aux=True)(params)

    chex.assert_trees_all_close(
        outputs_and_slopes(net), outputs_and_slopes(turned), rtol=1e-9, atol=1e-12
    )
    # what has no rows is taken as it is
    chex.assert_trees_all_equal(net.apply(params, x[0]), turned.apply(params, x[0]))
