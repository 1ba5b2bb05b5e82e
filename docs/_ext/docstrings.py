"""From the docstrings as they are written in fnn to what Sphinx reads.

The docstrings have Google's sections, with three habits of their own: a formula or an example that
is indented by four spaces stands as it is, `Returns:` holds a sentence and no type, and `Source:`
names a paper. Names in single backticks that are on a page of the API become links, there and on
the other pages.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

_SECTION = re.compile(r"^(Args|Raises|Returns|Yields|Attributes|Note|Example|Examples):$")
_CODE = re.compile(r"(`+)(.+?)\1")
_CALL = re.compile(r"^(?:fnn\.)?([A-Za-z]\w*(?:\.\w+)*)(?:\(\.{0,3}\))?$")


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText, its `Args` and `Raises` left to napoleon."""
    return list(_restructured(lines))


def _restructured(lines: list[str]) -> Iterator[str]:
    section, before, literal, example = None, "", False, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line and indent == 0:
            literal = example = False
            heading = _SECTION.match(line)
            section = heading.group(1) if heading else None
            if section == "Returns":
                yield ""
                yield ":returns:"
                before = line
                continue
            if line.startswith("Source: "):
                section = "Source"
                yield ""
                yield f":source: {_escaped(line.removeprefix('Source: '))}"
                before = line
                continue
        if section is None and indent >= 4 and not before and not literal:
            literal = True
            yield ".. code-block:: text"
            yield ""
        if line.startswith(">>> "):
            example = True
        if (section is None and literal) or example or heading_of(line):
            yield line
        else:
            yield _escaped(line)
        before = line


def heading_of(line: str) -> bool:
    """Whether the line begins a section."""
    return bool(_SECTION.match(line))


def _escaped(line: str) -> str:
    """The line with what reStructuredText would take for marks, outside of code."""
    parts, at = [], 0
    for match in _CODE.finditer(line):
        parts += [_plain(line[at : match.start()]), match.group()]
        at = match.end()
    return "".join([*parts, _plain(line[at:])])


def _plain(text: str) -> str:
    return re.sub(r"(?<=\S)_(?=\W|$)", r"\\_", re.sub(r"([|*])", r"\\\1", text))


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrites a docstring, before napoleon does."""
    del app, name, obj, options
    if lines and lines[0].startswith("Alias for field number"):
        lines[:] = []  # a field of a named tuple that has no docstring
    lines[:] = restructured(lines)
    if lines and what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # or else napoleon takes what stands before a colon for a type


class LinkedNames(SphinxTransform):
    """Public names that stand as code on a page become links to the API."""

    default_priority = 500

    def apply(self, **_: Any) -> None:
        """Wraps them in references that may remain without a target."""
        import fnn

        public = set(fnn.__all__)
        for link in self.document.findall(pending_xref):
            module, name = link.get("py:module"), link.get("reftarget", "").split(".")[0]
            if name in public and module and not hasattr(sys.modules.get(module), name):
                link["py:module"] = "fnn"  # not what only looks for it in its own module
        for node in list(self.document.findall(nodes.literal)):
            match = _CALL.match(node.astext())
            if not match or isinstance(node.parent, (nodes.reference, pending_xref)):
                continue
            name = match.group(1)
            if name.split(".")[0] not in public | {"plots"}:
                continue
            link = pending_xref(
                "", node.deepcopy(), refdomain="py", reftype="obj", reftarget=f"fnn.{name}",
                refexplicit=True, refwarn=False, refdoc=self.env.docname,
            )  # fmt: skip
            node.replace_self(link)


def setup(app: Any) -> dict[str, Any]:
    """Registers the above."""
    app.connect("autodoc-process-docstring", process, priority=100)
    app.add_transform(LinkedNames)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
