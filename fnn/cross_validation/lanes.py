"""The lanes of a cross-validation: the keys, rows and labels of each setting, repeat and fold."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dataset import Dataset, Subset
from fnn._core.jit_cache import compiled
from fnn._core.partition import by_value
from fnn.cross_validation.folds import Split
from fnn.sweeps.columns import Lanes, column_of, is_lanes
from fnn.sweeps.setup import keys_of, plain_values


class Keys(NamedTuple):
    """The keys of a cross-validation."""

    folds: jax.Array
    order: jax.Array
    lanes: jax.Array
    """`()`, or `(settings,)`."""
    refit: jax.Array
    """`()`, or `(settings,)`."""
    seeds: np.ndarray
    """The settings' keys, numbered."""

    @classmethod
    def of(cls, function: str, key: Any) -> "Keys":
        """Of a key, or a key for each setting."""
        keys = keys_of(function, key)
        folds, order, lanes, refit = _derived(keys)
        return cls(folds, order, lanes, refit, plain_values(keys.reshape(-1)))

    def of_lanes(self, settings: int, runs: int) -> jax.Array:
        """`(settings * runs,)`; of one key, the same for all settings."""
        return _of_runs(settings, runs, self.lanes)

    def of_refit(self, setting: int) -> jax.Array:
        """The key of a setting's run on all rows."""
        return self.refit if self.refit.ndim == 0 else self.refit[setting]


@compiled()
def _derived(keys: jax.Array) -> tuple[jax.Array, ...]:
    """The first four of `Keys`."""
    folds, lanes, order, refit = jax.vmap(lambda key: jax.random.split(key, 4))(keys.reshape(-1)).T
    return folds[0], order[0], lanes.reshape(keys.shape), refit.reshape(keys.shape)


@compiled(0, 1)
def _of_runs(settings: int, runs: int, keys: jax.Array) -> jax.Array:
    """A key for each run of each setting, from their keys, or from one."""
    keys = jax.vmap(lambda key: jax.random.split(key, runs))(keys.reshape(-1))
    return jnp.broadcast_to(keys, (settings, runs)).reshape(-1)


class Rows(NamedTuple):
    """The rows of all lanes: those of each fold, the same for all settings."""

    data: Dataset
    splits: list[Split]
    settings: int

    def of(self, part: str) -> Subset:
        """The rows that lanes train on, hold out, or are watched by."""
        chosen = [getattr(split, part) for split in self.splits]
        most = max(map(len, chosen))
        numbers = np.empty((len(chosen), most), np.int32)
        for row, rows in zip(numbers, chosen, strict=True):
            row[:] = rows[-1]  # what is left of it is padding
            row[: len(rows)] = rows
        weights: Any = None
        if self.data.weights is not None or any(len(rows) < most for rows in chosen):
            # folds with a row less are padded by one of weight 0
            counts = np.arange(most) < np.array([len(rows) for rows in chosen])[:, None]
            own = 1 if self.data.weights is None else np.asarray(self.data.weights)[numbers]
            weights = Lanes(np.tile((counts * own).astype(np.float32), (self.settings, 1)))
        of_lanes: Any = Lanes(np.tile(numbers, (self.settings, 1)))
        return Subset(self.data.x, self.data.y, weights, of_lanes)


def repeated(argument: Any, times: int) -> Any:
    """The argument, with each of its swept values so many times in a row."""

    def repeated(node: Any) -> Any:
        return Lanes(np.repeat(np.asarray(node.values), times, axis=0)) if is_lanes(node) else node

    return jax.tree.map(repeated, by_value(argument), is_leaf=is_lanes)


def labels_of_lanes(
    function: str,
    labels: Mapping[str, Any] | None,
    keys: Keys,
    splits: list[list[Split]],
    settings: int,
) -> dict[str, np.ndarray]:
    """The labels of all lanes: those of their settings, and their repeat and fold."""
    labels = {} if labels is None else labels
    rule = "labels must be a dict from names to one value per setting"
    is_dict = isinstance(labels, Mapping)
    checks.require(is_dict, function, rule, type(labels).__name__, TypeError)
    runs = sum(map(len, splits))
    found = {"seed": np.repeat(np.broadcast_to(keys.seeds, settings), runs)}
    for what, values in labels.items():
        array = column_of(function, f"{what!r} of labels", values)
        rule = f"each of labels must have one value per setting ({settings},)"
        checks.require(array.shape == (settings,), function, rule, f"{what!r} of {array.shape}")
        rule = "labels must have names of their own"
        checks.require(what not in ("repeat", "fold"), function, rule, repr(what))
        found[what] = np.repeat(array, runs)
    folds = [len(pairs) for pairs in splits]
    repeat = np.repeat(np.arange(len(splits)), folds)
    fold = np.concatenate([np.arange(number) for number in folds])
    return found | {"repeat": np.tile(repeat, settings), "fold": np.tile(fold, settings)}
