"""What was measured, for each device apart: `results.json`.

By the device's name its platform, the date, the versions and the rows. CPUs come first.
"""

import datetime
import importlib.metadata
import json
import platform
from pathlib import Path

from bench.devices import Device

RESULTS = Path(__file__).parent / "results.json"

_PACKAGES = ["fnn", "jax", "jaxlib", "numpy", "torch", "flax", "optax", "equinox", "keras",
             "scikit-learn"]  # fmt: skip


def read() -> dict[str, dict]:
    """What is recorded, by device."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def write(where: Device, rows: list[dict]) -> None:
    """Records these rows, measured now, as all that there are of this device."""
    facts = read()
    facts[where.name] = {
        "platform": where.platform,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions(),
        "rows": rows,
    }
    in_order = sorted(facts.items(), key=lambda fact: fact[1]["platform"] != "cpu")
    RESULTS.write_text(json.dumps(dict(in_order), indent=1) + "\n")


def versions() -> dict[str, str]:
    """With what is measured: figures of two versions are no ratio."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
