"""Work that is killed: it goes on from its checkpoints, to the bits of work that was not.

    python -m pytest tests/host tests/files -m "" --all-faults

tries all faults, some five minutes, and prints the figures; without the flag a tenth of them.
"""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

WORK = """
import sys
import jax, numpy as np
import fnn

kind, folder, result = sys.argv[1:]
random = np.random.default_rng(0)
x = random.normal(size=(60, 3)).astype(np.float32)
options = dict(batch_size=16, validation=(x[:20], x[:20, :2]), progress=False, every=1,
               checkpoint=folder, callback=lambda done, latest: print(done, flush=True))
if kind == "train":
    net, optimizer = fnn.mlp((3, 8, 2), dropout=0.1), fnn.adam(fnn.cosine_decay(1e-2, 200))
    run = fnn.train(net, fnn.squared_error, optimizer, (x, x[:, :2]), key=jax.random.key(0),
                    epochs=400, **options)
    made = run.state, run.history
else:
    rates = np.array([1e-3, 1e-2, 1e-1, 1e30, 3e-2, 3e-3])
    runs = fnn.sweep(fnn.mlp((3, 8, 2)), fnn.squared_error, fnn.adam(rates), (x, x[:, :2]),
                     key=jax.random.key(0), epochs=300, at_once=2,
                     stop=fnn.early_stopping(max_epochs=np.array([30, 300, 90, 300, 300, 200])),
                     **options)
    made = runs.state, runs.history, runs.epochs, runs.finished
leaves = [jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
          else leaf for leaf in jax.tree.leaves(made)]
np.savez(result, *map(np.asarray, leaves))
"""


def compiled_initial_state(kind, folder, result):
    # work that is begun again does not compile again, as nothing else would take as long
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(result.parent / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", WORK, kind, str(folder), str(result)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"XLA_FLAGS": ""} | cache,
    )


def bits(result):
    with np.load(result) as arrays:
        return [(a.dtype, a.shape, a.tobytes()) for a in map(arrays.get, arrays.files)]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["train", "sweep"])
def test_work_that_is_killed_ends_with_the_same_bits(kind, tmp_path, faults, record_figure):
    moments = random.Random(kind)
    reference = tmp_path / "reference.npz"
    with compiled_initial_state(kind, tmp_path / "reference", reference) as process:
        process.stdout.read()
    assert process.returncode == 0
    expected = bits(reference)
    wanted, kills, works, early = 100 // faults, 0, 0, 0
    while kills < wanted:
        folder, result = tmp_path / f"work{works}", tmp_path / f"{works}.npz"
        reported = 0
        for _ in range(1000):
            lines = []
            with compiled_initial_state(kind, folder, result) as process:
                if kills < wanted:
                    # at any moment from the first epoch on, and now and then before it
                    if moments.random() < 0.9:
                        # nothing comes of work that was finished, but killed before it had said so
                        lines += process.stdout.readline().split()
                        time.sleep(moments.uniform(0, 0.6))
                    else:
                        time.sleep(moments.uniform(0, 2))
                        early += 1
                    process.send_signal(signal.SIGKILL)
                lines += process.stdout.read().split()
            if lines:
                # the last epoch reported may not have been saved, but all before it were
                assert int(lines[0]) >= reported
                reported = int(lines[-1])
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL
            kills += 1
        assert bits(result) == expected
        assert len(list(folder.iterdir())) <= 2, "partial files are cleaned up"
        works += 1
    record_figure(
        f"{kind}: {kills} kill -9 ({early} may have come before the first epoch) in {works} works: "
        "all ended bit-identical, nothing left behind"
    )
