"""What `srun` starts, once per task; `test_slurm.py` starts it as Slurm would.

python slurm.py FILE
"""

import sys

import jax
import numpy as np

import fnn

jax.distributed.initialize()  # who and where it is stands in the environment

process, processes = jax.process_index(), jax.process_count()
rng = np.random.default_rng(0)
x, y = rng.normal(size=(96, 3)).astype(np.float32), rng.integers(0, 4, size=96)
own = slice(process * 96 // processes, (process + 1) * 96 // processes)
data = fnn.shard_data((x[own], y[own]), fnn.data_mesh())
run = fnn.train(
    fnn.mlp((3, 8, 4)),
    fnn.softmax_cross_entropy,
    fnn.adam(1e-2),
    data,
    key=jax.random.key(0),
    epochs=4,
    batch_size=32,
    progress=False,
)
with open(sys.argv[1], "w") as file:
    print("process", process, "of", processes, file=file)
    print("loss", *map(float, run.history["loss"]), file=file)
