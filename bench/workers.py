"""Worker processes, from the side of the one who starts them.

Each peer has a process to itself, so that they share neither thread pools nor memory.
"""

import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.devices import device
from bench.peers import load
from bench.presence import here
from bench.rows import OURS
from bench.tasks import Task

_EPOCHS_IN_ORDER = 3


class PeerError(RuntimeError):
    """A peer failed; says how."""


class Worker:
    """A process that holds one peer, prepared and run once. Ends with the `with` block.

    Args:
      peer: A name in `bench.peers.PEERS`.
      task: What it trains.
      data_path: A file `.npz` with the task's x and y.
    Raises:
      PeerError: On entering, or by any method: the peer failed.
    """

    def __init__(self, peer: str, task: Task, data_path: Path):
        self.peer = peer
        self.first_seconds = 0.0
        """Of the first run, which compiles. Known, as what follows, once it is entered."""
        self.takes_orders = False
        """Whether the peer accepts an order of the rows."""
        self._arguments = [peer, task.to_json(), str(data_path)]

    def __enter__(self) -> "Worker":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
            env=device().environment,
        )
        try:
            ready = self._answer()
        except BaseException:
            self.__exit__()
            raise
        self.first_seconds, self.takes_orders = ready["first_seconds"], ready["takes_orders"]
        return self

    def __exit__(self, *error) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self) -> tuple[float, np.ndarray]:
        """The seconds of one more whole run, and its loss of every epoch."""
        answer = self._ask(run=True)
        return answer["seconds"], np.array(answer["losses"])

    def verify(self, how: str) -> np.ndarray:
        """The loss of every epoch of a run that is the same for all: "batch" or "orders"."""
        return np.array(self._ask(verify=how)["losses"])

    def peak(self) -> int:
        """The most memory, in bytes, that the process has held so far."""
        return self._ask(peak=True)["bytes"]

    def _ask(self, **command) -> dict:
        with contextlib.suppress(BrokenPipeError):  # it has ended; its answer says why
            print(json.dumps(command), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"{self.peer}: the process ended with code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(f"{self.peer}: {answer['error']}")
        return answer


@contextlib.contextmanager
def data_of(task: Task) -> Iterator[Path]:
    """A file with the task's data, and with orders in which fnn takes a few batches of rows.

    Over many steps runs drift apart, whatever trains them: rounding grows as in all chaos.
    """
    x, y = task.data()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        few = dataclasses.replace(task, rows=task.batch_size * 7 // 2)
        np.savez(path, x=x, y=y, orders=load(OURS).orders(few, _EPOCHS_IN_ORDER))
        yield path


def started(
    peers: list[str], task: Task, data: Path, stack: contextlib.ExitStack
) -> tuple[dict[str, Worker], dict[str, str]]:
    """A worker for each peer that can run here, and what went wrong with those that failed."""
    workers, problems = {}, {}
    for peer in here(peers):
        try:
            workers[peer] = stack.enter_context(Worker(peer, task, data))
        except PeerError as error:
            problems[peer] = str(error)
    return workers, problems
