"""What is to be trained, on what, and how: the arguments of a run, checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.config import config, static
from fnn._core.dataset import Data, Dataset, Sharded, dataset, selected_shapes, sharded
from fnn._core.partition import is_number
from fnn._core.shapes import shapes_of
from fnn._core.shards import in_equal_parts
from fnn.evaluation import check_loss, check_measures, checked_metrics
from fnn.networks.suitable import check_outputs_suit, higher_is_better
from fnn.networks.units import centred
from fnn.training.step import checked_parts
from fnn.training.stopping import EarlyStopping
from fnn.types import Loss, Metric, Network, Optimizer, Params


@config
class Plan:
    """The static part of a run."""

    batch_size: int = static()
    accumulate: int = static()
    """In how many parts a batch is computed."""
    monitor: str = static()
    sign: int = static()
    """1 where a lower monitor is better, -1 where a higher one is."""
    records: tuple[tuple[str, jax.ShapeDtypeStruct], ...] = static()
    """What a row of the history holds, by name."""


class Problem(NamedTuple):
    """What is to be trained, on what, and how: the checked arguments of a run."""

    net: Network
    loss: Loss
    optimizer: Optimizer
    data: Data
    validation: Data | None
    metrics: dict[str, Metric | Loss]
    """Of the validation, "validation_loss" included."""
    stop: EarlyStopping | None
    plan: Plan


def checked_problem(
    function: str,
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    *,
    batch_size: int,
    accumulate: int = 1,
    validation: Any,
    metrics: Mapping[str, Metric | Loss] | None,
    monitor: str | None,
    mode: str,
    stop: EarlyStopping | None,
) -> Problem:
    """The arguments of `fit` but for where it begins and ends, checked against one another."""
    checks.functions(function, "net", net, "init", "apply")
    checks.functions(function, "optimizer", optimizer, "init", "update")
    _check_one_run(function, "net", net)
    _check_one_run(function, "optimizer", optimizer)
    rule = "stop must be an early_stopping(...) or None"
    is_rule = stop is None or isinstance(stop, EarlyStopping)
    checks.require(is_rule, function, rule, repr(stop), TypeError)
    _check_one_run(function, "stop", stop)

    metrics = checked_metrics(function, net, {} if metrics is None else metrics)
    check_outputs_suit(function, net, loss)
    net, (data, validation), _ = centred(net, data, validation)
    data = dataset(function, "data", data)
    batch_size = checks.count(function, "batch_size", batch_size)
    accumulate = checked_parts(function, "batch_size", batch_size, accumulate)
    # all rows, and padding where they cannot be cut into parts
    batch_size = min(batch_size, -(-data.rows // accumulate) * accumulate)
    params = shapes_of(function, _first_params, (net,))
    records = {"loss": check_loss(function, net, params, selected_shapes(data), loss)}
    measures = {}
    if validation is not None:
        validation = dataset(function, "validation", validation)
        measures = {"loss": loss, **metrics}
        rule = "no metric may be called 'loss', which is recorded in any case"
        checks.require("loss" not in metrics, function, rule, "'loss'")
        measures = {f"validation_{name}": metric for name, metric in measures.items()}
        known = selected_shapes(validation)
        records |= check_measures(function, net, params, known, measures)
    else:
        rule = "metrics are measured on validation data, so validation must be given"
        checks.require(not metrics, function, rule, "validation=None")

    if monitor is None:
        monitor = "validation_loss" if validation is not None else "loss"
    rule = f"monitor must be recorded: one of {', '.join(records)}"
    is_recorded = isinstance(monitor, str) and monitor in records
    checks.require(is_recorded, function, rule, repr(monitor))
    record = records[monitor]
    is_value = record.shape == () and jnp.issubdtype(record.dtype, jnp.floating)
    rule = f"monitor {monitor!r} must be one floating number per epoch"
    checks.require(is_value, function, rule, f"{record.dtype}{record.shape}")
    sign = _sign(function, monitor, mode, measures.get(monitor, loss))
    plan = Plan(batch_size, accumulate, monitor, sign, tuple(records.items()))
    return Problem(net, loss, optimizer, data, validation, measures, stop, plan)


def over_devices(function: str, problem: Problem, shuffle: str | None) -> Problem:
    """The problem with data that lie on a mesh of devices trained where they are.

    Args:
      function: The name of the caller, for errors.
      problem: Checked.
      shuffle: As `fit` takes it.
    Raises:
      ValueError: `shuffle` is none of the words, or is "shards" where there are none; or the batch
        cannot be spread over the devices evenly.
    """
    checks.word(function, "shuffle", shuffle, None, "shards", "global")
    data, validation = (
        sharded(part) if type(part) is Dataset else part
        for part in (problem.data, problem.validation)
    )
    is_sharded = isinstance(data, Sharded)
    rule = "shuffle='shards' is for data whose rows are sharded over devices (see shard_data)"
    checks.require(shuffle != "shards" or is_sharded, function, rule, "data that are not")
    if is_sharded and shuffle != "global":
        size = problem.plan.batch_size
        data = data._replace(shards=in_equal_parts(function, data.shards, data.rows, size))
    return problem._replace(data=data, validation=validation)


def _first_params(net: Network) -> Params:
    return net.init(jax.random.key(0))


def _check_one_run(function: str, name: str, value: Any) -> None:
    """Raises where a config holds the numbers of many lanes: inside a run they would broadcast."""
    if isinstance(value, tuple):
        for member in value:
            _check_one_run(function, name, member)
    if not dataclasses.is_dataclass(value):
        return
    for field in dataclasses.fields(value):
        rank, number = field.metadata.get("rank"), getattr(value, field.name)
        if rank is None:
            continue
        _check_one_run(function, name, number)
        if is_number(number) and getattr(number, "dtype", None) != np.bool_:  # masks have shapes
            rule = (
                f"{field.name} must be that of one run (for many, sweep, or vmap what makes {name})"
            )
            checks.require(np.ndim(number) <= rank, function, rule, f"shape {np.shape(number)}")


def _sign(function: str, monitor: str, mode: str, measured: Any) -> int:
    checks.word(function, "mode", mode, "auto", "min", "max")
    if mode != "auto":
        return 1 if mode == "min" else -1
    sign = own_sign(monitor, measured)
    rule = f"mode must be 'min' or 'max', as {monitor!r} does not say which is better"
    if sign is None:
        raise ValueError(f"{function}: {rule}; got 'auto'")
    return sign


def own_sign(monitor: str, measured: Any) -> int | None:
    """1 where a lower monitor is better, -1 where a higher one is, None where it does not say."""
    if monitor in ("loss", "validation_loss"):
        return 1
    higher = higher_is_better(measured)
    return None if higher is None else -1 if higher else 1
