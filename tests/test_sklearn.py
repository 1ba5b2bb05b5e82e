"""Estimators at home in scikit-learn: its own checks, its tools, and few compiled programs."""

import pickle
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fnn.sklearn import FNNClassifier, FNNRegressor

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
QUICK = {"hidden_layer_sizes": (16,), "max_iter": 60, "learning_rate_init": 0.03}
ALL_EPOCHS = QUICK | {"n_iter_no_change": None, "random_state": 0}


@parametrize_with_checks([FNNClassifier(**QUICK), FNNRegressor(**QUICK)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_the_classes_are_learnt_as_by_scikit_learn():
    model = FNNClassifier(**ALL_EPOCHS).fit(X, NAMES)
    theirs = MLPClassifier((16,), learning_rate_init=0.03, max_iter=60, random_state=0, tol=0,
                           n_iter_no_change=60)  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        theirs.fit(X, NAMES)
    assert model.score(X, NAMES) >= theirs.score(X, NAMES) - 0.01
    assert abs(model.loss_ - theirs.loss_) < 0.05
    assert model.classes_.tolist() == theirs.classes_.tolist()
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-12)
    assert model.predict_proba(X).dtype == np.float64
    assert model.n_iter_ == len(model.loss_curve_) == 60
    outputs = model.net_.apply(model.params_, X.astype(np.float32))
    np.testing.assert_array_equal(model.classes_[np.argmax(outputs, axis=1)], model.predict(X))


def test_values_are_learnt_as_by_scikit_learn():
    x, y = load_diabetes(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), (y - y.mean()) / y.std()
    options = {"hidden_layer_sizes": (8,), "max_iter": 60, "random_state": 0}
    model = FNNRegressor(**options, n_iter_no_change=None).fit(x, y)
    theirs = MLPRegressor(**options, tol=0, n_iter_no_change=60)
    with pytest.warns(ConvergenceWarning):
        theirs.fit(x, y)
    assert abs(model.score(x, y) - theirs.score(x, y)) < 0.1
    two = FNNRegressor(**options, n_iter_no_change=None).fit(x, np.stack([y, -y], axis=1))
    assert two.predict(x).shape == (len(x), 2)
    np.testing.assert_allclose(np.corrcoef(two.predict(x).T)[0, 1], -1, atol=0.3)


@pytest.mark.long
def test_a_search_compiles_training_and_prediction_once_and_a_clone_none(compiled):
    model = FNNClassifier(**ALL_EPOCHS)
    grid = {"alpha": np.geomspace(1e-5, 1e-1, 5), "learning_rate_init": [0.01, 0.02, 0.03, 0.04]}
    x, y = X[:149], Y[:149]  # whose folds differ in size by a row
    clone(model).fit(x[:, :2], y)  # compiles what all fits share, as keys
    before = len(compiled)
    GridSearchCV(model, grid, cv=5, refit=False).fit(x, y)
    assert len(compiled) - before <= 2, "a program that trains, and one that predicts"
    search = GridSearchCV(model, grid, cv=5).fit(x, y)
    assert len(compiled) - before <= 3, "and one that trains on all rows"
    assert search.best_score_ > 0.9
    before = len(compiled)
    clone(search.best_estimator_).set_params(alpha=0.123, beta_1=0.8, tol=1e-3).fit(x, y).predict(x)
    assert len(compiled) == before


def test_float32_stays_float32_and_rows_do_not_depend_on_one_another():
    model = FNNClassifier(**ALL_EPOCHS).fit(X.astype(np.float32), Y)
    assert model.params_[0].weight.dtype == np.float32
    whole = model.predict_proba(X.astype(np.float32))
    np.testing.assert_array_equal(model.predict_proba(X[:7].astype(np.float32)), whole[:7])


def test_partial_fit_goes_on_and_warm_start_begins_from_the_weights():
    model = FNNClassifier((16,), learning_rate_init=0.03, random_state=0)
    with pytest.raises(ValueError, match="classes must be given in the first call"):
        model.partial_fit(X, Y)
    for _ in range(30):
        model.partial_fit(X, Y, classes=np.arange(3))
    assert model.n_iter_ == len(model.loss_curve_) == 30
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    again = FNNClassifier(**ALL_EPOCHS, warm_start=True).fit(X, Y)
    first = again.loss_curve_[0]
    assert again.fit(X, Y).loss_curve_[0] < 0.3 * first
    assert FNNClassifier(**ALL_EPOCHS).fit(X, Y).fit(X, Y).loss_curve_[0] == first
    with pytest.raises(ValueError, match="layers and outputs must be those of the last fit"):
        again.set_params(hidden_layer_sizes=(8,)).fit(X, Y)
    with pytest.raises(ValueError, match="classes of y must be those of the last fit"):
        FNNClassifier(**ALL_EPOCHS, warm_start=True).fit(X, Y).fit(X, NAMES)
    one = FNNRegressor((4,)).partial_fit(X, X[:, 0])
    with pytest.raises(ValueError, match=r"y|targets|outputs"):
        one.partial_fit(X, X[:, :2])


def test_early_stopping_watches_a_part_of_the_rows_and_keeps_its_best_weights():
    options = QUICK | {"max_iter": 200, "random_state": 0, "n_iter_no_change": 5}
    model = FNNClassifier(**options, early_stopping=True, validation_fraction=0.2).fit(X, Y)
    assert model.n_iter_ < 200
    assert len(model.validation_scores_) == model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_) > 0.8
    assert model.best_loss_ is None
    best, still = model.params_, {"learning_rate_init": 1e-30, "n_iter_no_change": None}
    model.set_params(**still, max_iter=1, warm_start=True)
    for train in (model.partial_fit, model.fit):  # which go on from the best weights
        train(X, Y)
        jax.tree.map(np.testing.assert_array_equal, model.params_, best)
    with pytest.raises(ValueError, match="validation_fraction must set aside at least two rows"):
        FNNRegressor((4,), early_stopping=True).fit(X[:10], X[:10, 0])
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        FNNClassifier(**QUICK | {"max_iter": 2}).fit(X, Y)


def test_weights_of_rows_and_classes_count():
    model = FNNClassifier(**ALL_EPOCHS)
    weights = np.where(Y == 1, 0.0, 1.0)
    assert not (model.fit(X, Y, sample_weight=weights).predict(X) == 1).any()
    heavy = clone(model).set_params(class_weight={0: 1.0, 1: 1.0, 2: 100.0}).fit(X, Y)
    plain = clone(model).fit(X, Y)
    virginica = slice(2, 3)
    assert heavy.predict_proba(X)[Y == 1, virginica].mean() > (
        2 * plain.predict_proba(X)[Y == 1, virginica].mean()
    )


def test_several_labels_a_row():
    several = np.stack([Y == 0, Y > 0, X[:, 0] > 0], axis=1).astype(int)
    model = FNNClassifier(**ALL_EPOCHS).fit(X, several)
    assert model.score(X, several) > 0.9
    assert set(np.unique(model.predict(X))) == {0, 1}
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (150, 3)
    np.testing.assert_array_equal(probabilities > 0.5, model.predict(X) == 1)
    with np.errstate(over="raise"):
        assert model.predict_proba(1e4 * X).min() == 0


@pytest.mark.parametrize("several", [False, True])
def test_logarithms_of_probabilities_are_finite_where_these_are_0(several):
    model = FNNClassifier(**ALL_EPOCHS)
    model.fit(X, np.stack([Y == 0, Y > 0, X[:, 0] > 0], axis=1).astype(int) if several else Y)
    logs = model.predict_log_proba(X)
    assert logs.dtype == np.float64
    np.testing.assert_allclose(np.exp(logs), model.predict_proba(X), rtol=1e-12)
    far = model.predict_log_proba(1e4 * X)
    assert np.isfinite(far).all()
    assert (np.exp(far) == 0).any()


def test_a_model_can_be_pickled():
    model = FNNClassifier(**ALL_EPOCHS, dropout=0.1).fit(X, NAMES)
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    assert other.partial_fit(X, NAMES).n_iter_ == 61


def test_frames_pipelines_calibration_and_inspection():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    frame["kind"] = np.where(X[:, 0] > 0, "long", "short")
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough"),
        FNNClassifier(**ALL_EPOCHS),
    )
    model.fit(frame, NAMES)
    assert model.score(frame, NAMES) > 0.9
    importance = permutation_importance(model, frame, NAMES, n_repeats=2, random_state=0)
    assert importance.importances_mean[2:4].max() > importance.importances_mean[1]
    assert partial_dependence(model, frame, ["c"])["average"].shape[0] == 3
    calibrated = CalibratedClassifierCV(FNNClassifier(**ALL_EPOCHS), cv=2).fit(X, NAMES)
    assert log_loss(NAMES, calibrated.predict_proba(X)) < 0.4
    direct = FNNClassifier(**ALL_EPOCHS).fit(frame[["a", "b"]], NAMES)
    assert direct.feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "lbfgs"}, "solver must be 'adam' or 'sgd'; got 'lbfgs'"),
        ({"batch_size": "all"}, "batch_size must be 'auto' or a number of rows; got 'all'"),
        ({"batch_size": 0}, "batch_size"),
        ({"alpha": -1.0}, "FNNClassifier: alpha must be a finite number >= 0; got -1.0"),
        ({"alpha": "small"}, "FNNClassifier: alpha must be a finite number >= 0; got 'small'"),
        ({"hidden_layer_sizes": None}, "each of sizes must be an integer >= 1, .*; got None"),
        ({"hidden_layer_sizes": 3.0}, "each of sizes must be an integer >= 1, .*; got 3.0"),
        ({"class_weight": dict.fromkeys(range(3), 0)}, "weights of the rows .*must not all be 0"),
        ({"activation": "logistic"}, "activation"),
        ({"learning_rate_init": 1e30, "solver": "sgd"}, "training must not diverge"),
    ],
)
def test_wrong_parameters_are_refused_by_fit(options, message):
    model = FNNClassifier(**ALL_EPOCHS).set_params(**options)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X * 1e10 if "solver" in options else X, Y)


def test_every_parameter_is_in_the_documentation():
    page = (Path(__file__).parent.parent / "docs" / "scikit_learn.md").read_text()
    assert {f"`{name}`" for name in FNNClassifier().get_params()} <= set(re.findall(r"`\w+`", page))
