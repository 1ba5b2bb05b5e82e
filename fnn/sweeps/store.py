"""The states of all lanes of a sweep, between the chunks that advance them."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from fnn.sweeps.rows import empty_rows, gathered, rows_of, scattered, write_rows, zero_rows
from fnn.training.state import FitState


class Store:
    """A row per lane, on the host or on an accelerator."""

    def __init__(self, like: FitState, size: int, device: Sharding | None):
        """An empty store.

        Args:
          like: The shapes of the state of one lane, keys as `KeyData`.
          size: The number of lanes.
          device: The accelerator that keeps the states; None for the host.
        """
        self._size, self._device = size, device
        # on an accelerator the first states written may be those of all lanes
        self._states: Any = empty_rows(like, size) if device is None else None

    @property
    def is_on_device(self) -> bool:
        """Whether an accelerator keeps the states."""
        return self._device is not None

    def fill(self, states: FitState) -> None:
        """Takes the states of all lanes; nobody else may use their arrays."""
        self._states = states if self._device is None else jax.device_put(states, self._device)

    def write(self, lanes: np.ndarray, states: FitState) -> None:
        """Writes the states of these lanes, the first rows of a chunk."""
        if self._device is None:
            write_rows(self._states, lanes, states)
            return
        chunk = len(jax.tree.leaves(states)[0])
        if len(lanes) == chunk == self._size:  # all of them, which are in order
            self._states = states
            return
        if self._states is None:
            self._states = zero_rows(self._size, states)
        # the rest of the chunk is padding, which is scattered beyond the last row and so dropped
        rows = np.pad(lanes, (0, chunk - len(lanes)), constant_values=self._size)
        self._states = scattered(self._states, rows.astype(np.int32), states)

    def rows(self, rows: np.ndarray) -> FitState:
        """The states of these lanes."""
        if self._device is None:
            return rows_of(self._states, rows)
        return gathered(self._states, rows.astype(np.int32))

    def on_host(self) -> FitState:
        """The states of all lanes as NumPy arrays."""
        return jax.device_get(self._states)

    def taken(self) -> FitState:
        """The states of all lanes. The store is empty afterwards."""
        states, self._states = self._states, None
        return states
