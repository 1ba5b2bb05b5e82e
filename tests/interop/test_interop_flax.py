"""Flax, Linen and NNX: modules, there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interop_cases import (
    CASES,
    FAR,
    REFUSED,
    SIGMAS,
    X,
    assert_close,
    assert_refused,
    params_of,
)

import fnn
from fnn.interop import from_flax, from_nnx, to_flax, to_nnx

linen = pytest.importorskip("flax.linen")
nnx = pytest.importorskip("flax.nnx")

KEY = jax.random.key(0)


def shaken(tree):
    """Variables that are not 0 and 1."""
    random = np.random.default_rng(3)
    return jax.tree.map(lambda a: a + random.uniform(0.1, 0.5, a.shape).astype(np.float32), tree)


@pytest.mark.parametrize("case", CASES)
def test_outputs_of_linen_are_the_same_there_and_back(case):
    net, x = CASES[case]
    params = params_of(net)
    module, variables = to_flax(net, params)
    expected = net.apply(params, x)
    assert_close(module.apply(variables, x), expected)
    assert_close(jax.jit(module.apply)(variables, x), expected)
    again, same = from_flax(module, variables)
    assert_close(again.apply(same, x), expected)
    assert (again.sizes, again.dropout, again.norm) == (net.sizes, net.dropout, net.norm)
    assert again.activations == net.activations


@pytest.mark.parametrize("case", CASES)
def test_outputs_of_nnx_are_the_same_there_and_back(case):
    net, x = CASES[case]
    params = params_of(net)
    model = to_nnx(net, params)
    expected = net.apply(params, x)
    assert_close(model(x), expected)
    assert_close(nnx.jit(lambda model, x: model(x))(model, x), expected)
    again, same = from_nnx(model)
    assert_close(again.apply(same, x), expected)
    assert (again.sizes, again.dropout, again.norm) == (net.sizes, net.dropout, net.norm)
    assert again.activations == net.activations


@pytest.mark.parametrize("sigma", SIGMAS)
def test_activations_are_the_same(sigma):
    net = fnn.mlp((4, 5, 3), activation=SIGMAS[sigma])
    params = params_of(net)
    module, variables = to_flax(net, params)
    assert_close(module.apply(variables, X), net.apply(params, X))
    assert from_flax(module, variables)[0] == net
    assert from_nnx(to_nnx(net, params))[0] == net


@pytest.mark.parametrize("case", REFUSED)
def test_networks_that_flax_has_no_layers_for_are_refused(case):
    net, text = REFUSED[case]
    params = net.init(KEY)
    assert_refused(lambda: to_flax(net, params), "to_flax", text)
    assert_refused(lambda: to_nnx(net, params), "to_nnx", text)


def test_variables_have_the_structure_that_the_module_makes():
    net = CASES["scalers with ranges"][0]
    module, variables = to_flax(net, params_of(net))
    made = module.init(KEY, FAR)
    assert jax.tree.structure(made) == jax.tree.structure(variables)
    assert jax.tree.map(jnp.shape, made) == jax.tree.map(jnp.shape, variables)


def test_dropout_can_be_turned_on():
    net = fnn.mlp((4, 50, 3), dropout=0.5)
    params = params_of(net)
    module, variables = to_flax(net, params, deterministic=False)
    dropped = module.apply(variables, X, rngs={"dropout": KEY})
    assert abs(dropped - net.apply(params, X)).max() > 0.01
    model = to_nnx(net, params)
    model.train()
    assert abs(model(X) - net.apply(params, X)).max() > 0.01


def test_a_module_of_linen_with_every_kind_of_layer():
    evaluation = {"use_running_average": True}
    module = linen.Sequential([
        linen.BatchNorm(**evaluation),
        linen.Sequential([linen.Dense(6, use_bias=False), linen.BatchNorm(**evaluation)]),
        linen.LayerNorm(epsilon=1e-5, use_bias=False, use_fast_variance=False),
        linen.gelu,
        linen.Dropout(0.5, deterministic=True),
        linen.BatchNorm(**evaluation, use_scale=False),
        linen.Dense(5),
        linen.LayerNorm(epsilon=1e-5, use_fast_variance=False),
        jnp.sin,
        linen.Dropout(0.5, deterministic=True),
        linen.Dense(3),
        linen.BatchNorm(**evaluation),
    ])  # fmt: skip
    variables = shaken(module.init(KEY, FAR))
    variables["batch_stats"]["layers_0"] = {"mean": FAR.mean(axis=0), "var": FAR.var(axis=0)}
    net, params = from_flax(module, variables)
    assert net.activations[0] is fnn.activations.ACTIVATIONS["gelu"]
    assert net.activations[1] is jnp.sin
    assert_close(net.apply(params, FAR), module.apply(variables, FAR))


def test_a_module_of_nnx_with_every_kind_of_layer():
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(
        nnx.BatchNorm(4, rngs=rngs),
        nnx.Sequential(nnx.Linear(4, 6, use_bias=False, rngs=rngs), nnx.BatchNorm(6, rngs=rngs)),
        nnx.LayerNorm(6, epsilon=1e-5, use_scale=False, use_fast_variance=False, rngs=rngs),
        nnx.silu,
        nnx.Dropout(0.5, rngs=rngs),
        nnx.Linear(6, 3, rngs=rngs),
    )
    model(FAR)
    model.eval()
    net, params = from_nnx(model)
    assert net.dropout == 0.5
    assert_close(net.apply(params, FAR), model(FAR))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_parameters_keep_their_dtype(dtype):
    net = fnn.mlp((4, 6, 3), norm="layer", param_dtype=dtype)
    params = params_of(net)
    module, variables = to_flax(net, params)
    for again, same in (from_flax(module, variables), from_nnx(to_nnx(net, params))):
        assert again == net
        for one, other in zip(jax.tree.leaves(params), jax.tree.leaves(same), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    assert module.apply(variables, X).dtype == dtype


class Own(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3)(x)


LINEN_BAD = {
    "Conv": ([linen.Dense(3), linen.Conv(3, (1,))], "layer 'layers_1', a Conv"),
    "own": ([Own()], "layer 'layers_0', a Own"),
    "nested": (
        [linen.Sequential([linen.Dense(4), linen.RMSNorm()]), linen.Dense(3)],
        "layer 'layers_0.layers_1', a RMSNorm",
    ),
    "epsilon": ([linen.Dense(4), linen.LayerNorm(), linen.Dense(3)], "'layers_1'", "got 1e-06"),
    "axes": (
        [linen.Dense(4), linen.LayerNorm(epsilon=1e-5, reduction_axes=(-2, -1)), linen.Dense(3)],
        "reduction_axes",
    ),
    "order": ([linen.Dense(3), linen.relu, linen.tanh], "layer 'layers_2'"),
}


@pytest.mark.parametrize("case", LINEN_BAD)
def test_modules_of_linen_without_a_counterpart_are_refused_by_name(case):
    layers, *texts = LINEN_BAD[case]
    module = linen.Sequential(layers)
    variables = module.init(KEY, X)
    assert_refused(lambda: from_flax(module, variables), "from_flax", *texts)


def test_modules_of_nnx_without_a_counterpart_are_refused_by_name():
    rngs = nnx.Rngs(0)
    linear = nnx.Linear(4, 3, rngs=rngs)
    embed = nnx.Sequential(linear, nnx.Sequential(nnx.RMSNorm(3, rngs=rngs)))
    assert_refused(lambda: from_nnx(embed), "from_nnx", "layer '1.0', a RMSNorm")
    norm = nnx.LayerNorm(4, rngs=rngs)
    other = nnx.Sequential(nnx.Linear(4, 4, rngs=rngs), norm, linear)
    assert_refused(lambda: from_nnx(other), "layer '1', a LayerNorm", "got 1e-06")
    assert_refused(lambda: from_nnx(linear), "Sequential", "Linear", error=TypeError)


class Deep(linen.Module):
    """As users write them."""

    @linen.compact
    def __call__(self, x):
        for _ in range(12):
            x = jnp.tanh(linen.LayerNorm(epsilon=1e-5, use_fast_variance=False)(linen.Dense(4)(x)))
        return linen.Dense(3)(x)


def test_variables_of_any_module_whose_layers_have_numbers():
    variables = jax.jit(Deep().init)(KEY, X)
    assert [*variables["params"]][1:3] == ["Dense_1", "Dense_10"]  # as jit sorts them
    variables = shaken(variables)
    net = fnn.mlp((4,) * 13 + (3,), norm="layer", activation="tanh")
    same, params = from_flax(variables, net=net)
    assert same == net
    assert_close(net.apply(params, X), Deep().apply(variables, X))
    other = fnn.mlp((4, 3))
    assert_refused(
        lambda: from_flax(variables, net=other), "1 linear layers, and 0 norms", "Dense_12"
    )
    assert_refused(lambda: from_flax(Deep(), variables), "Sequential", "Deep", error=TypeError)
    assert_refused(lambda: from_flax(Deep(), variables, net=net), "net is for", error=TypeError)


def test_variables_that_do_not_fit_are_refused():
    module = linen.Sequential([linen.Dense(5), linen.relu, linen.Dense(3)])
    variables = module.init(KEY, X)
    params = variables["params"]

    def refused(given, *texts, error=ValueError):
        assert_refused(lambda: from_flax(module, given), *texts, error=error)

    refused(params, "'params'", error=TypeError)
    refused({"params": {"layers_0": params["layers_0"]}}, "'layers_2'", "kernel and bias")
    more = params | {"layers_0": params["layers_0"] | {"scale": np.ones(5)}}
    refused({"params": more}, "'layers_0'", "scale")
    other = params | {"layers_2": {"kernel": np.ones((4, 3), np.float32), "bias": np.ones(3)}}
    refused({"params": other}, "'layers_2'", "5 outputs")
    assert_refused(lambda: from_flax(linen.Dense(3), variables), "Sequential", error=TypeError)
