"""Scikit-learn: fitted estimators, there and back."""

import jax
import numpy as np
import pytest
from interop_cases import (
    FAR,
    REFUSED,
    SKLEARN_CASES,
    X,
    Y,
    assert_close,
    assert_refused,
    params_of,
)

import fnn
from fnn.interop import from_sklearn, to_sklearn

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    RobustScaler,
    StandardScaler,
)

LABELS = np.array(["a", "b", "c"])[np.arange(7) % 3]
QUICK = {"hidden_layer_sizes": (6, 5), "max_iter": 3, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def same_shape(outputs):
    return outputs[:, None] if outputs.ndim == 1 else outputs


@pytest.mark.parametrize("case", SKLEARN_CASES)
def test_regressors_have_the_same_outputs_there_and_back(case):
    net, x = SKLEARN_CASES[case]
    params = params_of(net)
    model = to_sklearn(net, params)
    expected = net.apply(params, x)
    assert_close(same_shape(model.predict(x)), expected)
    again, same = from_sklearn(model)
    assert_close(again.apply(same, x), expected)
    assert again.sizes == net.sizes


@pytest.mark.parametrize("activation", ["identity", "sigmoid", "tanh", "relu"])
def test_activations_are_the_same(activation):
    net = fnn.mlp((4, 6, 1), activation=activation)
    params = params_of(net)
    model = to_sklearn(net, params)
    assert_close(model.predict(X)[:, None], net.apply(params, X))
    assert from_sklearn(model)[0].activations == net.activations


@pytest.mark.parametrize("output", ["identity", "softmax"])
@pytest.mark.parametrize("size", [2, 3])
def test_a_classifier_of_logits_or_probabilities(output, size):
    net = fnn.mlp((4, 6, size), output=output)
    params = params_of(net)
    model = to_sklearn(net, params, classes=["x", "y", "z"][:size])
    logits = fnn.mlp((4, 6, size)).apply(params, X)
    probabilities = jax.nn.softmax(logits)
    assert type(model) is MLPClassifier
    assert model.out_activation_ == ("logistic" if size == 2 else "softmax")
    assert_close(model.predict_proba(X), probabilities)
    assert model.predict(X).tolist() == [["x", "y", "z"][i] for i in logits.argmax(axis=1)]
    again, same = from_sklearn(model)
    if size == 2:
        assert_close(jax.nn.sigmoid(again.apply(same, X))[:, 0], probabilities[:, 1])
    else:
        assert_close(again.apply(same, X), logits)


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_a_classifier_of_one_logit_behind_a_scaler(output):
    net = fnn.mlp((4, 6, 1), output=output, inputs=fnn.standard_scaler(FAR))
    params = params_of(net)
    model = to_sklearn(net, params, classes=["no", "yes"])
    logits = fnn.mlp((4, 6, 1), inputs=net.inputs).apply(params, FAR)
    assert_close(model.predict_proba(FAR)[:, 1:], jax.nn.sigmoid(logits))
    assert model.classes_.tolist() == ["no", "yes"]
    again, same = from_sklearn(model)
    assert_close(again.apply(same, FAR), logits)


def test_a_classifier_of_several_labels_a_row():
    net = fnn.mlp((4, 6, 3), output="sigmoid")
    params = params_of(net)
    model = to_sklearn(net, params)
    probabilities = net.apply(params, X)
    assert_close(model.predict_proba(X), probabilities)
    np.testing.assert_array_equal(model.predict(X), probabilities > 0.5)
    again, same = from_sklearn(model)
    assert_close(jax.nn.sigmoid(again.apply(same, X)), probabilities)


@pytest.mark.parametrize("kind", ["three classes", "two classes", "labels"])
def test_classifiers_of_scikit_learn(kind):
    y = {
        "three classes": LABELS,
        "two classes": LABELS == "a",
        "labels": np.eye(3)[np.arange(7) % 3],
    }
    model = MLPClassifier(**QUICK).fit(X, y[kind])
    net, params = from_sklearn(model)
    logits = net.apply(params, X)
    assert net.output is fnn.identity
    if kind == "three classes":
        assert_close(jax.nn.softmax(logits), model.predict_proba(X))
    elif kind == "two classes":
        assert_close(jax.nn.sigmoid(logits), model.predict_proba(X)[:, 1:])
        labels = np.searchsorted(model.classes_, y[kind])
        assert_close(fnn.accuracy(logits, labels), model.score(X, y[kind]))
    else:
        assert_close(jax.nn.sigmoid(logits), model.predict_proba(X))


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 3)),
        RobustScaler(),
        RobustScaler(with_centering=False),
    ],
    ids=str,
)
def test_pipelines_and_scaled_targets_of_scikit_learn(scaler):
    behind = make_pipeline("passthrough", clone(scaler), MLPRegressor(**QUICK))
    model = TransformedTargetRegressor(behind, transformer=clone(scaler))
    x = np.concatenate([FAR, FAR - 1]).astype(np.float64)
    model.fit(x, np.concatenate([Y[:7], Y[2:]]))
    net, params = from_sklearn(model)
    assert net.inputs is not None
    assert net.outputs is not None
    assert_close(net.apply(params, x), model.predict(x))


def test_training_an_estimator_further_does_not_change_the_network():
    x = np.random.default_rng(5).normal(size=(20, 64)).astype(np.float32)
    model = MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=1).fit(x, x[:, 0])
    net, params = from_sklearn(model)
    before = np.array(net.apply(params, x))
    for _ in range(5):
        model.partial_fit(x, x[:, 0])
    np.testing.assert_array_equal(net.apply(params, x), before)


def test_an_estimator_can_be_trained_further():
    net = fnn.mlp((4, 6, 1))
    params = params_of(net)
    model = to_sklearn(net, params)
    before = model.predict(X)
    model.partial_fit(X, X[:, 0])
    assert abs(model.predict(X) - before).max() > 0
    assert abs(model.coefs_[0] - np.asarray(params[0].weight)).max() < 0.01
    assert model.coefs_[0].dtype == np.float32


@pytest.mark.parametrize("case", REFUSED)
def test_networks_that_scikit_learn_does_not_have_are_refused(case):
    net, text = REFUSED[case]
    assert_refused(lambda: to_sklearn(net, net.init(jax.random.key(0))), "to_sklearn", text)


OTHERS = {
    "norm": (fnn.mlp((4, 6, 3), norm="layer"), None, "norm='layer'"),
    "activation": (fnn.mlp((4, 6, 3), activation="gelu"), None, "gelu"),
    "two activations": (fnn.mlp((4, 6, 5, 3), activation=["relu", "tanh"]), None, "relu, tanh"),
    "output": (fnn.mlp((4, 3), output="relu"), None, "must end in identity", "relu"),
    "softmax of one": (fnn.mlp((4, 1), output="softmax"), None, "two outputs"),
    "classes": (fnn.mlp((4, 3)), ["a", "b"], "3 sorted labels"),
    "order of classes": (fnn.mlp((4, 2)), ["b", "a"], "2 sorted labels"),
    "names of labels": (fnn.mlp((4, 2), output="sigmoid"), ["a", "b"], "0, 1, ..."),
    "scaled classes": (fnn.mlp((4, 3), outputs=fnn.standard_scaler(Y)), "abc", "scaler of outputs"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_networks_that_it_does_not_have(case):
    net, classes, *texts = OTHERS[case]
    classes = list(classes) if classes else None
    assert_refused(lambda: to_sklearn(net, params_of(net), classes=classes), "to_sklearn", *texts)


def test_models_without_a_counterpart_are_refused_by_name():
    def refused(model, *texts, error=ValueError):
        assert_refused(lambda: from_sklearn(model), "from_sklearn", *texts, error=error)

    y = np.abs(X[:, 0])
    refused(MLPRegressor(), "fitted", "MLPRegressor")
    refused(7, "fitted", error=TypeError)
    refused(DummyRegressor().fit(X, y), "MLPRegressor", "got DummyRegressor", error=TypeError)
    of_normalizer = make_pipeline(Normalizer(), MLPRegressor(**QUICK)).fit(X, y)
    refused(of_normalizer, "layer 'normalizer', a Normalizer")
    clipped = make_pipeline(MinMaxScaler(clip=True), MLPRegressor(**QUICK)).fit(X, y)
    refused(clipped, "layer 'minmaxscaler'", "clip=True")
    of_logarithms = TransformedTargetRegressor(MLPRegressor(**QUICK), func=np.log1p,
                                               inverse_func=np.expm1).fit(X, y)  # fmt: skip
    refused(of_logarithms, "a FunctionTransformer")
    scaled = TransformedTargetRegressor(MLPRegressor(**QUICK), transformer=MaxAbsScaler())
    refused(scaled.fit(X, y), "a MaxAbsScaler")
    poisson = MLPRegressor(**QUICK).fit(X, y)
    poisson.out_activation_ = "exp"  # as with loss="poisson", which older versions do not have
    refused(poisson, "out_activation_='exp'")
