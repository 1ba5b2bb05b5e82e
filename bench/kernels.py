"""Where our time goes, kernel by kernel: `python -m bench.kernels single-run/2-16-2`.

The profile that `bench/README.md` speaks of. Kernels of several threads add up, so together they
may take longer than the clock; loops are left out, as their kernels are listed by themselves.
"""

import argparse
import collections
import sys
import tempfile
from pathlib import Path

from bench import single_run, sweeps
from bench.peers import OUR_SWEEP, load
from bench.rows import OURS
from bench.tasks import Task

_EPOCHS = 2
_CALLS = ("while", "call", "cond")


def tasks() -> dict[str, tuple[str, Task]]:
    """Our module and the task of each row that can be profiled."""
    rows = {f"{single_run.NAME}/{name}": (OURS, task) for name, task in single_run.TASKS.items()}
    return rows | {
        f"{sweeps.NAME}/{name}": (OUR_SWEEP, task) for name, task in sweeps.TASKS.items()
    }


def kernels(peer: str, task: Task) -> collections.Counter[str]:
    """Microseconds per step and network of each kernel, in a run that is compiled before."""
    import jax
    from jax.profiler import ProfileData

    run = load(peer).prepare(task, *task.data(), params=task.params())
    run()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        profile = ProfileData.from_file(str(path))
        found = collections.Counter()
        for plane in profile.planes:
            for line in plane.lines:
                for event in line.events:
                    is_kernel = any(name.startswith("hlo") for name, _ in event.stats)
                    if is_kernel and not event.name.startswith(_CALLS):
                        found[event.name] += event.duration_ns / 1e3 / task.steps / task.lanes
    return found


def main() -> None:
    """Prints the kernels of a row, the longest first."""
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description=__doc__)
    parser.add_argument("row", choices=tasks())
    peer, task = tasks()[parser.parse_args().row]
    found = kernels(peer, task.with_epochs(_EPOCHS))
    total = sum(found.values())
    print(f"{task.name}: {total:.4g} µs per step and network in {len(found)} kernels")
    for name, microseconds in found.most_common(25):
        print(f"{microseconds:10.4g} µs {microseconds / total:5.1%}  {name}")


if __name__ == "__main__":
    sys.exit(main())
