"""Initializers: the variance, the bounds and the structure that their papers ask for."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.initializers import INITIALIZERS
from fnn.networks.mlp import mlp

# eager and compiled, numbers are equal as users' kernels compute them
pytestmark = pytest.mark.usefixtures("fused_as_for_users")

SHAPE = (80, 240)
VARIANCES = {  # of weights (in, out), by the papers' formulas
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
}
SCALED = [f"{paper}_{shape}" for paper in VARIANCES for shape in ("uniform", "normal")]
TRUNCATED = 0.8796256610342398  # the deviation of a standard normal cut off at two


def variance(name, shape=SHAPE):
    return VARIANCES[name.split("_")[0]](*shape)


def edge(name, shape=SHAPE):
    """The largest entry there can be."""
    widths = math.sqrt(3) if name.endswith("uniform") else 2 / TRUNCATED
    return widths * math.sqrt(variance(name, shape))


@functools.cache
def all_drawn():
    """Entries of each initializer but the orthogonal one, from one program."""
    names = [name for name in INITIALIZERS if name != "orthogonal"]
    draw = jax.jit(lambda key: {name: INITIALIZERS[name](key, SHAPE, np.float32) for name in names})
    return jax.tree.map(as_64, draw(jax.random.key(0)))


def as_64(array):
    return np.asarray(array, np.float64)


@functools.cache
def orthogonal(dtype, shape):
    entries = INITIALIZERS["orthogonal"](jax.random.key(0), shape, dtype)
    assert entries.dtype == dtype
    return as_64(entries)


@pytest.mark.parametrize("name", SCALED)
def test_entries_have_mean_zero_the_papers_variance_and_its_bounds(name):
    entries = all_drawn()[name]
    deviation, count = math.sqrt(variance(name)), entries.size
    assert abs(entries.mean()) < 5 * deviation / math.sqrt(count)
    # the relative error of a variance is at most sqrt(2 / count), that of a normal one
    assert abs(entries.var() / variance(name) - 1) < 5 * math.sqrt(2 / count)
    assert 0.98 * edge(name) < np.abs(entries).max() <= edge(name) * (1 + 1e-6)


@pytest.mark.parametrize("name", SCALED)
def test_entries_have_the_distribution_that_the_name_says(name):
    share_within_one_deviation = np.mean(np.abs(all_drawn()[name]) < math.sqrt(variance(name)))
    inside = math.erf(TRUNCATED / math.sqrt(2)) / math.erf(math.sqrt(2))
    expected = 1 / math.sqrt(3) if name.endswith("uniform") else inside
    assert abs(share_within_one_deviation - expected) < 5 * 0.5 / math.sqrt(math.prod(SHAPE))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("name", ["he_uniform", "he_normal"])
def test_entries_in_16_bits_keep_their_variance(name, dtype, key):
    draw = jax.jit(lambda key: INITIALIZERS[name](key, SHAPE, dtype))
    entries = draw(key)
    assert entries.dtype == dtype
    entries = as_64(entries)
    assert abs(entries.var() / variance(name) - 1) < 0.05
    assert np.abs(entries).max() <= edge(name) * 1.01


@pytest.mark.parametrize("shape", [(5, 12), (12, 5)])
def test_orthogonal_weights_have_orthonormal_rows_or_columns(shape):
    w = orthogonal(np.float32, shape)
    assert w.shape == shape
    gram = w @ w.T if shape[0] <= shape[1] else w.T @ w
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_orthogonal_weights_in_16_bits_are_the_float32_ones_rounded(dtype):
    wide = jnp.asarray(orthogonal(np.float32, (5, 12)), np.float32)
    assert (orthogonal(dtype, (5, 12)) == as_64(wide.astype(dtype))).all()


def test_orthogonal_and_scaled_entries_in_float64_have_the_digits_of_float64(x64, key):
    w = orthogonal(np.float64, (5, 12))
    np.testing.assert_allclose(w @ w.T, np.eye(5), atol=1e-14)
    entries = INITIALIZERS["he_uniform"](key, (4, 4), np.float64)
    assert entries.dtype == np.float64
    assert (as_64(entries) != np.float32(entries)).mean() > 0.9


def test_zeros_are_zeros(key):
    assert not all_drawn()["zeros"].any()
    params = mlp((3, 4, 2), initializer="zeros").init(key)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(params))


def he_uniform(key, shape, dtype):
    return INITIALIZERS["he_uniform"](key, shape, dtype)


NETWORKS = {
    "one draw for all layers": mlp((80, 240, 80), output="relu"),
    "a draw per layer": mlp((80, 240, 80), initializer=he_uniform),
}


@functools.cache
def compiled(net):
    return jax.jit(net.init)


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_each_layer_of_a_network_has_its_own_variance_and_its_own_numbers(net, key):
    first, second = (np.asarray(layer.weight) for layer in compiled(net)(key))
    for w in (first, second):
        assert abs(w.var() * len(w) / 2 - 1) < 5 * math.sqrt(2 / w.size)
    correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert abs(correlation) < 0.05, "two layers of one size must not share their numbers"


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_parameters_are_reproducible_from_the_key_and_differ_for_another(net, key):
    init = compiled(net)
    keys = key, jax.random.key(0), jax.random.key(1)
    params, again, other = (jax.tree.map(np.asarray, init(key)) for key in keys)
    for layer, same, different in zip(params, again, other, strict=True):
        assert (layer.weight == same.weight).all()
        assert (layer.weight != different.weight).mean() > 0.99
    for layer, eager in zip(params, net.init(key), strict=True):
        np.testing.assert_allclose(layer.weight, eager.weight, rtol=1e-6)


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_biases_begin_at_zero(net, key):
    for layer, width in zip(compiled(net)(key), net.sizes[1:], strict=True):
        assert layer.bias.tolist() == [0] * width


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_init_under_vmap_gives_each_key_its_own_parameters(net):
    keys = jax.random.split(jax.random.key(3), 2)
    many = jax.jit(jax.vmap(net.init))(keys)
    for lane, key in enumerate(keys):
        for layer, alone in zip(many, compiled(net)(key), strict=True):
            np.testing.assert_allclose(layer.weight[lane], alone.weight, rtol=1e-6)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_initializer_by_name_serves_all_layers(name):
    assert mlp((4, 5, 6, 7), initializer=name).initializers == (INITIALIZERS[name],) * 3


@pytest.mark.parametrize("name", ["glorot_normal", "lecun_uniform"])
def test_each_layer_is_initialized_to_its_own_fans(name, key):
    net = mlp((40, 120, 40), activation="tanh", initializer=name)
    for layer, shape in zip(jax.jit(net.init)(key), [(40, 120), (120, 40)], strict=True):
        w = np.asarray(layer.weight)
        assert w.shape == shape
        assert abs(w.var() / variance(name, shape) - 1) < 0.1
        assert 0.97 * edge(name, shape) < abs(w).max() <= edge(name, shape) * (1 + 1e-6)


def test_each_layer_of_an_orthogonal_network_is_orthogonal(key):
    wide, tall = (layer.weight for layer in mlp((5, 12, 5), initializer="orthogonal").init(key))
    np.testing.assert_allclose(wide @ wide.T, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(tall.T @ tall, np.eye(5), atol=1e-5)


def test_the_default_is_he_before_the_relu_family_and_glorot_before_others():
    he, glorot = INITIALIZERS["he_uniform"], INITIALIZERS["glorot_uniform"]
    activations = ["relu", "tanh", "gelu", "sigmoid", "leaky_relu", "softplus", jax.nn.relu]
    net = mlp((2, *[3] * len(activations), 1), activation=activations, output="softmax")
    assert net.initializers == (he, glorot, he, glorot, he, he, he, glorot)
    assert mlp((2, 1), output="relu").initializers == (he,)
    assert mlp((2, 3, 1), activation=lambda z: z).initializers == (glorot, glorot)


def test_the_default_variance_is_that_of_the_activation_of_the_same_layer(key):
    net = mlp((40, 120, 40), activation="relu", output="tanh")
    first, last = (np.asarray(layer.weight) for layer in jax.jit(net.init)(key))
    for w, name in (first, "he_uniform"), (last, "glorot_uniform"):
        assert 0.98 * edge(name, w.shape) < abs(w).max() <= edge(name, w.shape) * (1 + 1e-6)


def test_a_function_of_ones_own_gets_a_key_the_shape_and_the_dtype(key):
    calls = []

    def mine(key, shape, dtype):
        calls.append((jax.random.key_data(key).tolist(), shape, np.dtype(dtype)))
        return jnp.full(shape, len(calls), dtype)

    params = mlp((2, 3, 1), initializer=mine, param_dtype=jnp.float16).init(key)
    assert [layer.weight.tolist() for layer in params] == [[[1.0] * 3] * 2, [[2.0]] * 3]
    assert [call[1:] for call in calls] == [((2, 3), np.float16), ((3, 1), np.float16)]
    assert calls[0][0] != calls[1][0], "each layer has a key of its own"


def test_the_initializers_of_jax_serve_too(key):
    net = mlp((40, 120), initializer=jax.nn.initializers.he_normal())
    assert abs(np.var(jax.jit(net.init)(key)[0].weight) * 40 / 2 - 1) < 0.15


def dtypes(net, key):
    return {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(net.init, key))}


@pytest.mark.parametrize("initializer", [None, "orthogonal"])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_parameters_have_the_dtype_asked_for(initializer, dtype, key):
    net = mlp((2, 3, 1), initializer=initializer, norm="layer", param_dtype=dtype)
    assert dtypes(net, key) == {jnp.dtype(dtype)}


def test_parameters_are_float32_by_default_and_float64_under_x64(key, request):
    net = mlp((2, 3, 1))
    assert dtypes(net, key) == {jnp.dtype("float32")}
    request.getfixturevalue("x64")
    assert dtypes(net, key) == {jnp.dtype("float64")}


def test_an_unknown_initializer_is_told_the_nearest():
    with pytest.raises(ValueError, match=r"mlp: initializer .*he_normal.*did you mean 'he_normal'"):
        mlp((2, 3, 1), initializer="he_norml")


@pytest.mark.parametrize("initializer", [3, ["he_normal", "zeros"]])
def test_what_is_neither_a_name_nor_a_function_is_no_initializer(initializer):
    with pytest.raises(TypeError, match="mlp: initializer must be a function or one of"):
        mlp((2, 3, 1), initializer=initializer)


def test_an_initializer_that_returns_another_shape_is_refused(key):
    net = mlp((2, 3, 1), initializer=lambda key, shape, dtype: jnp.zeros(shape[::-1], dtype))
    match = r"mlp.init: the initializer must return the shape it is given, \(2, 3\); got \(3, 2\)"
    with pytest.raises(ValueError, match=match):
        net.init(key)
