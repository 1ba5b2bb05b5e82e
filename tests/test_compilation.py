"""What compiles, and how often; and that what is off costs nothing."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 3)).astype(np.float32)
Y = RANDOM.integers(0, 2, 24)


@pytest.fixture
def compilations():
    """The programs XLA has compiled since the list was last cleared, by name."""
    names = []
    pattern = re.compile(r"Finished XLA compilation of (?:jit\()?(.*?)\)? in")
    import logging

    class Listener(logging.Handler):
        def emit(self, record):
            names.extend(pattern.findall(record.getMessage()))

    logger = logging.getLogger("jax._src.dispatch")
    listener, level, propagate = Listener(), logger.level, logger.propagate
    logger.addHandler(listener)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield names
    logger.removeHandler(listener)
    logger.setLevel(level)
    logger.propagate = propagate


def fitted(key, rate=0.1, patience=3, dropout=0.1, smoothing=0.1, epochs=4, decay=1e-4, steps=10):
    """Everything made anew, as in a function that a researcher calls in a loop."""
    return fnn.fit(
        fnn.mlp([3, 4, 2], activation="tanh", dropout=dropout),
        partial(fnn.softmax_cross_entropy, label_smoothing=smoothing),
        fnn.chain(
            fnn.clip_by_global_norm(1.0),
            fnn.adamw(fnn.cosine_decay(rate, decay_steps=steps), weight_decay=decay),
        ),
        (X, Y),
        key=key,
        epochs=epochs,
        batch_size=8,
        validation=(X, Y),
        metrics={"f1": partial(fnn.f1, average="macro")},
        stop=fnn.early_stopping(patience=patience),
    )


def test_new_values_and_rebuilt_configs_compile_nothing(compilations, key):
    other_key, array_rate = jax.random.key(9), jnp.float32(0.2)
    fitted(key)
    assert any("run_epochs" in name for name in compilations), "the listener hears nothing"
    compilations.clear()
    fitted(other_key, rate=0.2, patience=5, dropout=0.3, smoothing=0.0, decay=0.1, steps=77)
    fitted(key, rate=np.float32(0.2), patience=np.int64(5), dropout=0)
    fitted(key, rate=array_rate)
    assert compilations == []


def test_a_new_structure_does_compile(compilations, key):
    fitted(key)
    compilations.clear()
    fitted(key, epochs=5)
    assert len([name for name in compilations if "run_epochs" in name]) == 1


def test_a_fit_is_one_program(compilations, key):
    fitted(key, epochs=3)
    compilations.clear()
    jax.clear_caches()
    fitted(key, epochs=3)
    big = [name for name in compilations if "run_epochs" in name]
    assert len(big) == 1
    # what else there is, is small change: a slice of the histories, the key of the checks
    assert not [name for name in compilations if "epoch" in name and name not in big]


def operations(net=None, loss=fnn.softmax_cross_entropy, opt=None, **options):
    """The number of operations of a run's compiled program, before XLA optimises."""
    net = fnn.mlp((3, 4, 2)) if net is None else net
    opt = fnn.sgd(0.1) if opt is None else opt
    run = jax.jit(lambda key: fnn.fit(net, loss, opt, (X, Y), key=key, epochs=3, batch_size=8,
                                      **options))  # fmt: skip
    return run.lower(jax.random.key(0)).as_text().count(" = ")


def test_options_that_are_off_cost_nothing():
    plain = operations()
    assert operations(net=fnn.mlp((3, 4, 2), dropout=None, norm=None, residual=False)) == plain
    assert operations(loss=partial(fnn.softmax_cross_entropy, label_smoothing=None)) == plain
    assert operations(opt=fnn.sgd(0.1, momentum=None)) == plain
    assert operations(stop=None, validation=None) == plain
    # and those that are on, do: the count can tell
    assert operations(net=fnn.mlp((3, 4, 2), dropout=0.1)) > plain
    assert operations(loss=partial(fnn.softmax_cross_entropy, label_smoothing=0.1)) > plain
    assert operations(opt=fnn.sgd(0.1, momentum=0.9)) > plain
    assert operations(stop=fnn.early_stopping(patience=1)) > plain
    assert operations(validation=(X, Y)) > plain


def test_data_are_arguments_never_constants(compilations, key):
    """Other data of the same shapes go through the same program, and make a difference."""

    def run(x, y):
        return fnn.fit(
            fnn.mlp((3, 2)), fnn.softmax_cross_entropy, fnn.sgd(0.1), (x, y), key=key, epochs=2
        ).history["loss"]

    first = np.asarray(run(X, Y))
    compilations.clear()
    assert not np.array_equal(run(2 * X, Y), first)
    assert not np.array_equal(run(X, 1 - Y), first)
    assert compilations == []


def test_the_program_holds_no_callbacks():
    text = jax.jit(lambda key: fitted(key)).lower(jax.random.key(0)).as_text()
    assert "callback" not in text


def compiled(net, x):
    run = jax.jit(lambda key: fnn.fit(net, fnn.softmax_cross_entropy, fnn.adam(0.1), (x, Y),
                                      key=key, epochs=3, batch_size=8))  # fmt: skip
    return run.lower(jax.random.key(0)).as_text()


def test_the_step_of_a_small_net_has_no_matrix_product_and_that_of_a_larger_one_has():
    assert "dot_general" not in compiled(fnn.mlp((3, 16, 2)), X)
    assert "dot_general" in compiled(fnn.mlp((3, 64, 2)), X)


def test_a_second_call_traces_nothing(key):
    """Neither the network nor the loss: what they return is remembered."""
    traces = []

    def loss(outputs, targets):
        traces.append(outputs)
        return fnn.softmax_cross_entropy(outputs, targets)

    def fit(rate):
        fnn.fit(fnn.mlp((3, 4, 2)), loss, fnn.sgd(rate), (X, Y), key=key, epochs=2)

    fit(0.1)
    before = len(traces)
    fit(0.2)
    assert len(traces) == before
