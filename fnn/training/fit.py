"""`fit`: a whole training run as one pure function."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from fnn._core import checks
from fnn._core.display import call_text
from fnn._core.processes import valid_in_all
from fnn._host.fingerprint import require_same_arguments
from fnn.training.epochs import run_epochs
from fnn.training.problem import checked_problem, over_devices
from fnn.training.state import FitState, checked_state, text_of_run
from fnn.training.step import TrainState
from fnn.training.stopping import EarlyStopping
from fnn.types import Loss, Metric, Network, Optimizer, Params


class Fit(NamedTuple):
    """The result of `fit` and `train`."""

    history: dict[str, jax.Array]
    """By name, a value per epoch of this call, `(epochs, ...)`. After a stop the last
    value is repeated, so that `[-1]` is always the last one."""
    epochs: jax.Array
    """int32, `()`: epochs run in this call; so many rows of the history are real."""
    state: FitState

    def __repr__(self) -> str:
        if not isinstance(self.state, FitState):  # a tree of axes or placeholders, say
            return call_text("Fit", [], self._asdict())
        return text_of_run("Fit", self.state, epochs=self.epochs)

    @property
    def params(self) -> Params:
        """The parameters after the last epoch."""
        return self.state.train.params

    @property
    def best_params(self) -> Params:
        """The parameters after the best epoch."""
        return self.state.best_params

    @property
    def best_epoch(self) -> jax.Array:
        """The epoch, from 0, at which the monitor was best; -1 if none was finished."""
        return self.state.best_epoch

    @property
    def diverged_at(self) -> jax.Array:
        """The epoch, from 0, that broke and was rolled back; -1 if none did."""
        return self.state.diverged_at


def fit(
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    *,
    key: jax.Array | None = None,
    epochs: int,
    batch_size: int = 32,
    accumulate: int = 1,
    validation: Any = None,
    metrics: Mapping[str, Metric | Loss] | None = None,
    monitor: str | None = None,
    mode: str = "auto",
    stop: EarlyStopping | None = None,
    state: FitState | TrainState | None = None,
    order_key: jax.Array | None = None,
    shuffle: str | None = None,
) -> Fit:
    """A whole training run as one pure compiled program.

    Each epoch shuffles the rows, pads the last batch with rows of weight 0, makes a step per batch,
    and measures on the validation data. The best parameters are kept. A run whose losses or
    parameters stop being finite returns to the start of that epoch and stops.

    Args:
      net: An `mlp`, a `Model`, or any object with pure `init` and `apply`.
      loss: `(outputs, targets)` to a loss per example; options bound with
        `functools.partial` are traced where they are numbers. Broadcasting inside a custom loss
        cannot be checked: `(batch, 1)` less `(batch,)` is a matrix.
      optimizer: Ours or Optax's.
      data: `(x, y)` or `(x, y, weights)`: x `(rows, ...)`, y as the loss takes it, weights
        `(rows,)`, >= 0. A batch's loss is sum(w l) / sum(w).
      key: A PRNG key: first parameters, dropout, batch order. A `state` has its own, and
        a `FitState` the `order_key` too; then these are not used.
      epochs: How many to run at most, >= 1. Static, the length of the histories. With
        `state`, how many more.
      batch_size: Rows per step, >= 1; at most all of them. Static.
      accumulate: In how many parts a batch is computed, one after the other, >= 1, of which
        `batch_size` is a multiple. The step is the same up to rounding (but dropout draws other
        masks), and takes the memory of one part. Static.
      validation: Data as above, measured after each epoch; or None.
      metrics: By name, what to measure on `validation` besides the loss.
      monitor: What chooses the best parameters, and what `stop` watches: "loss",
        "validation_loss" or "validation_" and a metric's name. None: "validation_loss",
        or "loss" without validation.
      mode: "min" or "max", whichever is better; "auto": as the metric declares.
      stop: An `early_stopping`, or None to run all epochs.
      state: A `FitState` continues that run, numbering and all, bit for bit as if it had
        not been interrupted: with the same validation, metrics and monitor. A run that had
        stopped by this `stop`, or diverged, stays stopped. A `TrainState` (as `state.train` of a
        `FitState`) begins a new run from its parameters.
      order_key: A PRNG key for the batch order alone. None derives it from `key`.
      shuffle: For data whose rows are sharded over devices (see `shard_data`). "shards": a batch
        takes equally many rows from each device, where they stay. "global": any rows, as without
        a mesh, which are moved between the devices. None: "shards" where rows are sharded.
    Returns:
      A `Fit`: histories "loss" (the weighted mean over the epoch's batches as they were
      trained on) and "validation_..." `(epochs,)`, parameters, best parameters, state.
    Raises:
      ValueError, TypeError: Arguments do not fit one another, or data are empty or not
        finite; before anything is compiled. Values of tracers go unchecked.

    The result can be differentiated, but where the run diverged its slope is NaN.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = fit(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(0.1), (x, 3 * x + 1),
    ...           key=jax.random.key(0), epochs=50)
    >>> layer = run.params[0]
    >>> print(layer.weight.round(2), layer.bias.round(2), run.history["loss"].shape)
    [[3.]] [1.] (50,)
    """
    name = "fit"
    with valid_in_all(name, data):
        epochs = checks.count(name, "epochs", epochs, at_most=checks.INT32)
        problem = checked_problem(
            name, net, loss, optimizer, data, batch_size=batch_size, accumulate=accumulate,
            validation=validation, metrics=metrics, monitor=monitor, mode=mode, stop=stop,
        )  # fmt: skip
        begin = checked_state(name, problem, key, state, order_key)
        problem = over_devices(name, problem, shuffle)
    require_same_arguments(name, problem._asdict() | {"begin": begin, "epochs": epochs})
    # A loop of one trip is compiled differently: with two, bits agree however a run is cut.
    capacity = max(epochs, 2)
    state, done, history = run_epochs(problem, begin, epochs, capacity=capacity)
    if epochs < capacity:
        history = {n: jax.lax.slice_in_dim(v, 0, epochs) for n, v in history.items()}
    return Fit(history, done, state)
