"""Runs on sources: the same as on arrays, every row once an epoch, stopped and continued."""

import os
import shutil
import signal

import jax
import numpy as np
import pytest
from small_streams import (
    HELD_OUT,
    KEY,
    NET,
    OPT,
    WEIGHTS,
    X,
    Y,
    assert_close,
    assert_same_bits,
    blocks,
    source,
    train,
)

import fnn
from fnn import streams
from fnn._host import segments
from fnn.training import streamed


@pytest.fixture
def every_buffer_is_a_call(monkeypatch):
    """As if each buffer took longer than a call may."""
    monkeypatch.setattr(streamed, "_SECONDS", 0.0)


@pytest.mark.parametrize("weights", [(), (WEIGHTS,)])
def test_a_source_of_one_buffer_is_trained_on_as_arrays_are(weights):
    """Blocks are read in another order, and are one buffer in the order of the arrays."""
    options = {"validation": HELD_OUT, "metrics": {"r2": fnn.r2}}
    arrays = train((X, Y, *weights), **options)
    streamed_run = train(source(X, Y, *weights, buffer_rows=1000), **options)
    assert_close((arrays.params, arrays.history), (streamed_run.params, streamed_run.history))
    assert int(streamed_run.state.train.step) == 3 * 8  # ceil(230 / 32)


def test_an_epoch_has_each_row_once_in_another_order():
    steps = []

    def loss(outputs, y):
        jax.debug.callback(lambda y: steps.append(np.asarray(y)), y, ordered=False)
        return fnn.squared_error(outputs, y)

    numbers = np.arange(230, dtype=np.float32)
    data = streams.from_arrays(X, numbers, block_rows=24, buffer_rows=64)
    fnn.train(fnn.mlp((3, 1)), loss, OPT, data, key=KEY, epochs=2, batch_size=32, progress=False)
    jax.effects_barrier()
    assert [len(step) for step in steps] == [32] * 16  # ceil(230 / 32) in an epoch
    rows = [step[: 6 if number % 8 == 7 else 32] for number, step in enumerate(steps)]  # no padding
    seen = np.concatenate(rows).reshape(2, 230)
    assert (np.sort(seen, axis=1) == numbers).all()
    assert (seen[0] != seen[1]).mean() > 0.9
    first = np.sort(seen[0][:64])  # of blocks far from one another, mixed
    assert first[-1] - first[0] > 100
    assert (np.diff(seen[0][:32]) < 0).any()


def test_two_runs_have_the_same_bits_and_another_key_other_ones():
    assert_same_bits(train(source()), train(source()))
    moved = train(source(), order_key=jax.random.key(9))
    assert (moved.params[0].weight != train(source()).params[0].weight).any()


def test_arrays_of_a_file_and_blocks_of_a_sequence_give_the_same_bits(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    listed = [(X[start : start + 24], Y[start : start + 24]) for start in range(0, 230, 24)]
    expected = train(source())
    assert_same_bits(expected, train(source(mapped, Y)))
    assert_same_bits(expected, train(streams.from_blocks(listed, buffer_rows=64)))


def test_an_iterator_may_fill_the_same_arrays_again():
    def refilled(epoch):
        x, y = np.empty((24, 3), np.float32), np.empty((24, 2), np.float32)
        for new_x, new_y in blocks(epoch):
            x[: len(new_x)], y[: len(new_y)] = new_x, new_y
            yield x[: len(new_x)], y[: len(new_y)]

    expected = train(streams.from_blocks(blocks, buffer_rows=64), epochs=1)
    assert_same_bits(expected, train(streams.from_blocks(refilled, buffer_rows=64), epochs=1))


def test_shards_are_read_in_order_of_their_names(tmp_path):
    for part, rows in enumerate((slice(0, 48), slice(48, 144), slice(144, 230))):
        np.save(tmp_path / f"x_{part}.npy", X[rows])
        np.save(tmp_path / f"y_{part}.npy", Y[rows])
        np.save(tmp_path / f"weights_{part}.npy", WEIGHTS[rows])
    data = streams.from_npy(tmp_path, block_rows=24, buffer_rows=64)
    assert data.rows == 230
    assert_same_bits(train(data), train(source(X, Y, WEIGHTS)))


def test_validation_streams_too():
    metrics = {"r2": fnn.r2, "mae": fnn.mean_absolute_error}
    options = {"metrics": metrics, "monitor": "validation_r2"}
    arrays = train(source(), validation=HELD_OUT, **options)
    both = train(source(), validation=source(*HELD_OUT, buffer_rows=16), **options)
    assert_close(arrays, both)


def test_early_stopping_ends_a_run_and_best_parameters_are_kept():
    stop = fnn.early_stopping(patience=1)
    options = {"epochs": 30, "stop": stop, "validation": HELD_OUT}
    run = fnn.train(NET, fnn.squared_error, fnn.sgd(2.0), source(), key=KEY, progress=False,
                    **options)  # fmt: skip
    assert int(run.epochs) < 30
    assert run.history["loss"].shape == (30,)
    scores = fnn.evaluate(NET, run.best_params, HELD_OUT, {"loss": fnn.squared_error})
    best = run.history["validation_loss"][int(run.best_epoch)]
    np.testing.assert_allclose(scores["loss"], best, rtol=1e-5)


def test_a_run_that_diverges_is_rolled_back_to_the_epoch_before():
    targets = np.where(np.arange(230)[:, None] == 200, 1e30, Y).astype(np.float32)
    good = train(source(), epochs=1)
    run = train(source(X, targets), epochs=3, state=good.state)
    assert int(run.diverged_at) == 1
    assert 8 <= int(run.state.diverged_step) < 16
    assert int(run.epochs) == 0
    assert_same_bits(run.params, good.params)


def test_a_run_continues_from_its_state():
    whole = train(source(), epochs=4)
    first = train(source(), epochs=1)
    rest = train(source(), epochs=3, state=first.state)
    assert_same_bits(whole.state, rest.state)


# Files and interruptions


SOURCES = {
    "arrays": source,
    "a function": lambda: streams.from_blocks(blocks, buffer_rows=64),
}


class Stopped(Exception):
    """Raised in the middle of an epoch."""


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("buffers", [1, 2, 7, 8, 11])
def test_a_run_interrupted_within_an_epoch_continues_to_the_same_bits(
    kind, buffers, tmp_path, every_buffer_is_a_call
):
    options = {"validation": HELD_OUT}
    whole = train(SOURCES[kind](), **options)
    trained, calls = streamed.StreamedRun._train_on, []

    def interrupting(self, buffer):
        calls.append(buffer)
        if len(calls) == buffers:
            os.kill(os.getpid(), signal.SIGINT)
        trained(self, buffer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed.StreamedRun, "_train_on", interrupting)
        run = train(SOURCES[kind](), checkpoint=tmp_path, **options)
    assert int(run.epochs) == buffers // 4
    resumed = train(SOURCES[kind](), checkpoint=tmp_path, **options)
    assert_same_bits(whole, resumed)


def test_checkpoints_are_written_within_an_epoch_and_any_can_be_continued_from(
    tmp_path, monkeypatch, every_buffer_is_a_call
):
    """As after a kill at any moment."""
    with monkeypatch.context() as patch:
        patch.setattr(segments, "_CHECKPOINT_SECONDS", 0.0)
        whole = train(source(), epochs=2, checkpoint=tmp_path, keep=10)
    files = sorted(tmp_path.iterdir())
    names = [path.name.removesuffix(".checkpoint.npz") for path in files]
    within = [f"{epoch:010d}_{part:010d}" for epoch in (0, 1) for part in (1, 2, 3)]
    assert [*within, "0000000002"] == [name for name in names if name != "0000000001"]
    for number in range(1, len(files)):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(files[number - 1], folder)
        assert_same_bits(whole, train(source(), epochs=2, checkpoint=folder))


def test_a_source_that_gives_other_rows_is_not_continued_from(tmp_path, every_buffer_is_a_call):
    def changed(shift):
        def numbers(epoch):
            yield from ((x + np.float32(shift), y) for x, y in blocks(epoch))

        numbers.__qualname__ = "numbers"
        return streams.from_blocks(numbers, buffer_rows=64)

    train(changed(0), max_seconds=1e-9, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"before the run was interrupted; got others in epoch 0"):
        train(changed(1), checkpoint=tmp_path)


def test_a_checkpoint_of_another_source_is_refused(tmp_path):
    train(source(), epochs=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"data\['digest'\]"):
        train(source(X + 1, Y), epochs=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"data\['block_rows'\]"):
        train(source(block_rows=23), epochs=1, checkpoint=tmp_path)


def test_a_callback_is_called_once_an_epoch(every_buffer_is_a_call):
    done = []
    train(source(), callback=lambda epochs, latest: done.append((epochs, float(latest["loss"]))))
    assert [epochs for epochs, _ in done] == [1, 2, 3]
    assert len({loss for _, loss in done}) == 3
