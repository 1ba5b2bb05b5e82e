"""One of several processes that train together; `test_processes.py` starts them.

python processes.py PROCESS PROCESSES PORT WHAT FOLDER FILE
"""

import functools
import os
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np

import fnn
from fnn._core import processes as _core_processes
from fnn.sweeps import spread

process, processes, port, what, folder, file = *map(int, sys.argv[1:4]), *sys.argv[4:]
jax.distributed.initialize(f"127.0.0.1:{port}", processes, process)

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(96, 3)).astype(np.float32), rng.integers(0, 4, size=96)
own = slice(process * 96 // processes, (process + 1) * 96 // processes)
mesh = fnn.data_mesh()
net, opt = fnn.mlp((3, 8, 4)), fnn.adam(1e-2)
RATES, KEYS = np.array([1e-3, 1e-2, 0.1, 0.3, 1e30]), jax.random.split(jax.random.key(1), 5)
path = Path(folder)
write = functools.partial(print, file=open(file, "w"), flush=True)  # noqa: SIM115


def train(data, epochs, **options):
    options = {"key": jax.random.key(0), "batch_size": 32, "progress": False} | options
    return fnn.train(net, fnn.softmax_cross_entropy, opt, data, epochs=epochs, **options)


def dies():
    write("at", time.time())
    os._exit(9)


def ends_by(error):
    write("error", error)
    write("at", time.time())
    os._exit(1)  # JAX would wait for the process that has ended


def shown(runs):
    return [round(float(value), 5) for value in runs.history["loss"]]


if what == "all":
    data = fnn.shard_data((X[own], Y[own]), mesh)
    write("devices", jax.device_count(), data[0].shape)
    run = fnn.fit(net, fnn.softmax_cross_entropy, opt, data, key=jax.random.key(0), epochs=4,
                  validation=data, metrics={"accuracy": fnn.accuracy})  # fmt: skip
    write("fit", shown(run))
    write("evaluate", fnn.evaluate(net, run.params, data, {"loss": fnn.softmax_cross_entropy}))
    write("train", shown(train(data, 4, checkpoint=path / "run", every=2)))
    fnn.save(path / "params.npz", run.params)
    same = fnn.load(path / "params.npz", like=run.params)
    write("load", bool((np.asarray(same[0].weight) == np.asarray(run.params[0].weight)).all()))
    write("files", sorted(file.name for file in path.glob("*")))
    try:
        fnn.save(path / "missing" / "params.npz", run.params)
    except fnn.CheckpointError as error:
        write("save", type(error).__name__)
    uneven = slice(0, 40) if process == 0 else slice(40, 96)
    write("uneven", *(part.shape for part in fnn.shard_data((X[uneven], Y[uneven]), mesh)))
    for name, call in {
        "config": lambda: fnn.fit(fnn.mlp((3, 8 + process, 4)), fnn.softmax_cross_entropy, opt,
                                  data, key=jax.random.key(0), epochs=1),
        "rate": lambda: fnn.fit(net, fnn.softmax_cross_entropy, fnn.adam(0.1 + process), data,
                                key=jax.random.key(0), epochs=1),
        "shape": lambda: fnn.shard_data((X[own, : 2 + process], Y[own]), mesh),
        "nan": lambda: fnn.shard_data((np.where(process == 1, np.nan, X[own]), Y[own]), mesh),
    }.items():  # fmt: skip
        try:
            call()
        except ValueError as error:
            write(name, error)
elif what in ("sweeps", "sweeps killed"):
    data = fnn.shard_data((X[own], Y[own]), mesh)

    class Counted(spread.Runs):
        def __init__(self, problem, varied, like, size, **options):
            write("lanes", size)
            super().__init__(problem, varied, like, size, **options)

    spread.Runs = Counted
    _core_processes._PIECE = 1024  # so that what is exchanged takes several

    def sweep(epochs, rates=RATES, **options):
        options = {"key": KEYS, "validation": data, "progress": False} | options
        loss, rule = fnn.softmax_cross_entropy, fnn.early_stopping(patience=4)
        return fnn.sweep(net, loss, fnn.adam(rates), data, epochs=epochs, stop=rule, **options)

    def saved(name, runs):
        np.savez(path / f"{process}.{name}.npz", weight=runs.params[0].weight, epochs=runs.epochs,
                 dropped_at=runs.dropped_at, finished=runs.finished, **runs.history)  # fmt: skip

    sent = []

    def callback(done, latest):
        if process == 1 and done >= 3 and not sent:
            if what == "sweeps killed":
                dies()
            sent.append(os.kill(os.getpid(), signal.SIGTERM))

    if what == "sweeps killed":
        try:
            sweep(40, callback=callback, checkpoint=path / "sweep", every=1)
        except RuntimeError as error:
            ends_by(error)
    saved("sweep", sweep(9, halving=fnn.halving(2), shared_order=False))
    saved("one", sweep(2, RATES[1:2], key=KEYS[:1]))  # fewer lanes than processes
    runs = sweep(40, callback=callback, checkpoint=path / "sweep", every=1)
    saved("interrupted", runs)
    saved("from_one", sweep(40, checkpoint=path / "from_one", every=1))
    saved("continued", sweep(2, state=runs.state))
    with jax.default_device(jax.local_devices()[0]):
        if process == 1:  # alone
            near = fnn.sweep(net, fnn.softmax_cross_entropy, fnn.adam(RATES), (X, Y), key=KEYS,
                             epochs=2, progress=False)  # fmt: skip
            write("alone", shown(near.lane(0)))
    few = {"epochs": 3, "folds": 3, "refit": True, "progress": False}
    cv = fnn.cross_validate(net, fnn.softmax_cross_entropy, fnn.adam(RATES[:2]), data,
                            key=jax.random.key(0), **few)  # fmt: skip
    write("scores", cv.scores["test_loss"].round(5).tolist())
    write("refit", shown(cv.best()))
    begun = train(data, 2)
    saved("from_states", sweep(2, state=begun.state.train, order_key=begun.state.order_key))
    for name, rates, options in (
        ("rate", RATES + process, {}),
        ("every", RATES, {"checkpoint": path / "other", "every": 1 + process}),
        ("folder", RATES, {"checkpoint": path / "other" if process else None}),
        ("unlike", RATES, {"checkpoint": path / ("empty" if process else "sweep")}),
    ):
        try:
            sweep(2, rates, **options)
        except (ValueError, fnn.CheckpointError) as error:
            write(name, error)

    def fails(done, latest):
        if process == 0:
            raise KeyError("its own")

    try:
        sweep(2, callback=fails)
    except (KeyError, RuntimeError) as error:
        write("callback", error)
elif what == "interrupted":  # one process gets a signal, all end after the same epoch
    sent = []

    def callback(done, latest):
        if process == 1 and done >= 3 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))

    run = train(fnn.shard_data((X[own], Y[own]), mesh), 500, callback=callback)
    write("ended", int(run.epochs) < 500, int(run.epochs))
elif what == "resumed":
    run = train(fnn.shard_data((X[own], Y[own]), mesh), 40, every=1, checkpoint=path / "killed")
    write("history", shown(run)[:6])
else:  # one process dies

    def callback(done, latest):
        if process == 1 and done >= 3:
            dies()

    try:
        train(fnn.shard_data((X[own], Y[own]), mesh), 40, callback=callback, every=1,
              checkpoint=path / "killed")  # fmt: skip
    except RuntimeError as error:
        ends_by(error)
