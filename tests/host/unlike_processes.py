"""One of two processes, one of which is given something else; see `test_unlike_processes.py`.

python unlike_processes.py PROCESS PROCESSES PORT WHAT FOLDER FILE
"""

import functools
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import fnn

process, processes, port, _, folder, file = *map(int, sys.argv[1:4]), *sys.argv[4:]
jax.distributed.initialize(f"127.0.0.1:{port}", processes, process)
second = process == 1

rng = np.random.default_rng(0)
x, y = rng.normal(size=(16, 3)).astype(np.float32), rng.integers(0, 4, size=16)
mesh = fnn.data_mesh()
net, loss, opt = fnn.mlp((3, 8, 4)), fnn.softmax_cross_entropy, fnn.adam(1e-2)
params = net.init(jax.random.key(0))
data = fnn.shard_data((x, y), mesh)  # each process with the same rows, which is fine
path = Path(folder)
(path / "file").write_text("no folder")
write = functools.partial(print, file=open(file, "w"), flush=True)  # noqa: SIM115


def fit(data=data, **options):
    options = {"key": jax.random.key(0), "epochs": 2, "batch_size": 16} | options
    return fnn.fit(net, loss, opt, data, **options)


def train(**options):
    options = {"epochs": 10**5, "batch_size": 16, "progress": False} | options
    return fnn.train(net, loss, opt, data, key=jax.random.key(0), **options)


def evaluate(data=data, params=params, metrics=(), batch_size=None):
    metrics = {"accuracy": fnn.accuracy, **dict(metrics)}
    return fnn.evaluate(net, params, data, metrics, batch_size=batch_size)


def losses(key, data=data):
    return fit(data, key=key).history["loss"]


def sharded(array):
    """What `shard_data` would refuse."""
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    return jax.make_array_from_process_local_data(sharding, array)


def stop(done, latest):
    return second and done >= 3


def fail(done, latest):
    if second and done >= 3:
        raise KeyError("of the callback")


def attempt(name, call):
    """Writes what it raises."""
    try:
        call()
    except Exception as error:
        write(name, type(error).__name__, str(error).replace("\n", " "))


# each has a program that is compiled, and its own time and callback
train(epochs=100)
write("max_seconds", int(train(max_seconds=60 if second else 0.1).epochs))
write("callback", int(train(callback=stop).epochs))
attempt("callback_fails", lambda: train(callback=fail))

with mock.patch("jax.__version__", "0.0.1" if second else jax.__version__):
    attempt("version", fit)
    attempt("version_evaluate", evaluate)
    attempt("version_shard_data", lambda: fnn.shard_data((x, y), mesh))
attempt("key", lambda: fit(key=jax.random.key(process)))
attempt("epochs", lambda: fit(epochs=2 + process))
attempt("every", lambda: train(checkpoint=path / "run", every=2 + process))
attempt("params", lambda: evaluate(params=net.init(jax.random.key(process))))
attempt("metrics", lambda: evaluate(metrics={"auc": fnn.roc_auc} if second else {}))

attempt("batch_size", lambda: fit(batch_size=-1 if second else 16))
attempt("monitor", lambda: train(monitor="lost" if second else "loss"))
attempt("seconds", lambda: train(max_seconds=-1 if second else 1))
attempt("evaluate", lambda: evaluate(batch_size=-1 if second else 16))
attempt("folder", lambda: train(checkpoint=path / "file"))

wrong_x, wrong_y = x.copy(), y.copy()
if second:
    wrong_x[3, 2], wrong_y[5] = np.nan, 7
attempt("nan", lambda: fit((sharded(wrong_x), data[1])))
attempt("nan_of_scaler", lambda: fnn.standard_scaler(sharded(wrong_x)))
attempt("mixed", lambda: fit((data[0], np.zeros(32, np.int32))))
attempt("label", lambda: fit((data[0], sharded(wrong_y))))
attempt("label_validation", lambda: train(validation=(data[0], sharded(wrong_y)), epochs=1))
attempt("label_evaluate", lambda: evaluate((data[0], sharded(wrong_y[:, None]))))

attempt("source", lambda: fnn.shard_data(fnn.streams.from_arrays(x, y), mesh))

# and all are in step after that
write("after", float(train(epochs=100).history["loss"][-1]))
keys = jax.random.split(jax.random.key(0), 5)
write("transformed", jax.eval_shape(jax.vmap(losses), keys).shape)
write("traced", jax.eval_shape(losses, keys[0], data).shape)
