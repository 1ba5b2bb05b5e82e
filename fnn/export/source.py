"""What the writers of source text share: expressions, functions and numbers as text."""

import textwrap
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from fnn.export.formulas import FORMULAS, Expression

__all__ = ["Language", "functions_for", "literals", "text_of"]


class Language(NamedTuple):
    """How a language writes expressions."""

    operations: dict[str, str]
    """Templates of the operations that it has."""
    function: str
    """The template of a function of one argument, of `name` and `body`."""
    prefix: str
    """Of the names of functions."""
    digits: int
    """Significant ones of a number, by which it is read back exactly."""
    suffix: str
    """Of a number."""

    def number(self, value: float) -> str:
        """A number with a point or an exponent."""
        text = f"{value:.{self.digits}g}"
        return text + ("" if {*text} & {*".e"} else ".0") + self.suffix


def text_of(expression: Any, language: Language, z: str) -> str:
    """An expression of the variable z."""
    if not isinstance(expression, Expression):
        return language.number(expression)
    if expression.operation == "z":
        return z
    own = f"{language.prefix}{expression.operation}({{}})"
    template = language.operations.get(expression.operation, own)
    arguments = [text_of(argument, language, z) for argument in expression.arguments]
    if not template.startswith("("):  # where they are in brackets anyway
        arguments = [_bare(argument) for argument in arguments]
    return template.format(*arguments)


def functions_for(names: Iterable[str], language: Language) -> str:
    """The functions of these formulas, and before them those that they call."""
    found: dict[str, str] = {}

    def add(name: str) -> None:
        if name in language.operations or name in found or name == "z":
            return
        formula = FORMULAS[name]
        for used in operations_of(formula):
            add(used)
        body = _bare(text_of(formula, language, "z"))
        found[name] = language.function.format(name=f"{language.prefix}{name}", body=body)

    for name in names:
        add(name)
    return "".join(found.values())


def operations_of(expression: Any) -> list[str]:
    """The operations of an expression, innermost first."""
    if not isinstance(expression, Expression):
        return []
    inner = [name for part in expression.arguments for name in operations_of(part)]
    return [*inner, expression.operation]


def _bare(text: str) -> str:
    """The text without brackets around all of it."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if index == len(text) - 1 and text[0] == "(" else text
    return text


def literals(array: np.ndarray, language: Language, brackets: str) -> str:
    """The numbers of an array in brackets, the rows of a matrix in brackets of their own."""
    opening, closing = brackets

    def wrapped(values: list[float], before: str, after: str) -> str:
        text = before + ", ".join(map(language.number, values)) + after
        return textwrap.fill(text, 92, break_long_words=False, break_on_hyphens=False)

    if array.ndim == 1:
        text = wrapped(array.tolist(), "", "")
    else:
        text = ",\n".join(wrapped(row, opening, closing) for row in array.tolist())
    return f"{opening}\n{textwrap.indent(text, '    ')}\n{closing}"
