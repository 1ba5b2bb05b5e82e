"""Networks in raw units: scalers as their first and last step, wherever they are used."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import random_params

import fnn

RANDOM = np.random.default_rng(0)
KEY = jax.random.key(3)
FAR = 1.7e9 + 100 * RANDOM.normal(size=(60, 3))
SEEN, UNSEEN = FAR[:40], FAR[40:]
Y = np.sin((FAR - 1.7e9) / 100) @ RANDOM.normal(size=(3, 2))
SCALER = fnn.standard_scaler(SEEN)
Z, UNSEEN_Z = np.asarray(SCALER(SEEN)), np.asarray(SCALER(UNSEEN))
PLAIN = fnn.mlp((3, 8, 2), activation="tanh")
NET = fnn.mlp((3, 8, 2), activation="tanh", inputs=SCALER)
OPTIONS = {"key": KEY, "epochs": 3, "batch_size": 16}
METRICS = {"r2": fnn.r2}


def run(net, x, unseen, function=fnn.fit, **options):
    return function(
        net, fnn.squared_error, fnn.adam(1e-2), (x, Y[:40]), validation=(unseen, Y[40:]),
        metrics=METRICS, **OPTIONS | options,
    )  # fmt: skip


def assert_same_runs(one, other, atol=1e-5):
    for name, values in one.history.items():
        np.testing.assert_allclose(values, other.history[name], rtol=1e-5, atol=atol)
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=atol)


@pytest.fixture(scope="module")
def plain_run():
    return run(PLAIN, Z, UNSEEN_Z)


SCALERS = {
    "standard": fnn.standard_scaler,
    "min_max": fnn.min_max_scaler,
    "robust": fnn.robust_scaler,
    "quantile": fnn.quantile_scaler,
}


@pytest.mark.parametrize("make", SCALERS.values(), ids=SCALERS)
def test_raw_inputs_on_the_host_are_scaled_in_float64(make):
    scaler = make(SEEN)
    net = fnn.mlp((3, 8, 2), inputs=scaler)
    bare = fnn.mlp((3, 8, 2))
    params = random_params(net)
    for x in (FAR, FAR[0], np.int64(FAR * 1e3) / 1e3, FAR.tolist()):
        expected = bare.apply(params, scaler(x))
        np.testing.assert_array_equal(net.apply(params, x), expected)
        np.testing.assert_array_equal(net.forward(params, x)[-1][1], expected)
    stamps = np.int64(FAR)
    np.testing.assert_array_equal(net.apply(params, stamps), bare.apply(params, scaler(stamps)))


@pytest.mark.parametrize("make", SCALERS.values(), ids=SCALERS)
def test_compiled_and_on_a_device_inputs_are_scaled_too(make):
    near = FAR - 1.7e9
    net, bare = fnn.mlp((3, 8, 2), inputs=make(near)), fnn.mlp((3, 8, 2))
    params = random_params(net)
    expected = bare.apply(params, make(near)(near))
    on_device = jnp.asarray(near, np.float32)
    for apply in (net.apply, jax.jit(net.apply), jax.jit(jax.vmap(net.apply, (None, 0)))):
        np.testing.assert_allclose(apply(params, on_device), expected, rtol=1e-3, atol=1e-3)
    traced = jax.jit(lambda net, params, x: net.apply(params, x))(net, params, on_device)
    np.testing.assert_allclose(traced, expected, rtol=1e-3, atol=1e-3)


def test_a_fit_far_from_zero_is_that_of_scaled_data(plain_run):
    found = run(NET, SEEN, UNSEEN)
    assert_same_runs(found, plain_run)
    assert_same_runs(run(NET, SEEN, UNSEEN, fnn.train, progress=False), plain_run)
    scores = fnn.evaluate(NET, found.best_params, (UNSEEN, Y[40:]), METRICS)
    expected = fnn.evaluate(PLAIN, found.best_params, (UNSEEN_Z, Y[40:]), METRICS)
    np.testing.assert_allclose(scores["r2"], expected["r2"], rtol=1e-5)


def test_a_fit_of_quantiles_far_from_zero_is_that_of_scaled_data():
    scaler = fnn.quantile_scaler(SEEN)
    net = fnn.mlp((3, 8, 2), activation="tanh", inputs=scaler)
    expected = run(PLAIN, np.asarray(scaler(SEEN)), np.asarray(scaler(UNSEEN)))
    assert_same_runs(run(net, SEEN, UNSEEN), expected, atol=1e-3)


@pytest.mark.parametrize("function", [fnn.fit, fnn.train])
def test_data_of_mixed_kinds_are_shifted_together(function, plain_run):
    stamps, unseen = np.int64(SEEN), jnp.asarray(UNSEEN, np.float32)
    options = {} if function is fnn.fit else {"progress": False}
    net = fnn.mlp((3, 8, 2), activation="tanh", inputs=SCALER)
    found = run(net, stamps, unseen, function, **options)
    scaled = np.asarray(SCALER(stamps)), np.asarray(SCALER(np.asarray(unseen, np.float64)))
    assert_same_runs(found, run(PLAIN, *scaled))


def test_one_step_is_that_of_scaled_data():
    state = fnn.init_state(NET, fnn.adam(1e-2), KEY)
    batch, scaled = (SEEN, Y[:40]), (Z, Y[:40])
    after, loss = fnn.train_step(NET, fnn.squared_error, fnn.adam(1e-2), state, batch)
    expected, of_scaled = fnn.train_step(PLAIN, fnn.squared_error, fnn.adam(1e-2), state, scaled)
    np.testing.assert_allclose(loss, of_scaled, rtol=1e-5)
    weight = after.params[0].weight
    np.testing.assert_allclose(weight, expected.params[0].weight, rtol=1e-4, atol=1e-6)


def test_what_broke_far_from_zero_is_found():
    data = (SEEN, Y[:40])
    bad = fnn.sgd(1e30)
    broken = fnn.fit(NET, fnn.squared_error, bad, data, **OPTIONS)
    found = fnn.diagnose(NET, fnn.squared_error, bad, data, state=broken.state, batch_size=16)
    assert found.epoch == int(broken.diverged_at) >= 0


@pytest.mark.parametrize("sizes", [(3, 8, 2), (3, 64, 64, 2)], ids=["lanes last", "lanes first"])
def test_each_lane_has_its_own_scaler(sizes):
    scalers = [fnn.standard_scaler(SEEN[rows]) for rows in (slice(20), slice(10, 40), slice(40))]
    many = fnn.StandardScaler(
        np.stack([scaler.mean for scaler in scalers]), np.stack([s.scale for s in scalers])
    )
    nets = fnn.mlp(sizes, activation="tanh", inputs=many)
    runs = run(nets, SEEN, UNSEEN, fnn.sweep, progress=False)
    assert len(runs) == 3
    np.testing.assert_allclose(runs.table()["net.inputs.mean[0]"], many.mean[:, 0], rtol=1e-15)
    for lane, scaler in enumerate(scalers):
        net = fnn.mlp(sizes, activation="tanh", inputs=scaler)
        single = run(net, SEEN, UNSEEN, order_key=runs.order_key)
        assert_same_runs(runs.lane(lane), single, atol=1e-4)
    outputs = [
        fnn.mlp(sizes, activation="tanh", inputs=scaler).apply(runs.lane(i).best_params, UNSEEN)
        for i, scaler in enumerate(scalers)
    ]
    mean, spread = runs.predict(UNSEEN)
    np.testing.assert_allclose(mean, np.mean(outputs, axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(spread, np.std(outputs, axis=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [fnn.robust_scaler, fnn.quantile_scaler])
def test_a_sweep_with_one_scaler_has_the_lanes_of_single_runs(make):
    net = fnn.mlp((3, 8, 2), activation="tanh", inputs=make(SEEN))
    keys = jax.random.split(KEY, 2)
    runs = run(net, SEEN, UNSEEN, fnn.sweep, progress=False, key=keys)
    for lane in range(2):
        single = run(net, SEEN, UNSEEN, key=keys[lane], order_key=runs.order_key)
        assert_same_runs(runs.lane(lane), single, atol=1e-3)


def test_active_units_dropout_and_norm_are_those_of_the_network_without():
    options = {"active": [5], "dropout": 0.3, "norm": "layer"}
    net, bare = fnn.mlp((3, 8, 2), inputs=SCALER, **options), fnn.mlp((3, 8, 2), **options)
    params = net.init(KEY)
    expected = bare.apply(params, SCALER(FAR), key=KEY)
    np.testing.assert_array_equal(net.apply(params, FAR, key=KEY), expected)


def test_a_network_with_its_scaler_in_a_file_is_read_back(tmp_path):
    fnn.save(tmp_path / "net", (NET, NET.init(KEY)))
    other = fnn.mlp((3, 8, 2), activation="tanh", inputs=fnn.standard_scaler(UNSEEN))
    net, params = fnn.load(tmp_path / "net", like=(other, other.init(KEY)))
    assert net == NET
    assert net != other
    np.testing.assert_array_equal(net.apply(params, FAR), NET.apply(params, FAR))


def test_checkpoints_are_known_by_the_scaler_that_was_given(tmp_path):
    options = {"checkpoint": tmp_path, "progress": False}
    run(NET, SEEN, UNSEEN, fnn.train, **options)
    with pytest.warns(UserWarning, match="holds this work, finished"):
        run(NET, SEEN, UNSEEN, fnn.train, **options)
    other = fnn.mlp((3, 8, 2), activation="tanh", inputs=SCALER.shifted(1.0))
    with pytest.raises(ValueError, match=r"net\.inputs\.mean: float64 \[1\d+\."):
        run(other, SEEN, UNSEEN, fnn.train, **options)


def test_a_scaler_is_shown_with_its_network():
    near = fnn.standard_scaler(np.array([[1.0, 2.0], [3.0, 2.0]]))
    net = fnn.mlp((2, 1), inputs=near)
    text = "mlp((2, 1), inputs=StandardScaler(mean=[2.0, 2.0], scale=[1.0, 1.0]))"
    assert repr(net) == text
    assert net.summary().note.endswith("; inputs are scaled by a StandardScaler")
    assert "scaled" not in fnn.mlp((2, 1)).summary().note


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (fnn.standard_scaler(np.ones((2, 4))), ValueError, "fitted to 3 features; got one of shap"),
        (fnn.standard_scaler(np.ones((2, 1))), ValueError, "fitted to 3 features; got one of shap"),
        (fnn.standard_scaler(np.ones(2)), ValueError, "inputs must be fitted to 3 features; got "),
        (fnn.quantile_scaler(np.ones((3, 4))), ValueError, "inputs must be fitted to 3 features"),
        (fnn.standard_scaler(np.ones((2, 1, 2, 3))), ValueError, "must be fitted to 3 features; "),
        (fnn.standard_scaler, TypeError, "inputs must be a scaler, such as standard_scaler makes"),
        ("standard", TypeError, "inputs must be a scaler, such as standard_scaler makes, or None"),
    ],
)
def test_what_is_no_scaler_of_the_inputs_is_refused(inputs, error, message):
    with pytest.raises(error, match="^mlp: .*" + re.escape(message)):
        fnn.mlp((3, 2), inputs=inputs)


def test_inputs_that_do_not_fit_are_refused_in_words():
    params = NET.init(KEY)
    with pytest.raises(ValueError, match=r"^mlp.apply: x must have shape \(..., 3\); got \(2,\)"):
        NET.apply(params, np.ones(2))
    with pytest.raises(ValueError, match=r"^mlp.apply: x must be finite everywhere; got nan"):
        NET.apply(params, [np.nan, 1.0, 2.0])
    many = fnn.mlp((3, 8, 2), inputs=fnn.StandardScaler(np.ones((2, 3)), np.ones((2, 3))))
    with pytest.raises(ValueError, match=r"must be that of one network here .*; got shape \(2, 3"):
        many.apply(params, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"^fit: mean must be that of one run"):
        run(many, SEEN, UNSEEN)
    with pytest.raises(ValueError, match=r"^fit: x of data must be finite everywhere; got nan"):
        run(NET, np.where(np.arange(40)[:, None] == 7, np.nan, SEEN), UNSEEN)
    with pytest.raises(ValueError, match=r"x must have shape \(..., 3\); got \(40, 2\)"):
        run(NET, SEEN[:, :2], UNSEEN)


# Outputs in raw units

RAW_Y = 1000 + 50 * Y
OF_Y = fnn.standard_scaler(RAW_Y[:40])
SCALED_Y = np.asarray(OF_Y(RAW_Y))
RAW = fnn.mlp((3, 8, 2), activation="tanh", inputs=SCALER, outputs=OF_Y)
BOTH = {"mae": fnn.mean_absolute_error, "huber": fnn.huber}


def run_raw(net, y, function=fnn.fit, loss=fnn.squared_error, **options):
    x, unseen = (SEEN, UNSEEN) if net.inputs is not None else (Z, UNSEEN_Z)
    return function(
        net, loss, fnn.adam(1e-2), (x, y[:40]), validation=(unseen, y[40:]), metrics=BOTH,
        **OPTIONS | options,
    )  # fmt: skip


def assert_raw_of_scaled(raw, scaled, scale):
    """The same run, of which the metric alone is in raw units."""
    for name in ("loss", "validation_loss", "validation_huber"):
        np.testing.assert_allclose(raw.history[name], scaled.history[name], rtol=1e-3)
    mae = np.asarray(scaled.history["validation_mae"]) * scale
    np.testing.assert_allclose(raw.history["validation_mae"], mae, rtol=1e-3)
    for a, b in zip(jax.tree.leaves(raw.params), jax.tree.leaves(scaled.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


EQUAL = fnn.StandardScaler(np.array([1000.0, 900.0]), np.array([50.0, 50.0]))


@pytest.mark.parametrize("function", [fnn.fit, fnn.train])
def test_a_run_on_raw_targets_is_that_of_scaled_ones_with_metrics_in_raw_units(function):
    options = {} if function is fnn.fit else {"progress": False}
    net = fnn.mlp((3, 8, 2), activation="tanh", inputs=SCALER, outputs=EQUAL)
    found = run_raw(net, RAW_Y, function, **options)
    expected = run_raw(PLAIN, (RAW_Y - [1000, 900]) / 50)
    assert_raw_of_scaled(found, expected, 50)


def test_outputs_are_in_raw_units_and_at_least_float32():
    params = random_params(RAW)
    expected = OF_Y.inverse(PLAIN.apply(params, SCALER(FAR)))
    np.testing.assert_allclose(RAW.apply(params, FAR), expected, rtol=1e-6)
    scaled = RAW.forward(params, FAR)[-1][1]
    np.testing.assert_array_equal(scaled, PLAIN.apply(params, SCALER(FAR)))
    narrow = fnn.mlp((3, 8, 2), activation="tanh", dtype="bfloat16", inputs=SCALER, outputs=OF_Y)
    assert narrow.forward(params, FAR)[-1][1].dtype == jnp.bfloat16
    assert narrow.apply(params, FAR).dtype == np.float32
    assert RAW.summary().note.endswith("; outputs are scaled by a StandardScaler")


@pytest.mark.parametrize("make", SCALERS.values(), ids=SCALERS)
def test_evaluate_measures_losses_scaled_and_metrics_raw(make):
    scaler = make(RAW_Y)
    net = fnn.mlp((3, 8, 2), inputs=SCALER, outputs=scaler)
    params = random_params(net)
    params = jax.tree.map(lambda leaf: leaf / 4, params)
    scores = fnn.evaluate(net, params, (UNSEEN, RAW_Y[40:]), BOTH | {"r2": fnn.r2})
    scaled = fnn.mlp((3, 8, 2)).apply(params, SCALER(UNSEEN))
    raw = np.asarray(scaler.inverse(np.asarray(scaled, np.float64)))
    np.testing.assert_allclose(scores["mae"], np.abs(raw - RAW_Y[40:]).mean(), rtol=1e-4)
    np.testing.assert_allclose(scores["r2"], fnn.r2(raw, RAW_Y[40:]), rtol=1e-4)
    off = np.abs(np.asarray(scaled) - np.asarray(scaler(RAW_Y[40:])))
    huber = np.where(off < 1, off**2 / 2, off - 0.5).mean()
    np.testing.assert_allclose(scores["huber"], huber, rtol=1e-3)


def test_one_step_is_that_of_scaled_targets():
    state = fnn.init_state(RAW, fnn.adam(1e-2), KEY)
    of = fnn.squared_error, fnn.adam(1e-2), state
    after, loss = fnn.train_step(RAW, *of, (SEEN, RAW_Y[:40]))
    expected, of_scaled = fnn.train_step(PLAIN, *of, (Z, SCALED_Y[:40]))
    np.testing.assert_allclose(loss, of_scaled, rtol=1e-4)
    weight, other = after.params[0].weight, expected.params[0].weight
    np.testing.assert_allclose(weight, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("y", [RAW_Y[:, 0], RAW_Y[:, :1]], ids=["rows", "a column"])
def test_one_column_of_targets_may_be_given_as_rows(y):
    scaler = fnn.standard_scaler(y)
    net = fnn.mlp((3, 8, 1), activation="tanh", inputs=SCALER, outputs=scaler)
    assert net.outputs.mean.shape == (1,)
    bare = fnn.mlp((3, 8, 1), activation="tanh")
    assert_raw_of_scaled(
        run_raw(net, y), run_raw(bare, np.asarray(scaler(y))), np.ravel(scaler.scale)[0]
    )
    params = random_params(net)
    assert net.apply(params, FAR).shape == (60, 1)


@pytest.mark.parametrize("sizes", [(3, 8, 2), (3, 64, 64, 2)], ids=["lanes last", "lanes first"])
def test_each_lane_has_its_own_scaler_of_outputs(sizes):
    scalers = [EQUAL, fnn.StandardScaler(np.array([990.0, 1010.0]), np.array([20.0, 20.0]))]
    many = jax.tree.map(lambda *leaves: np.stack(leaves), *scalers)
    nets = fnn.mlp(sizes, activation="tanh", inputs=SCALER, outputs=many)
    runs = run_raw(nets, RAW_Y, fnn.sweep, progress=False)
    for lane, scaler in enumerate(scalers):
        bare = fnn.mlp(sizes, activation="tanh")
        scaled = (RAW_Y - scaler.mean) / scaler.scale
        single = run_raw(bare, scaled, order_key=runs.order_key)
        assert_raw_of_scaled(runs.lane(lane), single, scaler.scale[0])
    mean, _ = runs.predict(UNSEEN)
    outputs = [
        scaler.inverse(bare.apply(runs.lane(lane).best_params, UNSEEN_Z))
        for lane, scaler in enumerate(scalers)
    ]
    np.testing.assert_allclose(mean, np.mean(outputs, axis=0), rtol=1e-4)


def test_what_broke_is_found_in_scaled_units():
    bad = fnn.sgd(1e30)
    data = SEEN, RAW_Y[:40]
    broken = fnn.fit(RAW, fnn.squared_error, bad, data, **OPTIONS)
    found = fnn.diagnose(RAW, fnn.squared_error, bad, data, state=broken.state, batch_size=16)
    of_scaled = fnn.fit(PLAIN, fnn.squared_error, bad, (Z, SCALED_Y[:40]), **OPTIONS)
    assert found.epoch == int(of_scaled.diverged_at)


def test_losses_do_not_scale_outputs_back():
    """Where outputs in raw units are beyond float32, losses are what they are."""
    net = fnn.mlp((3, 8, 2), outputs=fnn.StandardScaler(np.zeros(2), np.full(2, 1e38)))
    optimizer = fnn.sgd(1e-3)
    state = fnn.init_state(net, optimizer, KEY)._replace(params=random_params(net))
    data = Z, np.zeros((40, 2))
    assert np.isinf(net.apply(state.params, Z)).any()
    _, loss = fnn.train_step(net, fnn.huber, optimizer, state, data)
    scores = fnn.evaluate(net, state.params, data, {"loss": fnn.huber})
    run = fnn.fit(net, fnn.huber, optimizer, data, state=state, epochs=2)
    assert np.isfinite([loss, scores["loss"], *run.history["loss"]]).all()


@pytest.mark.parametrize("output", ["sigmoid", "softmax", jax.nn.sigmoid, jax.nn.softmax])
def test_probabilities_have_no_scaler(output):
    with pytest.raises(ValueError, match=r"^mlp: with a scaler of outputs, .*; got output='"):
        fnn.mlp((3, 2), output=output, outputs=OF_Y)


def test_what_is_no_scaler_of_the_outputs_or_no_such_loss_is_refused():
    with pytest.raises(ValueError, match=r"^mlp: outputs must be fitted to 3 features; got one of"):
        fnn.mlp((3, 3), outputs=OF_Y)
    rule = (
        r"^fit: softmax_cross_entropy takes logits, so the mlp must have no scaler of its outputs"
    )
    with pytest.raises(ValueError, match=rule):
        run_raw(RAW, np.arange(60) % 2, loss=fnn.softmax_cross_entropy)
    with pytest.raises(ValueError, match=r"targets must have shape \(40, 2\), as the network "):
        run_raw(RAW, RAW_Y[:, :1])
