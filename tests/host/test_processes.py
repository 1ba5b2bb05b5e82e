"""Several processes that train one network: real ones, on this machine."""

import json
import socket
from pathlib import Path

import jax
import numpy as np
import pytest
from started import run_together

import fnn

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "processes.py"

# the same rows in the same shards, in this process
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(96, 3)).astype(np.float32), RNG.integers(0, 4, size=96)
DATA = fnn.shard_data(ROWS, fnn.data_mesh(devices=jax.devices()[:1]))
NET = fnn.mlp((3, 8, 4))
RUN = {"key": jax.random.key(0), "batch_size": 32}
RATES, KEYS = np.array([1e-3, 1e-2, 0.1, 0.3, 1e30]), jax.random.split(jax.random.key(1), 5)


def assert_losses(printed, run):
    losses = np.array(printed.strip("[]").split(", "), float)
    np.testing.assert_allclose(losses, run.history["loss"], atol=1e-4)


def together(what, folder, processes=2, devices=1, timeout=300, script=SCRIPT):
    """What each process has written, a dict from first words to lines, and its return code."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    commands = [
        ((script, process, processes, port, what, folder), {}) for process in range(processes)
    ]
    return run_together(commands, devices=devices, timeout=timeout)


@pytest.mark.parametrize("devices", [1, 4])
def test_two_processes_train_as_one_does(tmp_path, devices):
    (first, second), codes, errors = together("all", tmp_path, devices=devices)
    assert codes == [0, 0], errors
    assert "x of data must be finite everywhere" in second.pop("nan")
    elsewhere = "shard_data: data must be valid in all processes; got an error in another: Value"
    assert first.pop("nan").startswith(elsewhere)
    assert first == second
    assert first["devices"] == f"{2 * devices} (96, 3)"
    run = fnn.fit(NET, fnn.softmax_cross_entropy, fnn.adam(1e-2), DATA, **RUN | {"epochs": 4})
    for name in ("fit", "train"):
        assert_losses(first[name], run)
    assert first["load"] == "True"
    assert first["files"] == "['params.npz', 'run']"
    names = [file.name for file in (tmp_path / "run").iterdir()]
    assert sorted(names) == [f"000000000{epoch}.checkpoint.npz" for epoch in (2, 4)]
    assert first["save"] == "CheckpointError"
    assert first["uneven"] == "(112, 3) (112,) (112,)"  # 56 rows each, 16 of them of weight 0
    same = "all processes must be given the same arguments; got others in"
    assert first["config"].startswith(f"fit: {same} net.sizes[1]")
    assert first["rate"] == f"fit: {same} optimizer.learning_rate"
    assert first["shape"] == f"shard_data: {same} data"


def test_a_signal_to_one_process_ends_all_after_the_same_epoch(tmp_path):
    (first, second), codes, errors = together("interrupted", tmp_path)
    assert codes == [0, 0], errors
    assert first == second
    assert first["ended"].startswith("True")


def test_where_one_process_dies_the_other_says_so_and_no_checkpoint_is_lost(tmp_path):
    (first, second), codes, errors = together("killed", tmp_path)
    assert codes == [1, 9], errors
    assert float(first["at"]) - float(second["at"]) < 60
    assert first["error"].startswith("train: all processes must keep running (started again, they")
    newest = max((tmp_path / "killed").iterdir())
    assert 3 <= fnn.load_metadata(newest)["done"] < 40
    (first, second), codes, errors = together("resumed", tmp_path)
    assert codes == [0, 0], errors
    assert first == second
    whole = fnn.fit(NET, fnn.softmax_cross_entropy, fnn.adam(1e-2), DATA, **RUN | {"epochs": 6})
    assert_losses(first["history"], whole)


def sweep(epochs, rates=RATES, **options):
    options = {"key": KEYS, "validation": ROWS, "progress": False} | options
    loss, rule = fnn.softmax_cross_entropy, fnn.early_stopping(patience=4)
    return fnn.sweep(NET, loss, fnn.adam(rates), ROWS, epochs=epochs, stop=rule, **options)


def assert_same_runs(folder, name, runs):
    """Both processes have saved these runs, under that name."""
    for process in range(2):
        found = dict(np.load(folder / f"{process}.{name}.npz"))
        np.testing.assert_allclose(found.pop("weight"), runs.params[0].weight, rtol=1e-4)
        for field in ("epochs", "dropped_at", "finished"):
            np.testing.assert_array_equal(found.pop(field), getattr(runs, field))
        assert found.keys() == runs.history.keys()
        for record, values in found.items():
            np.testing.assert_allclose(values, runs.history[record], rtol=1e-5)


@pytest.mark.filterwarnings("ignore:sweep. lanes are laid out differently")
@pytest.mark.parametrize("devices", [1, 4])
def test_lanes_are_divided_between_processes(tmp_path, devices):
    sweep(40, checkpoint=tmp_path / "from_one", every=1, callback=lambda done, _: done >= 3)
    (first, second), codes, errors = together("sweeps", tmp_path, devices=devices)
    assert codes == [0, 0], errors
    assert first["lanes"] == second["lanes"] == "3"  # of five
    assert_same_runs(tmp_path, "sweep", sweep(9, halving=fnn.halving(2), shared_order=False))

    assert_same_runs(tmp_path, "one", sweep(2, RATES[1:2], key=KEYS[:1]))

    state = fnn.fit(NET, fnn.softmax_cross_entropy, fnn.adam(1e-2), DATA, **RUN, epochs=2).state
    begun = sweep(2, state=state.train, order_key=state.order_key)
    assert_same_runs(tmp_path, "from_states", begun)

    # a signal to one process ends all after the same epoch, and one process continues
    whole = sweep(40)
    assert_same_runs(tmp_path, "from_one", whole)
    first_part, second_part, again = (
        dict(np.load(tmp_path / f"{file}.npz"))
        for file in ("0.interrupted", "1.interrupted", "0.continued")
    )
    np.testing.assert_array_equal(first_part["loss"], second_part["loss"])
    done = first_part["epochs"].max()
    assert 3 <= done < 40
    active = ~first_part["finished"]
    assert active.any()
    assert not active.all()
    known = whole.history["loss"][:, : done + 2]
    np.testing.assert_allclose(first_part["loss"][:, :done], known[:, :done], rtol=1e-5)
    np.testing.assert_allclose(again["loss"][active], known[active, done:], rtol=1e-5)
    resumed = sweep(40, checkpoint=tmp_path / "sweep", every=1)
    np.testing.assert_allclose(resumed.history["loss"], whole.history["loss"], rtol=1e-5)

    assert "alone" not in first
    assert_losses(second.pop("alone"), fnn.sweep(
        NET, fnn.softmax_cross_entropy, fnn.adam(RATES), ROWS, key=KEYS, epochs=2, progress=False
    ).lane(0))  # fmt: skip
    cv = fnn.cross_validate(
        NET, fnn.softmax_cross_entropy, fnn.adam(RATES[:2]), ROWS, key=jax.random.key(0),
        epochs=3, folds=3, refit=True, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(json.loads(first["scores"]), cv.scores["test_loss"], atol=2e-5)
    assert_losses(first["refit"], cv.best())

    assert first.pop("callback") == "'its own'"
    elsewhere = "sweep: callbacks must not fail in any process; got an error in another: KeyError"
    assert second.pop("callback").startswith(elsewhere)
    same = "sweep: all processes must be given the same arguments; got others in"
    assert first["rate"].startswith(f"{same} numbers")
    assert first["every"] == f"{same} every"
    assert first["folder"] == f"{same} checkpoint"
    few = "sweep: epochs must be at least the"
    assert first.pop("unlike").startswith(few)
    elsewhere = "sweep: checkpoints must be readable in all processes; got an error in another"
    assert second.pop("unlike").startswith(f"{elsewhere}: ValueError: {few}")
    assert first == second


@pytest.mark.filterwarnings("ignore:sweep. lanes are laid out differently")
def test_where_a_process_dies_one_continues_its_lanes(tmp_path):
    (first, second), codes, errors = together("sweeps killed", tmp_path)
    assert codes == [1, 9], errors
    assert float(first["at"]) - float(second["at"]) < 60
    assert first["error"].startswith("sweep: all processes must keep running (started again, they")
    newest = max((tmp_path / "sweep").iterdir())
    assert 2 <= fnn.load_metadata(newest)["done"] < 40
    resumed = sweep(40, checkpoint=tmp_path / "sweep", every=1)
    np.testing.assert_allclose(resumed.history["loss"], sweep(40).history["loss"], rtol=1e-5)
