"""What a benchmark finds: a row for each piece of work, an entry for each peer that did it."""

import dataclasses
from collections.abc import Mapping, Sequence

from bench.measure import Spread, ratios, spread

OURS = "fnn"


@dataclasses.dataclass
class Entry:
    """One peer in a row: what it measured, or why it did not."""

    peer: str
    samples: list[float] = dataclasses.field(default_factory=list)
    """A figure for each round, in the row's unit; less is better."""
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    """What else there is to know, by name and unit."""
    problem: str | None = None
    """Why there are no samples, or why they do not count."""


@dataclasses.dataclass
class Row:
    """One piece of work, done by several peers."""

    name: str
    """`question/work`, for the command line."""
    title: str
    unit: str
    entries: list[Entry]
    targets: dict[str, float] = dataclasses.field(default_factory=dict)
    """By peer: how many times as fast we want to be."""

    def ratio(self, entry: Entry) -> Spread | None:
        """How many times as fast we are as this peer; None where one of us has no figures."""
        ours = next((e for e in self.entries if e.peer == OURS), None)
        if ours is None or entry is ours or not (ours.samples and entry.samples):
            return None
        return ratios(ours.samples, entry.samples)

    @property
    def problems(self) -> list[str]:
        """What makes this row fail: a peer that is there, but did not do the same work."""
        return [f"{self.name}: {e.peer}: {e.problem}" for e in self.entries if e.problem]

    @classmethod
    def from_json(cls, fields: dict) -> "Row":
        """The row that `dataclasses.asdict` took apart."""
        return cls(**{**fields, "entries": [Entry(**entry) for entry in fields["entries"]]})


def entries(
    samples: Mapping[str, Sequence[float]],
    figures: Mapping[str, dict[str, float]],
    problems: Mapping[str, str],
) -> list[Entry]:
    """The entries of a row, from what was measured by peer."""
    peers = list(dict.fromkeys([*samples, *problems]))
    return [
        Entry(peer, list(samples.get(peer, [])), figures.get(peer, {}), problems.get(peer))
        for peer in peers
    ]


def text(row: Row) -> str:
    """The row for a terminal: a line for each peer."""
    lines = [f"{row.title}  [{row.name}]"]
    for entry in row.entries:
        parts = [f"  {entry.peer:20}"]
        if entry.samples:
            median, low, high = spread(entry.samples)
            parts.append(f"{median:10.4g} {row.unit} ({low:.4g} to {high:.4g})")
        ratio = row.ratio(entry)
        if ratio:
            parts.append(f"x{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")
        if ratio and entry.peer in row.targets:
            target = row.targets[entry.peer]
            missed = "" if ratio.median >= target else f", {1 - ratio.median / target:.0%} short"
            parts.append(f"wanted x{target:g}{missed}")
        parts += [f"{name} {value:.4g}" for name, value in entry.figures.items()]
        if entry.problem:
            parts.append(f"FAILED: {entry.problem}")
        lines.append("  ".join(parts))
    return "\n".join(lines)
