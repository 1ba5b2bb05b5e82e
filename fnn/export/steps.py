"""A trained `mlp` as a list of steps, which the writers of each format go through."""

from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from fnn._core import checks
from fnn._core.dtypes import at_least_float32
from fnn.activations import name_of
from fnn.export.formulas import FORMULAS
from fnn.networks.mlp import MLP
from fnn.scalers import Scaler
from fnn.types import Network, Params

__all__ = [
    "Affine",
    "Elementwise",
    "Embed",
    "FromShare",
    "Normalize",
    "Rescale",
    "Residual",
    "Softmax",
    "Steps",
    "ToShare",
    "arrays_of",
    "checked_final",
    "checked_params",
    "steps_of",
]


class Affine(NamedTuple):
    """To a W + b."""

    name: str
    weight: np.ndarray
    """`(in, out)`."""
    bias: np.ndarray | None


class Rescale(NamedTuple):
    """To (a - subtract) * factor + add, by feature; each may be absent."""

    name: str
    subtract: np.ndarray | None
    factor: np.ndarray | None
    add: np.ndarray | None


class Normalize(NamedTuple):
    """To mean 0 and variance 1 over the features: (a - mean) / sqrt(variance + 1e-5)."""

    features: int


class Elementwise(NamedTuple):
    """To the value of that formula."""

    name: str


class Softmax(NamedTuple):
    """To probabilities over the features, or to their logarithms."""

    log: bool


class Embed(NamedTuple):
    """To the other columns, and after them the vectors of the codes that x has in some columns.

    A code that is not in the table gets NaN.
    """

    name: str
    others: tuple[range, ...]
    """The columns without codes, in runs."""
    columns: tuple[int, ...]
    """Those with codes."""
    tables: tuple[np.ndarray, ...]
    """`(categories, width)` for each of these."""

    @property
    def features(self) -> int:
        """The columns of the result."""
        return sum(map(len, self.others)) + sum(table.shape[1] for table in self.tables)


class ToShare(NamedTuple):
    """To the share of rows below, > 0, or minus the one above, < 0, of which the lesser is given.

    What is at or beyond an end gets `LEAST` as its share. Equal values get the mean of theirs.
    """

    name: str
    values: np.ndarray
    """The quantiles of each feature, `(features, quantiles)`, ascending; two or more."""
    references: np.ndarray
    """The shares of rows below them, `(quantiles,)`, from 0 to 1."""


class FromShare(NamedTuple):
    """From such a share to the quantile, which is an end where the share is below `LEAST`."""

    name: str
    values: np.ndarray
    references: np.ndarray


class Residual(NamedTuple):
    """Adds what entered the last affine step."""


Step: TypeAlias = (
    Affine | Embed | Rescale | Normalize | Elementwise | Softmax | ToShare | FromShare | Residual
)


class Steps(NamedTuple):
    """A network that takes and returns `(rows, features)`."""

    inputs: int
    outputs: int
    dtype: np.dtype
    """float32 or float64: of all arrays, and of the computation."""
    steps: list[Step]


def arrays_of(step: Step) -> dict[str, np.ndarray]:
    """The arrays of a step by name."""
    if isinstance(step, Embed):
        return {f"{step.name}_{index}": table for index, table in enumerate(step.tables)}
    fields = step._asdict()
    return {f"{fields['name']}_{field}": value for field, value in fields.items()
            if isinstance(value, np.ndarray)}  # fmt: skip


def checked_params(function: str, net: Network, params: Params) -> Params:
    """Parameters that are known and finite."""
    checks.functions(function, "net", net, "init", "apply")
    checks.no_tracers(function, (net, params))
    params = checks.floats(function, "params", params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        checks.finite(function, f"params{jax.tree_util.keystr(path)}", leaf)
    return params


def checked_final(function: str, net: Network, final: Any) -> None:
    """Raises unless `final` can come after this network."""
    checks.word(function, "final", final, None, "softmax", "sigmoid")
    if final is None or not isinstance(net, MLP):
        return
    rule = f"final={final!r} is for a network that ends in logits"
    logits = name_of(net.output) == "identity" and net.outputs is None
    got = f"output={getattr(net.output, '__name__', net.output)!r}"
    got = got if net.outputs is None else "one with a scaler of outputs"
    checks.require(logits, function, rule, got)
    rule = "final='softmax' is for two outputs or more (one takes 'sigmoid')"
    checks.require(final == "sigmoid" or net.sizes[-1] > 1, function, rule, "one output")


def steps_of(function: str, net: Network, params: Params, final: Any) -> Steps:
    """The steps of a network, all arrays C-contiguous.

    Neurons that are not active are left out.

    Raises:
      ValueError, TypeError: The network is no `mlp`, something in it has no counterpart, or the
        parameters are not finite ones of it.
    """
    params = checked_params(function, net, params)
    rule = "net must be an mlp (to_stablehlo takes every network)"
    checks.require(isinstance(net, MLP), function, rule, type(net).__name__, TypeError)
    mlp: Any = net
    checked_final(function, mlp, final)
    jax.eval_shape(mlp.apply, params, jax.ShapeDtypeStruct((1, mlp.sizes[0]), np.float32))
    computed = mlp.dtype or np.dtype(params[0].weight.dtype)
    dtype = at_least_float32(computed)
    widths = _widths(mlp)
    steps = _scaling(function, "inputs", mlp.inputs, dtype, inverse=False)
    if mlp.embeddings:
        tables = [_known(t, computed, dtype, t.shape[1]) for t in params[0].tables]
        steps.append(_embedding(mlp, tables))
    for index, (layer, sigma) in enumerate(zip(params, mlp.activations, strict=True)):
        into, out = widths[index : index + 2]
        arrays = layer[:4]  # those that are not embeddings
        known: Any = [None if a is None else _known(a, computed, dtype, out) for a in arrays]
        weight, bias, scale, shift = known
        name = f"layer_{index}"
        steps.append(Affine(name, np.ascontiguousarray(weight[:into]), bias))
        if scale is not None:
            steps += [Normalize(out), Rescale(name, None, scale, shift)]
        steps += _activation(function, name, sigma, out)
        inner = 0 < index < len(params) - 1
        if mlp.residual and inner and into == out and mlp.sizes[index] == mlp.sizes[index + 1]:
            steps.append(Residual())
    steps += _scaling(function, "outputs", mlp.outputs, dtype, inverse=True)
    if final == "softmax":
        steps.append(Softmax(log=False))
    elif final == "sigmoid":
        steps.append(Elementwise("sigmoid"))
    return Steps(mlp.sizes[0], mlp.sizes[-1], dtype, steps)


def _embedding(net: MLP, tables: list[np.ndarray]) -> Embed:
    columns = [embedding.column for embedding in net.embeddings]
    starts, ends = [0, *[column + 1 for column in columns]], [*columns, net.sizes[0]]
    others = tuple(run for run in map(range, starts, ends) if run)
    return Embed("embedding", others, tuple(columns), tuple(tables))


def _widths(net: MLP) -> list[int]:
    """The active neurons of each layer, after the columns that enter the first."""
    hidden = net.sizes[1:-1] if net.active is None else np.asarray(net.active).tolist()
    return [net._sizes[0], *hidden, net.sizes[-1]]


def _known(array: Any, computed: np.dtype, dtype: np.dtype, features: int) -> np.ndarray:
    """The first features of an array, as they are computed with."""
    rounded = np.asarray(array).astype(computed)
    return np.ascontiguousarray(rounded[..., :features], dtype)


def _activation(function: str, name: str, sigma: Any, features: int) -> list[Step]:
    found = name_of(sigma)
    if found == "identity":
        return []
    if found in ("softmax", "log_softmax"):
        return [Softmax(log=found == "log_softmax")]
    if found == "standardize":
        return [Normalize(features)]
    if found in FORMULAS or found == "tanh":
        return [Elementwise(found)]
    rule = f"the activation of {name} must be one that mlp takes by name"
    raise ValueError(f"{function}: {rule}; got {getattr(sigma, '__name__', sigma)!r}")


def _scaling(
    function: str, name: str, scaler: Scaler | None, dtype: np.dtype, *, inverse: bool
) -> list[Step]:
    """A scaler as steps, its numbers formed in float64."""
    if scaler is None:
        return []
    linear = scaler.affine()
    if linear is None:
        return _by_quantiles(name, scaler, dtype, inverse=inverse)
    centre, factor, offset = linear
    given = (offset, 1 / factor, centre) if inverse else (centre, factor, offset)
    subtract, factor, add = (values.astype(dtype) for values in given)
    zero = np.zeros_like(subtract)
    absent = [np.array_equal(values, zero) for values in (subtract, add)]
    return [Rescale(name, None if absent[0] else subtract, factor, None if absent[1] else add)]


def _by_quantiles(name: str, scaler: Any, dtype: np.dtype, *, inverse: bool) -> list[Step]:
    """A `QuantileScaler` as steps."""
    # two quantiles at least; to repeat one changes nothing
    again = (0, max(0, 2 - len(np.asarray(scaler.references))))
    values = np.pad(np.asarray(scaler.values), [again, (0, 0)], mode="edge")
    references = np.pad(np.asarray(scaler.references), again, mode="edge")
    tables = np.ascontiguousarray(values.T, dtype), references.astype(dtype)
    if inverse:
        return [Elementwise("normal_share"), FromShare(name, *tables)]
    return [ToShare(name, *tables), Elementwise("normal_quantile")]
