from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(23, 4)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 23)
WEIGHTS = RANDOM.uniform(0.5, 2, 23).astype(np.float32)
NET = fnn.mlp((4, 5, 3))
PARAMS = NET.init(jax.random.key(1))
MEASURES = {
    "accuracy": fnn.accuracy,
    "f1": partial(fnn.f1, average="macro"),
    "loss": fnn.softmax_cross_entropy,
}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_metrics_are_those_of_scikit_learn_and_losses_their_weighted_mean(weights):
    data = (X, LABELS) if weights is None else (X, LABELS, weights)
    scores = fnn.evaluate(NET, PARAMS, data, MEASURES)
    outputs = np.asarray(NET.apply(PARAMS, X))
    predicted = outputs.argmax(axis=1)
    options = {"sample_weight": weights}
    assert list(scores) == list(MEASURES)
    assert float(scores["accuracy"]) == pytest.approx(
        sklearn_metrics.accuracy_score(LABELS, predicted, **options), abs=1e-6
    )
    assert float(scores["f1"]) == pytest.approx(
        sklearn_metrics.f1_score(LABELS, predicted, average="macro", **options), abs=1e-6
    )
    assert float(scores["loss"]) == pytest.approx(
        sklearn_metrics.log_loss(LABELS, np.asarray(jax.nn.softmax(outputs)), **options), abs=1e-6
    )


@pytest.mark.parametrize("batch_size", [1, 7, 23, 100])
def test_the_batch_size_does_not_change_a_metric(batch_size):
    """Outputs are measured once, all together: F1 is not a mean of batches' F1s."""
    whole = fnn.evaluate(NET, PARAMS, (X, LABELS, WEIGHTS), MEASURES)
    parts = fnn.evaluate(NET, PARAMS, (X, LABELS, WEIGHTS), MEASURES, batch_size=batch_size)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("output", ["sigmoid", jax.nn.sigmoid], ids=["by name", "as function"])
def test_scores_of_a_sigmoid_are_split_at_a_half_and_logits_at_zero(output):
    targets = (RANDOM.uniform(size=23) < 0.5).astype(int)
    ends_in_sigmoid = fnn.mlp((4, 5, 1), output=output)
    logits = fnn.mlp((4, 5, 1))
    params = logits.init(jax.random.key(2))
    measures = {"accuracy": fnn.accuracy}
    by_probability = fnn.evaluate(ends_in_sigmoid, params, (X, targets), measures)["accuracy"]
    by_logit = fnn.evaluate(logits, params, (X, targets), measures)["accuracy"]
    assert float(by_probability) == float(by_logit)
    chosen = partial(fnn.accuracy, threshold=0.9)
    high = fnn.evaluate(ends_in_sigmoid, params, (X, targets), {"a": chosen})["a"]
    scores = np.asarray(ends_in_sigmoid.apply(params, X))[:, 0]
    assert float(high) == pytest.approx(np.mean((scores > 0.9) == targets))


def test_dropout_is_off():
    dropping = fnn.mlp((4, 5, 3), dropout=0.5)
    a, b = (fnn.evaluate(net, PARAMS, (X, LABELS), MEASURES) for net in (NET, dropping))
    assert {k: float(v) for k, v in a.items()} == {k: float(v) for k, v in b.items()}


def test_a_model_of_ones_own_is_given_no_key_but_may_ask_for_one():
    def apply(params, x, key):
        assert key is None
        return x @ params

    model = fnn.Model(lambda key: jnp.zeros((4, 3)), apply)
    score = fnn.evaluate(model, jnp.eye(4, 3), (X, LABELS), {"accuracy": fnn.accuracy})
    assert float(score["accuracy"]) == pytest.approx(np.mean(X[:, :3].argmax(axis=1) == LABELS))


def test_any_function_of_outputs_and_targets_is_a_metric_or_a_loss():
    def largest(outputs, targets, weights=None):
        return jnp.max(outputs)

    def hinge(outputs, targets):
        return jnp.max(outputs, axis=-1)

    def scalar(outputs, targets):
        return jnp.max(outputs)

    scores = fnn.evaluate(NET, PARAMS, (X, LABELS, WEIGHTS), {"largest": largest, "hinge": hinge})
    outputs = np.asarray(NET.apply(PARAMS, X))
    assert float(scores["largest"]) == pytest.approx(outputs.max())
    assert float(scores["hinge"]) == pytest.approx(
        np.average(outputs.max(axis=1), weights=WEIGHTS), rel=1e-6
    )
    assert fnn.evaluate(NET, PARAMS, (X, LABELS), {"s": scalar})["s"] == pytest.approx(
        outputs.max()
    )
    with pytest.raises(ValueError, match="metric 's' must take weights, or return a loss per"):
        fnn.evaluate(NET, PARAMS, (X, LABELS, WEIGHTS), {"s": scalar})


@pytest.mark.parametrize("place", [np.asarray, jnp.asarray], ids=["host", "device"])
def test_labels_out_of_range_are_found_in_a_column_too(place):
    data = X, place(np.where(np.arange(23) == 9, 3, LABELS))[:, None]
    with pytest.raises(ValueError, match=r"accuracy: labels must be from 0 to 2, .*; got 3"):
        fnn.evaluate(NET, PARAMS, data, {"accuracy": fnn.accuracy})
    with pytest.raises(ValueError, match="softmax_cross_entropy: labels must be from 0 to 2; got"):
        fnn.fit(NET, fnn.softmax_cross_entropy, fnn.sgd(0.1), data, key=jax.random.key(0), epochs=1)


def test_evaluation_can_be_jitted_and_vmapped_over_parameters():
    many = jax.vmap(NET.init)(jax.random.split(jax.random.key(0), 3))
    over = jax.jit(jax.vmap(lambda p: fnn.evaluate(NET, p, (X, LABELS), MEASURES)))(many)
    for lane in range(3):
        one = fnn.evaluate(
            NET, jax.tree.map(lambda p, lane=lane: p[lane], many), (X, LABELS), MEASURES
        )
        for name in MEASURES:
            assert float(over[name][lane]) == pytest.approx(float(one[name]), abs=1e-6)
