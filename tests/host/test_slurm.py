"""The recipe for Slurm, without Slurm: real processes, with the variables that `srun` sets."""

import os
import random
import socket
from pathlib import Path

import jax
import numpy as np
import pytest
from started import run_together

import fnn

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "slurm.py"

# of which JAX takes the one at the job's number, modulo how many there are
PORTS = range(65536 - 2**12, 65536)


def free_job():
    """The number of a job whose port is free. Systems give none of these ports to clients."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as trial:
            try:
                trial.bind(("", port))
            except OSError:
                continue
            return 3 * len(PORTS) + port - PORTS.start
    raise AssertionError("no port is free")


def test_tasks_find_each_other_by_the_variables_of_slurm(monkeypatch):
    for name in os.environ:
        if name.startswith(("OMPI_", "SLURM_", "JAX_COORDINATOR")):  # of what runs the tests
            monkeypatch.delenv(name)
    step = {
        "SLURM_JOB_ID": str(free_job()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_NTASKS": "2",
    }
    tasks = [step | {"SLURM_PROCID": task, "SLURM_LOCALID": task} for task in "01"]
    outputs, codes, printed = run_together([((SCRIPT,), task) for task in tasks])
    assert codes == [0, 0], printed
    assert [output["process"] for output in outputs] == ["0 of 2", "1 of 2"]
    assert outputs[0]["loss"] == outputs[1]["loss"]
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(96, 3)).astype(np.float32), rng.integers(0, 4, size=96)
    run = fnn.fit(
        fnn.mlp((3, 8, 4)), fnn.softmax_cross_entropy, fnn.adam(1e-2),
        fnn.shard_data(rows, fnn.data_mesh(devices=jax.devices()[:1])),
        key=jax.random.key(0), epochs=4, batch_size=32,
    )  # fmt: skip
    losses = np.array(outputs[0]["loss"].split(), float)
    np.testing.assert_allclose(losses, run.history["loss"], atol=1e-4)
