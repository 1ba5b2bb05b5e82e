"""A batch in parts: the step is the same, and the memory that of one part."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(42, 3))
Y = X @ RANDOM.normal(size=(3, 2))
WEIGHTS = np.where(np.arange(42) % 5 == 0, 0, RANDOM.uniform(0.5, 2, 42))
NET = fnn.mlp((3, 8, 2), activation="tanh")


def fitted(accumulate, data=(X, Y), net=NET, opt=fnn.adam(1e-2), **options):  # noqa: B008
    options = {"batch_size": 12, "key": jax.random.key(1), "epochs": 3} | options
    return fnn.fit(net, fnn.squared_error, opt, data, accumulate=accumulate, **options)


DATA = {"equal": (X, Y), "weighted": (X, Y, WEIGHTS), "whole batches": (X[:36], Y[:36])}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("parts", [2, 12])
def test_a_batch_in_parts_makes_the_same_step(x64, data, parts):
    # 42 rows in batches of 12: the last one has 6 rows and padding
    whole, cut = fitted(1, data), fitted(parts, data)
    chex.assert_trees_all_close(cut.params, whole.params, rtol=1e-12, atol=1e-12)
    chex.assert_trees_all_close(cut.history, whole.history, rtol=1e-12)


@pytest.mark.parametrize("rows", [1, 5, 11])
def test_fewer_rows_than_a_batch_are_padded(x64, rows):
    data = X[:rows], Y[:rows]
    whole, cut = fitted(1, data, batch_size=64), fitted(4, data, batch_size=64)
    chex.assert_trees_all_close(cut.params, whole.params, rtol=1e-12, atol=1e-12)


def test_a_step_of_ones_own_is_the_same_in_parts(x64):
    opt, batch = fnn.sgd(0.1), (X, Y, WEIGHTS)
    state = fnn.init_state(NET, opt, jax.random.key(0))
    whole, loss = fnn.train_step(NET, fnn.squared_error, opt, state, batch)
    cut, loss_cut = fnn.train_step(NET, fnn.squared_error, opt, state, batch, accumulate=7)
    chex.assert_trees_all_close((cut.params, loss_cut), (whole.params, loss), rtol=1e-12)


def test_narrow_gradients_are_summed_in_float32():
    net, opt = fnn.mlp((1, 1), bias=False, param_dtype="bfloat16"), optax.sgd(1.0)
    state = fnn.init_state(net, opt, jax.random.key(0))
    state = state._replace(params=jax.tree.map(jnp.zeros_like, state.params))
    # gradients of -2 / 512 each: in bfloat16 their sum would stop growing at -1
    batch = np.ones((512, 1)), np.ones((512, 1))
    with jax.numpy_dtype_promotion("standard"):
        state, _ = fnn.train_step(net, fnn.squared_error, opt, state, batch, accumulate=512)
    assert state.params[0].weight.dtype == jnp.bfloat16
    assert float(state.params[0].weight[0, 0]) == 2.0


def test_parts_draw_dropout_of_their_own():
    x = np.ones((8, 3), np.float32)
    net = fnn.mlp((3, 64, 2), dropout=0.5)
    seen = []

    def apply(params, x, *, key=None):
        outputs = net.apply(params, x, key=key)
        jax.debug.callback(lambda part: seen.append(np.asarray(part)), outputs)
        return outputs

    opt, model = fnn.sgd(0.1), fnn.Model(net.init, apply)
    state = fnn.init_state(model, opt, jax.random.key(0))
    fnn.train_step(model, fnn.squared_error, opt, state, (x, x[:, :2]), accumulate=4)
    jax.effects_barrier()
    assert len(seen) == 4
    assert len({part.tobytes() for part in seen}) == 4


def test_lanes_of_a_sweep_are_computed_in_parts(x64):
    rates = np.array([1e-3, 1e-2])

    def swept(accumulate):
        return fnn.sweep(
            NET, fnn.squared_error, fnn.adam(rates), (X, Y), key=jax.random.key(1), epochs=3,
            batch_size=12, accumulate=accumulate, progress=False,
        )  # fmt: skip

    chex.assert_trees_all_close(swept(3).params, swept(1).params, rtol=1e-12, atol=1e-12)
    chex.assert_trees_all_close(swept(3).lane(1).params, fitted(1).params, rtol=1e-12, atol=1e-12)


def test_folds_are_computed_in_parts(x64):
    def scores(accumulate):
        cv = fnn.cross_validate(NET, fnn.squared_error, fnn.adam(1e-2), (X, Y),
                                key=jax.random.key(1), folds=3, epochs=2, batch_size=12,
                                accumulate=accumulate, progress=False)  # fmt: skip
        return cv.scores

    chex.assert_trees_all_close(scores(4), scores(1), rtol=1e-12)


def test_memory_is_that_of_one_part():
    net, opt = fnn.mlp((16, *[256] * 4, 4)), fnn.sgd(0.1)
    state = fnn.init_state(net, opt, jax.random.key(0))
    batch = np.zeros((4096, 16), np.float32), np.zeros((4096, 4), np.float32)
    step = jax.jit(fnn.train_step, static_argnums=1, static_argnames="accumulate")

    def temporary(accumulate):
        program = step.lower(net, fnn.squared_error, opt, state, batch, accumulate=accumulate)
        return program.compile().memory_analysis().temp_size_in_bytes

    # z and a of four layers, 4 MiB each, against the gradients' 0.8 MiB
    assert temporary(1) > 24 * 2**20
    assert temporary(16) < 5 * 2**20


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_a_run_in_parts_is_diagnosed(weights):
    data = (X, Y) if weights is None else (X, Y, weights)
    net, opt = fnn.mlp((3, 8, 8, 2), dropout=0.2), fnn.sgd(1e30)
    run = fitted(3, data, net, opt)
    found = fnn.diagnose(net, fnn.squared_error, opt, data, state=run.state, batch_size=12,
                         accumulate=3)  # fmt: skip
    assert found.epoch == int(run.diverged_at)
    assert found.quantity == "activation"


@pytest.mark.parametrize("accumulate", [5, 24, 0, -1, 2.5])
def test_a_batch_that_cannot_be_cut_is_refused(accumulate):
    rule = "accumulate" if accumulate not in (5, 24) else "batch_size must be a multiple of accum"
    with pytest.raises((ValueError, TypeError), match=rule):
        fitted(accumulate)
    state = fnn.init_state(NET, fnn.sgd(0.1), jax.random.key(0))
    with pytest.raises((ValueError, TypeError), match="accumulate"):
        fnn.train_step(NET, fnn.squared_error, fnn.sgd(0.1), state, (X, Y), accumulate=accumulate)
