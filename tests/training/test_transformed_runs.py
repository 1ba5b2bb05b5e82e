"""A run under transformations: jitted, vmapped, differentiated."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import DATA, HELD_OUT, KEY, NET, OPT, X, Y, assert_same_bits, values

import fnn


def vmappable(key, rate, dropout, patience):
    net = fnn.mlp((3, 8, 2), dropout=dropout)
    return fnn.fit(net, fnn.squared_error, fnn.adam(rate), DATA, key=key, epochs=12, batch_size=16,
                   validation=HELD_OUT, order_key=jax.random.key(5),
                   stop=fnn.early_stopping(patience=patience, min_delta=0.05))  # fmt: skip


LANES = (
    jax.random.split(jax.random.key(0), 4),
    jnp.array([1e-3, 1e-2, 0.3, 1e-2]),
    jnp.array([0.0, 0.1, 0.2, 0.5]),
    jnp.array([1, 2, 3, 1]),
)


def test_a_run_can_be_vmapped_over_key_rate_dropout_and_patience(x64):
    lanes = jax.tree.map(
        lambda leaf: leaf.astype(float) if leaf.dtype == np.float32 else leaf, LANES
    )
    many = jax.vmap(vmappable)(*lanes)
    assert len(set(many.epochs.tolist())) > 1, "the lanes must stop at different epochs"
    for lane in range(4):
        one = vmappable(*(values[lane] for values in lanes))
        mine = jax.tree.map(lambda leaf, lane=lane: leaf[lane], many)
        assert int(one.epochs) == int(mine.epochs)
        for a, b in zip(values(one), values(mine), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_run_can_be_jitted_and_its_values_change_without_a_new_trace():
    run = jax.jit(chex.assert_max_traces(vmappable, n=1))
    for lane in range(3):
        one = run(*(values[lane] for values in LANES))
        two = vmappable(*(values[lane] for values in LANES))
        np.testing.assert_allclose(one.history["loss"], two.history["loss"], rtol=1e-3)


def test_a_lane_that_breaks_harms_no_other():
    rates = jnp.array([1e-2, 1e30, 1e-2])
    keys = jnp.stack([KEY, KEY, KEY])
    run = jax.vmap(lambda key, rate: fnn.fit(
        NET, fnn.squared_error, fnn.sgd(rate), DATA, key=key, epochs=6, batch_size=16
    ))(keys, rates)  # fmt: skip
    assert run.diverged_at.tolist() == [-1, 0, -1]
    assert_same_bits(*(jax.tree.map(lambda leaf, i=i: leaf[i], run) for i in (0, 2)))
    assert np.isfinite(run.history["loss"][0]).all()


@pytest.mark.long
def test_the_slope_through_lanes_is_that_of_single_runs(x64):
    """In reverse and forward mode, outside of the lanes and inside of them."""

    def last_loss(rate, key):
        net = fnn.mlp((3, 4, 2))
        return fnn.fit(net, fnn.squared_error, fnn.sgd(rate), DATA, key=key, epochs=3,
                       batch_size=16).history["loss"][-1]  # fmt: skip

    keys, rates = jax.random.split(KEY, 3), jnp.array([0.01, 0.03, 0.1])
    single = [jax.grad(last_loss)(rate, key) for rate, key in zip(rates, keys, strict=True)]
    values = [last_loss(rate, key) for rate, key in zip(rates, keys, strict=True)]
    np.testing.assert_allclose(jax.vmap(jax.grad(last_loss))(rates, keys), single, rtol=1e-9)
    total = jax.grad(lambda rates: jax.vmap(last_loss)(rates, keys).sum())(rates)
    np.testing.assert_allclose(total, single, rtol=1e-9)
    primal, tangent = jax.jvp(lambda rates: jax.vmap(last_loss)(rates, keys),
                              (rates,), (jnp.ones(3),))  # fmt: skip
    np.testing.assert_allclose(primal, values, rtol=1e-9)
    np.testing.assert_allclose(tangent, single, rtol=1e-9)


def test_lanes_share_data_and_order_in_the_compiled_program():
    """Also with stopping: no operand of the program is the data once per lane."""
    lanes = 5
    program = jax.jit(jax.vmap(lambda rate, patience: fnn.fit(
        fnn.mlp((3, 4, 2)), fnn.squared_error, fnn.sgd(rate), DATA, key=KEY, epochs=3,
        batch_size=16, stop=fnn.early_stopping(patience=patience), validation=HELD_OUT
    )))  # fmt: skip
    text = program.lower(jnp.ones(lanes) / 100, jnp.ones(lanes, int)).compile().as_text()
    assert "f32[40,3]" in text
    for copied in ("f32[5,40,3]", "f32[40,3,5]", "f32[40,5,3]", "s32[5,40]", "s32[5,48]"):
        assert copied not in text, copied


def test_a_stopped_run_costs_nothing_more(key):
    """Its epochs are skipped: counted by a callback in the loss, also once all lanes stop."""
    trained = []

    def counted(outputs, targets):
        jax.debug.callback(lambda: trained.append(1))
        return fnn.squared_error(outputs, targets)

    def run(max_epochs):
        stop = fnn.early_stopping(max_epochs=max_epochs)
        return fnn.fit(fnn.mlp((3, 2)), counted, fnn.sgd(0.1), DATA, key=key, epochs=20,
                       batch_size=40, stop=stop)  # fmt: skip

    jax.block_until_ready(run(3))
    jax.effects_barrier()
    assert len(trained) == 3
    trained.clear()
    jax.block_until_ready(jax.vmap(run)(jnp.array([2, 5])))
    jax.effects_barrier()
    assert len(trained) == 5, "until the last of the lanes has stopped"


def test_the_validation_loss_has_a_slope_in_the_learning_rate(x64, key):
    net = fnn.mlp((3, 4, 2), activation="tanh")
    data = jax.tree.map(lambda a: a.astype(np.float64), (DATA, HELD_OUT))

    @jax.jit
    def final(log_rate):
        run = fnn.fit(net, fnn.squared_error, fnn.adam(jnp.exp(log_rate)), data[0], key=key,
                      epochs=4, batch_size=16, validation=data[1],
                      stop=fnn.early_stopping(patience=100))  # fmt: skip
        return run.history["validation_loss"][-1]

    at, h = np.log(0.02), 1e-5
    slope = float(jax.grad(final)(at))
    assert slope == pytest.approx(float(final(at + h) - final(at - h)) / (2 * h), rel=1e-6)
    assert slope != 0


def test_the_slope_is_finite_where_a_gradient_is_exactly_zero(key):
    """Adam's root: a dead input has g = v = 0."""
    x = np.concatenate([X[:40], np.zeros((40, 1), np.float32)], axis=1)

    def final(log_rate):
        run = fnn.fit(fnn.mlp((4, 2)), fnn.squared_error, fnn.adam(jnp.exp(log_rate)), (x, Y[:40]),
                      key=key, epochs=2)  # fmt: skip
        return run.history["loss"][-1]

    assert np.isfinite(jax.grad(final)(-3.0))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_floats_train(dtype, key):
    net = fnn.mlp((3, 8, 2), dtype=dtype)
    run = fnn.fit(net, fnn.squared_error, OPT, DATA, key=key, epochs=20, batch_size=8)
    assert run.history["loss"].dtype == np.float32
    assert run.history["loss"][-1] < 0.5 * run.history["loss"][0]
    assert run.params[0].weight.dtype == np.float32


def test_the_result_holds_only_arrays(key):
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=2)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(run))
    jax.tree.map(lambda leaf: leaf, run)


def test_a_run_is_shown_in_a_line(key):
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=2, validation=DATA)
    last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in run.history.items())
    assert repr(run) == str(run) == f"Fit(epochs=2, best_epoch=1, {last})"
    step = int(run.state.train.step)
    assert repr(run.state) == f"FitState(epoch=2, step={step}, best_epoch=1, {last})"
    broken = fnn.fit(NET, fnn.squared_error, fnn.sgd(1e30), DATA, key=key, epochs=2)
    assert repr(broken) == "Fit(epochs=0, best_epoch=-1, loss=nan, diverged_at=0)"


def test_runs_are_shown_under_transformations_and_with_placeholders(key):
    def fit(key):
        return fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=2)

    many = repr(jax.vmap(fit)(jax.random.split(key, 3)))
    assert many.startswith("Fit(epochs=<3 values, all 2>, best_epoch=<3 values, all 1>, loss=<3 v")
    texts = []
    jax.jit(lambda key: texts.append(repr(fit(key)))).lower(key)  # traced, and not compiled
    assert texts[0].startswith("Fit(epochs=<traced int32>, best_epoch=<traced int32>, loss=<tr")
    run = fit(key)
    assert repr(jax.tree.map(lambda _: None, run)).startswith("Fit(epochs=None")
    assert repr(fnn.Fit(0, None, 1)) == "Fit(history=0, epochs=None, state=1)"
    assert repr(run.state._replace(train=0, latest=0)).startswith("FitState(epoch=2, step=0")
