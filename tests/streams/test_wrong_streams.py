"""Sources that are wrong: what the errors say, and what is left."""

import gc
import time
import weakref

import numpy as np
import pytest
from small_streams import (
    KEY,
    NET,
    OPT,
    X,
    Y,
    assert_no_thread_is_left,
    assert_same_bits,
    blocks,
    source,
    train,
)

import fnn
from fnn import streams
from fnn.streams.ahead import read_ahead
from fnn.training import streamed


def from_function(change):
    """A source of the blocks that `change` makes of each number and block, unless that is None."""

    def changed(epoch):
        for number, block in enumerate(blocks(epoch)):
            block = change(epoch, number, *block)
            if block is not None:
                yield block

    return streams.from_blocks(changed, buffer_rows=64)


def broken(x, index):
    x = x.copy()
    x[index] = np.nan
    return x


WRONG = {
    "fewer blocks than in the first epoch": (
        lambda epoch, n, x, y: None if (epoch, n) == (1, 9) else (x, y),
        ValueError,
        "data must have 230 rows in every epoch; got 216 in epoch 1, after which it ended",
    ),
    "more rows than in the first epoch": (
        lambda epoch, n, x, y: (np.repeat(x, 1 + epoch, 0), np.repeat(y, 1 + epoch, 0)),
        ValueError,
        "data must have 230 rows in every epoch; got 240 or more in epoch 1",
    ),
    "another shape": (
        lambda epoch, n, x, y: (x[:, :2] if n == 3 else x, y),
        ValueError,
        r"x of data, block 3, must be float32 of shape \(rows, 3\), as in the first block; "
        r"got float32 of shape \(rows, 2\)",
    ),
    "another dtype": (
        lambda epoch, n, x, y: (x, y.astype(np.int32) if n == 4 else y),
        ValueError,
        r"y of data, block 4, must be float32 of shape \(rows, 2\), .*; got int32",
    ),
    "weights in one block": (
        lambda epoch, n, x, y: (x, y, y[:, 0] ** 2) if n == 4 else (x, y),
        ValueError,
        "data, block 4, must have as many arrays as the first block; got 3, not 2",
    ),
    "negative weights": (
        lambda epoch, n, x, y: (x, y, np.full(len(x), 5 - n, np.float32)),
        ValueError,
        r"weights of data, block 6, must be >= 0; got -1.0",
    ),
    "not a number": (
        lambda epoch, n, x, y: (broken(x, (7, 2)) if (epoch, n) == (1, 5) else x, y),
        ValueError,
        r"x of data, block 5, must be finite everywhere; got nan at index \(7, 2\)",
    ),
    "lengths that differ": (
        lambda epoch, n, x, y: (x, y[:-1] if n == 2 else y),
        ValueError,
        r"y of data, block 2, must have 24 rows; got shape \(23, 2\)",
    ),
    "no tuple": (
        lambda epoch, n, x, y: {"x": x, "y": y} if n == 2 else (x, y),
        TypeError,
        r"data, block 2, must be a tuple \(x, y\) or \(x, y, weights\); got dict",
    ),
    "texts": (
        lambda epoch, n, x, y: (x, y.astype(str) if n == 2 else y),
        TypeError,
        "y of data, block 2, must hold numbers",
    ),
    "no rows": (
        lambda epoch, n, x, y: (x[:0], y[:0]),
        ValueError,
        "data must have at least one row; got none",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_source_that_goes_wrong_is_named_by_block_and_row(kind):
    change, error, match = WRONG[kind]
    with pytest.raises(error, match=f"train: {match}"):
        train(from_function(change))


def test_labels_out_of_range_are_found_in_any_block():
    labels = np.where(np.arange(230) == 200, 5, 1)
    data = streams.from_arrays(X, labels, block_rows=24, buffer_rows=64)
    with pytest.raises(ValueError, match=r"labels.*got 5"):
        fnn.train(NET, fnn.softmax_cross_entropy, OPT, data, key=KEY, epochs=1, progress=False)


def test_the_row_of_an_array_is_named_and_the_checkpoint_before_is_whole(tmp_path, monkeypatch):
    """The run continues, to the bits of a run that never met it, once the row is mended."""
    monkeypatch.setattr(streamed, "_SECONDS", 0.0)
    good, bad = X.copy(), broken(X, (183, 1))
    whole = train(source(good, Y))
    with pytest.raises(ValueError, match=r"block 7 \(rows 168 to 191\), must be .* \(15, 1\)"):
        train(source(bad, Y), checkpoint=tmp_path / "other")
    train(source(good, Y), max_seconds=1e-9, checkpoint=tmp_path)  # one buffer
    with pytest.raises(ValueError, match="block 7"):
        train(source(bad, Y), checkpoint=tmp_path)  # the row is none that its digest is made of
    assert_same_bits(whole, train(source(good, Y), checkpoint=tmp_path))


class Own(Exception):
    """The user's."""


@pytest.mark.parametrize("place", ["data", "validation", "evaluate", "scaler"])
def test_what_reading_raises_is_raised(place):
    error = Own("the disk is gone")

    def change(epoch, number, x, y):
        if number == 8:
            raise error
        return x, y

    data = from_function(change)
    calls = {
        "data": lambda: train(data),
        "validation": lambda: train(source(), validation=data, epochs=1),
        "evaluate": lambda: fnn.evaluate(NET, NET.init(KEY), data, {"r2": fnn.r2}),
        "scaler": lambda: fnn.standard_scaler(data),
    }
    with pytest.raises(Own) as raised:
        calls[place]()
    assert raised.value is error


def test_what_a_callback_raises_ends_the_thread():
    def callback(done, latest):
        raise Own

    with pytest.raises(Own):
        train(source(), callback=callback, epochs=100)


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_the_thread_ends_when_it_is_left_and_closes_what_it_reads(taken):
    made = []

    def items():
        try:
            for number in range(100):
                time.sleep(0.05)
                made.append(number)
                yield number
        finally:
            made.append("closed")

    with read_ahead(items()) as ahead:
        assert [next(ahead) for _ in range(taken)] == list(range(taken))
    assert_no_thread_is_left()
    assert made[-1] == "closed"
    assert len(made) <= taken + 3


def test_buffers_are_not_kept():
    """Neither by the checks of their targets, nor by the validation, nor by the thread."""
    kept, alive = [], []
    trained = streamed.StreamedRun._train_on

    def noted(epoch):
        for x, y in blocks(epoch):
            kept.extend(map(weakref.ref, (x, y)))
            yield x, y

    def counted(self, buffer):
        kept.extend(map(weakref.ref, (buffer.data.x, buffer.data.y)))
        trained(self, buffer)
        if buffer.number == 2:
            gc.collect()
            alive.append(sum(array() is not None for array in kept))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed.StreamedRun, "_train_on", counted)
        data = streams.from_blocks(noted, buffer_rows=64)
        train(data, epochs=4, validation=streams.from_blocks(noted))
    assert alive[3] <= alive[0] + 8  # buffers that are read ahead, and their blocks
    gc.collect()
    assert sum(array() is not None for array in kept) == 0


def test_few_blocks_are_read_ahead():
    """However slow the device is: one buffer waits while another one is made."""
    begun = []

    def numbered():
        for number, block in enumerate(blocks(0)):
            begun.append(number)
            yield block

    data = streams.from_blocks(lambda: numbered(), buffer_rows=24)
    trained = streamed.StreamedRun._train_on
    ahead = []

    def slow(self, buffer):
        time.sleep(0.05)
        ahead.append(begun[-1] - buffer.number)
        trained(self, buffer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed.StreamedRun, "_train_on", slow)
        train(data, epochs=1, batch_size=24)
    assert len(ahead) == 10
    assert max(ahead) <= 4  # one that waits, one that is made, and a block to know that it ends


DECLARED = r"data must have 300 rows in every epoch; got 230 in epoch 0, after which it ended"


def test_a_declared_number_of_rows_is_held():
    with pytest.raises(ValueError, match=DECLARED):
        train(streams.from_blocks(blocks, rows=300))
    assert train(streams.from_blocks(blocks, rows=230), epochs=1).epochs == 1


def test_where_arrays_are_needed_a_source_is_refused():
    data = source()
    rule = r"must be arrays here \(fnn.train and fnn.evaluate take a Source\); got a Source"
    arguments = {"key": KEY, "epochs": 1}
    with pytest.raises(TypeError, match=f"fit: data {rule}"):
        fnn.fit(NET, fnn.squared_error, OPT, data, **arguments)
    with pytest.raises(TypeError, match=f"fit: validation {rule}"):
        fnn.fit(NET, fnn.squared_error, OPT, (X, Y), validation=data, **arguments)
    with pytest.raises(TypeError, match=f"sweep: data {rule}"):
        fnn.sweep(NET, fnn.squared_error, fnn.adam(np.array([0.1, 0.2])), data, **arguments)
    with pytest.raises(TypeError, match=f"cross_validate: data {rule}"):
        fnn.cross_validate(NET, fnn.squared_error, OPT, data, **arguments)
    with pytest.raises(TypeError, match="train: validation may be a Source where data is one"):
        train((X, Y), validation=data)
    with pytest.raises(TypeError, match=r"robust_scaler: x must be an array, .* got a Source"):
        fnn.robust_scaler(data)
    with pytest.raises(TypeError, match=r"quantile_scaler: x must be an array, .* got a Source"):
        fnn.quantile_scaler(data)


def test_other_arguments_are_checked_before_all_is_read():
    read = []

    def numbered(epoch):
        for block in blocks(epoch):
            read.append(epoch)
            yield block

    data = streams.from_blocks(numbered)
    with pytest.raises(ValueError, match="monitor must be recorded"):
        train(data, monitor="validation_loss")
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1"):
        train(data, batch_size=0)
    with pytest.raises(TypeError, match="net must have pure functions"):
        fnn.train(None, fnn.squared_error, OPT, data, key=KEY, epochs=1)
    with pytest.raises(ValueError, match="targets"):
        fnn.evaluate(fnn.mlp((3, 5)), fnn.mlp((3, 5)).init(KEY), source(), {"r2": fnn.r2})
    assert len(read) < 10


BAD_CALLS = {
    "one array": (lambda: streams.from_blocks(X), TypeError, "from_arrays"),
    "a generator": (lambda: streams.from_blocks(blocks(0)), TypeError, "begins anew.* generator"),
    "a class": (lambda: streams.from_blocks(dict), TypeError, "got type"),
    "no blocks": (lambda: streams.from_blocks([]), ValueError, "at least one, and end; got 0"),
    "nothing": (lambda: streams.from_blocks(None), TypeError, "got NoneType"),
    "lengths": (lambda: streams.from_arrays(X, Y[:9]), ValueError, r"one number .* \(9, 2\)"),
    "empty": (lambda: streams.from_arrays(X[:0], Y[:0]), ValueError, "at least one"),
    "a scalar": (lambda: streams.from_arrays(1.0, 2.0), ValueError, "must have rows"),
    "texts": (lambda: streams.from_arrays([["a"]], [1]), TypeError, "x must hold numbers"),
    "no block_rows": (lambda: streams.from_arrays(X, Y, block_rows=0), ValueError, "block_rows"),
    "no buffer": (lambda: streams.from_arrays(X, Y, buffer_rows=1.5), TypeError, "buffer_rows"),
    "no files": (lambda: streams.from_npy("."), ValueError, r"as many files .*; got 0 x\*.npy"),
    "no path": (lambda: streams.from_npy(3), TypeError, "folder must be a path"),
    "no file": (lambda: streams.from_parquet("no", target="y"), ValueError, "must be there"),
}


@pytest.mark.parametrize("kind", BAD_CALLS)
def test_a_source_is_refused_where_it_is_made(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, error, match = BAD_CALLS[kind]
    with pytest.raises(error, match=f"from_[a-z]+: .*{match}"):
        make()


def test_a_function_that_returns_no_iterable_is_refused():
    with pytest.raises(TypeError, match=r"from_blocks: .* must return an iterable; got int"):
        train(streams.from_blocks(lambda: 3))


def test_weights_that_are_all_zero_are_refused():
    zeros = np.zeros(230, np.float32)
    with pytest.raises(ValueError, match="weights of data must not all be 0"):
        train(source(X, Y, zeros), epochs=1)
    with pytest.raises(ValueError, match="weights must not all be 0"):
        fnn.evaluate(NET, NET.init(KEY), source(X, Y, zeros), {"r2": fnn.r2})
    some = np.where(np.arange(230) < 150, 0, 1).astype(np.float32)
    assert np.isfinite(train(source(X, Y, some), epochs=1).history["loss"]).all()
