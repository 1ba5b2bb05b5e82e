"""The form of a run's steps for a GPU, computed on what is here."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn._core.dataset import Dataset
from fnn._core.devices import assumed, devices_here, on_gpu
from fnn.training import epochs, streamed
from fnn.training.control import lanes_of
from fnn.training.epochs import scanned
from fnn.training.platform import largest_summed_of
from fnn.training.problem import checked_problem, over_devices

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(50, 8)), RANDOM.integers(4, size=50)
NETS = {
    "small and larger": fnn.mlp((8, 20, 12, 4)),
    "all options": fnn.mlp(
        (8, 20, 20, 4), activation=("tanh", "gelu"), dropout=0.1, norm="layer", residual=True
    ),
    "a loop of layers": fnn.mlp((8, *[12] * 40, 4), bias=False),
}
"""Some products of each are too large to be unrolled."""
WIDER = fnn.mlp((8, 32, 4))
OPTIMIZERS = {
    "adam": fnn.adam(1e-2),
    "by rank": fnn.chain(fnn.clip_by_global_norm(0.5), fnn.adamw(1e-2, weight_decay=0.1)),
}


def fitted(net=NETS["small and larger"], optimizer=OPTIMIZERS["adam"], key=KEY, **options):
    return fnn.fit(net, fnn.softmax_cross_entropy, optimizer, (X, Y), key=key, epochs=2,
                   batch_size=16, **options)  # fmt: skip


def products(function, *args):
    """How many matrix products are in its program, traced anew."""
    return jax.jit(lambda *args: function(*args)).lower(*args).as_text().count("dot_general")


@pytest.mark.parametrize(
    ("net", "optimizer", "options"),
    [
        ("small and larger", "adam", {"validation": (X, Y)}),
        ("all options", "by rank", {"accumulate": 2}),
        ("a loop of layers", "adam", {}),
    ],
)
def test_a_run_in_sums_is_the_run(x64, net, optimizer, options):
    arguments = NETS[net], OPTIMIZERS[optimizer]
    here = fitted(*arguments, **options)
    with assumed("cuda"):
        there = fitted(*arguments, **options)
    chex.assert_trees_all_close(there.history, here.history, rtol=1e-10)
    chex.assert_trees_all_close(there.params, here.params, rtol=1e-9, atol=1e-11)
    opt_states = [run.state.train.opt_state for run in (there, here)]
    chex.assert_trees_all_close(*opt_states, rtol=1e-9, atol=1e-11)


def test_a_gradient_through_a_run_in_sums_is_that_of_the_run(x64):
    def last_loss(rate):
        return fitted(optimizer=fnn.adam(rate)).history["loss"][-1]

    here = jax.grad(last_loss)(1e-2)
    with assumed("cuda"):
        np.testing.assert_allclose(jax.grad(last_loss)(1e-2), here, rtol=1e-9)


def test_a_streamed_run_in_sums_is_the_run(x64, monkeypatch):
    net, forms = fnn.mlp((8, 21, 12, 4)), []

    def watched(problem, packing, train, batches, *, largest_summed):
        forms.append((largest_summed, len(train.params)))
        return scanned(problem, packing, train, batches, largest_summed=largest_summed)

    monkeypatch.setattr(streamed, "scanned", watched)
    here = fitted(net)
    source = fnn.streams.from_arrays(X, Y)
    with assumed("cuda"):
        there = fnn.train(net, fnn.softmax_cross_entropy, OPTIMIZERS["adam"], source, key=KEY,
                          epochs=2, batch_size=16)  # fmt: skip
    assert forms == [(2**19 // 16, 1)], "sums, of parameters in one array"
    chex.assert_trees_all_close(there.params, here.params, rtol=1e-9, atol=1e-11)


def test_no_matrix_product_is_left_of_a_small_network_on_a_gpu():
    def run(key):
        return fitted(WIDER, key=key).history

    assert products(run, KEY) > 0
    with assumed("cuda"):
        assert products(run, KEY) == 0
    with assumed("tpu"):
        assert products(run, KEY) > 0


def test_sums_read_parameters_from_one_array(monkeypatch):
    arrays = []

    def watched(problem, packing, train, batches, *, largest_summed):
        arrays.append(len(train.params))
        return scanned(problem, packing, train, batches, largest_summed=largest_summed)

    monkeypatch.setattr(epochs, "scanned", watched)
    with assumed("cuda"):
        fitted(fnn.mlp((8, 33, 31, 4)))
    fitted(fnn.mlp((8, 33, 31, 4)))
    assert arrays == [1, 2]


def test_a_class_derived_from_an_mlp_keeps_its_own_methods(x64):
    class Doubled(fnn.MLP):
        def init(self, key):
            return jax.tree.map(lambda leaf: 2 * leaf, super().init(key))

        def apply(self, params, x, *, key=None):
            return 2 * super().apply(params, x, key=key)

    plain = fnn.mlp((8, 5, 4))
    values = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    doubled, optimizer = Doubled(**values), fnn.sgd(0.0)
    options = {"key": KEY, "epochs": 1, "batch_size": 50}
    outputs = doubled.apply(doubled.init(jax.random.split(KEY)[0]), X)
    expected = jnp.mean(fnn.softmax_cross_entropy(outputs, Y))
    arguments = doubled, fnn.softmax_cross_entropy, optimizer, (X, Y)
    with assumed("cuda"):
        run = fnn.fit(*arguments, **options)
    lanes = fnn.sweep(*arguments, **options | {"key": KEY[None]}, progress=False)
    np.testing.assert_allclose(run.history["loss"], [expected], rtol=1e-10)
    np.testing.assert_allclose(lanes.history["loss"], [[expected]], rtol=1e-10)


def test_few_lanes_are_in_sums_too_and_many_are_not():
    def run(keys):
        return jax.vmap(lambda key: fitted(WIDER, key=key).history)(keys)

    with assumed("cuda"):
        assert products(run, jax.random.split(KEY, 32)) == 0
        assert products(run, jax.random.split(KEY, 33)) > 0


def problem(sizes, data=(X, Y), options=None, **others):
    return checked_problem(
        "fit", fnn.mlp(sizes, **(options or {})), fnn.softmax_cross_entropy, fnn.adam(0.1), data,
        batch_size=16, validation=None, metrics=None, monitor=None, mode="auto", stop=None,
        **others,
    )  # fmt: skip


def test_how_large_weights_may_be_goes_by_rows_and_lanes():
    assert largest_summed_of(problem((8, 8, 4))) == 0
    with assumed("cuda"):
        assert largest_summed_of(problem((8, 8, 4))) == 2**19 // 16
        assert largest_summed_of(problem((8, 8, 4), accumulate=2)) == 2**19 // 8
        assert largest_summed_of(problem((8, 8, 4)), 8) == 2**19 // 128
        assert largest_summed_of(problem((8, 8, 4)), 33) == 0
        # an example may be of several rows
        rows = np.zeros((50, 10, 8)), np.zeros((50, 10), int)
        of_rows = problem((8, 8, 4))._replace(data=Dataset(*rows))
        assert largest_summed_of(of_rows) == 2**19 // 160
        # products of narrow floats are matrix products
        assert largest_summed_of(problem((8, 8, 4), options={"dtype": "bfloat16"})) == 0
        assert largest_summed_of(problem((8, 8, 4), options={"param_dtype": "float16"})) == 0
        # of several lanes, all products are sums or none
        assert largest_summed_of(problem((8, 800, 4))) == 2**19 // 16
        assert largest_summed_of(problem((8, 800, 4)), 8) == 0
        other = problem((8, 8, 4))._replace(net=fnn.Model(lambda key: 1.0, lambda params, x: x))
        assert largest_summed_of(other) == 0
        data = fnn.shard_data((X, Y), fnn.data_mesh())
        sharded = over_devices("fit", problem((8, 8, 4), data), None)
        assert largest_summed_of(sharded) == 0


def test_lanes_are_counted_through_vmaps_and_derivatives():
    counts = []

    def look(key, rate):
        counts.append(lanes_of({"key": key, "rate": rate, "name": "a"}))
        return rate * 2

    keys, rates = jax.random.split(KEY, 3), jnp.arange(2.0)
    look(KEY, 1.0)
    jax.jit(look)(KEY, 1.0)
    jax.grad(look, 1)(KEY, 1.0)
    assert counts == [1, 1, 1]
    counts.clear()
    many = jax.vmap(look, (0, None))
    many(keys, 1.0)
    jax.vmap(jax.grad(look, 1), (0, None))(keys, 1.0)
    jax.grad(lambda rate: many(keys, rate).sum())(1.0)
    assert counts == [3, 3, 3]
    counts.clear()
    jax.jit(jax.vmap(many, (None, 0)))(keys, rates)
    assert counts == [6]


def test_what_is_assumed_ends_with_the_block_and_the_callers_device_counts():
    assert not on_gpu()
    with assumed("cuda"):
        assert on_gpu()
    assert not on_gpu()
    with pytest.raises(ZeroDivisionError), assumed("cuda"):
        print(1 // 0)
    assert not on_gpu()
    device = jax.devices()[1]
    with jax.default_device(device):
        assert devices_here() == (device,)
    with jax.default_device("cpu"):
        assert devices_here() == tuple(jax.local_devices())
