"""What a sweep costs beside its steps: milliseconds of a call, compiled beforehand.

    python -m bench.fixed_cost

Two sweeps differ only in their epochs. What an epoch takes is their difference; what the short one
takes beyond its epochs is fixed: checks, layout, first states, the way to the device and back.
"""

import contextlib
import dataclasses

from bench.measure import in_turns
from bench.peers import OUR_SWEEP
from bench.rows import OURS, Row, entries, text
from bench.tasks import Task
from bench.workers import data_of, started

_LANES = (8, 128, 1024)
_SHORT, _LONG = 5, 105
# of which the fastest counts: the first finds the processor's caches full of the other sweep
_IN_A_ROW = 5
_ROUNDS = 5


def measure(lanes: int) -> Row:
    """The row of that many lanes."""
    short = Task("fixed cost", (2, 16, 2), 1000, 16, epochs=_SHORT, lanes=lanes)
    tasks = {"short": short, "long": dataclasses.replace(short, epochs=_LONG)}
    samples, figures, problems = {}, {}, {}
    with contextlib.ExitStack() as stack:
        workers = {}
        for which, task in tasks.items():
            data = stack.enter_context(data_of(task))
            found, problems = started([OUR_SWEEP], task, data, stack)
            if found:
                workers[which] = found[OUR_SWEEP]
        if len(workers) == len(tasks):
            runs = {
                which: lambda w=worker: min(w.run()[0] for _ in range(_IN_A_ROW)) * 1e3
                for which, worker in workers.items()
            }
            taken = in_turns(runs, _ROUNDS)
            pairs = zip(taken["short"], taken["long"], strict=True)
            samples[OURS] = [
                short_ms - _SHORT * (long_ms - short_ms) / (_LONG - _SHORT)
                for short_ms, long_ms in pairs
            ]
            figures[OURS] = {"lowest whole call ms": min(taken["short"])}
    title = f"{lanes:,} lanes of 2-16-2, {_SHORT} epochs: what is not steps"
    return Row(f"fixed-cost/{lanes}", title, "ms", entries(samples, figures, problems))


def main() -> None:
    """Prints a row for each number of lanes."""
    for lanes in _LANES:
        print(text(measure(lanes)), flush=True)


if __name__ == "__main__":
    main()
