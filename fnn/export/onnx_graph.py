"""A network as an ONNX model."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fnn._core.quantiles import LEAST
from fnn.export.files import checked_path, write
from fnn.export.formulas import FORMULAS, Expression, Z, call
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
    steps_of,
)
from fnn.networks.mlp import MLP
from fnn.types import Params

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["to_onnx"]

# of 2023: the first with Gelu, and what belongs to it
_OPSET, _IR = 20, 9

# operators that onnxruntime computes in float32 and in float64
_OPERATORS = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "negative": "Neg",
    "abs": "Abs",
    "maximum": "Max",
    "minimum": "Min",
    "clip": "Clip",
    "exp": "Exp",
    "less": "Less",
    "log": "Log",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "where": "Where",
}
# those that it computes in float32 only, with their attributes
_IN_FLOAT32 = {
    "elu": ("Elu", {}),
    "celu": ("Celu", {}),
    "selu": ("Selu", {}),
    "leaky_relu": ("LeakyRelu", {}),
    "softplus": ("Softplus", {}),
    "soft_sign": ("Softsign", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6}),
    "hard_silu": ("HardSwish", {}),
    "mish": ("Mish", {}),
    "gelu": ("Gelu", {"approximate": "tanh"}),
}
_FORMULAS = FORMULAS | {
    "expm1": call("exp", Z) - 1.0,
    "log1p": call("log", 1.0 + Z),
}


def to_onnx(
    net: MLP, params: Params, path: str | os.PathLike | None = None, *, final: str | None = None
) -> "ModelProto":
    """A network as an ONNX model, for onnxruntime and what else reads ONNX.

    Its input is `x`, `(rows, in)`, its output `y`, `(rows, out)`, for any number of rows. A layer
    is a `Gemm` and, where there is one for it, the operator of its activation. Of opset 20, and
    checked by `onnx.checker`.

    Args:
      net: An `mlp`. Activations are those that it takes by name. Neurons that are not active
        are left out, and dropout is off.
      params: Its parameters, finite. They are computed with in float32, or in float64, x and y
        too, if the network computes in float64.
      path: The file to write, whole or not at all; replaced if it is there. None: none.
      final: "softmax" or "sigmoid" makes probabilities of the outputs of a network that ends in
        logits. None: outputs are those of `net.apply`.
    Returns:
      An `onnx.ModelProto`.
    Raises:
      ValueError, TypeError: An argument is not as described here, or the network has a part with no
        counterpart, which is named.
      ImportError: onnx is not installed.
      OSError: As `open`; what was at `path` is as it was.

    >>> net = fnn.mlp((2, 3, 1))
    >>> model = to_onnx(net, net.init(jax.random.key(0)))
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Relu', 'Gemm']
    """
    try:
        import onnx
    except ImportError:
        rule = "ONNX needs onnx, to be had with: pip install 'fnn[onnx]'"
        raise ImportError(f"to_onnx: {rule}") from None
    where = checked_path("to_onnx", path)
    network = steps_of("to_onnx", net, params, final)
    model = _Graph(network).model()
    onnx.checker.check_model(model, full_check=True)
    write(where, model.SerializeToString())
    return model


class _Graph:
    """Nodes and constants, which grow step by step."""

    def __init__(self, network: Steps):
        from onnx import helper

        self.network, self.helper = network, helper
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.known: dict[Any, str] = {}
        # the values at hand, and what entered the last affine step
        self.at = self.before = "x"

    def model(self) -> "ModelProto":
        """The whole model."""
        from onnx import numpy_helper

        network, helper = self.network, self.helper
        steps = list(network.steps)
        while steps:
            step, after = steps.pop(0), steps[0] if steps else None
            if not isinstance(step, Normalize):
                self.add(step)
            elif isinstance(after, Rescale) and after.factor is not None and after.subtract is None:
                steps.pop(0)
                self.normalize(step.features, after)
            else:
                self.normalize(step.features, None)
        self.nodes[-1].output[0] = "y"
        element = helper.np_dtype_to_tensor_dtype(network.dtype)
        sizes = {"x": network.inputs, "y": network.outputs}
        x, y = (
            helper.make_tensor_value_info(name, element, ["rows", size])
            for name, size in sizes.items()
        )
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "network", [x], [y], constants)
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="fnn")

    def add(self, step: Step) -> None:
        """The nodes of a step."""
        match step:
            case Affine(name, weight, bias):
                self.before = self.at
                given = {f"{name}_weight": weight}
                given |= {} if bias is None else {f"{name}_bias": bias}
                self.at = self.node("Gemm", self.at, *self.constant(given))
            case Rescale(name, subtract, factor, add):
                for operator, field, values in (
                    ("Sub", "subtract", subtract), ("Mul", "factor", factor), ("Add", "add", add)
                ):  # fmt: skip
                    if values is not None:
                        constant = self.constant({f"{name}_{field}": values})
                        self.at = self.node(operator, self.at, *constant)
            case Embed():
                self.embed(step)
            case Elementwise(name):
                self.at = self.value(call(name, Z), self.at)
            case ToShare():
                self.to_share(step)
            case FromShare():
                self.from_share(step)
            case Residual():
                self.at = self.node("Add", self.at, self.before)
            case Softmax(log):
                self.at = self.node("LogSoftmax" if log else "Softmax", self.at, axis=-1)

    def normalize(self, features: int, after: Rescale | None) -> None:
        """The node of a normalisation, and of the rescaling that comes after it."""
        given = {f"ones_{features}": np.ones(features, self.network.dtype)}
        if after is not None:
            arrays = {"factor": after.factor, "add": after.add}
            given = {f"{after.name}_{field}": a for field, a in arrays.items() if a is not None}
        constants = self.constant(given)
        self.at = self.node("LayerNormalization", self.at, *constants, axis=-1, epsilon=1e-5)

    def embed(self, step: Embed) -> None:
        """The nodes of embeddings, from the values at hand and the codes in x."""
        node, parts = self.node, []
        zero, nan = self.number(0.0), self.number(np.nan)
        (last_axis,) = self.constant({"last_axis": np.array([-1])})
        if step.others:
            columns = np.array([column for run in step.others for column in run])
            (columns,) = self.constant({"columns": columns})
            parts.append(node("Gather", self.at, columns, axis=1))
        for index, (column, table) in enumerate(zip(step.columns, step.tables, strict=True)):
            given = {f"index_{column}": np.array(column), f"{step.name}_{index}": table}
            place, rows = self.constant(given)
            codes = node("Gather", "x", place, axis=1)
            is_least = node("GreaterOrEqual", codes, zero)
            is_most = node("Less", codes, self.number(float(len(table))))
            is_whole = node("Equal", codes, node("Floor", codes))
            known = node("And", node("And", is_least, is_most), is_whole)
            row = node("Gather", rows, node("Cast", node("Where", known, codes, zero), to=7))
            parts.append(node("Where", node("Unsqueeze", known, last_axis), row, nan))
        self.at = node("Concat", *parts, axis=1)

    def to_share(self, step: ToShare) -> None:
        """The nodes from values to shares."""
        node, x = self.node, self.at
        one, half, least, most = map(self.number, (1.0, 0.5, LEAST, -LEAST))
        below, above = [], []
        for compare in ("GreaterOrEqual", "Greater"):  # of equal values, the highest and the lowest
            low, high, from_share, to_share = self.piece(step, compare, x, f"{step.name}_values")
            part = node("Div", node("Sub", x, low), self.one_for_zero(node("Sub", high, low)))
            share = node("Sub", to_share, from_share)
            rest = node("Mul", node("Sub", one, part), share)
            below.append(node("Add", from_share, node("Mul", part, share)))
            above.append(node("Add", node("Sub", one, to_share), rest))
        below, above = (node("Mul", node("Add", *both), half) for both in (below, above))
        is_low = node("LessOrEqual", below, above)
        above = node("Neg", node("Max", above, least))
        share = node("Where", is_low, node("Max", below, least), above)
        first, last = self.ends(step)
        share = node("Where", node("GreaterOrEqual", x, last), most, share)
        self.at = node("Where", node("LessOrEqual", x, first), least, share)

    def from_share(self, step: FromShare) -> None:
        """The nodes from shares to values."""
        node, one = self.node, self.number(1.0)
        is_low = node("Greater", self.at, self.number(0.0))
        tail = node("Abs", self.at)
        below = node("Where", is_low, tail, node("Sub", one, tail))
        found = self.piece(step, "GreaterOrEqual", below, f"{step.name}_references")
        low, high, from_share, to_share = found
        start = node("Where", is_low, from_share, node("Sub", one, to_share))
        width = self.one_for_zero(node("Sub", to_share, from_share))
        part = node("Div", node("Sub", tail, start), width)
        part = node("Where", is_low, part, node("Sub", one, part))
        value = node("Add", low, node("Mul", part, node("Sub", high, low)))
        end = node("Where", is_low, *self.ends(step))
        self.at = node("Where", node("Less", tail, self.number(LEAST)), end, value)

    def piece(self, step: ToShare | FromShare, compare: str, x: str, among: str) -> tuple[str, ...]:
        """The values and the references at both ends of the piece of the table that has x."""
        node, name = self.node, step.name
        features, size = step.values.shape
        tables = {f"{name}_values": step.values, f"{name}_references": step.references}
        values, references = self.constant(tables)
        (rows,) = self.constant({f"{name}_rows": size * np.arange(features)})
        (last_axis,) = self.constant({"last_axis": np.array([-1])})
        first, last = (self.constant({f"index_{i}": np.array(i)})[0] for i in (1, size - 1))
        found = node(compare, node("Unsqueeze", x, last_axis), among)
        count = node("ReduceSum", node("Cast", found, to=7), last_axis, keepdims=0)  # int64
        after = node("Clip", count, first, last)
        before = node("Sub", after, first)
        values = node("Reshape", values, last_axis)  # to one axis
        ends = [node("Gather", values, node("Add", place, rows)) for place in (before, after)]
        shares = [node("Gather", references, place) for place in (before, after)]
        return (*ends, *shares)

    def ends(self, step: ToShare | FromShare) -> tuple[str, ...]:
        """The least and the largest value of each feature."""
        least, largest = step.values[:, 0], step.values[:, -1]
        return self.constant({f"{step.name}_least": least, f"{step.name}_largest": largest})

    def one_for_zero(self, width: str) -> str:
        """A width to divide by."""
        one = self.number(1.0)
        return self.node("Where", self.node("Greater", width, self.number(0.0)), width, one)

    def number(self, value: float) -> str:
        """The name of a number."""
        return self.constant({f"number_{value}": np.asarray(value, self.network.dtype)})[0]

    def value(self, expression: Any, z: str) -> str:
        """The name of the value of an expression of z."""
        if not isinstance(expression, Expression):
            return self.number(expression)
        operation = expression.operation
        if operation == "z":
            return z
        arguments = [self.value(argument, z) for argument in expression.arguments]
        if operation in _OPERATORS:
            return self.node(_OPERATORS[operation], *arguments)
        if operation in _IN_FLOAT32 and self.network.dtype == np.float32:
            operator, attributes = _IN_FLOAT32[operation]
            return self.node(operator, *arguments, **attributes)
        return self.value(_FORMULAS[operation], *arguments)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The name of the value that an operator makes; one node for equal ones."""
        signature = operator, inputs, *attributes.items()
        if signature not in self.known:
            self.known[signature] = name = f"{operator.lower()}_{len(self.nodes)}"
            made = self.helper.make_node(operator, inputs, [name], name, **attributes)
            self.nodes.append(made)
        return self.known[signature]

    def constant(self, given: dict[str, np.ndarray]) -> tuple[str, ...]:
        """The names of constants, once they are among those of the graph."""
        self.constants |= given
        return tuple(given)
