"""Training on a memory map beside training in memory: seconds an epoch, and memory.

    python -m bench.streaming [--gib 4] [--folder DIR]

Writes a file of random features to a temporary folder, trains a network on it, streamed and in
memory, each in a process of its own, and reads the file alone. Before streamed epochs and reading,
the system is asked to forget what it holds of the file; "cached" is an epoch for which it was not
asked. Memory is what a process has of its own (RssAnon in Linux), above what it had once a small
run of the same network was over; pages of the file are not counted, as the system takes them back.
"""

import argparse
import json
import mmap
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import fnn
from bench.devices import device
from fnn import streams

FEATURES, CLASSES, BATCH_ROWS = 256, 10, 1024
KINDS = ("streamed", "streamed, cached", "in memory", "read alone")
# of an epoch in memory, or of reading alone, whichever takes longer
GOAL = 0.9


def main() -> None:
    """Prints a line for each kind, and how they compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4.0, help="the size of the file")
    parser.add_argument("--folder", help="where to write it; a temporary one, if none is given")
    parser.add_argument("--kind", choices=KINDS, help="one kind, of a file that is there")
    options = parser.parse_args()
    if options.kind is not None:
        print(json.dumps(measured(options.kind, Path(options.folder))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = int(options.gib * 2**30) // (4 * FEATURES)
        write(Path(folder), rows)
        found = {kind: in_a_process(kind, folder) for kind in KINDS}
    sizes = f"{FEATURES}-256-{CLASSES}, batches of {BATCH_ROWS}"
    print(f"{device().name}: {options.gib:g} GiB, {rows} rows, {sizes}")
    for kind, figures in found.items():
        seconds, gib = figures["seconds"], options.gib / figures["seconds"]
        print(f"{kind:<18} {seconds:7.2f} s an epoch, {gib:5.2f} GiB/s,"
              f" {figures['MiB']:6.0f} MiB above the baseline")  # fmt: skip
    slowest = max(found["in memory"]["seconds"], found["read alone"]["seconds"])
    for kind in KINDS[:2]:
        print(f"{kind}: {slowest / found[kind]['seconds']:.0%} of the speed of "
              f"training in memory, or of the disk's (goal {GOAL:.0%})")  # fmt: skip


def write(folder: Path, rows: int) -> None:
    """Random features and labels, a part at a time."""
    random = np.random.default_rng(0)
    part = 2**16
    shape = rows, FEATURES
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, shape)
    labels = np.empty(rows, np.int32)
    for start in range(0, rows, part):
        stop = min(rows, start + part)
        x[start:stop] = random.standard_normal((stop - start, FEATURES), np.float32)
        labels[start:stop] = np.argmax(x[start:stop, :CLASSES], axis=1)
    x.flush()
    np.save(folder / "y.npy", labels)


def in_a_process(kind: str, folder: str) -> dict[str, float]:
    """What `measured` finds in a process of its own."""
    command = [sys.executable, "-m", "bench.streaming", "--kind", kind, "--folder", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{kind}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measured(kind: str, folder: Path) -> dict[str, float]:
    """The seconds of an epoch that compiles nothing, and the peak of memory in MiB."""
    path = folder / "x.npy"
    if kind == "read alone":
        forget(path)
        start = time.perf_counter()
        read(path)
        return {"seconds": time.perf_counter() - start, "MiB": 0.0}
    net = fnn.mlp((FEATURES, 256, CLASSES))
    begun: list[float] = []

    def train(data: object, epochs: int, callback: Callable | None = None) -> None:
        fnn.train(
            net, fnn.softmax_cross_entropy, fnn.adam(1e-3), data, key=jax.random.key(0),
            epochs=epochs, batch_size=BATCH_ROWS, progress=False, callback=callback,
        )  # fmt: skip

    def epoch_is_over(done: int, latest: dict) -> None:
        begun.append(time.perf_counter())
        if kind == "streamed":
            forget(path, x)

    few = np.zeros((2 * BATCH_ROWS, FEATURES), np.float32), np.zeros(2 * BATCH_ROWS, np.int32)
    train(few, 1)
    x, y = np.load(path, mmap_mode="r"), np.load(folder / "y.npy")
    with peak_memory() as peak:
        data = (np.array(x), y) if kind == "in memory" else streams.from_arrays(x, y)
        if kind == "streamed":
            forget(path, x)
        train(data, 3, epoch_is_over)
    return {"seconds": min(np.diff(begun)), "MiB": peak[0] / 2**20}


class peak_memory:  # noqa: N801, as other context managers are called
    """The peak of memory above what it is at first, in bytes, as the item of a list."""

    def __enter__(self) -> list[float]:
        first, self._peak, self._over = own_memory(), [0.0], threading.Event()

        def watch() -> None:
            while not self._over.wait(0.02):
                self._peak[0] = max(self._peak[0], own_memory() - first)

        self._thread = threading.Thread(target=watch)
        self._thread.start()
        return self._peak

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def own_memory() -> float:
    """The bytes that this process has, but for pages of files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return 1024.0 * int(line.split()[1])
    return 0.0


def read(path: Path) -> None:
    """Reads a file in order, in parts of 4 MiB."""
    memory = bytearray(2**22)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(memory):
            pass


def forget(path: Path, mapped: Any = None) -> None:
    """Asks the system to drop what it holds of a file, and what is mapped of it."""
    if mapped is not None:
        mapped._mmap.madvise(mmap.MADV_DONTNEED)
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
