"""Tables for the tests of the command line, and `train` on them."""

import contextlib
import io
from pathlib import Path

import numpy as np

from fnn import __main__

# enough to beat a baseline
EPOCHS = "60"


def write(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def people(rows: int = 60, seed: int = 0) -> list[dict]:
    """Rows of every kind of column, of which `ill` depends on `age` and `home`."""
    random = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        age, home = int(random.integers(20, 80)), str(random.choice(["flat", "house", "boat"]))
        found.append({
            "row": row + 1,
            "name": f"name {row}",
            "age": None if row % 9 == 4 else age,
            "home": None if row % 11 == 5 else home,
            "smokes": bool(random.integers(2)),
            "born": f"{2026 - age}-0{1 + row % 9}-11",
            "planet": "earth",
            "nothing": None,
            "ill": "yes" if age + 10 * (home == "boat") > 50 else "no",
        })  # fmt: skip
    return found


def as_csv(rows: list[dict], delimiter: str = ",", missing: str = "") -> str:
    lines = [list(rows[0]), *(row.values() for row in rows)]
    return "".join(
        delimiter.join(missing if value is None else str(value) for value in line) + "\n"
        for line in lines
    )


def printed_by(table, target, out, *more):
    """What `train` prints."""
    arguments = [str(table), "--target", target, "--out", str(out), "--epochs", EPOCHS, *more]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        __main__.main(["train", *arguments])
    return printed.getvalue()
