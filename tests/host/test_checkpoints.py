"""Checkpoints of `train` and `sweep`: work goes on to the same bits, or says why it does not."""

import os
import sys
import warnings

import jax
import numpy as np
import pytest

import fnn
from fnn._host import checkpoints
from fnn.sweeps import layout

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype(np.float32)
Y = X[:, :2]
NET = fnn.mlp((3, 4, 2), dropout=0.1)
RATES = np.array([1e-3, 1e-2, 1e30, 1e-1])


def train(**options):
    given = {"key": jax.random.key(0), "epochs": 12, "batch_size": 16, "validation": (X, Y),
             "progress": False, "net": NET, "loss": fnn.squared_error,
             "optimizer": fnn.adam(1e-2), "data": (X, Y)} | options  # fmt: skip
    net, loss, optimizer, data = (given.pop(n) for n in ("net", "loss", "optimizer", "data"))
    return fnn.train(net, loss, optimizer, data, **given)


def sweep(**options):
    given = {
        "key": jax.random.key(0),
        "epochs": 12,
        "batch_size": 16,
        "progress": False,
        "optimizer": fnn.adam(RATES),
        "at_once": 2,
        "stop": fnn.early_stopping(max_epochs=np.array([3, 12, 12, 8])),
    } | options
    optimizer = given.pop("optimizer")
    return fnn.sweep(NET, fnn.squared_error, optimizer, (X, Y), **given)


WORKS = {"train": train, "sweep": sweep}


def bits(result):
    leaves = jax.tree.leaves((result.state, result.history, result.epochs))
    plain = [jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
             else leaf for leaf in leaves]  # fmt: skip
    return [(a.dtype, a.shape, a.tobytes()) for a in map(np.asarray, plain)]


@pytest.fixture(params=WORKS)
def work(request):
    return WORKS[request.param]


def after(epochs):
    """A callback that ends the work there."""
    return lambda done, latest: done >= epochs


def test_work_that_was_ended_goes_on_to_the_same_bits(work, tmp_path):
    whole = bits(work())
    options = {"checkpoint": tmp_path, "every": 1}
    heard = []

    def until(end):
        return lambda done, latest: heard.append(done) or done >= end

    for end in (2, 5, 12):
        ended = bits(work(**options, callback=until(end)))
        assert (ended == whole) == (end == 12)
    assert heard == sorted(set(heard)), "what is done is not done again"


def test_checkpoints_change_no_bit(work, tmp_path):
    assert bits(work(checkpoint=tmp_path, every=5)) == bits(work())


def test_finished_work_is_returned_at_once_and_says_so(work, tmp_path):
    first = bits(work(checkpoint=tmp_path))
    heard = []
    with pytest.warns(UserWarning, match="holds this work, finished"):
        again = work(checkpoint=tmp_path, callback=lambda done, _: heard.append(done))
    assert bits(again) == first
    assert not heard


def test_work_that_stopped_by_itself_is_finished(tmp_path):
    stop = fnn.early_stopping(max_epochs=4)
    first = train(checkpoint=tmp_path, stop=stop)
    with pytest.warns(UserWarning, match="finished"):
        again = train(checkpoint=tmp_path, stop=stop)
    assert int(again.epochs) == 4
    assert bits(again) == bits(first)


def test_a_sweep_that_stopped_by_itself_within_a_segment_is_finished(tmp_path, monkeypatch):
    # memory that is handed out holds something
    monkeypatch.setattr(
        np, "empty", lambda shape, dtype=float, **more: np.full(shape, 77, dtype, **more)
    )
    monkeypatch.setattr(sys.modules["fnn.sweeps.sweep"], "_CALL_SECONDS", 100.0)
    stop = fnn.early_stopping(max_epochs=np.array([3, 5, 5, 4]))
    options = {"epochs": 100, "stop": stop, "checkpoint": tmp_path}
    first = sweep(**options)
    with pytest.warns(UserWarning, match="finished"):
        again = sweep(**options)
    assert bits(again) == bits(first)
    assert not (np.asarray(again.history["loss"]) == 77).any()


def test_more_epochs_go_on_where_fewer_ended(work, tmp_path):
    work(checkpoint=tmp_path, epochs=5)
    assert bits(work(checkpoint=tmp_path, epochs=12)) == bits(work(epochs=12))
    with pytest.raises(ValueError, match="epochs must be at least the 12 of the checkpoint"):
        work(checkpoint=tmp_path, epochs=11)


def test_a_continued_run_has_checkpoints_too(tmp_path):
    state = train(epochs=3).state
    whole = train(state=state, key=None)
    options = {"state": state, "key": None, "checkpoint": tmp_path, "every": 2}
    train(**options, callback=after(4))
    assert bits(train(**options)) == bits(whole)


def test_halving_goes_on_to_the_same_bits(tmp_path):
    halving = {"halving": fnn.halving(2), "stop": None}
    whole = sweep(**halving)
    sweep(**halving, checkpoint=tmp_path, every=1, callback=after(5))
    again = sweep(**halving, checkpoint=tmp_path)
    assert bits(again) == bits(whole)
    np.testing.assert_array_equal(again.dropped_at, whole.dropped_at)
    np.testing.assert_array_equal(again.finished, whole.finished)
    with pytest.raises(ValueError, match="halving"):
        sweep(**halving, checkpoint=tmp_path, epochs=20)


def test_a_sweep_goes_on_in_chunks_of_the_same_size(tmp_path, monkeypatch):
    whole = bits(sweep(at_once=None))
    sweep(checkpoint=tmp_path, at_once=None, callback=after(2), every=1)
    chosen = fnn.load_metadata(max(tmp_path.iterdir()))["at_once"]
    monkeypatch.setattr(layout, "VECTOR", 4)  # which would choose another one
    assert bits(sweep(checkpoint=tmp_path, at_once=None)) == whole
    assert fnn.load_metadata(max(tmp_path.iterdir()))["at_once"] == chosen != 4


@pytest.mark.parametrize("at_once", [None, 100])
def test_a_sweep_with_more_room_than_lanes_goes_on(tmp_path, at_once, monkeypatch):
    monkeypatch.setattr(layout, "_cores", lambda: 1)
    sweep(checkpoint=tmp_path, at_once=at_once, callback=after(2), every=1)
    assert bits(sweep(checkpoint=tmp_path, at_once=at_once)) == bits(sweep(at_once=at_once))


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"optimizer": fnn.adam(2e-2)}, "optimizer.learning_rate: float64 0.01 then"),
        ({"optimizer": fnn.sgd(1e-2)}, "optimizer: fnn.Adam then"),
        ({"net": fnn.mlp((3, 5, 2), dropout=0.1)}, "net.sizes[1]"),
        ({"loss": fnn.absolute_error}, "loss: fnn.squared_error then"),
        ({"data": (X + 1, Y)}, "data.x"),
        ({"validation": (X, Y + 1)}, "validation.y"),
        ({"batch_size": 8}, "plan.batch_size"),
        ({"metrics": {"r2": fnn.r2}}, "metrics['validation_r2']: not there then"),
        ({"key": jax.random.key(1)}, "begin.start"),
        ({"order_key": jax.random.key(1)}, "begin.order_key"),
        ({"stop": fnn.early_stopping(patience=3)}, "stop"),
    ],
)
def test_other_arguments_are_refused_and_named(tmp_path, changed, where):
    train(checkpoint=tmp_path, epochs=2)
    with pytest.raises(ValueError, match=r"^train: the arguments must be those") as caught:
        train(checkpoint=tmp_path, epochs=2, **changed)
    assert where in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_other_arguments_of_a_sweep_are_named(tmp_path):
    sweep(checkpoint=tmp_path, epochs=2)
    with pytest.raises(ValueError, match="swept") as caught:
        sweep(checkpoint=tmp_path, epochs=2, optimizer=fnn.adam(2 * RATES))
    assert "optimizer.learning_rate" in str(caught.value)


def test_the_precision_is_an_argument(tmp_path, request):
    train(checkpoint=tmp_path, epochs=2)
    request.getfixturevalue("x64")
    with pytest.raises(ValueError, match="precision: float32 then, float64 now"):
        train(checkpoint=tmp_path, epochs=2)


def damage(path):
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 4, len(data) * 3 // 4):
        data[place] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(work, tmp_path):
    whole = bits(work())
    work(checkpoint=tmp_path, every=1, callback=after(5))
    assert len(list(tmp_path.iterdir())) == 2
    damage(max(tmp_path.iterdir()))
    with pytest.warns(UserWarning, match="continues from"):
        assert bits(work(checkpoint=tmp_path)) == whole


def test_a_damaged_checkpoint_takes_no_good_ones_place(tmp_path):
    options = {"checkpoint": tmp_path, "every": 1, "keep": 1}
    train(**options, callback=after(5))
    five = max(tmp_path.iterdir())
    damaged = tmp_path / five.name.replace("5", "9")
    damaged.write_bytes(five.read_bytes())
    damage(damaged)
    with pytest.warns(UserWarning, match="continues from"):
        train(**options, callback=after(7))
    kept = [int(path.name.split(".")[0]) for path in sorted(tmp_path.iterdir())]
    assert kept == [7, 9]


@pytest.mark.parametrize(
    "change", [{"done": None}, {"done": -1}, {"stopped": 0}, {"made_with": None}, {"arguments": []}]
)
def test_a_checkpoint_that_tells_something_else_of_itself_is_passed_over(tmp_path, change):
    train(checkpoint=tmp_path, every=1, callback=after(3))
    newest = max(tmp_path.iterdir())
    fnn.save(newest, 1.0, fnn.load_metadata(newest) | change)
    with pytest.warns(UserWarning, match="it must be a checkpoint"):
        train(checkpoint=tmp_path)


@pytest.mark.cpu_layout
def test_a_sweep_laid_out_otherwise_goes_on_with_a_warning(tmp_path, monkeypatch):
    sweep(checkpoint=tmp_path, at_once=1, every=1, callback=after(3))
    monkeypatch.setattr(layout, "_cores", lambda: 2 * len(jax.devices()))
    with pytest.warns(UserWarning, match="lanes are laid out differently"):
        sweep(checkpoint=tmp_path, at_once=1)


def test_where_all_are_damaged_nothing_is_begun_anew(work, tmp_path):
    work(checkpoint=tmp_path, every=1, callback=after(5))
    for path in tmp_path.iterdir():
        damage(path)
    kept = sorted(tmp_path.iterdir())
    with pytest.raises(fnn.CheckpointError, match="none can be read"):
        work(checkpoint=tmp_path)
    assert sorted(tmp_path.iterdir()) == kept


def test_so_many_checkpoints_are_kept(tmp_path):
    train(checkpoint=tmp_path, every=1, keep=3)
    assert [int(p.name.split(".")[0]) for p in sorted(tmp_path.iterdir())] == [10, 11, 12]


def test_what_a_killed_writer_left_is_cleaned_up(tmp_path):
    (tmp_path / "x.1234.fnn-partial").write_bytes(b"left")
    train(checkpoint=tmp_path, epochs=2)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_runs(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(fnn.CheckpointError, match="must be a folder that can be written to"):
        train(checkpoint=tmp_path / "file")


@pytest.fixture
def no_room(monkeypatch):
    """Files cannot be written from the third on."""
    written = []

    def fails_later(path, *arguments):
        written.append(path)
        if len(written) > 2:
            raise fnn.CheckpointError(f"save: {path} could not be written: no space")
        fnn.save(path, *arguments)

    monkeypatch.setattr(checkpoints, "save", fails_later)


def test_a_full_disk_warns_and_the_run_goes_on(work, tmp_path, no_room):
    whole = bits(work())
    with pytest.warns(UserWarning, match="continues without a checkpoint"):
        assert bits(work(checkpoint=tmp_path, every=3)) == whole
    assert [int(p.name.split(".")[0]) for p in sorted(tmp_path.iterdir())] == [3, 6]


def test_a_full_disk_raises_where_that_is_asked_for(work, tmp_path, no_room):
    with pytest.raises(fnn.CheckpointError, match="no space"):
        work(checkpoint=tmp_path, every=3, on_save_error="raise")
    assert [int(p.name.split(".")[0]) for p in sorted(tmp_path.iterdir())] == [3, 6]


def test_another_version_of_jax_goes_on_with_a_warning(tmp_path, monkeypatch):
    train(checkpoint=tmp_path, every=1, callback=after(2))
    monkeypatch.setattr(jax, "__version__", "0.0.0")
    with pytest.warns(UserWarning, match="may differ in the last bits"):
        train(checkpoint=tmp_path)


def test_paths_may_be_strings(tmp_path):
    folder = os.path.join(tmp_path, "a", "b")
    train(checkpoint=folder, epochs=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(checkpoint=folder, epochs=2)
    assert len(caught) == 1
