import contextlib
import os
import signal
import sys
import threading

import jax
import numpy as np
import pytest

import fnn
from fnn._host import segments
from fnn.training import train as driver

pytestmark = pytest.mark.usefixtures("fused_as_for_users")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype(np.float32)
Y = X[:, :2]
NET = fnn.mlp((3, 4, 2))
OPT = fnn.adam(1e-2)


def options(key, **more):
    return {"key": key, "batch_size": 16, "validation": (X, Y), **more}


def assert_same_bits(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if jax.numpy.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        np.testing.assert_array_equal(one, other)


def test_train_is_fit(key, monkeypatch):
    """Also with segments of a few epochs, whatever their lengths turn out to be."""
    monkeypatch.setattr(segments, "_CAPACITY", 3)
    monkeypatch.setattr(segments, "_SECONDS", 100.0)
    stop = fnn.early_stopping(max_epochs=8)
    run = fnn.fit(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=11, stop=stop)
    same = fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=11, stop=stop,
                     progress=False)  # fmt: skip
    assert_same_bits(run, same)
    assert int(same.epochs) == 8
    assert same.history["loss"].shape == (11,)
    assert type(same) is fnn.Fit


def test_a_diverged_run_ends_there(key):
    run = fnn.train(NET, fnn.squared_error, fnn.sgd(1e30), (X, Y), **options(key), epochs=5,
                    progress=False)  # fmt: skip
    assert int(run.epochs) == 0
    assert int(run.diverged_at) == 0
    assert np.isnan(run.history["loss"]).all()


def test_the_bar_shows_epochs_and_latest_values(key, capsys):
    run = fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=5, progress=True)
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert f"loss={float(run.history['loss'][-1]):.4g}" in shown
    assert f"validation_loss={float(run.history['validation_loss'][-1]):.4g}" in shown


@pytest.mark.parametrize("progress", [False, None], ids=["unwanted", "no terminal"])
def test_without_progress_nothing_is_printed(key, capsys, progress):
    fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=2, progress=progress)
    assert capsys.readouterr() == ("", "")


def test_without_tqdm_there_is_no_bar_and_asking_for_one_is_answered(key, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=2)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ImportError, match=r"progress=True needs tqdm.*fnn\[progress\]"):
        fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=2, progress=True)


def after_the_first_segment(monkeypatch, action):
    """Calls `action` when the driver has begun: its first segment is back."""
    run_epochs = driver.run_epochs

    def watched(*args, **keywords):
        result = run_epochs(*args, **keywords)
        action()
        return result

    monkeypatch.setattr(driver, "run_epochs", watched)


def test_ctrl_c_returns_what_is_there_and_the_run_can_be_continued(key, monkeypatch):
    after_the_first_segment(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    run = fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=9, progress=False)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is before
    done = int(run.epochs)
    assert 1 <= done < 9
    assert run.history["loss"].shape == (9,)
    assert np.all(
        np.asarray(run.history["loss"][done:]) == np.asarray(run.history["loss"][done - 1])
    )
    rest = fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=9 - done,
                     state=run.state, progress=False)  # fmt: skip
    whole = fnn.fit(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=9)
    assert_same_bits(rest.state, whole.state)


def test_an_interrupt_before_the_first_segment_still_returns_that_one(key, monkeypatch):
    event = threading.Event()
    event.set()
    monkeypatch.setattr(segments, "_interruptible", lambda: contextlib.nullcontext(event))
    run = fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=9, progress=False)
    assert int(run.epochs) == 1
    assert np.isfinite(run.history["loss"]).all()


def test_a_second_ctrl_c_interrupts_at_once(key, monkeypatch):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    after_the_first_segment(monkeypatch, twice)
    with pytest.raises(KeyboardInterrupt):
        fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=9, progress=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_runs_in_a_thread_where_there_are_no_signals(key):
    runs = []
    thread = threading.Thread(
        target=lambda: runs.append(
            fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=2, progress=False)
        )
    )
    thread.start()
    thread.join()
    assert int(runs[0].epochs) == 2


def test_under_a_transformation_it_points_to_fit(key):
    def run(key):
        return fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=2)

    def at_rate(rate):
        return fnn.train(NET, fnn.squared_error, fnn.sgd(rate), (X, Y), **options(key), epochs=2)

    for function, argument in ((run, key), (at_rate, 0.1)):
        with pytest.raises(ValueError, match="train: arguments must be known, as it runs on the"):
            jax.jit(function)(argument)


def test_it_runs_where_nans_are_hunted(key):
    with jax.debug_nans(True):
        run = fnn.train(NET, fnn.squared_error, OPT, (X, Y), **options(key), epochs=3)
    assert int(run.epochs) == 3


def test_the_program_is_compiled_once_for_all_segments(key, monkeypatch):
    monkeypatch.setattr(segments, "_CAPACITY", 2)
    traces = []

    def counted(outputs, targets):
        traces.append(1)
        return fnn.squared_error(outputs, targets)

    for epochs in (2, 9, 14):
        before = len(traces)
        fnn.train(NET, counted, OPT, (X, Y), **options(key), epochs=epochs, progress=False)
        if epochs == 14:
            checked_only = len(traces) - before
    again = len(traces)
    fnn.train(NET, counted, OPT, (X, Y), **options(key), epochs=3, progress=False)
    # each call checks its arguments abstractly, and that is all
    assert len(traces) - again == checked_only <= 3
