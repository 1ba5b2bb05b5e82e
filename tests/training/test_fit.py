"""Training held against a loop written out by hand."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_runs import DATA, HELD_OUT, KEY, NET, OPT, RANDOM, WEIGHTS, X, Y, assert_same_bits

import fnn
from fnn._core.dataset import dataset
from fnn.training import batches

LABELS = Y.argmax(axis=1)

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
        epoch = batches.in_batches(dataset("test", "data", DATA), order, 16)
        total = 0.0
        for rows, weights, sum_of_weights in zip(*epoch, strict=True):
            state, loss = step(state, (X[rows], Y[rows], weights))
            total += float(loss) * float(sum_of_weights)
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
