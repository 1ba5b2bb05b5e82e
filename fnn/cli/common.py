"""What `train` and `predict` share: packages that they need, and errors of one line."""

import contextlib
import sys
from collections.abc import Iterator

import fnn


def need(command: str, *packages: str, extra: str = "cli") -> None:
    """Exits unless these packages are installed."""
    for package in packages:
        try:
            __import__(package)
        except ImportError:
            hint = f"needs {package}, to be had with: pip install 'fnn[{extra}]'"
            sys.exit(f"python -m fnn {command}: {hint}")


@contextlib.contextmanager
def one_line(command: str) -> Iterator[None]:
    """Ends the process with the error's text alone, where a file or its contents are refused."""
    try:
        yield
    except (ValueError, TypeError, OSError, fnn.CheckpointError) as error:
        sys.exit(f"python -m fnn {command}: {error}")


def count(number: int, noun: str) -> str:
    """A number and its noun: 1 row, 2 rows, 1,000 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
