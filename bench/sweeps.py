"""Many networks at once: microseconds per optimizer step and network, compiled beforehand.

All networks of a row have one learning rate and first weights of their own, the same for every
peer, and each peer must show that it does the same work: trained on one batch of all rows, all
of its networks have our losses. What they end with, where rows are shuffled, must be near.
"""

import contextlib
import dataclasses

import numpy as np

from bench.devices import device
from bench.measure import in_turns, ratios
from bench.peers import BY_HAND, OUR_SWEEP, STOPPING, SWEEP_YARDSTICK, SWEEPS
from bench.rows import OURS, Entry, Row, entries
from bench.tasks import Task
from bench.workers import data_of, started

NAME = "sweep"

_TWO = (2, 16, 2)

TASKS = {
    "128x2-16-2": Task("128 x 2-16-2", _TWO, 1000, 16, epochs=200, lanes=128),
    "10000x2-16-2": Task("10,000 x 2-16-2", _TWO, 1000, 16, epochs=10, lanes=10_000),
    "128x64-64-10": Task("128 x 64-64-10", (64, 64, 10), 1797, 32, epochs=50, lanes=128),
    "16x784-256-128-10": Task(
        "16 x 784-256-128-10", (784, 256, 128, 10), 10_000, 128, epochs=5, lanes=16
    ),
}

_SMALL_TARGETS = {
    "flax-vmap": 20, "flax-vmap-shared": 8, "torch-func": 250, "scikit-learn-2": 600
}  # fmt: skip
TARGETS = {
    "128x2-16-2": _SMALL_TARGETS,
    "10000x2-16-2": _SMALL_TARGETS,
    "128x64-64-10": {
        "flax-vmap": 3, "flax-vmap-shared": 1.5, "torch-func": 50, "scikit-learn-2": 14
    },
    "16x784-256-128-10": {
        "flax-vmap": 1.7, "flax-vmap-shared": 1.3, "torch-func": 1.6, "scikit-learn-2": 2.4
    },
}  # fmt: skip

# Peers that would take many minutes run fewer epochs, or fewer networks, of which they take as
# long for each.
_SHORTER = {"flax-vmap": 5, "flax-vmap-shared": 5, "torch-func": 20, "scikit-learn-2": 20}
_FEWER = {"scikit-learn-2": 64}

# How near losses must be: trained on the same (sums are in another order), and in the end.
_SAME, _NEAR = 1e-3, 0.15
_ALIKE = {"scikit-learn-2": 0.05}
_OTHER_LOSSES = {("2-16-2", "scikit-learn-2")}

_MANY, _FEW = 16_384, 128


def names() -> list[str]:
    """The rows there are."""
    return [*TASKS, "lanes", "stopping"]


def measure(name: str, rounds: int, quick: bool) -> Row:
    """One row."""
    if name == "lanes":
        return _lanes(rounds, quick)
    if name == "stopping":
        return _stopping(rounds, quick)
    task = TASKS[name]
    if quick:
        task = task.with_epochs(max(2, task.epochs // 10))
    own = {peer: _task_of(peer, task) for peer in SWEEPS}
    yardsticks = {
        SWEEP_YARDSTICK: "products and Adam, share of time",
        BY_HAND: "written out by hand, share of time",
    }
    own |= dict.fromkeys(yardsticks, task)
    workers, problems = {}, {}
    last: dict[str, np.ndarray] = {}
    with data_of(task) as data, contextlib.ExitStack() as stack:
        for peer, its_task in own.items():
            found, failed = started([peer], its_task, data, stack)
            workers, problems = workers | found, problems | failed
        ours = workers[OUR_SWEEP].verify("batch")
        for peer, worker in workers.items():
            if peer not in yardsticks and not _are_other(task, peer):
                theirs = worker.verify("batch")
                if not np.allclose(theirs, ours[: len(theirs)], rtol=_ALIKE.get(peer, _SAME)):
                    problems[peer] = "losses by batch are not ours"

        def microseconds(peer: str) -> float:
            seconds, losses = workers[peer].run()
            if peer not in yardsticks:
                last[peer] = losses
            return seconds / own[peer].steps / own[peer].lanes * 1e6

        runs = {peer: lambda peer=peer: microseconds(peer) for peer in workers}
        samples = in_turns(runs, rounds)
        firsts = {peer: worker.first_seconds for peer, worker in workers.items()}
    figures = {}
    for peer, losses in last.items():
        lanes, epochs = losses.shape
        mean, our_mean = losses[:, -1].mean(), last[OUR_SWEEP][:lanes, epochs - 1].mean()
        if not np.isclose(mean, our_mean, rtol=_NEAR) and not _are_other(task, peer):
            problems[peer] = f"ends with loss {mean:.4g}, {our_mean:.4g} ours"
        figures[peer] = {"loss": float(mean), "first run s": firsts[peer]}
        if own[peer] != task:
            figures[peer] |= {"lanes measured": lanes, "epochs measured": epochs}
    for yardstick, label in yardsticks.items():
        if alone := samples.pop(yardstick, None):
            figures[OUR_SWEEP][label] = ratios(samples[OUR_SWEEP], alone).median
    title = f"{task.name}, batch {task.batch_size}, {task.rows:,} rows"
    found = _named_ours(entries(samples, figures, problems))
    return Row(f"{NAME}/{name}", title, "µs/step/lane", found, TARGETS[name])


def _lanes(rounds: int, quick: bool) -> Row:
    """Whether a lane costs the same among many."""
    task = Task("lanes", _TWO, 1000, 16, epochs=5 if quick else 50, lanes=_MANY)
    few = dataclasses.replace(task, lanes=_FEW)
    tasks = {OURS: task, f"{_FEW} lanes": few}
    samples, figures, problems = _of_ours(tasks, dict.fromkeys(tasks, OUR_SWEEP), rounds)
    for name, its_task in tasks.items():
        samples[name] = [s / its_task.steps / its_task.lanes * 1e6 for s in samples[name]]
    title = f"{_MANY:,} lanes of 2-16-2, beside {_FEW}"
    found = entries(samples, figures, problems)
    return Row(f"{NAME}/lanes", title, "µs/step/lane", found, {f"{_FEW} lanes": 1 / 1.1})


def _stopping(rounds: int, quick: bool) -> Row:
    """What lanes cost that have stopped."""
    task = Task("stopping", _TWO, 1000, 16, epochs=16 if quick else 96, lanes=1024)
    peers = {OURS: STOPPING, "none stops": OUR_SWEEP}
    samples, figures, problems = _of_ours(dict.fromkeys(peers, task), peers, rounds)
    title = "1,024 lanes of 2-16-2, of which 7 of 8 stop after an eighth of the epochs"
    found = entries(samples, figures, problems)
    return Row(f"{NAME}/stopping", title, "s", found, {"none stops": 1 / 0.35})


def _of_ours(tasks: dict[str, Task], peers: dict[str, str], rounds: int) -> tuple:
    """Seconds, figures and problems of modules of ours beside one another."""
    workers, problems = {}, {}
    with contextlib.ExitStack() as stack:
        for name, task in tasks.items():
            data = stack.enter_context(data_of(task))
            found, failed = started([peers[name]], task, data, stack)
            if found:
                workers[name] = found[peers[name]]
            else:
                problems[name] = failed[peers[name]]
        runs = {name: lambda worker=worker: worker.run()[0] for name, worker in workers.items()}
        samples = in_turns(runs, rounds)
        figures = {}
        if device().is_cpu:  # else states are not in the memory of the process
            figures = {name: {"peak MiB": w.peak() / 2**20} for name, w in workers.items()}
    return samples, figures, problems


def _task_of(peer: str, task: Task) -> Task:
    """What a peer is measured by."""
    lanes = min(task.lanes, _FEWER.get(peer, task.lanes))
    return dataclasses.replace(
        task, lanes=lanes, epochs=max(1, task.epochs // _SHORTER.get(peer, 1))
    )


def _are_other(task: Task, peer: str) -> bool:
    """Whether a peer's losses are others although its work is the same."""
    return ("-".join(map(str, task.sizes)), peer) in _OTHER_LOSSES


def _named_ours(found: list[Entry]) -> list[Entry]:
    return [dataclasses.replace(e, peer=OURS) if e.peer == OUR_SWEEP else e for e in found]
