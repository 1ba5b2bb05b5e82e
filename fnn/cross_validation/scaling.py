"""The scalers of a network, fitted to the training rows of each fold."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fnn._core.dataset import Dataset
from fnn.cross_validation.folds import Split
from fnn.networks.units import Scaling, with_outputs_from
from fnn.scalers import Scaler, stacked
from fnn.sweeps.columns import marked
from fnn.types import Network


def fitted_to(net: Network, given: Any, data: Dataset) -> Any:
    """A network, marked for a sweep, with scalers fitted to these rows.

    Args:
      net: The network as it was given.
      given: It, marked.
      data: The rows, in raw units.
    """
    found = {name: scaler.fitted(rows) for name, (scaler, rows) in _scalers(net, data).items()}
    return dataclasses.replace(given, **found) if found else given


def fitted_by_fold(
    net: Network,
    given: Any,
    data: Dataset,
    splits: Sequence[Split],
    shift: np.ndarray | None,
    origin: np.ndarray | None,
    settings: int,
) -> Any:
    """The networks of all lanes, each with scalers fitted to the training rows of its fold.

    Args:
      net: The network as it was given.
      given: Those of all lanes, marked.
      data: All rows, in raw units.
      splits: Of the lanes of one setting.
      shift: What was subtracted from the x that the lanes get, if anything.
      origin: The same of y.
      settings: How many there are.
    """
    found = {}
    for name, (scaler, rows) in _scalers(net, data).items():
        of_folds = [scaler.fitted(rows[split.train]) for split in splits]
        if shift is not None and name == "inputs":
            of_folds = [scaler.shifted(shift) for scaler in of_folds]
        elif name == "outputs":
            of_folds = [with_outputs_from(origin, scaler) for scaler in of_folds]
        tiled = jax.tree.map(lambda leaf: np.concatenate([leaf] * settings), stacked(of_folds))
        found[name] = marked(tiled)
    return dataclasses.replace(given, **found) if found else given


def _scalers(net: Any, data: Dataset) -> dict[str, tuple[Scaler, np.ndarray]]:
    """The scalers of a network that are not swept, by name, and the rows that they are for."""
    if not isinstance(net, Scaling):
        return {}
    x, y = np.asarray(data.x), np.asarray(data.y)
    # of targets (rows,), their one column
    pairs = {"inputs": (net.inputs, x), "outputs": (net.outputs, y.reshape(len(y), -1))}
    return {
        name: (scaler, rows)
        for name, (scaler, rows) in pairs.items()
        if scaler is not None and len(scaler.shape) == 1
    }
