"""A report in sections, as text and as a page of HTML that needs nothing else."""

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fnn.plots.common import new_figure

# paper and ink of the page and of its pictures
_LIGHT, _DARK = ("#ffffff", "#222222"), ("#131416", "#cfd0d0")

_STYLE = f"""
:root {{ color-scheme: light dark; --paper: {_LIGHT[0]}; --ink: {_LIGHT[1]}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --paper: {_DARK[0]}; --ink: {_DARK[1]}; }} }}
body {{ background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
  max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.2rem 0.8rem; text-align: right; border-bottom: 1px solid #8886; }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
div {{ overflow-x: auto; }}
img {{ max-width: 100%; height: auto; }}
"""


class Picture(NamedTuple):
    """What is drawn in a section."""

    draw: Callable[[Any], Any]
    """Draws on the axes that it is given."""
    size: tuple[float, float]
    """In inches."""
    alt: str
    """What it shows, for those who do not see it."""


class Section(NamedTuple):
    """A part of the report."""

    title: str
    lines: Sequence[str] = ()
    """Sentences, one a line."""
    table: Mapping[str, Sequence[str]] | None = None
    """Columns of texts of one length, by name; the first one says what a row is about."""
    picture: Picture | None = None


def as_text(sections: Sequence[Section]) -> str:
    """The sections without their pictures, for a terminal."""
    parts = []
    for section in sections:
        lines = list(section.lines)
        if section.table is not None:
            lines += _aligned(section.table)
        parts.append("\n".join([section.title, *(f"  {line}" for line in lines)]))
    return "\n\n".join(parts)


def as_html(title: str, sections: Sequence[Section]) -> str:
    """The page, pictures included; light or dark, as the reader's system is."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        body += [f"<p>{html.escape(line)}</p>" for line in section.lines]
        if section.table is not None:
            body.append(_table(section.table))
        if section.picture is not None:
            body.append(_picture(section.picture))
    return "\n".join(
        ["<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
         '<meta name="viewport" content="width=device-width">',
         f"<title>{html.escape(title)}</title>", f"<style>{_STYLE}</style>", "</head>", "<body>",
         *body, "</body>", "</html>", ""]
    )  # fmt: skip


def _aligned(table: Mapping[str, Sequence[str]]) -> list[str]:
    """Its lines, in columns."""
    rows = [tuple(table), *zip(*table.values(), strict=True)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def _table(table: Mapping[str, Sequence[str]]) -> str:
    rows = [("th", tuple(table)), *(("td", row) for row in zip(*table.values(), strict=True))]
    lines = [
        f"<tr>{''.join(f'<{cell}>{html.escape(text)}</{cell}>' for text in texts)}</tr>"
        for cell, texts in rows
    ]
    return "\n".join(["<div><table>", *lines, "</table></div>"])


def _picture(picture: Picture) -> str:
    light, dark = (_drawn(picture, *colours) for colours in (_LIGHT, _DARK))
    width = round(96 * picture.size[0])
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" width="{width}" alt="{html.escape(picture.alt)}"></picture>'
    )


def _drawn(picture: Picture, paper: str, ink: str) -> str:
    """A data URI of the picture on paper of this colour."""
    import matplotlib as mpl

    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    papers = ("axes.facecolor", "figure.facecolor", "savefig.facecolor")
    file = io.BytesIO()
    with mpl.rc_context(dict.fromkeys(inks, ink) | dict.fromkeys(papers, paper)):
        figure = new_figure("report", picture.size)
        picture.draw(figure.subplots())
        figure.savefig(file, format="png", dpi=144, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
