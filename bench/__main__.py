"""Measures, prints and records: `python -m bench --help`."""

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from types import ModuleType

import jax

from bench import cold_start, growth, report, results, single_run, sweeps
from bench.devices import Device, device
from bench.presence import missing
from bench.rows import text

# A question is a module with NAME, names() and measure(name, rounds, quick).
QUESTIONS: list[ModuleType] = [single_run, cold_start, growth, sweeps]

# Growth reads the memory of the process, and a GPU has its own.
_CPU_ONLY = {growth}


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 where a row failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the rows, and end")
    parser.add_argument("--only", metavar="NAME", action="append", help="rows whose name has this")
    parser.add_argument("--quick", action="store_true", help="few epochs and rounds, to try it out")
    parser.add_argument("--publish", action="store_true", help="make the README's tables and the "
                        "picture from what is recorded, and end")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.publish:
        report.publish()
        return 0
    where = device()
    chosen = list(_chosen(options.only, where))
    if not chosen:
        parser.error(f"no row is called so; there are {', '.join(all_names(where))}")
    if options.list:
        print(*(name for name, _, _ in chosen), sep="\n")
        return 0
    before = results.read().get(where.name)
    is_same = before is None or before["versions"] == results.versions()
    if options.only and not options.quick and not is_same:
        parser.error("what is recorded of this device is of other versions: measure all rows, or "
                     "add --quick, which records nothing")  # fmt: skip
    rows = {row["name"]: row for row in before["rows"]} if before and is_same else {}
    if absent := missing():
        print("not here:", ", ".join(f"{peer} ({why})" for peer, why in absent.items()), end="\n\n")
    problems = []
    for _, question, name in chosen:
        row = question.measure(name, rounds=2 if options.quick else 5, quick=options.quick)
        if not where.is_cpu:
            row.targets = {}  # they were set for a CPU
        print(text(row), end="\n\n", flush=True)
        problems += row.problems
        if not options.quick:  # after each row, so that nothing is lost
            rows[row.name] = dataclasses.asdict(row)
            results.write(where, [rows[name] for name in all_names(where) if name in rows])
    if not options.quick:
        report.publish()
    print(*problems, sep="\n", file=sys.stderr)
    return bool(problems)


def all_names(where: Device) -> list[str]:
    """The rows that can be measured there."""
    return [whole for whole, _, _ in _chosen(None, where)]


def _chosen(only: list[str] | None, where: Device) -> Iterator[tuple[str, ModuleType, str]]:
    for question in QUESTIONS:
        if question in _CPU_ONLY and not where.is_cpu:
            continue
        for name in question.names():
            whole = f"{question.NAME}/{name}"
            if only is None or any(part in whole for part in only):
                yield whole, question, name


if __name__ == "__main__":
    # of JAX it only draws orders of rows, and leaves a GPU's memory to the workers
    jax.config.update("jax_platforms", "cpu")
    sys.exit(main())
