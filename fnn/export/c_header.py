"""A network as a header of C, for where there is no operating system even."""

import os
import re
import textwrap

import numpy as np

from fnn._core import checks
from fnn.export.c_names import is_reserved
from fnn.export.files import checked_path, write
from fnn.export.formulas import Z, call
from fnn.export.quantile_source import c_functions
from fnn.export.source import Language, functions_for, literals, text_of
from fnn.export.steps import (
    Affine,
    Elementwise,
    Embed,
    FromShare,
    Normalize,
    Rescale,
    Residual,
    Softmax,
    Step,
    Steps,
    ToShare,
    arrays_of,
    steps_of,
)
from fnn.networks.mlp import MLP
from fnn.types import Params

__all__ = ["to_c"]


def to_c(
    net: MLP,
    params: Params,
    path: str | os.PathLike | None = None,
    *,
    name: str = "network",
    final: str | None = None,
) -> str:
    """A network as the text of a C header: its weights, and a function for one row.

        void NAME(const float *x, float *y);

    It is C99, includes `<math.h>` only, and allocates nothing: its arrays are constants, and layers
    pass their values through two arrays on the stack. `NAME_INPUTS` and `NAME_OUTPUTS` are the
    lengths of x and y, which must not overlap.

    Args:
      net: An `mlp`. Activations are those that it takes by name. Neurons that are not active
        are left out, and dropout is off.
      params: Its parameters, finite. They are computed with in float, or in double, x and y
        too, if the network computes in float64.
      path: The file to write, whole or not at all; replaced if it is there. None: none.
      name: Of the function: no keyword of C or C++, and nothing that `<math.h>` and other
        standard headers declare, such as `exp` or `y0`. All other names begin with it.
      final: "softmax" or "sigmoid" makes probabilities of the outputs of a network that ends in
        logits. None: outputs are those of `net.apply`.
    Returns:
      The text.
    Raises:
      ValueError, TypeError: An argument is not as described here, or the network has a part with no
        counterpart, which is named.
      OSError: As `open`; what was at `path` is as it was.

    >>> net = fnn.mlp((2, 3, 1))
    >>> text = to_c(net, net.init(jax.random.key(0)), name="valve")
    >>> print("\\n".join(line for line in text.splitlines() if "void" in line))
    static inline void valve(const float *x, float *y)
    """
    where = checked_path("to_c", path)
    is_text = isinstance(name, str)
    rule = "name must be an identifier of C, of ASCII letters, that C does not have"
    checks.require(is_text, "to_c", rule, repr(name), TypeError)
    is_name = re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) and not is_reserved(name)
    checks.require(is_name, "to_c", rule, repr(name))
    text = _Writer(steps_of("to_c", net, params, final), name).text()
    write(where, text.encode())
    return text


_HEADER = """\
/* A network: {name}(x, y), from x[{inputs}] to y[{outputs}]. */

#ifndef {upper}_H
#define {upper}_H

#include <math.h>

#define {upper}_INPUTS {inputs}
#define {upper}_OUTPUTS {outputs}

{weights}
{functions}static inline void {name}(const {real} *x, {real} *y)
{{
{body}
}}

#endif
"""

# a NaN in the first argument is kept, unlike by fmaxf
_COMPARING = {
    "maximum": "{real} a, {real} b)\n{{\n    return a < b ? b : a;\n}}\n\n",
    "minimum": "{real} a, {real} b)\n{{\n    return b < a ? b : a;\n}}\n\n",
    "clip": "{real} a, {real} low, {real} high)\n{{\n"
    "    return a < low ? low : high < a ? high : a;\n}}\n\n",
}


class _Writer:
    """The text of a network, whose layers go to and fro between two arrays."""

    def __init__(self, network: Steps, name: str):
        self.network, self.name = network, name
        narrow = network.dtype == np.float32
        self.real, self.suffix = ("float", "f") if narrow else ("double", "")
        infix = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
        of_math = {
            "abs": "fabs",
            **{f: f for f in ("exp", "expm1", "log", "log1p", "sqrt", "tanh")},
        }
        operations = {
            **{operation: f"({{}} {sign} {{}})" for operation, sign in infix.items()},
            **{operation: f"{f}{self.suffix}({{}})" for operation, f in of_math.items()},
            "negative": "(-{})",
            "less": "({} < {})",
            "where": "({} ? {} : {})",
            "maximum": f"{name}_maximum({{}}, {{}})",
            "minimum": f"{name}_minimum({{}}, {{}})",
            "clip": f"{name}_clip({{}}, {{}}, {{}})",
        }
        function = (
            f"static inline {self.real} {{name}}({self.real} z)\n"
            "{{\n    return {body};\n}}\n\n"
        )  # fmt: skip
        digits = 9 if narrow else 17
        self.language = Language(operations, function, f"{name}_", digits, self.suffix)
        self.buffers = {"a": 0, "b": 0}
        # where the values at hand are, how many, and what entered the last affine step
        self.at, self.size, self.before = "x", network.inputs, "x"

    def text(self) -> str:
        """The whole header."""
        steps = self.network.steps
        last = max(index for index, step in enumerate(steps) if isinstance(step, Affine))
        lines = [
            line for index, step in enumerate(steps) for line in self.lines_of(step, index >= last)
        ]
        buffers = [f"{self.real} {name}[{size}];" for name, size in self.buffers.items() if size]
        body = textwrap.indent("\n".join([*buffers, *lines]), "    ")
        names = [step.name for step in steps if isinstance(step, Elementwise)]
        made = functions_for(names, self.language)
        comparing = "".join(
            f"static inline {self.real} {self.name}_{operation}({rest.format(real=self.real)}"
            for operation, rest in _COMPARING.items()
            if f"{self.name}_{operation}(" in made + body
        )
        arrays = [self.array(*found) for step in steps for found in arrays_of(step).items()]
        quantiles = c_functions(steps, self.language, self.real)
        return _HEADER.format(
            name=self.name,
            upper=self.name.upper(),
            inputs=self.network.inputs,
            outputs=self.network.outputs,
            real=self.real,
            weights="".join(arrays),
            functions=comparing + made + quantiles,
            body=body,
        )

    def array(self, name: str, array: np.ndarray) -> str:
        """The definition of a constant array."""
        shape = "".join(f"[{size}]" for size in array.shape)
        numbers = literals(array, self.language, "{}")
        return f"static const {self.real} {self.name}_{name}{shape} = {numbers};\n"

    def place(self, size: int, ends: bool) -> str:
        """Where new values go: to y, or into the array that is not at hand."""
        if ends:
            return "y"
        buffer = "b" if self.at == "a" else "a"
        self.buffers[buffer] = max(self.buffers[buffer], size)
        return buffer

    def loop(self, *statements: str) -> list[str]:
        """Statements for each i."""
        return _block(f"for (int i = 0; i < {self.size}; ++i) {{", *statements)

    def lines_of(self, step: Step, ends: bool) -> list[str]:
        """The statements of a step."""
        a, prefix = self.at, f"{self.name}_"
        match step:
            case Affine(name, weight, bias):
                inputs, self.size = self.size, weight.shape[1]
                self.before, self.at = a, self.place(self.size, ends)
                begin = self.language.number(0.0) if bias is None else f"{prefix}{name}_bias[i]"
                return self.loop(
                    f"{self.real} sum = {begin};",
                    f"for (int j = 0; j < {inputs}; ++j) {{",
                    f"    sum += {a}[j] * {prefix}{name}_weight[j][i];",
                    "}",
                    f"{self.at}[i] = sum;",
                )
            case Embed():
                return self.embed(step)
            case Rescale(name, subtract, factor, add):
                self.at = self.place(self.size, ends) if a == "x" else a
                text = f"{a}[i]"
                text = text if subtract is None else f"({text} - {prefix}{name}_subtract[i])"
                text = text if factor is None else f"{text} * {prefix}{name}_factor[i]"
                text = text if add is None else f"{text} + {prefix}{name}_add[i]"
                return self.loop(f"{self.at}[i] = {text};")
            case ToShare(name) | FromShare(name):
                self.at = self.place(self.size, ends) if a == "x" else a
                function = "to_share" if isinstance(step, ToShare) else "from_share"
                tables = f"{prefix}{name}_values[i], {prefix}{name}_references"
                count = len(step.references)
                return self.loop(f"{self.at}[i] = {prefix}{function}({a}[i], {tables}, {count});")
            case Elementwise(name):
                value = text_of(call(name, Z), self.language, f"{a}[i]")
                return self.loop(f"{a}[i] = {value};")
            case Residual():
                return self.loop(f"{a}[i] += {self.before}[i];")
            case Normalize(features):
                zero, size, least = map(self.language.number, (0.0, features, 1e-5))
                return _block(
                    "{",
                    f"{self.real} mean = {zero}, variance = {zero};",
                    *self.loop(f"mean += {a}[i] / {size};"),
                    *self.loop(f"{a}[i] -= mean;", f"variance += {a}[i] * {a}[i] / {size};"),
                    *self.loop(f"{a}[i] /= sqrt{self.suffix}(variance + {least});"),
                )
            case Softmax(log):
                exp = f"exp{self.suffix}({a}[i])"
                result = f"-= log{self.suffix}(sum)" if log else f"= {exp} / sum"
                return _block(
                    "{",
                    f"{self.real} largest = {a}[0], sum = {self.language.number(0.0)};",
                    *self.loop(f"largest = {a}[i] > largest ? {a}[i] : largest;"),
                    *self.loop(f"{a}[i] -= largest;", f"sum += {exp};"),
                    *self.loop(f"{a}[i] {result};"),
                )

    def embed(self, step: Embed) -> list[str]:
        """The statements of embeddings, from the values at hand and the codes in x."""
        a, self.size = self.at, step.features
        self.at = self.place(self.size, ends=False)
        lines, first = [], 0
        for run in step.others:
            copied = f"{self.at}[{first} + i] = {a}[{run.start} + i];"
            lines += _block(f"for (int i = 0; i < {len(run)}; ++i) {{", copied)
            first += len(run)
        for index, (column, table) in enumerate(zip(step.columns, step.tables, strict=True)):
            categories, width = table.shape
            is_code = f"code >= 0 && code < {categories} && code == floor{self.suffix}(code)"
            row = f"{self.name}_{step.name}_{index}[known ? (int)code : 0][i]"
            lines += _block(
                "{",
                f"const {self.real} code = x[{column}];",
                f"const int known = {is_code};",
                f"for (int i = 0; i < {width}; ++i) {{",
                f"    {self.at}[{first} + i] = known ? {row} : ({self.real})NAN;",
                "}",
            )
            first += width
        return lines


def _block(opening: str, *statements: str) -> list[str]:
    return [opening, *(f"    {line}" for line in statements), "}"]
