"""Active units: a wide network computes as the narrow one does."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.networks.dense import Products
from fnn.networks.rewritten import Rewritten


def narrowed(params, widths):
    """The parameters of the network that is as wide as the active units are."""
    params = jax.tree.map(np.asarray, params)  # of which slices are not compiled
    return tuple(
        fnn.Layer(layer.weight[:ins, :outs], *[a if a is None else a[:outs] for a in layer[1:]])
        for layer, ins, outs in zip(params, widths[:-1], widths[1:], strict=True)
    )


@jax.jit
def outputs(net, params, x):
    return net.apply(params, x)


@pytest.mark.parametrize("active", [(5, 5), (3, 8), (8, 8)])  # of which a wide one is one program
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", [None, "layer"])
@pytest.mark.parametrize("activation", ["relu", pytest.param("sigmoid", marks=pytest.mark.long)])
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
        outputs(wide, one.params, x), outputs(narrow, same.params, x), rtol=1e-9, atol=1e-12
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
def test_transposed_layers_give_the_same_parameters_outputs_and_gradients(x64, options):
    net = fnn.mlp((3, 4, 4, 2), **options)
    transposed = Rewritten(net, Products(transposed=True, unrolled=False))
    params, key = net.init(jax.random.key(0)), jax.random.key(1)
    x = np.random.default_rng(0).normal(size=(5, 3))

    def outputs_and_slopes(net):
        def total(params):
            outputs = net.apply(params, x, key=key)
            return jnp.sum(outputs**2), net.forward(params, x)

        return jax.jit(jax.value_and_grad(total, has_aux=True))(params)

    chex.assert_trees_all_close(
        outputs_and_slopes(net), outputs_and_slopes(transposed), rtol=1e-9, atol=1e-12
    )
    chex.assert_trees_all_equal(params, transposed.init(jax.random.key(0)))
    # an input without rows is not transposed
    chex.assert_trees_all_close(net.apply(params, x[0]), transposed.apply(params, x[0]), rtol=1e-12)
    as_in_mlp = Rewritten(net, Products(transposed=True))
    chex.assert_trees_all_equal(net.apply(params, x[0]), as_in_mlp.apply(params, x[0]))
