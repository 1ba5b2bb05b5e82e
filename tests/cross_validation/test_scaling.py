"""Scalers in cross-validation: each fold scales by the rows that it trains on, and by no others."""

import functools

import jax
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
NEAR = RANDOM.normal(size=(30, 3)) * [1, 10, 100]
FAR = 1.7e9 + NEAR
Y = np.sin(NEAR[:, :1]) + 0.01 * NEAR[:, 1:2]
RATES = np.array([0.003, 0.03])
MAKERS = {
    "standard": fnn.standard_scaler,
    "min_max": functools.partial(fnn.min_max_scaler, feature_range=(-1, 1)),
    "quantile": fnn.quantile_scaler,
}


def network(inputs=None):
    return fnn.mlp((3, 8, 1), activation="tanh", inputs=inputs)


def cross_validate(net, x, y=Y, optimizer=None, **options):
    optimizer = fnn.adam(RATES) if optimizer is None else optimizer
    options = {"key": jax.random.key(3), "folds": 3, "epochs": 4, "batch_size": 8, **options}
    return fnn.cross_validate(net, fnn.squared_error, optimizer, (x, y), progress=False, **options)


@pytest.mark.long
@pytest.mark.parametrize("x", [NEAR, FAR], ids=["near", "far"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_lanes_are_single_runs_with_scalers_of_their_own_training_rows(make, x):
    cv = cross_validate(network(make(x)), x, refit=True)
    assert [*cv.columns] == ["optimizer.learning_rate"]
    for lane in (0, 4):
        setting, fold = divmod(lane, 3)
        split = cv.splits[0][fold]
        net = network(make(x[split.train]))
        run = fnn.fit(
            net, fnn.squared_error, fnn.adam(RATES[setting]), (x[split.train], Y[split.train]),
            key=cv.keys[lane], order_key=cv.order_key, epochs=4, batch_size=8,
        )  # fmt: skip
        for ours, theirs in zip(
            jax.tree.leaves(cv.lane(lane).params), jax.tree.leaves(run.params), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
        held_out = x[split.test], Y[split.test]
        scores = fnn.evaluate(net, run.best_params, held_out, {"loss": fnn.squared_error})
        np.testing.assert_allclose(cv.scores["test_loss"][lane], scores["loss"], rtol=1e-3)
        outputs = net.apply(run.best_params, x[split.test])
        of_fold = cv.out_of_fold(setting)[split.test]
        np.testing.assert_allclose(of_fold, outputs, rtol=1e-3, atol=1e-3)
    assert cv.net == network(make(x))
    best = cv.best()
    np.testing.assert_allclose(
        fnn.evaluate(cv.net, best.params, (x, Y), {"r2": fnn.r2})["r2"],
        1 - np.mean((np.asarray(cv.net.apply(best.params, x)) - Y) ** 2) / np.var(Y),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def test_rows_held_out_do_not_touch_the_scaler_of_their_fold():
    before = cross_validate(network(fnn.standard_scaler(NEAR)), NEAR)
    held_out = before.splits[0][1].test
    changed = NEAR.copy()
    changed[held_out] *= 1000
    after = cross_validate(network(fnn.standard_scaler(NEAR)), changed)
    same, other = np.array([1, 4]), np.array([0, 2, 3, 5])
    weight, weight_after = (np.asarray(cv.params[0].weight) for cv in (before, after))
    np.testing.assert_allclose(weight_after[same], weight[same], rtol=1e-4, atol=1e-5)
    assert (np.abs(weight_after - weight)[other] > 1e-3).any(axis=(1, 2)).all()


def test_the_ensemble_of_folds_takes_raw_inputs_far_from_zero():
    near, far = (
        cross_validate(network(fnn.standard_scaler(x)), x, optimizer=fnn.adam(0.03))
        for x in (NEAR, FAR)
    )
    for ours, theirs in zip(far.predict(FAR), near.predict(NEAR), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_swept_scalers_are_settings_like_others():
    scalers = [fnn.standard_scaler(FAR), fnn.standard_scaler(FAR[:10])]
    swept = jax.tree.map(lambda *leaves: np.stack(leaves), *scalers)
    cv = cross_validate(network(swept), FAR, optimizer=fnn.adam(0.03))
    assert cv.settings == 2
    assert {*cv.columns} == {"net.inputs.mean", "net.inputs.scale"}
    assert cv.net == network(scalers[cv.best_setting])


def test_each_fold_scales_targets_by_its_own_training_rows():
    y = 500 + 20 * Y[:, 0]

    def in_raw_units(rows):
        return fnn.mlp(
            (3, 8, 1), activation="tanh", inputs=fnn.standard_scaler(FAR[rows]),
            outputs=fnn.robust_scaler(y[rows]),
        )  # fmt: skip

    metrics = {"mae": fnn.mean_absolute_error}
    cv = cross_validate(in_raw_units(slice(None)), FAR, y, metrics=metrics, score="mae", refit=True)
    split = cv.splits[0][1]
    net = in_raw_units(split.train)
    run = fnn.fit(
        net, fnn.squared_error, fnn.adam(RATES[1]), (FAR[split.train], y[split.train]),
        key=cv.keys[4], order_key=cv.order_key, epochs=4, batch_size=8,
    )  # fmt: skip
    outputs = np.asarray(net.apply(run.best_params, FAR[split.test]))
    np.testing.assert_allclose(cv.out_of_fold(1)[split.test], outputs, rtol=1e-4)
    off = np.abs(outputs[:, 0] - y[split.test]).mean()
    np.testing.assert_allclose(cv.scores["test_mae"][4], off, rtol=1e-3)
    scaled = fnn.evaluate(
        net, run.best_params, (FAR[split.test], y[split.test]), {"loss": fnn.squared_error}
    )
    np.testing.assert_allclose(cv.scores["test_loss"][4], scaled["loss"], rtol=1e-3)
    assert cv.net == in_raw_units(slice(None))
    assert cv.net.apply(cv.best().params, FAR).mean() > 300
