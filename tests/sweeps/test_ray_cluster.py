"""The script for a cluster with Ray, as it stands in the docs, on two workers of this machine."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

import fnn

DEVICES = Path(__file__).parents[2] / "docs" / "devices.md"

DIES_ONCE = """
import os

def die_once():
    try:
        os.mkdir(DIED)
    except FileExistsError:
        return
    os._exit(9)

"""


def changed(script, old, new):
    assert script.count(old) == 1, old
    return script.replace(old, new)


@pytest.mark.long
@pytest.mark.usefixtures("x64")
def test_sweeps_of_two_workers_one_of_which_dies_are_one_sweep(tmp_path):
    pytest.importorskip("ray")
    blocks = re.findall(r"^```\{code-block\} python\n(.*?)^```", DEVICES.read_text(), re.M | re.S)
    (script,) = [block for block in blocks if "import ray" in block]
    died = tmp_path / "died"
    once = DIES_ONCE.replace("DIED", repr(str(died)))
    script = changed(script, "@ray.remote", f"{once}@ray.remote")
    script = changed(script, "    return fnn.sweep(", "    die_once()\n    return fnn.sweep(")
    script = changed(script, "1e-1, 100)", "1e-1, 4)")
    small = f"num_cpus=2, include_dashboard=False, object_store_memory={100 * 2**20}"
    script = changed(script, "ray.init()", f"ray.init({small})")
    script += "\nnp.savez('runs.npz', **runs.table())\n"
    (tmp_path / "train.py").write_text(script)
    printed = tmp_path / "printed.txt"  # no pipe, which Ray's processes could keep open
    # not below `tmp_path`, as names of sockets must be short
    temporary = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
    with temporary as folder, printed.open("w") as file:
        env = {
            **os.environ, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", "RAY_TMPDIR": folder,
            "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "local",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "train.py"], cwd=tmp_path, env=env, timeout=300, check=False,
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert done.returncode == 0, printed.read_text()
    assert died.exists()
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = fnn.train_test_split(x / 16, y, key=jax.random.key(1), stratify=y)
    grid = fnn.product(rate=np.geomspace(1e-4, 1e-1, 4), seed=range(4))
    whole = fnn.sweep(
        fnn.mlp((64, 32, 10)), fnn.softmax_cross_entropy, fnn.adam(grid["rate"]), (x, y),
        key=jax.random.split(jax.random.key(0), 4)[grid["seed"]], epochs=10,
        validation=(x_test, y_test), metrics={"accuracy": fnn.accuracy},
        monitor="validation_accuracy", progress=False,
    )  # fmt: skip
    with np.load(tmp_path / "runs.npz") as table:
        assert list(table) == list(whole.table())
        for name, values in whole.table().items():
            np.testing.assert_allclose(table[name], values, rtol=1e-6, err_msg=name)
