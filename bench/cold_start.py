"""A cold start: from the start of a process to a trained digits net, and compiling alone.

Each sample is a new process that imports the library, makes a net, trains it for 20 epochs
and ends. With JAX's persistent compilation cache, those on JAX find what an earlier process
compiled; PyTorch's eager loop has nothing to cache.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.devices import device
from bench.measure import in_turns
from bench.peers import PEERS
from bench.presence import here
from bench.rows import Row, entries
from bench.tasks import Task
from bench.worker import timed
from bench.workers import data_of

NAME = "cold-start"

TASK = Task("digits", (64, 64, 10), rows=1797, batch_size=32, epochs=20)
# after 20 epochs on the blobs, whatever a library's first parameters are
_LEARNT = 0.8

_ON_JAX = ["fnn", "flax-scan", "flax-loop", "equinox-scan", "keras"]
_TITLES = {
    "process": "from start to trained digits net, 20 epochs",
    "cached": "the same with JAX's compilation cache",
    "compile": "compile time alone: first run less a later one",
}
# 0.7 of Flax's time, 0.6 of its compile time, and not slower than torch
TARGETS = {
    "process": {"flax-scan": 1 / 0.7, "torch": 1.0},
    "cached": {"flax-scan": 1 / 0.7, "torch": 1.0},
    "compile": {"flax-scan": 1 / 0.6},
}


def names() -> list[str]:
    """The rows there are."""
    return list(_TITLES)


def measure(name: str, rounds: int, quick: bool) -> Row:
    """One row."""
    del quick
    peers = here(["fnn", "flax-scan", "equinox-scan"] if name == "compile" else PEERS)
    times = 2 if name == "compile" else 1
    problems: dict[str, str] = {}
    losses: dict[str, float] = {}
    with data_of(TASK) as data, tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) if name == "cached" else None

        def seconds(peer: str) -> float:
            whole, (runs, losses[peer]) = timed(_process, peer, data, cache, times)
            return runs[0] - runs[1] if name == "compile" else whole

        for peer in peers:  # once beforehand: files come from the disk, the cache is filled
            try:
                seconds(peer)
            except RuntimeError as error:
                problems[peer] = str(error)
        works = {peer: lambda peer=peer: seconds(peer) for peer in peers if peer not in problems}
        samples = in_turns(works, rounds)
    problems |= {peer: f"loss {loss:.3g}" for peer, loss in losses.items() if loss > _LEARNT}
    figures = {peer: {"loss": loss} for peer, loss in losses.items()}
    results = entries(samples, figures, problems)
    return Row(f"{NAME}/{name}", _TITLES[name], "s", results, TARGETS[name])


def _process(peer: str, data: Path, cache: Path | None, runs: int) -> tuple[list[float], float]:
    """A new process that trains so many times: the seconds of each, and the last loss."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.cold", peer, TASK.to_json(), str(data), str(runs)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
        env={**device().environment, **_environment(peer, cache, data.parent)},
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], answer["loss"]


def _environment(peer: str, cache: Path | None, scratch: Path) -> Mapping[str, str]:
    if cache is None or peer not in _ON_JAX:
        # a new folder each time, or torch.compile would find what the last process made
        return {"TORCHINDUCTOR_CACHE_DIR": tempfile.mkdtemp(dir=scratch)}
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache / peer),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
