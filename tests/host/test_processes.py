"""Several processes that train one network: real ones, on this machine."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import fnn

SCRIPT = Path(__file__).parent / "processes.py"

# the same rows in the same shards, in this process
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(96, 3)).astype(np.float32), RNG.integers(0, 4, size=96)
DATA = fnn.shard_data(ROWS, fnn.data_mesh(devices=jax.devices()[:1]))
NET = fnn.mlp((3, 8, 4))
RUN = {"key": jax.random.key(0), "batch_size": 32}


def assert_losses(printed, run):
    losses = np.array(printed.strip("[]").split(", "), float)
    np.testing.assert_allclose(losses, run.history["loss"], atol=1e-4)


def together(what, folder, processes=2, devices=1, timeout=300, script=SCRIPT):
    """What each process has written, a dict from first words to lines, and its return code."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count"
    env = {**os.environ, "XLA_FLAGS": f"{flags}={devices}", "JAX_PLATFORMS": "cpu"}
    # a file of its own for each: JAX's runtime prints to the standard output, too
    with tempfile.TemporaryDirectory() as written:
        files = [Path(written) / f"{process}.txt" for process in range(processes)]
        started = [
            subprocess.Popen(
                [sys.executable, script, *map(str, (process, processes, port, what, folder, file))],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
            )
            for process, file in enumerate(files)
        ]  # fmt: skip
        try:
            printed = [process.communicate(timeout=timeout)[0] for process in started]
        finally:
            for process in started:
                process.kill()
        texts = [file.read_text() if file.exists() else "" for file in files]
    outputs = [dict(re.findall(r"^(\w+) (.*)$", text, re.MULTILINE)) for text in texts]
    return outputs, [process.returncode for process in started], printed


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
    begun = time.monotonic()
    (first, _), codes, errors = together("killed", tmp_path)
    assert time.monotonic() - begun < 90
    assert codes == [1, 9], errors
    assert first["error"].startswith("train: all processes must keep running (started again, they")
    newest = max((tmp_path / "killed").iterdir())
    assert 3 <= fnn.load_metadata(newest)["done"] < 40
    (first, second), codes, errors = together("resumed", tmp_path)
    assert codes == [0, 0], errors
    assert first == second
    whole = fnn.fit(NET, fnn.softmax_cross_entropy, fnn.adam(1e-2), DATA, **RUN | {"epochs": 6})
    assert_losses(first["history"], whole)
