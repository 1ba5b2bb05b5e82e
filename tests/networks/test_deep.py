"""Many layers of one shape are one loop: nothing but the time to compile changes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn.networks import deep
from fnn.networks.deep import is_stacked, runs_of, stacked, unstacked
from fnn.training.packing import packing_of

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3))
Y = X @ RANDOM.normal(size=(3, 2))
DEPTH = 5


@pytest.fixture(autouse=True, scope="module")
def a_few_are_many():
    """So that small networks have loops; the others in this module are compiled anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deep, "_MANY", 3)
        yield


def tanh(z):
    return jnp.tanh(z)


def pair(**options):
    """A network whose hidden layers are one loop, and the same one written out."""
    sizes, one = (3, *[5] * DEPTH, 2), {"initializer": "glorot_uniform"} | options
    # equal functions, which are different objects, are not of one kind
    sigmas = [("tanh", tanh)[index % 2] for index in range(DEPTH)]
    looped = fnn.mlp(sizes, activation="tanh", **one)
    written_out = fnn.mlp(sizes, activation=sigmas, **one)
    assert looped._runs == (range(1), range(1, DEPTH), range(DEPTH, DEPTH + 1))
    assert all(len(run) == 1 for run in written_out._runs)
    return looped, written_out


NETS = {
    "plain": {},
    "normed": {"norm": "layer", "residual": True, "bias": False, "embeddings": {1: (4, 2)}},
    "active": {"active": [5, 4, 4, 3, 5], "residual": True, "norm": "layer", "dropout": 0.2},
    "scaled": {"outputs": fnn.standard_scaler(Y), "inputs": fnn.standard_scaler(X)},
    "remat": {"remat": True, "dropout": 0.3, "residual": True},
}


def inputs_of(options):
    return np.concatenate([X[:, :1], np.arange(24)[:, None] % 4, X[:, 2:]], 1) if (
        "embeddings" in options
    ) else X  # fmt: skip


@pytest.mark.parametrize("options", NETS.values(), ids=NETS)
def test_a_loop_computes_what_written_out_layers_do(x64, options, key):
    looped, written_out = pair(**options)
    x, params = inputs_of(options), looped.init(key)
    chex.assert_trees_all_equal(params, written_out.init(key))

    @jax.jit
    def computed(net, params):
        def loss(params):
            return jnp.sum(jnp.square(net.apply(params, x, key=key)))

        return jax.grad(loss)(params), net.apply(params, x), net.forward(params, x, key=key)

    one, other = computed(looped, params), computed(written_out, params)
    chex.assert_trees_all_close(one, other, rtol=1e-11, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("name", ["active", "scaled"])
def test_a_run_is_the_same_by_a_loop(x64, name, key):
    opt = fnn.adamw(1e-2, weight_decay=0.1)
    runs = [
        fnn.fit(net, fnn.squared_error, opt, (X, Y), key=key, epochs=3, batch_size=10,
                validation=(X, Y))
        for net in pair(**NETS[name])
    ]  # fmt: skip
    one, other = ((run.params, run.best_params, run.state.train[:3], run.history) for run in runs)
    chex.assert_trees_all_close(one, other, rtol=1e-9, atol=1e-12)


OPTIMIZERS = {
    "chain": fnn.chain(
        fnn.clip_by_global_norm(0.5), fnn.add_decayed_weights(0.1), fnn.sgd(0.1, momentum=0.9)
    ),
    "mask": fnn.adamw(1e-2, mask=lambda ps: jax.tree.map(lambda p: p.shape[0] > 3, ps)),
    "optax": optax.chain(optax.scale_by_trust_ratio(), optax.sgd(0.1)),
}


@pytest.mark.parametrize("opt", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_every_optimizer_sees_the_same_layers(x64, opt, key):
    runs = []
    for net in pair():
        with jax.numpy_dtype_promotion("standard"):
            runs.append(fnn.fit(net, fnn.squared_error, opt, (X, Y), key=key, epochs=2))
    one, other = (jax.tree.leaves((run.params, run.state.train.opt_state)) for run in runs)
    chex.assert_trees_all_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.long
def test_lanes_of_a_sweep_are_the_same_by_a_loop(x64, key):
    looped, written_out = pair(dropout=np.array([0.0, 0.1, 0.3]))
    runs = [
        fnn.sweep(net, fnn.squared_error, fnn.adam(np.array([1e-3, 1e-2, 1e-2])), (X, Y), key=key,
                  epochs=3, batch_size=10, validation=(X, Y), progress=False)
        for net in (looped, written_out)
    ]  # fmt: skip
    one, other = runs
    chex.assert_trees_all_close(one.params, other.params, rtol=1e-9, atol=1e-12)
    chex.assert_trees_all_close(one.lane(2).params, other.lane(2).params, rtol=1e-9, atol=1e-12)
    alone = fnn.fit(pair(dropout=0.3)[0], fnn.squared_error, fnn.adam(1e-2), (X, Y), key=key,
                    epochs=3, batch_size=10, validation=(X, Y))  # fmt: skip
    chex.assert_trees_all_close(one.lane(2).params, alone.params, rtol=1e-9, atol=1e-12)


def test_a_run_by_a_loop_continues_with_the_same_bits(key, tmp_path):
    net, _ = pair(dropout=0.2)

    def trained(epochs, **options):
        return fnn.train(net, fnn.squared_error, fnn.adam(1e-2), (X, Y), key=key, epochs=epochs,
                         progress=False, **options)  # fmt: skip

    whole, first = trained(6), trained(2, checkpoint=tmp_path)
    rest = fnn.fit(net, fnn.squared_error, fnn.adam(1e-2), (X, Y), epochs=4, state=first.state)
    chex.assert_trees_all_equal(rest.params, whole.params)
    chex.assert_trees_all_equal(trained(6, checkpoint=tmp_path).params, whole.params)


def test_runs_are_of_many_layers_of_one_kind():
    assert runs_of("abbbbcc") == (range(1), range(1, 5), range(5, 6), range(6, 7))
    assert fnn.mlp((3, 4, 4, 4, 4, 2))._runs[1] == range(1, 4)
    assert all(len(run) == 1 for run in fnn.mlp((4, 4, 4, 4))._runs)  # the first and last are alone


def test_what_is_stacked_is_taken_apart(key):
    net, _ = pair(norm="layer")
    params = net.init(key)
    tree = {"a": stacked(net._runs, params), "b": (jnp.ones(2), params)}
    assert is_stacked(tree["a"])
    assert not is_stacked(params)
    chex.assert_trees_all_equal(unstacked(tree), {"a": params, "b": tree["b"]})


def test_vectors_that_are_stacked_are_no_matrices_to_the_optimizer(key):
    """Those of rank 2 and more decay."""
    net = fnn.mlp((3, *[40] * 30, 2), norm="layer")
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape), jax.eval_shape(net.init, key))
    packing = packing_of(fnn.adamw(1e-3), params, net)
    packed = jax.eval_shape(packing.pack, params)
    stacks = [(29, 40, 40), *[(29 * 40,)] * 3]
    assert [leaf.shape for leaf in packed[-4:]] == stacks
    state = fnn.adamw(1e-3).init(params)
    back = jax.eval_shape(lambda tree: unstacked(packing.unpack(packing.pack(tree))), state)
    chex.assert_trees_all_equal_shapes_and_dtypes(back, jax.eval_shape(lambda: state))


def test_an_activation_that_widens_is_computed_in_the_dtype_of_the_network(key):
    net = fnn.mlp((3, *[4] * 6, 2), activation=lambda z: jnp.tanh(z.astype(np.float32)),
                  param_dtype="bfloat16", initializer="glorot_uniform")  # fmt: skip
    assert len(net._runs) == 3
    with jax.numpy_dtype_promotion("standard"):
        z, a = jax.eval_shape(net.forward, jax.eval_shape(net.init, key), X)[2]
    assert (z.dtype, a.dtype) == (jnp.bfloat16, jnp.float32)


def equations(jaxpr):
    """The number of operations, inner ones included."""
    inner = [
        part
        for equation in jaxpr.eqns
        for value in equation.params.values()
        for part in (value if isinstance(value, (tuple, list)) else [value])
    ]
    inner = [getattr(part, "jaxpr", part) for part in inner]
    return len(jaxpr.eqns) + sum(equations(part) for part in inner if hasattr(part, "eqns"))


@pytest.mark.parametrize("options", [{}, {"remat": True, "norm": "layer", "dropout": 0.1}])
def test_the_program_of_a_run_does_not_grow_with_the_layers(options, key):
    def size(depth):
        net = fnn.mlp((3, *[4] * depth, 2), **options)

        def run(x, y):
            return fnn.fit(net, fnn.squared_error, fnn.adam(1e-2), (x, y), key=key, epochs=3)

        (program,) = [
            equation.params["jaxpr"].jaxpr
            for equation in jax.make_jaxpr(run)(X, Y).eqns
            if equation.params.get("name") == "_run_epochs"
        ]
        return equations(program)

    # blocks of 14 and of 7 layers: as many in all, none is left over
    assert size(197) == size(50)


def test_remat_takes_memory_that_grows_with_the_root_of_depth():
    def temporary(depth, remat):
        net = fnn.mlp((8, *[8] * depth, 2), remat=remat, activation="gelu")
        params = jax.eval_shape(net.init, jax.random.key(0))
        x = jax.ShapeDtypeStruct((4096, 8), np.float32)  # an array of a layer takes 128 KiB

        def loss(params, x):
            return jnp.sum(jnp.square(net.apply(params, x)))

        program = jax.jit(jax.grad(loss)).lower(params, x).compile()
        return program.memory_analysis().temp_size_in_bytes / 2**17

    # sqrt(64) blocks of as many layers
    assert temporary(64, remat=True) < 45
    assert temporary(64, remat=False) > 100


def test_remat_is_an_option_of_the_network():
    net = fnn.mlp((3, 4, 2), remat=True)
    assert "remat=True" in repr(net)
    assert net != fnn.mlp((3, 4, 2))
    assert "remat" not in repr(fnn.mlp((3, 4, 2)))


def test_written_out_layers_with_remat_have_the_same_gradients(x64, key):
    nets = [fnn.mlp((3, 6, 5, 4, 2), dropout=0.2, remat=remat) for remat in (True, False)]
    params = nets[0].init(key)

    def grads(net, params):
        return jax.grad(lambda p: jnp.sum(jnp.square(net.apply(p, X, key=key))))(params)

    one, other = (jax.jit(grads)(net, params) for net in nets)
    chex.assert_trees_all_close(one, other, rtol=1e-12)
    text = str(jax.make_jaxpr(lambda: grads(nets[0], params))())
    assert text.count("differentiated=True") == 3
