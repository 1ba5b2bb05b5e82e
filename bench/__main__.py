"""Measures, prints and records: `python -m bench --help`."""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterator
from types import ModuleType

from bench import cold_start, growth, report, single_run, sweeps
from bench.rows import text

# A question is a module with NAME, names() and measure(name, rounds, quick).
QUESTIONS: list[ModuleType] = [single_run, cold_start, growth, sweeps]

_PACKAGES = ["fnn", "jax", "jaxlib", "numpy", "torch", "flax", "optax", "equinox", "keras",
             "scikit-learn"]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 where a row failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the rows, and end")
    parser.add_argument("--only", metavar="NAME", action="append", help="rows whose name has this")
    parser.add_argument("--quick", action="store_true", help="few epochs and rounds, to try it out")
    parser.add_argument("--publish", action="store_true", help="make the README's table and the "
                        "picture from what is recorded, and end")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.publish:
        report.publish()
        return 0
    chosen = list(_chosen(options.only))
    if not chosen:
        parser.error(f"no row is called so; there are {', '.join(_all_names())}")
    if options.list:
        print(*(name for name, _, _ in chosen), sep="\n")
        return 0
    rows = {} if options.quick else _recorded()
    if options.only and not options.quick and not rows:
        parser.error("what is recorded is of another machine or other versions: measure all rows, "
                     "or add --quick, which records nothing")  # fmt: skip
    problems = []
    for _, question, name in chosen:
        row = question.measure(name, rounds=2 if options.quick else 5, quick=options.quick)
        print(text(row), end="\n\n", flush=True)
        problems += row.problems
        if not options.quick:
            rows[row.name] = dataclasses.asdict(row)
            _record(rows)
    if not options.quick:
        report.publish()
    print(*problems, sep="\n", file=sys.stderr)
    return bool(problems)


def _here() -> dict:
    """Where and with what is measured: figures of two places are no ratio."""
    versions = {"python": platform.python_version(), **_versions()}
    return {"machine": {"processor": _processor(), "cores": os.cpu_count()}, "versions": versions}


def _recorded() -> dict[str, dict]:
    """The rows recorded here before, by name; those measured now replace them."""
    if not report.RESULTS.exists():
        return {}
    facts = json.loads(report.RESULTS.read_text())
    here = _here()
    same = all(facts[key] == here[key] for key in here)
    return {row["name"]: row for row in facts["rows"]} if same else {}


def _record(rows: dict[str, dict]) -> None:
    """Writes the rows, after each, so that nothing is lost."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    in_order = [rows[name] for name in _all_names() if name in rows]
    facts = {"date": today, **_here(), "rows": in_order}
    report.RESULTS.write_text(json.dumps(facts, indent=1) + "\n")


def _all_names() -> list[str]:
    return [f"{question.NAME}/{name}" for question in QUESTIONS for name in question.names()]


def _chosen(only: list[str] | None) -> Iterator[tuple[str, ModuleType, str]]:
    for question in QUESTIONS:
        for name in question.names():
            whole = f"{question.NAME}/{name}"
            if only is None or any(part in whole for part in only):
                yield whole, question, name


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as cpus:
            named = [line.split(":")[1].strip() for line in cpus if line.startswith("model name")]
        return named[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    sys.exit(main())
