"""Sources whose buffers are laid over the devices of a mesh: the same runs, each device a part."""

import jax
import pytest
from small_streams import HELD_OUT, OPT, WEIGHTS, X, Y, assert_close, assert_same_bits, source

import fnn
from fnn.training import streamed

ONE, TWO = (fnn.data_mesh(devices=jax.devices()[:count]) for count in (1, 2))
NET = fnn.mlp((3, 8, 2), activation="tanh")


def train(data, **options):
    options = {"key": jax.random.key(7), "epochs": 3, "batch_size": 32, "progress": False} | options
    return fnn.train(NET, fnn.squared_error, OPT, data, **options)


def on(mesh, *arrays, **options):
    return fnn.shard_data(source(*arrays, **options), mesh)


@pytest.mark.long
@pytest.mark.parametrize("weights", [(), (WEIGHTS,)])
def test_a_mesh_of_one_and_of_two_devices_give_the_same_run(weights):
    """The last buffer has 38 rows, to which 2 of weight 0 are added."""
    one, two = (
        train(data, validation=data, metrics={"r2": fnn.r2})
        for data in (on(mesh, X, Y, *weights) for mesh in (ONE, TWO))
    )
    assert len(two.params[0].weight.devices()) == 2
    assert_close((one.history, one.params), (two.history, two.params))
    scores = fnn.evaluate(NET, two.params, on(TWO, X, Y, *weights), {"r2": fnn.r2}, batch_size=7)
    assert_close(scores["r2"], two.history["validation_r2"][-1])


@pytest.mark.long
def test_one_buffer_is_trained_on_as_sharded_arrays_are():
    options = {"validation": HELD_OUT}
    arrays = train(fnn.shard_data((X, Y), TWO), **options)
    assert_close(train(on(TWO, buffer_rows=1000), **options).history, arrays.history)


@pytest.mark.long
def test_shuffling_globally_gives_the_run_without_a_mesh():
    arrays = X[:192], Y[:192]  # to which no rows are added
    moved = train(on(TWO, *arrays), shuffle="global")
    assert_close(moved.history, train(source(*arrays)).history)


def test_rows_stay_on_their_devices(monkeypatch):
    texts, program = [], streamed._run_buffer

    def spy(*args):
        texts.append(program.of(*args).lower(*args).compile().as_text())
        return program(*args)

    monkeypatch.setattr(streamed, "_run_buffer", spy)
    train(on(TWO), epochs=1)
    assert all("all-reduce" in text for text in texts)
    moving = ("all-gather", "all-to-all", "collective-permute")
    assert not any(name in text for text in texts for name in moving)


def test_a_run_stopped_within_an_epoch_continues_to_the_same_bits(tmp_path, monkeypatch):
    whole = train(on(TWO))
    monkeypatch.setattr(streamed, "_SECONDS", 0.0)  # each buffer is a call
    assert train(on(TWO), checkpoint=tmp_path, max_seconds=1e-9).epochs == 0
    assert_same_bits(train(on(TWO), checkpoint=tmp_path), whole)


def test_a_run_continues_on_fewer_devices_but_not_without_a_mesh(tmp_path):
    train(on(TWO), checkpoint=tmp_path, epochs=1)
    assert_close(train(on(ONE), checkpoint=tmp_path).history, train(on(TWO)).history)
    with pytest.raises(ValueError, match=r"(?s)arguments must be those of .*shards: int64 8 then"):
        train(source(), checkpoint=tmp_path)


def test_scalers_read_the_source_as_it_is():
    for given in (lambda data: data, lambda data: data.targets):
        ours, theirs = (fnn.standard_scaler(given(data)) for data in (on(TWO), source()))
        assert_same_bits(ours, theirs)


def test_a_batch_that_cannot_be_spread_is_refused():
    with pytest.raises(ValueError, match="train: batch_size must be a multiple of the 2 devices"):
        train(on(TWO), batch_size=31)
