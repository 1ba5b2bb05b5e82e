"""Prose is in standard words: a list of home-made ones is kept out of it."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted((ROOT / "fnn").rglob("*.py")),
    *sorted((ROOT / "bench").rglob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "api").glob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "bench/README.md")),
]

# what it stands for, or what to write in its place
BANNED = {
    r"told": "described, listed, given",
    r"dealt|deals? out": "shuffled, cut into batches",
    r"in sight": "unrolled",
    r"[Ww]ho asks": "the name of the caller",
    r"undone": "rolled back",
    r"as it lies": "in its layout",
    r"ha(s|ve) no say": "does not count",
    r"what it is of": "(a plain sentence)",
    r"(makes?|made) room": "is removed, is evicted",
    r"lets? go|let go": "evicts, releases",
    r"brings along": "has",
    r"turned around": "transposed",
    r"in one go": "without interruption",
}
PATTERN = re.compile(rf"\b({'|'.join(BANNED)})\b")


def prose(path: Path) -> str:
    """The text of a page; of a notebook that of its cells, not their outputs."""
    text = path.read_text()
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_has_no_home_made_words(path):
    assert [found.group() for found in PATTERN.finditer(prose(path))] == []


def test_home_made_words_are_found():
    assert PATTERN.search("it is told which rows are dealt")
    assert not PATTERN.search("tolden, insight")
