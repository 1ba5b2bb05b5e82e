"""Under JAX's debugging modes everything runs as it does without them."""

import contextlib
from functools import partial

import jax
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(20, 3)).astype(np.float32)
Y = RANDOM.integers(0, 2, 20)
NET = fnn.mlp((3, 4, 2), dropout=0.1)
EVERYTHING = ["fit", "train", "evaluate", "sweep", "diagnose"]


@pytest.fixture(scope="module")
def placed():
    """What is on the device beforehand: data, parameters, and the state of a run that broke."""
    data = jax.device_put((X, Y))
    broken = fnn.fit(*breaking(data), key=jax.random.key(1), epochs=2, batch_size=20)
    return {"data": data, "params": NET.init(jax.random.key(0)), "broken": broken.state}


def breaking(data):
    return fnn.mlp((3, 2)), fnn.softmax_cross_entropy, fnn.sgd(3e38), data


def run(name, key, data, params, broken):
    """Calls the function; what it returns says that it did its work."""
    loss = partial(fnn.softmax_cross_entropy, label_smoothing=0.1)
    options = {"key": key, "epochs": 2, "batch_size": 8, "stop": fnn.early_stopping(patience=3)}
    opt = fnn.sgd(fnn.cosine_decay(0.1, decay_steps=9))
    if name == "fit":
        return int(fnn.fit(NET, loss, opt, data, **options).epochs) == 2
    if name == "train":
        return int(fnn.train(NET, loss, opt, data, **options).epochs) == 2
    if name == "evaluate":
        return float(fnn.evaluate(NET, params, data, {"loss": loss})["loss"]) > 0
    if name == "sweep":
        runs = fnn.sweep(NET, loss, fnn.sgd(np.array([0.01, 0.1])), data, **options)
        return int(runs.best().epochs) == 2
    return fnn.diagnose(*breaking(data), state=broken, batch_size=20).step == 1


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_number_that_debug_nans_or_debug_infs_would_stop_at(name, key, placed):
    with jax.debug_nans(True), jax.debug_infs(True):
        assert run(name, key, **placed)


@contextlib.contextmanager
def guarded():
    """No transfer but by `jax.device_put` and `jax.device_get`, in every thread."""
    jax.config.update("jax_transfer_guard", "disallow")
    try:
        yield
    finally:
        jax.config.update("jax_transfer_guard", "allow")


@pytest.mark.parametrize("name", EVERYTHING)
def test_with_data_on_the_device_a_transfer_guard_lets_everything_through(name, key, placed):
    with guarded():
        assert run(name, key, **placed)


@pytest.mark.usefixtures("one_or_all_devices")
def test_with_a_transfer_guard_lanes_that_diverge_are_removed(key, placed):
    net, loss, _, data = breaking(placed["data"])
    rates = fnn.sgd(np.repeat([0.1, 3e38], 40))
    options = {"key": key, "epochs": 20, "batch_size": 20, "stop": fnn.early_stopping(patience=99)}
    with guarded():
        runs = fnn.sweep(net, loss, rates, data, **options)
    assert runs.epochs.tolist() == [20] * 40 + [runs.epochs[-1]] * 40
    assert runs.epochs[-1] < 20


@pytest.mark.skipif(not hasattr(jax, "debug_key_reuse"), reason="jax without debug_key_reuse")
@pytest.mark.parametrize("name", ["fit", "train", "sweep"])
def test_no_key_is_used_twice(name, placed):
    with jax.debug_key_reuse(True):
        assert run(name, jax.random.key(2), **placed)


@pytest.mark.long
def test_no_tracer_leaks(key):
    # looking for leaks is slow, so the programs are small, and all traced in one go
    task = fnn.mlp((3, 2)), fnn.squared_error
    data = jax.device_put((X[:, :3], X[:, :2]))
    options = {"key": key, "epochs": 2, "batch_size": 20}
    jax.clear_caches()
    with jax.checking_leaks():
        run = fnn.fit(*task, fnn.sgd(0.1), data, **options)
        assert fnn.evaluate(task[0], run.params, data, {"loss": task[1]})["loss"] > 0
        assert len(fnn.sweep(*task, fnn.sgd(np.array([0.01, 0.1])), data, **options)) == 2
