"""Evaluation: what a network's outputs are worth, on data it may not have seen.

Outputs are collected over batches and measured once, so every metric is exact.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fnn._core import checks
from fnn._core.dataset import Data, Dataset, Subset, dataset
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, host_numbers, merge, split
from fnn._core.reductions import weighted_mean
from fnn._core.shapes import shapes_of
from fnn.activations import identity, sigmoid, softmax
from fnn.networks.mlp import MLP
from fnn.networks.units import (
    centred,
    losses_of,
    near_outputs,
    raw_outputs,
    raw_targets,
    scaled_outputs_of,
)
from fnn.types import Loss, Metric, Network, Params

__all__ = ["evaluate"]


def evaluate(
    net: Network,
    params: Params,
    data: Any,
    metrics: Mapping[str, Metric | Loss],
    *,
    batch_size: int | None = None,
) -> dict[str, jax.Array]:
    """A network's metrics on held-out data. One compiled program.

    Args:
      net: An `mlp`, a `Model`, or any object with pure `init` and `apply`.
      params: Its parameters.
      data: `(x, y)` or `(x, y, weights)`: x `(rows, ...)`, y as the metrics take it,
        weights `(rows,)`, >= 0.
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
    checks.functions(name, "net", net, "init", "apply")
    metrics = checked_metrics(name, net, metrics)
    net, (data,), _ = centred(net, data)
    data = dataset(name, "data", data)
    if batch_size is not None:
        batch_size = min(checks.count(name, "batch_size", batch_size), data.rows)
    params = jax.tree.map(lambda leaf: checks.numbers(name, "params", leaf), params)
    check_measures(name, net, params, data, metrics)
    traced, structure = split(name, (net, params, data, metrics))
    with host_numbers():
        scores = _evaluate(structure, traced, batch_size)
    return {metric: scores[metric] for metric in metrics}  # jit sorts dicts


@compiled(0, 2)
def _evaluate(structure: Structure, traced: list, batch_size: int | None) -> dict[str, jax.Array]:
    net, params, data, metrics = merge(structure, traced)
    return measure(net, metrics, predict(net, params, data, batch_size), data)


def predict(net: Network, params: Params, data: Data, batch_size: int | None) -> jax.Array:
    """Scaled outputs `(rows, out)`, `batch_size` rows at a time."""
    rows, given = data.rows, data.numbers if isinstance(data, Subset) else data.x

    def outputs_for(part: Any) -> jax.Array:
        x = jnp.asarray(data.x)[part] if isinstance(data, Subset) else part
        return scaled_outputs_of(net, params, x)

    if batch_size is None or batch_size >= rows:
        return outputs_for(given)
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
    function: str, net: Network, params: Params, data: Dataset, metrics: Mapping
) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the metrics, after checks of everything that can be checked early.

    Nothing is computed: outputs are abstract, but targets are not, so that their values
    (labels out of range, say) are checked too.
    """
    abstract, known = (net, params, data.x), (metrics, data.y, data.weights, function)
    return shapes_of(function, _all_measured, abstract, known)


def check_loss(
    function: str, net: Network, params: Params, data: Dataset, loss: Loss
) -> jax.ShapeDtypeStruct:
    """Shape and dtype of the mean loss, after the same checks: a loss cannot be a metric."""
    abstract, known = (net, params, data.x, data.weights), (loss, data.y, function)
    return shapes_of(function, _mean_loss, abstract, known)


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


def check_outputs_suit(function: str, net: Network, loss: Callable) -> None:
    """Raises where the loss is none, or an mlp's last activation is not what it takes."""
    rule = "loss must be a function of outputs and targets"
    checks.require(callable(loss), function, rule, repr(loss), TypeError)
    takes = getattr(unwrapped(loss), "takes", None)
    if not isinstance(net, MLP) or takes is None:
        return
    name = unwrapped(loss).__name__
    probable = ends_in(net, sigmoid, softmax)
    rule = f"{name} takes logits, so the mlp must end in 'identity' (it loses no digits)"
    got = f"output={getattr(net.output, '__name__', net.output)!r}"
    checks.require(takes != "logits" or not probable, function, rule, got)
    rule = f"{name} takes probabilities, so the mlp must end in 'softmax' or 'sigmoid'"
    checks.require(takes != "probabilities" or not ends_in(net, identity), function, rule, got)
    rule = f"{name} takes {takes}, so the mlp must have no scaler of its outputs"
    scaled = takes in ("logits", "probabilities") and net.outputs is not None
    checks.require(not scaled, function, rule, f"outputs={type(net.outputs).__name__}(...)")


def higher_is_better(metric: Loss | Metric) -> bool | None:
    """What a metric says of itself; None where it says nothing."""
    return getattr(unwrapped(metric), "higher_is_better", None)


def unwrapped(function: Callable) -> Any:
    """The function inside of partials."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _measured(
    function: str,
    name: str,
    net: Network,
    metric: Metric | Loss,
    outputs: jax.Array,
    data: Dataset,
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


def ends_in(net: Any, *activations: Callable) -> bool:
    """Whether it is an `mlp` whose last activation is one of these."""
    named = {getattr(jax.nn, sigma.__name__, sigma) for sigma in activations}
    return isinstance(net, MLP) and net.output in {*activations, *named}
