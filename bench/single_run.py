"""One training run: microseconds per step, everything compiled beforehand.

All peers start from the same weights, and before anything is timed they must show that they
do the same work: trained on one batch of all rows they have fnn's losses, and so have those
that accept an order of the rows, in fnn's order, on a few small batches. What they end with in
the timed runs, where each shuffles for itself, must be near.
"""

import contextlib
from collections.abc import Mapping

import numpy as np

from bench.measure import in_turns, spread
from bench.peers import PEERS, YARDSTICK, load
from bench.rows import OURS, Row, entries
from bench.tasks import Task
from bench.workers import Worker, data_of, started

NAME = "single-run"

TASKS = {
    task.name: task
    for task in [
        Task("2-16-2", (2, 16, 2), rows=1000, batch_size=16, epochs=200),
        Task("64-64-10", (64, 64, 10), rows=1797, batch_size=32, epochs=50),
        Task("784-256-128-10", (784, 256, 128, 10), rows=10_000, batch_size=128, epochs=6),
        Task("784-1024-1024-10", (784, 1024, 1024, 10), rows=4096, batch_size=256, epochs=10),
    ]
}

TARGETS = {
    "2-16-2": {"torch": 65, "scikit-learn": 28, "flax-scan": 2.5},
    "64-64-10": {"torch": 22, "scikit-learn": 9, "flax-scan": 1.5},
    "784-256-128-10": {"torch": 1.8, "scikit-learn": 2.3, "flax-scan": 1.3},
    "784-1024-1024-10": {"torch": 1.25, "scikit-learn": 1.9, "flax-scan": 1.05},
}

# Of two classes scikit-learn makes one logistic output, whose Adam takes other steps.
_OTHER_LOSSES = {("2-16-2", "scikit-learn")}
# How near losses must be, relatively: in the same order (float32, sums in another order of
# terms), and at the end of runs in orders of their own.
_SAME = 1e-3
# scikit-learn's Adam adds eps before the bias is corrected, which tells where gradients are tiny.
_ALIKE = {"scikit-learn": 0.05}
_NEAR = 0.15


def names() -> list[str]:
    """The rows there are."""
    return list(TASKS)


def measure(name: str, rounds: int, quick: bool) -> Row:
    """One row."""
    task = TASKS[name]
    if quick:
        task = task.with_epochs(max(2, task.epochs // 10))
    with data_of(task) as data, contextlib.ExitStack() as stack:
        workers, problems = started([*PEERS, YARDSTICK], task, data, stack)
        problems |= _other_work(task, workers)
        last_losses: dict[str, float] = {}

        def microseconds(peer: str) -> float:
            seconds, losses = workers[peer].run()
            if peer != YARDSTICK:
                last_losses[peer] = losses[-1]
            return seconds / task.steps * 1e6

        runs = {peer: lambda peer=peer: microseconds(peer) for peer in workers}
        samples = in_turns(runs, rounds)
        firsts = {peer: worker.first_seconds for peer, worker in workers.items()}
    for peer in last_losses:
        near = np.isclose(last_losses[peer], last_losses[OURS], rtol=_NEAR)
        if not near and (task.name, peer) not in _OTHER_LOSSES:
            problems[peer] = f"ends with loss {last_losses[peer]:.4g}, {last_losses[OURS]:.4g} ours"
    yardstick = samples.pop(YARDSTICK, None)
    figures = {}
    for peer in last_losses:
        speed = _giga(task.operations / task.steps, samples[peer])
        figures[peer] = {
            "loss": last_losses[peer],
            "first run s": firsts[peer],
            "GFLOP/s": speed,
        }
        if yardstick:
            rate = _giga(load(YARDSTICK).OPERATIONS / task.steps, yardstick)
            figures[peer]["share of the machine's"] = speed / rate
    title = f"{task.name}, batch {task.batch_size}, {task.rows:,} rows"
    results = entries(samples, figures, problems)
    return Row(f"{NAME}/{name}", title, "µs/step", results, TARGETS[name])


def _other_work(task: Task, workers: Mapping[str, Worker]) -> dict[str, str]:
    """What is wrong with the peers whose losses are not ours although their work should be."""
    problems = {}
    batch, orders = workers[OURS].verify("batch"), workers[OURS].verify("orders")
    for peer, worker in workers.items():
        if peer in (OURS, YARDSTICK) or (task.name, peer) in _OTHER_LOSSES:
            continue
        theirs = {"batch": worker.verify("batch")}
        if worker.takes_orders:
            theirs["orders"] = worker.verify("orders")
        for how, ours in {"batch": batch, "orders": orders}.items():
            if how in theirs and not np.allclose(theirs[how], ours, rtol=_ALIKE.get(peer, _SAME)):
                problems[peer] = f"losses by {how} are {theirs[how]}, {ours} ours"
    return problems


def _giga(operations_per_step: float, microseconds: list[float]) -> float:
    return operations_per_step / spread(microseconds).median / 1e3
