"""What is recorded, as the README's tables, one for each device, and as a picture of the first."""

import itertools
from pathlib import Path

from bench import results
from bench.measure import Spread, spread
from bench.peers import OUR_SWEEP, PEERS, SWEEPS
from bench.rows import OURS, Row

HOME = Path(__file__).parent
PICTURE = HOME / "results.png"
README = HOME.parent / "README.md"

_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"
# questions and the peers that are columns of their table
_TABLES = {("single-run", "cold-start"): PEERS, ("sweep",): SWEEPS}
_SHOWN = tuple(itertools.chain(*_TABLES))

# the marker of a peer, and its colour on light and on dark paper: one colour for each library
_FLAX, _EQUINOX, _TORCH = ("#0072b2", "#56b4e9"), ("#b8860b", "#f0c040"), ("#d55e00", "#ff8c42")
_KERAS, _SCIKIT = ("#aa4488", "#e08cc0"), ("#008060", "#2fc79a")
_DOTS = {
    "flax-scan": ("o", *_FLAX),
    "flax-loop": ("s", *_FLAX),
    "flax-vmap": ("^", *_FLAX),
    "flax-vmap-shared": ("v", *_FLAX),
    "equinox-scan": ("o", *_EQUINOX),
    "torch": ("o", *_TORCH),
    "torch-compile": ("s", *_TORCH),
    "torch-graph": ("D", *_TORCH),
    "torch-func": ("^", *_TORCH),
    "torch-graph-ensemble": ("P", *_TORCH),
    "keras": ("o", *_KERAS),
    "scikit-learn": ("o", *_SCIKIT),
    "scikit-learn-2": ("^", *_SCIKIT),
}


def publish() -> None:
    """Writes the tables into the README, and the picture of the first device beside the results."""
    facts = results.read()
    page = README.read_text()
    head, rest = page.split(_BEGIN)
    _, tail = rest.split(_END)
    README.write_text(f"{head}{_BEGIN}\n{tables(facts)}\n{_END}{tail}")
    draw(next(iter(facts.values())), PICTURE)


def tables(facts: dict[str, dict]) -> str:
    """Markdown: a heading and a table for each device."""
    return "\n\n".join(
        f"### {name}, {measured['date']}\n\n{table(name, measured)}"
        for name, measured in facts.items()
    )


def shown_rows(measured: dict) -> list[Row]:
    """The rows that the README shows of a device."""
    rows = [Row.from_json(row) for row in measured["rows"]]
    return [row for row in rows if row.name.startswith(_SHOWN)]


def table(name: str, measured: dict) -> str:
    """Markdown: how many times as fast fnn is, a line for each row, a column for each peer."""
    lines, remarks = [], []
    for questions, peers in _TABLES.items():
        rows = [row for row in shown_rows(measured) if row.name.startswith(questions)]
        there = {entry.peer for row in rows for entry in row.entries}
        theirs = [peer for peer in peers if peer in there - {OURS, OUR_SWEEP}]
        if theirs:
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
    versions = measured["versions"].items()
    with_what = ", ".join(f"{package} {version}" for package, version in versions)
    lines.append(f"Measured on {measured['date']}: {name}; {with_what}.")
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


def draw(measured: dict, path: Path, *, dark: bool = False) -> None:
    """How many times as fast fnn is: a line for each row, a dot for each peer, a log axis.

    A thin line through a dot goes from the lowest round to the highest.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows, places = _placed(measured)
    ink, grid, paper = (
        ("#cfd0d0", "#3c3f43", "#131416") if dark else ("#222222", "#dddddd", "white")
    )
    settings = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
        "font.size": 9, "savefig.facecolor": paper, "svg.hashsalt": "fnn",
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = Figure(figsize=(10, 1.4 + 0.34 * places[-1]), layout="constrained")
        axes = figure.subplots()
        axes.set_facecolor(paper)
        axes.axvline(1, color=ink, lw=1)
        for row, place in zip(rows, places, strict=True):
            axes.axhline(place, color=grid, lw=0.8, zorder=0)
            for index, entry in enumerate(row.entries):
                if (ratio := row.ratio(entry)) and entry.peer in _DOTS:
                    at = place + 0.15 * (index % 3 - 1)  # so that near dots do not hide each other
                    marker, light, bright = _DOTS[entry.peer]
                    colour = bright if dark else light
                    axes.plot([ratio.low, ratio.high], [at, at], color=colour, lw=1.2)
                    axes.plot(ratio.median, at, marker, color=colour, ms=7, mec=paper, mew=0.6,
                              label=entry.peer)  # fmt: skip
        axes.set(xscale="log", xlabel="how many times as fast fnn is: the peer's time over fnn's")
        axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
        axes.set_yticks(places, [f"{row.title}   fnn {_ours(row)}" for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(places[-1] + 0.7, -0.7)
        axes.spines[["top", "left", "right"]].set_visible(False)
        axes.spines["bottom"].set_color(ink)
        known = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend([known[peer] for peer in _DOTS if peer in known],
                      [peer for peer in _DOTS if peer in known], loc="outside upper left",
                      ncols=-(-len(known) // 2), frameon=False, fontsize=8, handletextpad=0,
                      columnspacing=0.9)  # fmt: skip
        kind = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
        figure.savefig(path, dpi=110, **kind)


def _placed(measured: dict) -> tuple[list[Row], list[float]]:
    """The rows that have peers, and where each is drawn, from 0 down: questions stand apart."""
    rows = [row for row in shown_rows(measured) if {e.peer for e in row.entries} & set(_DOTS)]
    places = [0.0]
    for before, row in itertools.pairwise(rows):
        is_next = before.name.split("/")[0] == row.name.split("/")[0]
        places.append(places[-1] + (1 if is_next else 1.5))
    return rows, places
