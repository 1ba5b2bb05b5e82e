"""A network as a Python file that needs NumPy only."""

import os

import numpy as np

from fnn.export.files import checked_path, write
from fnn.export.formulas import Z, call
from fnn.export.quantile_source import numpy_functions
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
    ToShare,
    arrays_of,
    steps_of,
)
from fnn.networks.mlp import MLP
from fnn.types import Params

__all__ = ["to_numpy"]

_OPERATIONS = {
    "add": "({} + {})",
    "subtract": "({} - {})",
    "multiply": "({} * {})",
    "divide": "({} / {})",
    "negative": "(-{})",
    "abs": "np.abs({})",
    "maximum": "np.maximum({}, {})",
    "minimum": "np.minimum({}, {})",
    "clip": "np.clip({}, {}, {})",
    "exp": "np.exp({})",
    "expm1": "np.expm1({})",
    "log": "np.log({})",
    "log1p": "np.log1p({})",
    "sqrt": "np.sqrt({})",
    "tanh": "np.tanh({})",
    "less": "({} < {})",
}


def to_numpy(
    net: MLP, params: Params, path: str | os.PathLike | None = None, *, final: str | None = None
) -> str:
    """A network as the text of a Python module, which imports NumPy and nothing else.

    The module has one function, `apply(x)`, from x `(..., in)` to outputs `(..., out)`, and the
    weights as numbers in decimal, which are read back exactly. So it is one file, to be read,
    copied and imported anywhere; a large network is better kept as ONNX.

    Args:
      net: An `mlp`. Activations are those that it takes by name. Neurons that are not active
        are left out, and dropout is off.
      params: Its parameters, finite. They are computed with in float32, or in float64 if the
        network computes in float64.
      path: The file to write, whole or not at all; replaced if it is there. None: none.
      final: "softmax" or "sigmoid" makes probabilities of the outputs of a network that ends in
        logits. None: outputs are those of `net.apply`.
    Returns:
      The text.
    Raises:
      ValueError, TypeError: An argument is not as described here, or the network has a part with no
        counterpart, which is named.
      OSError: As `open`; what was at `path` is as it was.

    >>> net = fnn.mlp((2, 3, 1))
    >>> text = to_numpy(net, net.init(jax.random.key(0)))
    >>> names = {}
    >>> exec(text, names)
    >>> names["apply"](np.ones((5, 2))).shape
    (5, 1)
    """
    where = checked_path("to_numpy", path)
    network = steps_of("to_numpy", net, params, final)
    dtype = f"np.{network.dtype}"
    digits = 9 if network.dtype == np.float32 else 17
    operations = _OPERATIONS | {"where": f"np.where({{}}, {{}}, {{}}).astype({dtype})"}
    language = Language(operations, _FUNCTION, "_", digits, "")
    names = [step.name for step in network.steps if isinstance(step, Elementwise)]
    weights = [
        f"_{name} = np.array({literals(array, language, '[]')}, {dtype})\n"
        for step in network.steps
        for name, array in arrays_of(step).items()
    ]
    keep = Residual() in network.steps
    lines = [line for step in network.steps for line in _lines(step, language, keep)]
    text = _MODULE.format(
        inputs=network.inputs,
        outputs=network.outputs,
        dtype=dtype,
        given="x = a" if any(isinstance(step, Embed) for step in network.steps) else "a",
        weights="".join(weights),
        functions=functions_for(names, language) + numpy_functions(network.steps),
        lines="\n    ".join(lines),
    )
    write(where, text.encode())
    return text


_MODULE = '''"""A network: `apply(x)`, from x (..., {inputs}) to outputs (..., {outputs})."""

import numpy as np

{weights}{functions}

def apply(x):
    {given} = np.asarray(x, {dtype})
    {lines}
    return a
'''

_FUNCTION = "\n\ndef {name}(z):\n    return {body}\n"


def _lines(step: Step, language: Language, keep: bool) -> list[str]:
    """The statements of a step, which change `a`."""
    match step:
        case Affine(name, _, bias):
            product = f"a = a @ _{name}_weight" + ("" if bias is None else f" + _{name}_bias")
            return ["before = a", product] if keep else [product]
        case Rescale(name, subtract, factor, add):
            return [
                *([] if subtract is None else [f"a = a - _{name}_subtract"]),
                *([] if factor is None else [f"a = a * _{name}_factor"]),
                *([] if add is None else [f"a = a + _{name}_add"]),
            ]
        case Normalize():
            return [
                "a = a - a.mean(axis=-1, keepdims=True)",
                "a = a / np.sqrt(np.square(a).mean(axis=-1, keepdims=True) + 1e-5)",
            ]
        case Elementwise(name):
            return [f"a = {text_of(call(name, Z), language, 'a')}"]
        case Softmax(log):
            total = "np.exp(a).sum(axis=-1, keepdims=True)"
            return [
                "a = a - a.max(axis=-1, keepdims=True)",
                f"a = a - np.log({total})" if log else f"a = np.exp(a) / {total}",
            ]
        case Embed(name, others, columns, tables):
            lines = [f"parts = [{', '.join(f'a[..., {r.start}:{r.stop}]' for r in others)}]"]
            for index, (column, table) in enumerate(zip(columns, tables, strict=True)):
                lines += [
                    f"codes = x[..., {column}, None]",
                    f"known = (codes >= 0) & (codes < {len(table)}) & (codes == np.floor(codes))",
                    f"rows = _{name}_{index}[np.where(known, codes, 0)[..., 0].astype(int)]",
                    f"parts.append(np.where(known, rows, np.{table.dtype}(np.nan)))",
                ]
            return [*lines, "a = np.concatenate(parts, axis=-1)"]
        case ToShare(name):
            return [f"a = _by_feature(_to_share, a, _{name}_values, _{name}_references)"]
        case FromShare(name):
            return [f"a = _by_feature(_from_share, a, _{name}_values, _{name}_references)"]
        case Residual():
            return ["a = a + before"]
