"""`FNNSearchCV` finds what `GridSearchCV` finds, with its fits in lanes."""

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ParameterSampler,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.preprocessing import StandardScaler

import fnn
from fnn.sklearn import FNNClassifier, FNNRegressor, FNNSearchCV

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)[:149]  # whose folds differ in size by a row
Y = Y[:149]
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
GRID = {"learning_rate_init": [1e-3, 3e-2], "alpha": [1e-4, 1.0]}


def model(**options):
    return FNNClassifier(
        **{"hidden_layer_sizes": (8,), "max_iter": 12, "n_iter_no_change": None, "random_state": 0}
        | options
    )


def compared(estimator, grid, x, y, *, rtol, fit_options=None, **options):
    """Both searches, after a comparison of their scores."""
    fit_options = fit_options or {}
    ours = FNNSearchCV(estimator, grid, **options).fit(x, y, **fit_options)
    theirs = GridSearchCV(estimator, grid, **options).fit(x, y, **fit_options)
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for name, values in theirs.cv_results_.items():
        if name == "params" or name.startswith(("param_", "rank_")):
            assert list(ours.cv_results_[name]) == list(values), name
        elif "_test_" in name or "_train_" in name:
            np.testing.assert_allclose(
                ours.cv_results_[name], values, rtol=rtol, atol=rtol, err_msg=name
            )
        else:
            assert "time" in name
            assert (ours.cv_results_[name] >= 0).all()
    return ours, theirs


@pytest.mark.parametrize(
    ("options", "grid"),
    [
        ({}, GRID),
        pytest.param({"batch_size": 16, "class_weight": "balanced"}, GRID, marks=pytest.mark.long),
        pytest.param(
            {"early_stopping": True, "validation_fraction": 0.2},
            {"tol": [0.0, 0.5], **GRID},
            marks=pytest.mark.long,
        ),
        (
            {"solver": "sgd", "n_iter_no_change": 2, "tol": 0.05, "dropout": 0.1},
            {"momentum": [0.5, 0.9], "dropout": [0.0, 0.3], "n_iter_no_change": [1, 4]},
        ),
    ],
    ids=["all rows", "batches", "early stopping", "sgd"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scores_are_those_of_grid_search(options, grid):
    ours, theirs = compared(
        model(**options),
        grid,
        X,
        NAMES,
        rtol=1e-9,
        scoring="neg_log_loss",
        cv=3,
        return_train_score=True,
    )
    assert ours.best_index_ == theirs.best_index_
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == pytest.approx(theirs.best_score_)
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    assert ours.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert ours.n_splits_ == 3
    assert ours.refit_time_ > 0


def test_float32_scores_agree_to_its_digits():
    compared(model(), GRID, X.astype(np.float32), Y, rtol=1e-4, scoring="neg_log_loss", cv=3)


def test_folds_may_be_lists_of_row_numbers_or_masks():
    folds = list(KFold(2, shuffle=True, random_state=0).split(X))
    lists = [tuple(part.tolist() for part in pair) for pair in folds]
    masks = [tuple(np.isin(np.arange(len(X)), part) for part in pair) for pair in folds]
    scores = [
        FNNSearchCV(model(), GRID, cv=cv, refit=False, scoring="neg_log_loss")
        .fit(X, Y)
        .cv_results_["mean_test_score"]
        for cv in (folds, lists, masks)
    ]
    assert scores[0].tolist() == scores[1].tolist() == scores[2].tolist()


@pytest.mark.long
def test_structure_makes_groups_and_several_grids_are_searched():
    grid = [
        {"hidden_layer_sizes": [(4,), (8,)], "alpha": [1e-4, 1e-1]},
        {"activation": ["tanh"], "learning_rate_init": [1e-3, 1e-2], "batch_size": [50]},
    ]
    ours, _ = compared(
        model(),
        grid,
        X,
        Y,
        rtol=1e-9,
        scoring="neg_log_loss",
        cv=KFold(3, shuffle=True, random_state=1),
    )
    assert len(ours.cv_results_["params"]) == 6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_halving_ends_candidates_on_all_folds_and_leaves_the_others_as_they_are():
    grid = {"learning_rate_init": [1e-4, 3e-2, 1e-3, 1e-2], "alpha": [1e-4]}
    whole = FNNSearchCV(model(), grid, cv=3).fit(X, Y)
    halved = FNNSearchCV(model(), grid, cv=3, halving=fnn.halving(4, factor=2)).fit(X, Y)
    assert halved.cv_results_["dropped_at"].tolist() == [4, -1, 4, 8]
    for name in ("split0_test_score", "split2_test_score"):
        assert halved.cv_results_[name][1] == whole.cv_results_[name][1]
    assert halved.best_index_ == 1
    with pytest.raises(TypeError, match="halving must be a halving"):
        FNNSearchCV(model(), grid, halving=fnn.halving(1, group=2)).fit(X, Y)
    order = np.random.default_rng(0).permutation(149)
    folds = [(order[:100], order[100:]), (order[:50], order[50:])]
    with pytest.raises(ValueError, match=r"padded to the same .* got \[\(64, 0\), \(128, 0\)\]"):
        FNNSearchCV(model(), grid, cv=folds, halving=fnn.halving(4)).fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_ended_candidate_is_not_the_best_however_good_its_score():
    grid = {"learning_rate_init": [1e-4, 3e-2]}
    rates = iter(range(10))  # the score of the first fits, which are ended, is the best
    search = FNNSearchCV(model(), grid, cv=2, halving=fnn.halving(4, factor=2),
                         scoring=lambda *_: -next(rates)).fit(X, Y)  # fmt: skip
    assert search.best_index_ == 1
    assert search.cv_results_["rank_test_score"].tolist() == [1, 2]
    assert search.cv_results_["dropped_at"].tolist() == [4, -1]


def test_values_groups_weights_and_several_metrics():
    values = np.stack([X[:, 0] + X[:, 1], X[:, 2]], axis=1)
    regressor = FNNRegressor((8,), max_iter=12, n_iter_no_change=None, random_state=0)
    weights = np.random.default_rng(0).uniform(0, 2, len(X))
    ours, theirs = compared(
        regressor, {"alpha": [1e-4, 30.0], "learning_rate_init": [1e-2]}, X, values, rtol=1e-9,
        cv=GroupKFold(3), scoring=["r2", "neg_mean_absolute_error"], refit="r2",
        fit_options={"groups": np.arange(len(X)) % 10, "sample_weight": weights},
    )  # fmt: skip
    assert ours.multimetric_
    assert theirs.multimetric_
    assert ours.score(X, values) == pytest.approx(theirs.score(X, values))


def test_several_labels_a_row_are_searched():
    several = np.stack([Y == 0, Y > 0, X[:, 0] > 0], axis=1).astype(int)
    compared(model(), {"alpha": [1e-4, 10.0]}, X, several, rtol=1e-9, cv=3)


@pytest.mark.parametrize(
    "alpha", [np.geomspace(1e-5, 1.0, 50), loguniform(1e-5, 1.0)], ids=["list", "distribution"]
)
def test_candidates_can_be_drawn(alpha):
    grid = {"alpha": alpha, "learning_rate_init": [1e-3, 1e-2]}
    options = {"n_iter": 3, "random_state": 5, "cv": 3, "scoring": "neg_log_loss"}
    ours = FNNSearchCV(model(), grid, **options).fit(X, Y)
    theirs = RandomizedSearchCV(model(), grid, **options).fit(X, Y)
    assert ours.cv_results_["params"] == list(ParameterSampler(grid, 3, random_state=5))
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-9
    )


def test_a_search_of_other_numbers_compiles_nothing(compiled):
    def search(rates, alphas):
        grid = {"learning_rate_init": rates, "alpha": alphas}
        return FNNSearchCV(model(batch_size=32), grid, cv=5, refit=False).fit(X, Y)

    search([0.01, 0.02, 0.03, 0.04], np.geomspace(1e-5, 1e-1, 5))
    before = len(compiled)
    search([0.02, 0.03, 0.05, 0.06], np.geomspace(1e-4, 1.0, 5))
    assert len(compiled) == before


def test_without_refit_there_is_no_estimator_but_a_best_candidate():
    search = FNNSearchCV(model(), GRID, cv=3, refit=False).fit(X, Y)
    assert not hasattr(search, "best_estimator_")
    assert search.best_params_ == search.cv_results_["params"][search.best_index_]
    chosen = FNNSearchCV(model(), GRID, cv=3, refit=lambda results: 2).fit(X, Y)
    assert chosen.best_index_ == 2
    assert chosen.best_params_ == {"alpha": 1.0, "learning_rate_init": 1e-3}
    assert chosen.best_estimator_.alpha == 1.0


def test_a_seed_is_drawn_once_where_there_is_none():
    np.random.seed(3)
    search = FNNSearchCV(model(random_state=None), {"alpha": [1e-4, 1e-4]}, cv=3).fit(X, Y)
    first, second = search.cv_results_["mean_test_score"]
    assert first == second
    assert search.estimator.random_state is None


def test_fits_that_diverge_score_what_error_score_says():
    grid = {"learning_rate_init": [1e-2, 1e30]}
    estimator = model(solver="sgd")
    search = FNNSearchCV(estimator, grid, cv=3, scoring=["accuracy"], refit="accuracy")
    with pytest.warns() as caught:
        search.fit(X * 1e10, Y)
    assert any("3 of 6 fits failed; FNNClassifier: training" in str(c.message) for c in caught)
    assert FitFailedWarning in {c.category for c in caught}
    assert np.isnan(search.cv_results_["split0_test_accuracy"][1])
    assert search.best_index_ == 0
    with pytest.raises(ValueError, match="training must not diverge"):
        FNNSearchCV(estimator, grid, cv=3, error_score="raise").fit(X * 1e10, Y)
    with pytest.raises(ValueError, match="3 of 3 fits failed"):
        FNNSearchCV(estimator, {"learning_rate_init": [1e30]}, cv=3).fit(X * 1e10, Y)


def test_wrong_arguments_are_refused(monkeypatch):
    with pytest.raises(TypeError, match="estimator must be an FNNClassifier or FNNRegressor"):
        FNNSearchCV(LogisticRegression(), {"C": [1.0]}).fit(X, Y)
    with pytest.raises(ValueError, match="every class must have training rows in every fold"):
        FNNSearchCV(model(), GRID, cv=KFold(3)).fit(X, Y)
    with pytest.raises(ValueError, match="cv must divide the rows at least once; got no folds"):
        FNNSearchCV(model(), GRID, cv=iter(())).fit(X, Y)
    own = FNNSearchCV(model(), {"alpha": [1.0]}, scoring=lambda *_: {"one": 1.0}, cv=3)
    with pytest.raises(ValueError, match="refit must be"):
        own.fit(X, Y)
    monkeypatch.setattr("fnn.sklearn.fits.sweep", lambda *_, **__: pytest.fail("it trains"))
    with pytest.raises(ValueError, match=r"refit must be .*; got True"):
        FNNSearchCV(model(), {"alpha": [1.0]}, scoring=["accuracy"], cv=3).fit(X, Y)
    with pytest.raises(ValueError, match="Invalid parameter 'width'"):
        FNNSearchCV(model(), {"width": [1]}, cv=3).fit(X, Y)


def test_predictions_are_those_of_the_best_estimator():
    search = FNNSearchCV(model(max_iter=60), {"learning_rate_init": [1e-4, 3e-2]}, cv=3).fit(X, Y)
    assert accuracy_score(Y, search.predict(X)) > 0.9
    assert search.n_features_in_ == 4
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    assert FNNSearchCV(model(), GRID, cv=3).fit(frame, Y).feature_names_in_.tolist() == list("abcd")


def test_fits_that_end_early_warn_as_in_a_grid_search():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        FNNSearchCV(model(n_iter_no_change=10), {"alpha": [1e-4]}, cv=3).fit(X, Y)


@pytest.mark.long
def test_functions_and_schedules_are_structure():
    rates = [fnn.cosine_decay(0.03, decay_steps=30), fnn.cosine_decay(0.03, decay_steps=60), 0.03]
    grid = {"activation": [lambda z: z, "tanh"], "learning_rate_init": rates, "alpha": [0.1, 1.0]}
    search = FNNSearchCV(model(), grid, cv=3, refit=False, scoring="neg_log_loss").fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 12
    alone = model(activation="tanh", learning_rate_init=rates[1], alpha=1.0)
    (place,) = [
        place for place, given in enumerate(search.cv_results_["params"])
        if given["activation"] == "tanh" and given["learning_rate_init"] == rates[1]
        and given["alpha"] == 1.0
    ]  # fmt: skip
    theirs = cross_val_score(alone, X, Y, cv=3, scoring="neg_log_loss")
    np.testing.assert_allclose(scores[place], theirs.mean(), rtol=1e-9)
