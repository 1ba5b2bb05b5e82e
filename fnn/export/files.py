"""How an export is written."""

import os
from pathlib import Path

from fnn._core import checks
from fnn.files import written_whole


def checked_path(function: str, path: str | os.PathLike | None) -> Path | None:
    """Where a file is to be, or None."""
    if path is None:
        return None
    path = checks.path(function, "path", path)
    checks.require(path.name, function, "path must be a path with a file's name", path)
    return path


def write(path: Path | None, contents: bytes) -> None:
    """Writes a file whole or not at all, if there is a path."""
    if path is not None:
        written_whole(path, lambda file: file.write(contents))
