"""Growth: seconds and memory of a run as rows, width or epochs double.

Everything else stays as it is, so time should double at most, and memory should grow by
what the data and the parameters take.
"""

import contextlib

from bench.measure import in_turns
from bench.rows import Row, entries
from bench.tasks import Task
from bench.workers import data_of, started

NAME = "growth"

PEERS = ["fnn", "flax-scan", "torch"]

_ROWS = {f"rows-{n}": (64, n, 5) for n in (4096, 8192, 16_384, 32_768)}
_WIDTHS = {f"width-{n}": (n, 4096, 5) for n in (128, 256, 512, 1024)}
_EPOCHS = {f"epochs-{n}": (64, 4096, n) for n in (10, 20, 40, 80)}
_SHAPES = {**_ROWS, **_WIDTHS, **_EPOCHS}


def names() -> list[str]:
    """The rows there are."""
    return list(_SHAPES)


def measure(name: str, rounds: int, quick: bool) -> Row:
    """One row."""
    width, rows, epochs = _SHAPES[name]
    task = Task(name, (64, width, 10), rows, batch_size=64, epochs=2 if quick else epochs)
    with data_of(task) as data, contextlib.ExitStack() as stack:
        workers, problems = started(PEERS, task, data, stack)
        runs = {peer: lambda worker=worker: worker.run()[0] for peer, worker in workers.items()}
        samples = in_turns(runs, rounds)
        peaks = {peer: {"peak MiB": worker.peak() / 2**20} for peer, worker in workers.items()}
    title = f"64-{width}-10, {rows:,} rows, {task.epochs} epochs"
    return Row(f"{NAME}/{name}", title, "s", entries(samples, peaks, problems))
