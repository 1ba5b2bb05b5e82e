"""`concatenate_sweeps`: several sweeps, such as those of many machines, as one."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.partition import merge
from fnn._host.fingerprint import codes, fingerprint
from fnn.sweeps.columns import numbers_of
from fnn.sweeps.program import Varied
from fnn.sweeps.result import Sweep
from fnn.sweeps.rows import from_host, is_key, to_host, with_keys, without_keys
from fnn.sweeps.setup import plain_values

__all__ = ["concatenate_sweeps"]

_NAME = "concatenate_sweeps"


def concatenate_sweeps(sweeps: Iterable[Sweep]) -> Sweep:
    """Several sweeps as one, their lanes one after the other.

    A `Sweep` can be pickled, so that the parts of a large sweep can be run by other processes, on
    other machines, in any order. What they return is joined here, and is used like the result of
    one call.

    The sweeps may differ in their numbers: a number that is swept in one of them, or that differs
    between them (each has another learning rate, say), is a column of the result. Arrays that are
    equal in all of them, such as data, are kept once; where data differ, each lane has its own.
    The structure (sizes, activations, functions, batch size, metrics) must be the same. Functions
    that were pickled by value are the same where their names, code and closures are.

    Histories of fewer epochs are continued by their last value, as those of stopped lanes are.
    If all have one `order_key`, so has the result, or else one for each lane. Where each numbered
    its keys as `seed`, the keys of all are numbered.

    Args:
      sweeps: At least one result of `sweep`, in the order that the lanes are to have.
    Returns:
      A `Sweep` with its states on the default device. Its `state` continues all lanes, if they are
      at one epoch. Its padding is that of all lanes.
    Raises:
      TypeError: Something else than results of `sweep`; those of `cross_validate` have folds.
      ValueError: There are none; or their structures, labels or shapes differ (it is said where);
        or data in 64 bits were shifted differently, by scalers that differ.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> parts = [sweep(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(rate), (x, 3 * x + 1),
    ...                key=jax.random.split(jax.random.key(0), 2), epochs=3, progress=False)
    ...          for rate in (0.01, 0.1)]
    >>> table = concatenate_sweeps(parts).table()
    >>> print(table["learning_rate"], table["seed"])
    [0.01 0.01 0.1  0.1 ] [0 1 0 1]
    """
    parts = _checked(sweeps)
    first = parts[0]
    varied = _varied(parts)
    states = [to_host(part.state._replace(order_key=None)) for part in parts]
    state = from_host(jax.tree.map(_rows, *states))
    most = max(values.shape[1] for part in parts for values in part.history.values())
    return Sweep(
        history={
            name: _rows(*(_continued(part.history[name], most) for part in parts))
            for name in first.history
        },
        epochs=_rows(*(part.epochs for part in parts)),
        state=state._replace(order_key=varied.traced[-1]),
        finished=_rows(*(part.finished for part in parts)),
        dropped_at=_rows(*(part.dropped_at for part in parts)),
        columns=_columns(parts, varied),
        labels=_labels(parts, state.train.key),
        # of all that the layers' products do, in units of what one lane does, over the useful work
        padding=sum(map(len, parts)) / sum(len(part) / part.padding for part in parts),
        problem=first.problem,
        shift=first.shift,
        varied=varied,
    )


def _checked(sweeps: Any) -> list[Sweep]:
    """The sweeps, alike but for their numbers."""
    rule = "sweeps must be a list of results of sweep"
    try:
        each = iter(sweeps)
    except TypeError:
        raise TypeError(f"{_NAME}: {rule}; got {type(sweeps).__name__}") from None
    parts = list(each)
    for part in parts:
        checks.require(type(part) is Sweep, _NAME, rule, type(part).__name__, TypeError)
    checks.require(parts, _NAME, "there must be at least one sweep", "none")
    first = parts[0]
    for number, part in enumerate(parts):
        if part.varied.structure != first.varied.structure:
            names = ", ".join(_differing(_described(first), _described(part)))
            rule = "sweeps must differ in the values of numbers only"
            checks.require(not names, _NAME, rule, f"another {names} in sweep {number}")
        checks.same_structure(_NAME, f"state of sweep {number}", _of_lane(first), _of_lane(part))
        rule = "x in 64 bits must have been shifted by one scaler (or give x in 32 bits)"
        shifts: Any = first.shift, part.shift
        got = f"another scaler of inputs in sweep {number}"
        checks.require(np.array_equal(*shifts), _NAME, rule, got)
    return parts


def _arguments(varied: Varied, numbers: list[Any]) -> dict[str, Any]:
    """The arguments of a sweep as they were given, with these in place of their numbers."""
    problem, _ = merge(varied.structure, numbers)
    arguments = problem._asdict()
    del arguments["plan"]
    metrics = {name.removeprefix("validation_"): value for name, value in problem.metrics.items()}
    metrics.pop("loss", None)  # whose numbers are those of the loss
    arguments |= {"metrics": metrics, "data": tuple(problem.data)}
    if problem.validation is not None:
        arguments["validation"] = tuple(problem.validation)
    return arguments


def _described(part: Sweep) -> dict[str, Any]:
    """What is static in a sweep, by path, and the code of functions."""
    arguments = _arguments(part.varied, [0] * len(part.varied.traced))
    plan = dict(vars(part.problem.plan))
    arguments["mode"] = plan.pop("sign")
    arguments["history (names, shapes or dtypes)"] = str(plan.pop("records"))
    arguments |= plan
    return fingerprint(**arguments) | codes(**arguments)


def _differing(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """The paths of what differs, without those of its parts."""
    names = {name.removesuffix(".__code__") for name in here | there
             if here.get(name) != there.get(name)}  # fmt: skip
    found: list[str] = []
    for name in sorted(names):
        if not name.startswith(tuple(f"{whole}{sign}" for whole in found for sign in ".[")):
            found.append(name)
    return found


def _of_lane(part: Sweep) -> Any:
    """The shapes of a lane's state."""
    state = part.state._replace(order_key=None)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state)


def _varied(parts: Sequence[Sweep]) -> Varied:
    """The problems of all lanes and the keys of their orders, shared where they are equal."""
    names = {index: name for name, index in _names(parts[0].varied).items()}
    traced, swept = [], []
    for index, shared in enumerate(parts[0].varied.traced):
        leaves = [part.varied.traced[index] for part in parts]
        is_own = any(part.varied.swept[index] for part in parts)
        is_own = is_own or not all(_equal(shared, leaf) for leaf in leaves)
        if is_own:
            kinds = [_kind(part, index) for part in parts]
            rule = f"{names.get(index, 'order_key')} must be of one shape in all sweeps"
            got = " and ".join(dict.fromkeys(kinds))
            checks.require(len(set(kinds)) == 1, _NAME, rule, got)
            rows = [_by_lane(part, index) for part in parts]
            shared = with_keys(jax.tree.map(_rows, *rows))
        traced.append(shared)
        swept.append(is_own)
    return Varied(parts[0].varied.structure, traced, tuple(swept))


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    pairs = zip(*(jax.tree.leaves(without_keys(leaf)) for leaf in (one, other)), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def _kind(part: Sweep, index: int) -> str:
    """The shape that a lane has of a number, and of keys their kind."""
    leaf, own = part.varied.traced[index], part.varied.swept[index]
    return f"{leaf.dtype if is_key(leaf) else ''}{np.shape(leaf)[own:]}"


def _by_lane(part: Sweep, index: int) -> Any:
    """A number of all lanes, `(lanes, ...)`, with keys as plain numbers."""
    leaf, own = without_keys(part.varied.traced[index]), part.varied.swept[index]
    arrays = jax.tree.map(np.asarray, leaf)
    if own:
        return arrays
    return jax.tree.map(lambda array: np.broadcast_to(array, (len(part), *array.shape)), arrays)


def _columns(parts: Sequence[Sweep], varied: Varied) -> dict[str, np.ndarray]:
    """The swept values by path: as they were given, or else as they are in the problems."""
    found = {}
    for name, index in _names(varied).items():
        if is_key(varied.traced[index]) and varied.swept[index]:
            found[name] = plain_values(varied.traced[index])
        elif varied.swept[index]:
            found[name] = _rows(*(part.columns.get(name, _by_lane(part, index)) for part in parts))
    return found


def _names(varied: Varied) -> dict[str, int]:
    """The places of numbers in `Varied.traced`, by the path of the argument that has them."""
    return numbers_of(_arguments(varied, [*range(len(varied.traced))]))


def _labels(parts: Sequence[Sweep], keys: jax.Array) -> dict[str, np.ndarray]:
    """Further columns. Where `seed` numbers the keys of each sweep, it numbers those of all."""
    names = [name for name in parts[0].labels if name != "seed"]
    for number, part in enumerate(parts):
        others = ", ".join(sorted({*part.labels, "seed"} ^ {*names, "seed"}))
        rule = "labels must have the same names in all sweeps"
        checks.require(not others, _NAME, rule, f"{others} not in both sweeps 0 and {number}")
    found = {name: _rows(*(part.labels[name] for part in parts)) for name in names}
    seeds = [part.labels.get("seed") for part in parts]
    of_each, numbers = [plain_values(part.state.train.key) for part in parts], plain_values(keys)
    pairs = zip(seeds, of_each, strict=True)
    if all(seed is None or np.array_equal(seed, own) for seed, own in pairs):
        one_each = numbers.any() and not any(own.any() for own in of_each)
        is_label = one_each or any(seed is not None for seed in seeds)
        return found | ({"seed": numbers} if is_label else {})
    rule = "labels must have seed in all sweeps or in none"
    checks.require(all(seed is not None for seed in seeds), _NAME, rule, "some without it")
    return found | {"seed": _rows(*seeds)}


def _continued(values: np.ndarray, epochs: int) -> np.ndarray:
    """A history of so many epochs: the last value is repeated."""
    later = [(0, 0), (0, epochs - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, later, mode="edge")


def _rows(*arrays: Any) -> np.ndarray:
    return np.concatenate(arrays)
