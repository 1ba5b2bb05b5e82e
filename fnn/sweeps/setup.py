"""The checked arguments of a sweep: what is swept, and the first states of its lanes."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dataset import Data
from fnn._core.jit_cache import compiled
from fnn._core.partition import by_value, is_number, split
from fnn._core.shapes import shapes_of
from fnn.networks.mlp import MLP
from fnn.networks.units import centred
from fnn.sweeps.columns import column_of, columns_of, is_lanes, marked, number_of_lanes, of_lane
from fnn.sweeps.program import Varied
from fnn.sweeps.rows import is_key, key_numbers, over_lanes, plain, rows_of, to_host, with_keys
from fnn.training.problem import Problem, checked_problem
from fnn.training.state import FitState, checked_state, initial_state, own_order_key
from fnn.training.step import TrainState

# How many times the useful work may be done without `allow_padding=True`.
_PADDING = 4
# Columns that the result's tables have besides the history and the best monitor.
_OF_RESULTS = ("best_epoch", "epochs", "diverged_at",
               "count", "diverged", "mean", "standard_deviation", "standard_error")  # fmt: skip


class Setup(NamedTuple):
    """The checked arguments of a sweep."""

    size: int
    """The number of lanes."""
    problem: Problem
    """The problem of the first lane, shifted."""
    shift: np.ndarray | None
    """What was subtracted from all x, `(features,)`, if anything."""
    varied: Varied
    """The problems of all lanes, and the keys of their batch orders."""
    order_key: jax.Array
    """`()`, or `(lanes,)` where each has its own."""
    start_state: Any
    """A row per lane, on the host or on an accelerator: keys, `TrainState`s or `FitState`s without
    `order_key`."""
    like: FitState
    """The state of one lane, or its shapes."""
    columns: dict[str, np.ndarray]
    """What was swept, by path."""
    labels: dict[str, np.ndarray]
    padding: float
    """The work done over the useful work."""


def checked_setup(  # noqa: D417, `sweep` describes the others
    function: str,
    arguments: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    key: Any,
    state: Any,
    order_key: Any,
    shared_order: bool,
    labels: Mapping[str, Any] | None,
    allow_padding: bool,
) -> Setup:
    """The arguments of a sweep, checked before anything is compiled.

    Args:
      function: The name of the caller, for errors.
      arguments: By name, those of `checked_problem` that can be swept.
      options: Its others.
    Raises:
      ValueError, TypeError: As `sweep` says.
    """
    marks = {what: marked(argument) for what, argument in arguments.items()}
    columns = columns_of(marks)
    all_data = arguments["data"], arguments["validation"]
    net, (data, validation), shift = centred(arguments["net"], *all_data)
    shifted = {"net": net, "data": data, "validation": validation}
    arguments = marks | {what: marked(value) for what, value in shifted.items()}
    start = keys_of(function, key) if state is None else state
    if order_key is not None:
        order_key = keys_of(function, order_key)
    checks.no_tracers(function, (by_value(arguments), start, order_key))
    given = {"key" if state is None else "state": start, "order_key": order_key}
    own = {what: _key_of(value) for what, value in given.items() if _has_lanes(value)}
    size = number_of_lanes(function, columns | own)

    def problem_of(lane: int) -> Problem:
        return checked_problem(function, **of_lane(arguments, lane), **options)

    problem = problem_of(0)
    for lane in _lanes_to_check(columns):
        problem_of(lane)
    padding = _padding(arguments["net"])
    rule = f"padding must cost at most {_PADDING} times the useful work, or allow_padding=True"
    checks.require(padding <= _PADDING or allow_padding, function, rule, f"{padding:.3g} times")

    without_order = start._replace(order_key=None) if isinstance(start, FitState) else start
    start_state = plain(without_order) if _has_lanes(start) else to_host(without_order)
    first: Any = _first_of(start, start_state) if _has_lanes(start) else start
    orders: Any = order_key
    first_order = orders[0] if _has_lanes(orders) else orders
    begin: Any = checked_state(
        function,
        problem,
        first if state is None else None,
        None if state is None else first,
        first_order,
    )
    if isinstance(start, FitState):
        like, order_key = begin, start.order_key
    else:
        like = shapes_of(function, initial_state, (problem, begin))
        if order_key is None:
            order_key = _own_order_keys(start, size, shared_order)
    if not _has_lanes(start):
        start_state = jax.tree.map(
            lambda leaf: np.broadcast_to(leaf, (size, *leaf.shape)), start_state
        )
    plan, given_labels = problem.plan, {} if labels is None else labels
    taken = {*columns, *dict(plan.records), f"best_{plan.monitor}", *_OF_RESULTS}
    labels = _checked_labels(function, given_labels, own, taken, size)
    numbers = {name: plain_values(values) for name, values in columns.items()}
    varied = varied_problems(function, problem, arguments, order_key)
    return Setup(
        size, problem, shift, varied, order_key, start_state, like, numbers, labels, padding
    )


def keys_of(function: str, keys: Any) -> jax.Array:
    """One key, or one per lane, typed."""
    if _has_lanes(keys) and len(keys) > 0:
        if is_key(keys):
            return keys
        checks.key(function, keys[0])
        return jax.random.wrap_key_data(jnp.asarray(keys))
    return checks.key(function, keys)


def _key_of(start: Any) -> Any:
    """The keys of a state, or the keys themselves."""
    if isinstance(start, FitState):
        start = start.train
    return start.key if isinstance(start, TrainState) else start


def _has_lanes(start: Any) -> bool:
    """Whether keys, or the key of a state, have an axis of lanes."""
    key = _key_of(start)
    return isinstance(key, (jax.Array, np.ndarray)) and key.ndim == (1 if is_key(key) else 2)


def _first_of(start: Any, start_state: Any) -> Any:
    """The first lane's, of a start that is plain too but for a state's order key."""
    one = with_keys(rows_of(start_state, 0))
    if not isinstance(start, FitState):
        return one
    order_key = start.order_key[0] if start.order_key.ndim else start.order_key
    return one._replace(order_key=order_key)


def _own_order_keys(start: Any, size: int, shared_order: bool) -> jax.Array:
    """The order keys that `fit` derives from the lanes' keys, or the first lane's."""
    has_begun = isinstance(start, TrainState)
    return _order_keys(None if shared_order else size, has_begun, _key_of(start))


@compiled(0, 1)
def _order_keys(size: int | None, has_begun: bool, keys: jax.Array) -> jax.Array:
    """Of the keys of runs, or of the steps of begun ones; without a size, of the first."""
    # a clone, as the lanes themselves derive from the same keys
    keys = jnp.reshape(jax.random.clone(keys), -1)
    if size is None:
        keys = keys[:1]
    if not has_begun:
        keys = over_lanes(lambda key: jax.random.split(key)[1])(keys)
    keys = over_lanes(own_order_key)(keys)
    return keys[0] if size is None else jnp.broadcast_to(keys, size)


def _lanes_to_check(columns: Mapping[str, Any]) -> list[int]:
    """The lanes with the lowest and highest values of arguments that no config checks."""
    lanes = set()
    for name, values in columns.items():
        if name.split(".")[0] in ("loss", "metrics", "data", "validation") and not is_key(values):
            flat = np.asarray(values).reshape(len(values), -1)
            lanes |= {int(flat.min(axis=1).argmin()), int(flat.max(axis=1).argmax())}
    return sorted(lanes)


def _padding(net: Any) -> float:
    """The multiplications done over the useful ones."""
    if not isinstance(net, MLP) or net.active is None:
        return 1.0
    active: Any = net.active
    active = np.atleast_2d(active.values if is_lanes(active) else active).astype(float)
    ends = np.ones((len(active), 1))
    widths = np.concatenate([ends * net.sizes[0], active, ends * net.sizes[-1]], axis=1)
    useful = np.sum(widths[:, :-1] * widths[:, 1:])
    full = len(active) * sum(a * b for a, b in itertools.pairwise(net.sizes))
    return float(full / useful)


def _checked_labels(
    function: str, labels: Mapping[str, Any], own: Mapping[str, Any], taken: set[str], size: int
) -> dict[str, np.ndarray]:
    rule = "labels must be a dict from names to one value per lane"
    is_dict = isinstance(labels, Mapping)
    checks.require(is_dict, function, rule, type(labels).__name__, TypeError)
    found = {}
    for name, values in labels.items():
        array = column_of(function, f"{name!r} of labels", values)
        fits = isinstance(name, str) and array.shape == (size,)
        rule = f"each of labels must have one value per lane ({size},)"
        checks.require(fits, function, rule, f"{name!r} of shape {array.shape}")
        rule = "labels must have names of their own"
        checks.require(name not in taken, function, rule, f"{name!r}, a column of the result")
        found[name] = array
    if "key" in own and "seed" not in found:
        found["seed"] = plain_values(own["key"])
    return found


def plain_values(values: Any) -> np.ndarray:
    """The values as numbers; keys are numbered in the order in which they appear."""
    if not is_key(values):
        return np.asarray(values)
    numbers: dict[bytes, int] = {}
    rows = key_numbers(values)
    return np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in rows])


def varied_problems(
    function: str, problem: Problem, arguments: Mapping, order_key: jax.Array
) -> Varied:
    """The problems of all lanes, split like that of the first."""
    _, structure = split(function, (problem, order_key))
    given = arguments["metrics"] or {}
    measures = {f"validation_{name}": metric for name, metric in given.items()}
    many = problem._replace(
        net=arguments["net"],
        loss=arguments["loss"],
        optimizer=arguments["optimizer"],
        data=_with_lanes(problem.data, arguments["data"]),
        validation=_with_lanes(problem.validation, arguments["validation"]),
        metrics=problem.metrics and {"validation_loss": arguments["loss"], **measures},
        stop=arguments["stop"],
    )
    leaves = jax.tree.leaves(by_value((many, order_key)), is_leaf=is_lanes)
    found = [leaf for leaf in leaves if is_lanes(leaf) or is_number(leaf)]
    traced = [leaf.values if is_lanes(leaf) else leaf for leaf in found]
    own_order = order_key.ndim == 1
    return Varied(structure, traced, (*map(is_lanes, found[:-1]), own_order))


def _with_lanes(checked: Data | None, given: Any) -> Data | None:
    """The checked data, with what is marked in place of the first lane's."""
    if checked is None:
        return None
    parts: Any = itertools.zip_longest(checked, given)
    return type(checked)(*[part if is_lanes(part) else known for known, part in parts])
