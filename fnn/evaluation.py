"""Evaluation: what a network's outputs are worth, on data it may not have seen.

Outputs are collected over batches and measured once, so every metric is exact.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dataset import (
    Data,
    Dataset,
    Sharded,
    Subset,
    dataset,
    put_on_devices,
    selected,
    selected_shapes,
    sharded,
)
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, host_numbers, merge, split
from fnn._core.processes import valid_in_all
from fnn._core.reductions import weighted_mean
from fnn._core.shapes import shapes_of
from fnn._core.shards import in_blocks
from fnn._host.fingerprint import require_same_arguments
from fnn.activations import sigmoid
from fnn.networks.suitable import check_outputs_suit, ends_in, unwrapped
from fnn.networks.units import (
    centred,
    centring,
    losses_of,
    near_outputs,
    raw_outputs,
    raw_targets,
    scaled_outputs_of,
)
from fnn.streams.ahead import read_ahead
from fnn.streams.reading import Reader
from fnn.streams.source import Source, shards_of_source
from fnn.types import Loss, Metric, Network, Params

__all__ = ["evaluate"]

# rows of a source that arguments are checked by before all of it is read
_EXAMPLE = 1024


def evaluate(
    net: Network,
    params: Params,
    data: Any,
    metrics: Mapping[str, Metric | Loss],
    *,
    batch_size: int | None = None,
) -> dict[str, jax.Array]:
    """A network's metrics on held-out data. One compiled program.

    Of a source of `fnn.streams`, blocks go through the network one after the other. All outputs are
    kept on the device, and all targets on the host, until they are measured: x need not fit into
    memory, these do.

    Args:
      net: An `mlp`, a `Model`, or any object with pure `init` and `apply`.
      params: Its parameters.
      data: `(x, y)` or `(x, y, weights)`: x `(rows, ...)`, y as the metrics take it,
        weights `(rows,)`, >= 0. Or a source of `fnn.streams`.
      metrics: By name: metrics `(outputs, targets, weights=None)`, or losses, which count
        as their weighted mean, in scaled units where an `mlp` has a scaler of its outputs.
        A single column of scores, and each column of several labels a row, is split at 0, or
        at 0.5 where an `mlp` ends in a sigmoid.
      batch_size: Rows that go through the network at once, which bounds memory; it does
        not change the result. Static. None: all of them.
    Returns:
      A value per metric, under its name: `()` but for metrics that return more.
    Raises:
      ValueError, TypeError: Data, parameters and metrics do not fit one another, or the
        data are empty or not finite. Values of tracers go unchecked.

    >>> net = fnn.mlp((2, 1))
    >>> params = net.init(jax.random.key(0))
    >>> scores = evaluate(net, params, (np.zeros((3, 2)), np.ones(3)),
    ...                   {"mae": fnn.mean_absolute_error, "mse": fnn.squared_error})
    >>> {name: float(score) for name, score in scores.items()}
    {'mae': 1.0, 'mse': 1.0}
    """
    name = "evaluate"
    reader = None
    with valid_in_all(name, data):
        checks.functions(name, "net", net, "init", "apply")
        metrics = checked_metrics(name, net, metrics)
        if isinstance(data, Source):
            reader = Reader(name, "data", data)
            net, reader, data = centred_on(net, reader)
        net, (data,), _ = centred(net, data)
        data = dataset(name, "data", data)
        if batch_size is not None:
            batch_size = checks.count(name, "batch_size", batch_size)
        params = jax.tree.map(lambda leaf: checks.numbers(name, "params", leaf), params)
        check_measures(name, net, params, selected_shapes(data), metrics)
    arguments = {"net": net, "data": data, "metrics": metrics, "batch_size": batch_size}
    require_same_arguments(name, arguments | {"params": params})
    if reader is not None:
        return streamed_scores(name, net, params, reader, metrics, batch_size)
    return scores_of(name, net, params, sharded(data), metrics, batch_size)


def scores_of(
    function: str,
    net: Network,
    params: Params,
    data: Data,
    metrics: Mapping[str, Metric | Loss],
    batch_size: int | None,
) -> dict[str, jax.Array]:
    """`evaluate`, of checked arguments."""
    traced, structure = split(function, (net, params, data, dict(metrics)))
    with host_numbers():
        scores = _evaluate(structure, traced, batch_size and min(batch_size, data.rows))
    return {metric: scores[metric] for metric in metrics}  # jit sorts dicts


def centred_on(net: Network, reader: Reader) -> tuple[Any, Reader, Dataset]:
    """The network for what a reader reads from then on, that reader, and some rows of it."""
    rows = reader.example(_EXAMPLE)
    net, change = centring(net, reader.x_dtype)
    if change is not None:
        reader = reader.changed(change)
        rows = reader.example(_EXAMPLE)
    return net, reader, rows


def streamed_scores(
    function: str,
    net: Network,
    params: Params,
    reader: Reader,
    metrics: Mapping[str, Metric | Loss],
    batch_size: int | None,
) -> dict[str, jax.Array]:
    """`scores_of` what a reader reads: outputs are collected, and measured once."""
    outputs, kept, shards = [], [], shards_of_source(reader.source)
    like: Any = None
    with read_ahead(reader.buffers(reader.buffer_rows())) as buffers:
        for buffer in buffers:
            x, y, weights = buffer.data
            like, rows = x[:1], len(x)
            x = put_on_devices(Dataset(x, np.zeros(rows, bool)), shards)  # targets stay on the host
            traced, structure = split(function, (net, params, x))
            size = batch_size and min(batch_size, rows)
            with host_numbers():
                outputs.append(_outputs(structure, traced, size, rows))
            kept.append((y, weights))
            jax.block_until_ready(outputs[-2:-1])  # so that few buffers are on the device
    y, weights = map(_joined, zip(*kept, strict=True))
    if weights is not None:
        checks.require(weights.any(), function, "weights must not all be 0", "only 0")
    like = jax.ShapeDtypeStruct((len(y), *like.shape[1:]), like.dtype)
    data = Dataset(like, y, weights)
    check_measures(function, net, params, data, metrics, remember=False)
    traced, structure = split(function, (net, outputs, y, weights, dict(metrics)))
    with host_numbers():
        scores = _measured_at_once(structure, traced)
    return {metric: scores[metric] for metric in metrics}


def _joined(parts: Sequence[Any]) -> Any:
    return None if parts[0] is None else np.concatenate(parts)


@compiled(0, 2, 3)
def _outputs(structure: Structure, traced: list, batch_size: int | None, rows: int) -> jax.Array:
    net, params, data = merge(structure, traced)
    return predict(net, params, data, batch_size)[:rows]


@compiled(0)
def _measured_at_once(structure: Structure, traced: list) -> dict[str, jax.Array]:
    net, outputs, y, weights, metrics = merge(structure, traced)
    outputs = jnp.concatenate(outputs)
    return measure(net, metrics, outputs, Dataset(outputs, y, weights))


@compiled(0, 2)
def _evaluate(structure: Structure, traced: list, batch_size: int | None) -> dict[str, jax.Array]:
    net, params, data, metrics = merge(structure, traced)
    outputs = predict(net, params, data, batch_size)
    return measure(net, metrics, outputs, selected(data))


def predict(net: Network, params: Params, data: Data, batch_size: int | None) -> jax.Array:
    """Scaled outputs `(rows, out)`, `batch_size` rows at a time."""
    rows, given = data.rows, data.numbers if isinstance(data, Subset) else data.x

    def outputs_for(part: Any) -> jax.Array:
        x = jnp.asarray(data.x)[part] if isinstance(data, Subset) else part
        return scaled_outputs_of(net, params, x)

    if batch_size is None or batch_size >= rows:
        return outputs_for(given)
    if isinstance(data, Sharded):
        return in_blocks(data.shards, outputs_for, data.x, batch_size)
    fill = -rows % batch_size
    padded = jnp.pad(given, [(0, fill)] + [(0, 0)] * (given.ndim - 1), mode="edge")
    outputs = jax.lax.map(outputs_for, padded.reshape(-1, batch_size, *given.shape[1:]))
    return outputs.reshape(-1, *outputs.shape[2:])[:rows]


def measure(
    net: Network,
    metrics: Mapping[str, Metric | Loss],
    outputs: jax.Array,
    data: Dataset,
    function: str = "evaluate",
) -> dict[str, jax.Array]:
    """Each metric of collected scaled outputs `(rows, out)`."""
    return {
        name: _measured(function, name, net, metric, outputs, data)
        for name, metric in metrics.items()
    }


def check_measures(
    function: str,
    net: Network,
    params: Params,
    data: Dataset,
    metrics: Mapping,
    *,
    remember: bool = True,
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the metrics, after checks of everything that can be checked early.

    Nothing is computed: outputs are abstract, but targets are not, so that their values
    (labels out of range, say) are checked too.
    """
    abstract, known = (net, params, data.x), (metrics, data.y, data.weights, function)
    return shapes_of(function, _all_measured, abstract, known, remember=remember)


def check_loss(
    function: str, net: Network, params: Params, data: Dataset, loss: Loss, *, remember: bool = True
) -> jax.ShapeDtypeStruct:
    """Shape and dtype of the mean loss, after the same checks: a loss cannot be a metric."""
    abstract, known = (net, params, data.x, data.weights), (loss, data.y, function)
    return shapes_of(function, _mean_loss, abstract, known, remember=remember)


def check_outputs(function: str, outputs: Any, rows: int) -> None:
    """Raises unless a network has returned what a network returns."""
    shape = getattr(outputs, "shape", None)
    rule = f"outputs of the network must be one array ({rows}, out)"
    is_batch = shape is not None and len(shape) >= 2 and shape[0] == rows
    checks.require(is_batch, function, rule, _described(outputs))


def check_losses(function: str, losses: Any, rows: int) -> None:
    """Raises unless a loss has returned what a loss returns."""
    rule = f"the loss must return one floating number per example, ({rows},)"
    one_each = getattr(losses, "shape", None) == (rows,)
    fits = one_each and jnp.issubdtype(losses.dtype, jnp.floating)
    checks.require(fits, function, rule, _described(losses))


def checked_metrics(function: str, net: Network, metrics: Any) -> dict[str, Any]:
    """The metrics as a dict, each one fit for outputs of the network."""
    rule = "metrics must be a dict from names to functions"
    checks.require(isinstance(metrics, Mapping), function, rule, repr(metrics), TypeError)
    for name, metric in metrics.items():
        good = isinstance(name, str) and callable(metric)
        checks.require(good, function, rule, f"{name!r}: {metric!r}", TypeError)
        check_outputs_suit(function, net, metric)
    return dict(metrics)


def _measured(
    function: str, name: str, net: Network, metric: Metric | Loss, outputs: jax.Array, data: Dataset
) -> jax.Array:
    options = _parameters(metric)
    bound = getattr(metric, "keywords", {})
    if "threshold" in options and "threshold" not in bound and ends_in(net, sigmoid):
        metric = functools.partial(metric, threshold=0.5)
    if "weights" in options:
        if getattr(unwrapped(metric), "ignores_origin", False):
            outputs, y = near_outputs(net, outputs), data.y
        else:
            outputs, y = raw_outputs(net, outputs), raw_targets(net, data.y)
        value = metric(outputs, y, data.weights)
    else:
        value = losses_of(net, metric, outputs, data.y)
    rule = f"metric {name!r} must return one array"
    is_array = jax.tree_util.all_leaves([value])
    checks.require(is_array, function, rule, _described(value), TypeError)
    value = jnp.asarray(value)
    if "weights" in options:
        return value
    if value.shape == (data.rows,):
        return weighted_mean(value, data.weights)
    rule = f"metric {name!r} must take weights, or return a loss per example ({data.rows},)"
    fits = value.shape == () and data.weights is None
    checks.require(fits, function, rule, _described(value))
    return value


def _checked_outputs(function: str, net: Network, params: Params, x: Any) -> jax.Array:
    outputs = scaled_outputs_of(net, params, x)
    check_outputs(function, outputs, x.shape[0])
    return outputs


def _all_measured(
    net: Network, params: Params, x: Any, metrics: Mapping, y: Any, weights: Any, function: str
) -> dict[str, jax.Array]:
    outputs = _checked_outputs(function, net, params, x)
    return measure(net, metrics, outputs, Dataset(x, y, weights), function)


def _mean_loss(
    net: Network, params: Params, x: Any, weights: Any, loss: Loss, y: Any, function: str
) -> jax.Array:
    losses = losses_of(net, loss, _checked_outputs(function, net, params, x), y)
    check_losses(function, losses, x.shape[0])
    return weighted_mean(losses, weights)


def _described(value: Any) -> str:
    """What a function of the user's returned, in an error."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{value.shape}"
    return type(value).__name__


def _parameters(function: Callable) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # builtins have no signature
        return {}
