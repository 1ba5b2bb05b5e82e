"""One peer, from its import to a trained net: what `cold_start` starts as a new process.

    python -m bench.cold PEER TASK DATA RUNS

TASK and DATA as for `bench.worker`. The peer makes its first parameters by itself. The last
line printed is JSON: {"seconds": [...], "loss": l}, the seconds of every run.
"""

import json
import sys

import numpy as np

from bench.peers import load
from bench.tasks import Task
from bench.worker import timed


def main() -> None:
    """Trains so many times, and tells how long it took."""
    name, task, data_path, runs = sys.argv[1:]
    with np.load(data_path) as data:
        x, y = data["x"], data["y"]
    run = load(name).prepare(Task.from_json(task), x, y)
    seconds, losses = zip(*[timed(run) for _ in range(int(runs))], strict=True)
    print("\n" + json.dumps({"seconds": seconds, "loss": float(losses[-1][-1])}))


if __name__ == "__main__":
    main()
