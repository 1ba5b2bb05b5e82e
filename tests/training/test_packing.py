import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn._core.dataset import dataset
from fnn.training.batches import epoch_order, in_batches
from fnn.training.packing import packing_of

RANDOM = np.random.default_rng(0)
NETS = {
    "small": fnn.mlp((2, 16, 2)),
    "one large matrix": fnn.mlp((64, 64, 10)),
    "normed": fnn.mlp((3, 40, 40, 2), norm="layer", residual=True),
    "no biases": fnn.mlp((3, 5, 2), bias=False),
    "narrow": fnn.mlp((3, 5, 2), param_dtype="bfloat16"),
}
ELEMENTWISE = {
    "sgd": fnn.sgd(0.1),
    "momentum": fnn.sgd(0.1, momentum=0.9),
    "adam": fnn.adam(1e-2),
    "adamw": fnn.adamw(1e-2, weight_decay=0.1),
    "chain": fnn.chain(fnn.clip_by_global_norm(0.5), fnn.add_decayed_weights(0.1), fnn.sgd(0.1)),
}
OTHERS = {
    "mask by shape": fnn.adamw(1e-2, mask=lambda ps: jax.tree.map(lambda p: p.shape[0] > 2, ps)),
    "mask of arrays": fnn.adamw(1e-2, mask=False),
    "chain with one": fnn.chain(fnn.add_decayed_weights(0.1, mask=True), fnn.sgd(0.1)),
    "optax": optax.adam(1e-2),
}


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
@pytest.mark.parametrize("opt", ELEMENTWISE.values(), ids=ELEMENTWISE)
def test_what_is_packed_is_unpacked(net, opt, key):
    state = fnn.init_state(net, opt, key)
    tree = (state.params, state.opt_state)
    packing = packing_of(opt, state.params)
    packed = packing.pack(tree)
    assert len(jax.tree.leaves(packed)) < len(jax.tree.leaves(tree)) or len(state.params) < 2
    assert len(jax.tree.leaves(packed)) <= len(jax.tree.leaves(tree))
    chex.assert_trees_all_equal(packing.unpack(packed), tree)
    chex.assert_trees_all_equal_dtypes(packing.unpack(packed), tree)


def packed_shapes(sizes, opt, key):
    params = fnn.mlp(sizes).init(key)
    return sorted(leaf.shape for leaf in packing_of(opt, params).pack(params))


def test_large_leaves_stand_alone_and_ranks_are_kept_where_the_optimizer_goes_by_them(key):
    opt = fnn.chain(fnn.clip_by_global_norm(1.0), fnn.adamw(0.1))
    assert packed_shapes((64, 64, 10), opt, key) == [(10, 64), (64, 64), (74,)]
    assert packed_shapes((2, 16, 2), opt, key) == [(1, 64), (18,)]


def test_small_leaves_of_all_ranks_lie_side_by_side_where_the_optimizer_ignores_them(key):
    for opt in (fnn.adam(0.1), fnn.chain(fnn.clip_by_global_norm(1.0), fnn.sgd(0.1))):
        assert packed_shapes((64, 64, 10), opt, key) == [(10, 64), (64, 64), (74,)]
        assert packed_shapes((2, 16, 2), opt, key) == [(82,)]


def test_only_matrices_with_few_outputs_are_turned(key):
    params = fnn.mlp((8, 300, 10)).init(key)
    packing = packing_of(fnn.adam(0.1), params)
    packed = packing.pack(params)
    assert sorted(leaf.shape for leaf in packed) == [(8, 300), (10, 300), (310,)]
    chex.assert_trees_all_equal(packing.unpack(packed), params)


def test_matrices_whose_products_are_sums_lie_beside_the_others(key):
    params = fnn.mlp((64, 64, 10)).init(key)
    packing = packing_of(fnn.adam(0.1), params, largest_summed=64 * 64)
    (packed,) = packing.pack(params)
    assert packed.shape == (64 * 64 + 64 + 64 * 10 + 10,)
    chex.assert_trees_all_equal(packing.unpack((packed,)), params)
    # with fewer outputs than inputs, sums read columns
    assert params[1].weight.T.tobytes() in packed.tobytes()
    matrices, vectors = packing_of(fnn.adamw(0.1), params, largest_summed=64 * 64).pack(params)
    assert {matrices.shape, vectors.shape} == {(1, 64 * 74), (74,)}
    larger = packing_of(fnn.adam(0.1), params, largest_summed=64 * 64 - 1).pack(params)
    assert sorted(leaf.shape for leaf in larger) == [(64, 64), (714,)]


def test_tables_of_embeddings_are_no_weights_of_sums(key):
    params = fnn.mlp((8, 16, 4), embeddings={0: (1000, 4)}).init(key)
    packed = packing_of(fnn.adam(0.1), params, largest_summed=2**14).pack(params)
    assert (4, 1000) in {leaf.shape for leaf in packed}
    assert len(packed) == 2


@pytest.mark.parametrize("opt", OTHERS.values(), ids=OTHERS)
def test_an_optimizer_that_could_tell_the_difference_is_given_its_own_parameters(opt, key):
    params = fnn.mlp((2, 16, 2)).init(key)
    packing = packing_of(opt, params)
    assert packing.pack(params) is params
    assert packing.unpack(params) is params


@pytest.mark.parametrize("params", [jnp.ones(()), jnp.ones((2, 3)), {"a": jnp.ones(2)}], ids=str)
def test_parameters_of_any_structure_are_packed_beside_the_count_of_steps(params):
    opt = fnn.adam(0.1)
    state = opt.init(params)._replace(step=jnp.int32(7))
    packing = packing_of(opt, params)
    chex.assert_trees_all_equal(packing.unpack(packing.pack(state)), state)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")
@pytest.mark.parametrize(
    ("name", "opt"),
    [
        *[("small", name) for name in ("momentum", "adam", "chain", "mask by shape")],
        *[("one large matrix", name) for name in ("adamw", "chain with one")],
        ("normed", "adamw"),
    ],
)
def test_a_run_is_the_loop_of_steps_whatever_is_packed(x64, name, opt, key):
    net, opt = NETS[name], {**ELEMENTWISE, **OTHERS}[opt]
    x = RANDOM.normal(size=(20, net.sizes[0]))
    y = RANDOM.integers(net.sizes[-1], size=20)
    order_key = jax.random.key(5)
    run = fnn.fit(net, fnn.softmax_cross_entropy, opt, (x, y), key=key, epochs=3, batch_size=10,
                  order_key=order_key)  # fmt: skip
    step = jax.jit(fnn.train_step, static_argnums=1)
    state = fnn.init_state(net, opt, key)
    for epoch in range(3):
        order = epoch_order(jax.random.fold_in(order_key, epoch), 20)
        for batch in in_batches(dataset("test", "data", (x, y)), order, 10).rows:
            state, _ = step(net, fnn.softmax_cross_entropy, opt, state, (x[batch], y[batch]))
    chex.assert_trees_all_close(run.params, state.params, rtol=1e-9, atol=1e-12)
    chex.assert_trees_all_close(run.state.train.opt_state, state.opt_state, rtol=1e-9, atol=1e-12)
