"""What the last whole run recorded, as the README's table and as a picture."""

import itertools
import json
from pathlib import Path

from bench.measure import Spread, spread
from bench.peers import OUR_SWEEP, PEERS, SWEEPS
from bench.rows import OURS, Row

HOME = Path(__file__).parent
RESULTS = HOME / "results.json"
PICTURE = HOME / "results.png"
README = HOME.parent / "README.md"

_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"
# questions and the peers that are columns of their table
_TABLES = {("single-run", "cold-start"): PEERS, ("sweep",): SWEEPS}
_SHOWN = tuple(itertools.chain(*_TABLES))


def publish() -> None:
    """Writes the table into the README, and the picture beside the results."""
    facts = json.loads(RESULTS.read_text())
    page = README.read_text()
    head, rest = page.split(_BEGIN)
    _, tail = rest.split(_END)
    README.write_text(f"{head}{_BEGIN}\n{table(facts)}\n{_END}{tail}")
    draw(facts, PICTURE)


def shown_rows(facts: dict) -> list[Row]:
    """The rows that the README shows."""
    rows = [Row.from_json(row) for row in facts["rows"]]
    return [row for row in rows if row.name.startswith(_SHOWN)]


def table(facts: dict) -> str:
    """Markdown: how many times as fast fnn is, a line for each row, a column for each peer."""
    lines, remarks = [], []
    for questions, peers in _TABLES.items():
        rows = [row for row in shown_rows(facts) if row.name.startswith(questions)]
        theirs = [peer for peer in peers if peer not in (OURS, OUR_SWEEP)]
        lines += ["| | fnn | " + " | ".join(theirs) + " |", "|---|---|" + "---|" * len(theirs)]
        others = []
        for row in rows:
            ratios = {entry.peer: row.ratio(entry) for entry in row.entries}
            cells = [row.title, _ours(row)]
            if not set(ratios) & set(theirs):
                others.append(row)
                continue
            cells += [_ratio(ratios.get(peer)) for peer in theirs]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
        for row in others:
            beside = [f"{_ratio(row.ratio(e))} times as fast as: {e.peer}" for e in row.entries[1:]]
            lines += [f"{row.title}: {_ours(row)}, {'; '.join(beside)}.", ""]
        remarks += [f"{row.title}: {', '.join(short)}" for row in rows if (short := _short_of(row))]
    machine, versions = facts["machine"], facts["versions"]
    where = f"{machine['processor']}, {machine['cores']} cores"
    with_what = ", ".join(f"{package} {version}" for package, version in versions.items())
    lines.append(f"Measured on {facts['date']}: {where}; {with_what}.")
    if remarks:
        lines += ["", "Short of what we set out for: " + "; ".join(remarks) + "."]
    return "\n".join(lines)


def _ours(row: Row) -> str:
    ours = next(entry for entry in row.entries if entry.peer == OURS)
    return f"{float(f'{spread(ours.samples).median:.3g}'):,g} {row.unit}"


def _ratio(ratio: Spread | None) -> str:
    return f"{ratio.median:.3g} ({ratio.low:.3g} to {ratio.high:.3g})" if ratio else ""


def _short_of(row: Row) -> list[str]:
    """The targets that the row does not reach."""
    ratios = {entry.peer: row.ratio(entry) for entry in row.entries}
    reached = {peer: ratio.median for peer, ratio in ratios.items() if ratio}
    return [
        f"{peer} {reached[peer]:.3g} of {target:.3g}"
        for peer, target in row.targets.items()
        if reached.get(peer, target) < target
    ]


def draw(facts: dict, path: Path) -> None:
    """Bars: how many times as fast fnn is, a panel for each row, on a logarithmic scale."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = shown_rows(facts)
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        heights = [len(row.entries) + 1.5 for row in rows]
        figure = Figure(figsize=(10, 0.22 * sum(heights)), layout="constrained")
        panels = figure.subplots(len(rows), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for panel, row in zip(panels, rows, strict=True):
            ratios = {entry.peer: row.ratio(entry) for entry in row.entries}
            ratios = {peer: ratio for peer, ratio in ratios.items() if ratio}
            medians = [ratio.median for ratio in ratios.values()]
            errors = [
                [ratio.median - ratio.low for ratio in ratios.values()],
                [ratio.high - ratio.median for ratio in ratios.values()],
            ]
            colours = ["#0072B2" if median >= 1 else "#D55E00" for median in medians]
            panel.barh(list(ratios), medians, xerr=errors, color=colours, height=0.7,
                       error_kw={"lw": 1, "ecolor": "#444444"})  # fmt: skip
            for place, ratio in enumerate(ratios.values()):
                panel.text(ratio.high * 1.05, place, f"{ratio.median:.3g}", va="center")
            panel.axvline(1, color="black", lw=0.8)
            panel.set_xscale("log")
            panel.invert_yaxis()
            panel.set_title(row.title, loc="left", fontsize=10)
        panels[-1].set_xlabel("times as fast as: fnn's speed over theirs (median, lowest, highest)")
        figure.savefig(path, dpi=110)
