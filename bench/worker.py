"""A process that holds one peer and runs it on command.

    python -m bench.worker PEER TASK DATA

TASK is `Task.to_json()`, DATA a file `.npz` with x, y, and `(epochs, rows)` orders of the
first rows. Every run starts from the task's own parameters. Once it has made its first run it
says that it is ready; then it answers each line of JSON on its input with one on its output,
until the input ends. `bench.workers` is the other side.

    (unprompted)             {"ready": true, "takes_orders": b, "first_seconds": s}, the
                             seconds of the first run, which compiles
    {"run": true}            {"seconds": s, "losses": [...]}, the seconds of the run alone
    {"verify": "batch"}      {"losses": [...]} of a few epochs of one batch each, where the order
                             makes no difference
    {"verify": "orders"}     {"losses": [...]} of the epochs and first rows of which DATA has the
                             orders, in them
    {"peak": true}           {"bytes": n}, the most memory this process has held
    (whatever went wrong)    {"error": "ValueError: ..."}, and the process ends with code 1
"""

import dataclasses
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from bench.peers import load
from bench.precision import full_precision
from bench.tasks import Task

# of a single batch, for a verification
_WHOLE_EPOCHS = 5


def timed(function: Callable, *args) -> tuple[float, Any]:
    """The seconds that the call took, and its result."""
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def peak_bytes() -> int:
    """The most memory this process has held, as Linux tells it.

    Not `ru_maxrss`, which a process inherits from the one that started it.
    """
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0]) * 1024


def answers(name: str, task: Task, data_path: str) -> Iterator[dict]:
    """That it is ready, then the answer to every command."""
    peer = load(name)
    with np.load(data_path) as data:
        x, y, orders = data["x"], data["y"], data["orders"]
    run = peer.prepare(task, x, y, params=task.params())
    first_seconds, _ = timed(run)
    yield {"ready": True, "takes_orders": peer.TAKES_ORDERS, "first_seconds": first_seconds}
    for line in sys.stdin:
        match json.loads(line):
            case {"run": True}:
                seconds, losses = timed(run)
                yield {"seconds": seconds, "losses": losses.tolist()}
            case {"verify": "batch"}:
                whole = dataclasses.replace(task, epochs=_WHOLE_EPOCHS, batch_size=task.rows)
                yield {"losses": _exact_losses(peer, whole, x, y)}
            case {"verify": "orders"}:
                epochs, rows = orders.shape
                few = dataclasses.replace(task, epochs=epochs, rows=rows)
                given = {"orders": orders} if peer.TAKES_ORDERS else {}
                yield {"losses": _exact_losses(peer, few, x[:rows], y[:rows], **given)}
            case {"peak": True}:
                yield {"bytes": peak_bytes()}
            case command:
                raise ValueError(f"no such command: {command}")


def _exact_losses(peer: ModuleType, task: Task, x: np.ndarray, y: np.ndarray, **given) -> list:
    """The losses of a run that begins with the task's parameters, for a verification."""
    with full_precision():
        return peer.prepare(task, x, y, params=task.params(), **given)().tolist()


def main() -> None:
    """Answers until the input ends."""
    # What libraries print goes to stderr, so that nothing comes between the answers.
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, task, data_path = sys.argv[1:]
    try:
        for answer in answers(name, Task.from_json(task), data_path):
            print(json.dumps(answer), file=output)
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=output)
        sys.exit(1)


if __name__ == "__main__":
    main()
