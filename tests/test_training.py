"""Training held against a loop written out by hand, and against itself cut in pieces."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn import batches

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 3)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(3, 2)) + 0.1 * RANDOM.normal(size=(50, 2))).astype(np.float32)
LABELS = Y.argmax(axis=1)
WEIGHTS = RANDOM.uniform(0.5, 2, 50).astype(np.float32)
DATA, HELD_OUT = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = fnn.mlp((3, 8, 2), activation="tanh", dropout=0.2)
OPT = fnn.adam(1e-2)
KEY = jax.random.key(7)


def values(tree):
    """Leaves as NumPy arrays, keys as their data."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return [
        np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        for leaf in jax.tree.leaves(tree)
    ]


def assert_same_bits(a, b):
    for one, other in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- one step


@pytest.mark.parametrize("weights", [None, WEIGHTS[:40]], ids=["unweighted", "weighted"])
def test_a_step_is_forward_loss_gradient_update(weights):
    state = fnn.init_state(NET, OPT, KEY)
    batch = DATA if weights is None else (*DATA, weights)
    after, loss = fnn.train_step(NET, fnn.squared_error, OPT, state, batch)

    def batch_loss(params):
        y_hat = NET.apply(params, X[:40], key=jax.random.fold_in(state.key, 0))
        losses = fnn.squared_error(y_hat, Y[:40])
        return losses.mean() if weights is None else (weights * losses).sum() / weights.sum()

    expected, grads = jax.value_and_grad(batch_loss)(state.params)
    updates, opt_state = OPT.update(grads, state.opt_state, state.params)
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)
    chex.assert_trees_all_close(after.params, fnn.apply_updates(state.params, updates), rtol=1e-6)
    chex.assert_trees_all_close(after.opt_state, opt_state, rtol=1e-5, atol=1e-8)
    assert int(after.step) == 1
    assert_same_bits(after.key, state.key)


def test_dropout_is_new_in_each_step_and_follows_from_the_key():
    half = fnn.mlp((3, 8, 2), activation="tanh", dropout=0.5)
    still = fnn.sgd(0.0)  # so that only the key can make a difference
    state = fnn.init_state(half, still, KEY)
    step = partial(fnn.train_step, half, fnn.squared_error, still)
    next_state, first = step(state, DATA)
    _, second = step(next_state, DATA)
    _, again = step(state, DATA)
    assert float(first) == float(again)
    assert float(first) != float(second)


def test_a_loop_of_ones_own_can_be_jitted_scanned_and_does_what_fit_does():
    """The same steps in the same order: the run's own, from the public pieces."""
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=KEY, epochs=3, batch_size=16)
    state = fnn.init_state(NET, OPT, KEY)
    step = jax.jit(partial(fnn.train_step, NET, fnn.squared_error, OPT))
    losses = []
    for epoch in range(3):
        order = batches.epoch_order(jax.random.fold_in(run.state.order_key, epoch), 40)
        dealt = batches.deal(batches.dataset("test", "data", DATA), order, 16)
        total = 0.0
        for rows, shares, weight in zip(*dealt, strict=True):
            state, loss = step(state, (X[rows], Y[rows], shares))
            total += float(loss) * float(weight)
        losses.append(total / 40)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-5)
    chex.assert_trees_all_close(run.params, state.params, rtol=1e-4, atol=1e-6)


# ---- a run


def test_without_noise_the_run_finds_the_line(key):
    x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    run = fnn.fit(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(0.1), (x, 3 * x + 1), key=key,
                  epochs=50)  # fmt: skip
    np.testing.assert_allclose(run.params[0].weight, [[3]], atol=5e-3)
    np.testing.assert_allclose(run.params[0].bias, [1], atol=5e-3)
    assert run.history["loss"][-1] < 1e-5


def test_full_batch_descent_is_the_textbook_loop_under_x64(x64, key):
    """w <- w - eta dL/dw for a linear net, in closed form in NumPy."""
    x, y = X.astype(np.float64), Y.astype(np.float64)
    net = fnn.mlp((3, 2))
    run = fnn.fit(net, fnn.squared_error, fnn.sgd(0.1), (x, y), key=key, epochs=20, batch_size=50)
    layer = fnn.init_state(net, fnn.sgd(0.1), key).params[0]
    w, b = np.asarray(layer.weight), np.asarray(layer.bias)
    losses = []
    for _ in range(20):
        error = x @ w + b - y
        losses.append((error**2).mean())
        slope = 2 * error / error.size
        w, b = w - 0.1 * x.T @ slope, b - 0.1 * slope.sum(axis=0)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-12)
    np.testing.assert_allclose(run.params[0].weight, w, rtol=1e-11)
    np.testing.assert_allclose(run.params[0].bias, b, rtol=1e-11)


def test_weights_of_rows_count_like_repeated_rows(x64, key):
    repeats = RANDOM.integers(1, 4, 40)
    net, opt = fnn.mlp((3, 2)), fnn.sgd(0.1)
    weighted = fnn.fit(net, fnn.squared_error, opt, (*DATA, repeats), key=key, epochs=5,
                       batch_size=100)  # fmt: skip
    rows = np.repeat(np.arange(40), repeats)
    repeated = fnn.fit(net, fnn.squared_error, opt, (X[rows], Y[rows]), key=key, epochs=5,
                       batch_size=len(rows))  # fmt: skip
    np.testing.assert_allclose(weighted.history["loss"], repeated.history["loss"], rtol=1e-10)
    chex.assert_trees_all_close(weighted.params, repeated.params, rtol=1e-10)


def test_the_validation_history_is_what_evaluate_says_of_the_last_parameters(key):
    measures = {"mae": fnn.mean_absolute_error, "r2": fnn.r2}
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=4, validation=HELD_OUT,
                  metrics=measures)  # fmt: skip
    scores = fnn.evaluate(NET, run.params, HELD_OUT, {**measures, "loss": fnn.squared_error})
    assert set(run.history) == {"loss", *(f"validation_{name}" for name in scores)}
    for name, value in scores.items():
        assert float(run.history[f"validation_{name}"][-1]) == pytest.approx(float(value), rel=1e-5)


def test_the_best_parameters_are_kept_whether_or_not_it_stopped(key):
    """Whatever epoch was best: a run of that many epochs ends with those parameters."""
    data, held_out = (X[:8], LABELS[:8]), (X[8:], LABELS[8:])
    net, opt = fnn.mlp((3, 16, 2)), fnn.adam(0.1)
    options = {"key": key, "batch_size": 4, "validation": held_out}
    run = fnn.fit(net, fnn.softmax_cross_entropy, opt, data, epochs=12, **options)
    best = int(run.best_epoch)
    assert best == int(jnp.argmin(run.history["validation_loss"])) < 11
    shorter = fnn.fit(net, fnn.softmax_cross_entropy, opt, data, epochs=best + 1, **options)
    assert_same_bits(run.best_params, shorter.params)
    scores = fnn.evaluate(net, run.best_params, held_out, {"loss": fnn.softmax_cross_entropy})
    assert float(scores["loss"]) == pytest.approx(
        float(run.state.best_value["validation_loss"]), rel=1e-6
    )


def test_the_monitor_may_be_a_metric_and_knows_which_way_is_better(key):
    net = fnn.mlp((3, 8, 2))
    run = fnn.fit(net, fnn.softmax_cross_entropy, OPT, (X[:40], LABELS[:40]), key=key, epochs=8,
                  validation=(X[40:], LABELS[40:]), metrics={"accuracy": fnn.accuracy},
                  monitor="validation_accuracy")  # fmt: skip
    accuracies = run.history["validation_accuracy"]
    assert int(run.best_epoch) == int(jnp.argmax(accuracies))
    assert float(run.state.best_value["validation_accuracy"]) == float(accuracies.max())


def test_with_a_monitor_that_is_never_a_number_the_latest_parameters_are_kept(key):
    """The area under the curve, say, of rows that are all of one class."""
    data, one_class = (X, LABELS), (X, np.ones(50, int))
    run = fnn.fit(fnn.mlp((3, 2)), fnn.softmax_cross_entropy, OPT, data, key=key, epochs=3,
                  validation=one_class, metrics={"auc": fnn.roc_auc}, monitor="validation_auc",
                  stop=fnn.early_stopping(patience=2))  # fmt: skip
    assert np.isnan(run.history["validation_auc"]).all()
    assert int(run.epochs) == 2, "an epoch that measures nothing improves nothing"
    assert int(run.best_epoch) == 1
    assert_same_bits(run.best_params, run.params)


def test_a_run_is_not_continued_with_another_monitor(key):
    options = {"key": key, "epochs": 1, "validation": HELD_OUT}
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, **options)
    with pytest.raises(ValueError, match=r"fit: state must have the structure(.|\n)*best_value"):
        fnn.fit(NET, fnn.squared_error, OPT, DATA, **options, state=run.state, monitor="loss")


def test_a_loss_of_ones_own_in_few_bits_is_averaged_in_float32(key):
    def narrow(outputs, targets):
        return jnp.square(outputs[:, 0] - targets[:, 0]).astype(jnp.bfloat16)

    run = fnn.fit(NET, narrow, OPT, DATA, key=key, epochs=1)
    assert run.history["loss"].dtype == np.float32


def test_parameters_that_cannot_be_trained_are_named(key):
    model = fnn.Model(lambda key: {"w": jnp.zeros((3, 2)), "n": 3}, lambda p, x: x @ p["w"])
    with pytest.raises(TypeError, match=r"net.init must return floating arrays; got \['n'\]: int"):
        fnn.fit(model, fnn.squared_error, OPT, DATA, key=key, epochs=1)


def test_a_state_of_ones_own_may_have_a_plain_step_and_an_old_style_key(key):
    params = NET.init(key)
    states = [
        fnn.TrainState(params, OPT.init(params), step, one)
        for step, one in ((0, jax.random.PRNGKey(1)), (jnp.zeros((), np.int32), jax.random.key(1)))
    ]
    assert_same_bits(
        *(fnn.fit(NET, fnn.squared_error, OPT, DATA, epochs=1, state=state) for state in states)
    )


def test_metrics_with_more_than_one_value_are_recorded_too(key):
    run = fnn.fit(fnn.mlp((3, 2)), fnn.softmax_cross_entropy, OPT, (X, LABELS), key=key, epochs=3,
                  validation=(X, LABELS), metrics={"matrix": fnn.confusion_matrix})  # fmt: skip
    assert run.history["validation_matrix"].shape == (3, 2, 2)
    np.testing.assert_array_equal(run.history["validation_matrix"].sum(axis=(1, 2)), [50] * 3)


def test_a_batch_size_larger_than_the_data_is_one_batch(key):
    runs = [
        fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=2, batch_size=size)
        for size in (40, 10_000)
    ]
    assert_same_bits(*runs)
    assert int(runs[0].state.train.step) == 2


def test_the_order_key_alone_decides_the_order(key):
    net = fnn.mlp((3, 2))
    run = partial(fnn.fit, net, fnn.squared_error, fnn.sgd(0.1), DATA, epochs=1, batch_size=1)
    a, b = run(key=key, order_key=jax.random.key(1)), run(key=key, order_key=jax.random.key(2))
    assert float(a.history["loss"][0]) != float(b.history["loss"][0])
    c = run(key=key, order_key=jax.random.key(1))
    assert_same_bits(a, c)
    assert_same_bits(a.state.order_key, jax.random.key(1))


def test_old_style_keys_are_keys():
    runs = [
        fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=2)
        for key in (jax.random.key(3), jax.random.PRNGKey(3))
    ]
    assert_same_bits(*runs)


def test_optax_transformations_are_optimizers(key):
    jax.config.update("jax_numpy_dtype_promotion", "standard")  # Optax's own code needs it
    try:
        runs = [
            fnn.fit(NET, fnn.squared_error, opt, DATA, key=key, epochs=5, batch_size=8)
            for opt in (optax.adam(1e-2), fnn.adam(1e-2), fnn.chain(optax.adam(1e-2)))
        ]
    finally:
        jax.config.update("jax_numpy_dtype_promotion", "strict")
    for run in runs[1:]:
        np.testing.assert_allclose(run.history["loss"], runs[0].history["loss"], rtol=1e-4)


def test_ours_are_optimizers_to_code_that_expects_optax(key):
    params = NET.init(key)
    state = OPT.init(params)
    updates, state = OPT.update(jax.tree.map(jnp.ones_like, params), state, params)
    chex.assert_trees_all_close(
        optax.apply_updates(params, updates), fnn.apply_updates(params, updates)
    )


# ---- a run that breaks


def breaking_at(step):
    """A model with weight w = steps done, whose loss is NaN in that step."""

    def apply(params, x):
        return jnp.where(params["w"] == step, jnp.nan, params["w"]) + 0 * x

    return fnn.Model(lambda key: {"w": jnp.zeros(())}, apply)


class Counting:
    init = staticmethod(lambda params: ())
    update = staticmethod(
        lambda grads, state, params=None: (jax.tree.map(jnp.ones_like, grads), ())
    )


COUNTING = Counting()


def output_itself(outputs, targets):
    return outputs[:, 0]


@pytest.mark.parametrize("step", [0, 4, 7, 11])
def test_divergence_is_undone_to_the_start_of_its_epoch_and_reported(step, key):
    data = (np.zeros((8, 1), np.float32), np.zeros(8, np.float32))
    run = fnn.fit(breaking_at(step), output_itself, COUNTING, data, key=key, epochs=5,
                  batch_size=2)  # four steps an epoch  # fmt: skip
    epoch = step // 4
    assert int(run.diverged_at) == int(run.epochs) == epoch
    assert int(run.state.diverged_step) == step
    assert float(run.params["w"]) == 4 * epoch
    assert int(run.state.train.step) == 4 * epoch
    losses = [4 * e + 1.5 for e in range(epoch)]
    repeated = losses[-1] if losses else np.nan
    np.testing.assert_allclose(run.history["loss"], losses + [repeated] * (5 - epoch))
    # going on from there changes nothing: it has stopped
    again = fnn.fit(breaking_at(step), output_itself, COUNTING, data, epochs=2, batch_size=2,
                    state=run.state)  # fmt: skip
    assert int(again.epochs) == 0


def test_parameters_that_overflow_while_the_loss_is_finite_are_noticed(key):
    x = np.ones((4, 1), np.float32)
    run = fnn.fit(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(3e38), (x, 100 + x), key=key,
                  epochs=3, batch_size=4)  # fmt: skip
    assert int(run.diverged_at) == 0
    assert all(np.isfinite(leaf).all() for leaf in values(run.params))


def test_a_run_that_never_broke_says_so(key):
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=2)
    assert int(run.diverged_at) == int(run.state.diverged_step) == -1


# ---- a run in pieces


def piece(epochs, state=None, stop=None):
    return fnn.fit(NET, fnn.squared_error, OPT, (*DATA, WEIGHTS[:40]), key=KEY, epochs=epochs,
                   batch_size=16, validation=HELD_OUT, state=state, stop=stop)  # fmt: skip


@pytest.mark.parametrize("pieces", [(4, 4), (1, 7), (3, 2, 3), (1,) * 8], ids=str)
def test_a_run_in_pieces_equals_the_uninterrupted_one_bit_for_bit(pieces):
    whole = piece(8)
    state, history = None, []
    for epochs in pieces:
        run = piece(epochs, state)
        assert run.history["loss"].shape == (epochs,)
        history.append(run.history)
        state = run.state
    assert_same_bits(whole.state, state)
    joined = {name: np.concatenate([h[name] for h in history]) for name in whole.history}
    assert_same_bits(whole.history, joined)
    assert int(state.epoch) == 8


def test_keys_of_any_kind_serve_and_a_run_from_them_continues():
    options = {"epochs": 2, "batch_size": 16}
    key = jax.random.key(0, impl="rbg")
    whole = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=4, batch_size=16)
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, **options)
    assert_same_bits(
        whole.state, fnn.fit(NET, fnn.squared_error, OPT, DATA, state=run.state, **options).state
    )


def test_a_stopped_run_continues_as_stopped_unless_the_rule_changes():
    stop = fnn.early_stopping(max_epochs=3)
    run = piece(8, stop=stop)
    assert int(run.epochs) == 3
    again = piece(4, run.state, stop)
    assert int(again.epochs) == 0
    assert again.history["loss"].tolist() == [float(run.history["loss"][-1])] * 4
    onward = piece(4, run.state, fnn.early_stopping(max_epochs=5))
    assert int(onward.epochs) == 2
    assert_same_bits(onward.state, piece(5).state)


def test_a_train_state_begins_a_run_from_its_parameters():
    first = piece(2)
    run = piece(1, first.state.train)
    assert int(run.state.epoch) == 1
    assert int(run.state.train.step) == int(first.state.train.step) + 3
    assert int(run.best_epoch) == 0
    still = fnn.fit(NET, fnn.squared_error, fnn.sgd(0.0), DATA, epochs=1,
                    state=fnn.init_state(NET, fnn.sgd(0.0), KEY))  # fmt: skip
    assert_same_bits(still.params, fnn.init_state(NET, fnn.sgd(0.0), KEY).params)


# ---- a run under transformations


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
