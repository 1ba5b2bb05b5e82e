"""Where a run diverged: its last epoch again, step by step, until a number is not finite."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dataset import take
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, host_numbers, merge, split
from fnn._core.processes import valid_in_all
from fnn._core.reductions import normalized_mean
from fnn._host.fingerprint import require_same_arguments
from fnn.networks.mlp import MLP
from fnn.networks.units import losses_of, scaled_outputs_of
from fnn.optimizers import apply_updates
from fnn.training.batches import in_batches, order_of
from fnn.training.problem import Problem, checked_problem, over_devices
from fnn.training.state import FitState
from fnn.training.step import TrainState, advance, in_parts, init_state, value_and_grads
from fnn.types import Loss, Network, Optimizer

__all__ = ["Diagnosis", "diagnose"]


class Diagnosis(NamedTuple):
    """The first quantity that was not finite in a run that diverged."""

    epoch: int
    """From 0, as in `diverged_at`."""
    step: int
    """From 0, counted over the whole run."""
    quantity: str
    """"activation", "loss", "gradient", "update" or "parameters"."""
    where: str
    """Of which layer, leaf or row."""
    value: float
    """The first value there that is not finite."""
    largest: float
    """The largest absolute value of the parameters before that step."""

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}, step {self.step}: {self.quantity} not finite, {self.where} is "
            f"{self.value}; parameters were at most {self.largest:.3g} before"
        )


def diagnose(  # noqa: D417, `fit` describes them
    net: Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    *,
    state: FitState,
    batch_size: int = 32,
    accumulate: int = 1,
    shuffle: str | None = None,
) -> Diagnosis:
    """What broke a run that diverged: the first quantity that was not finite, and of which layer.

    A run that diverges goes back to the start of the epoch that broke. `diagnose` repeats the
    steps from there, and examines the one that breaks in the order of its computation: what each
    layer receives (z) and passes on (a), the loss of each row, the gradients from the last layer
    to the first, the updates, the parameters.

    Args:
      net, loss, optimizer, data, batch_size, accumulate, shuffle: Those of the run.
      state: Where it ended: `Fit.state`, or that of a lane of a sweep.
    Returns:
      A `Diagnosis`; `print` shows it in words.
    Raises:
      ValueError, TypeError: As `fit`; or the run has not diverged, or does not diverge when
        repeated: the arguments are not those of the run, or it diverged by rounding alone.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> task = fnn.mlp((1, 8, 1)), fnn.squared_error, fnn.sgd(1e30), (x, 3 * x + 1)
    >>> run = fnn.fit(*task, key=jax.random.key(0), epochs=5)
    >>> found = diagnose(*task, state=run.state)
    >>> found.epoch == int(run.diverged_at), found.quantity
    (True, 'activation')
    """
    name = "diagnose"
    with valid_in_all(name, data):
        rule = "state must be a FitState, as fit returns it"
        checks.require(isinstance(state, FitState), name, rule, type(state).__name__, TypeError)
        checks.no_tracers(name, (net, loss, optimizer, data, state))
        rule = "the run must have diverged"
        checks.require(int(state.diverged_at) >= 0, name, rule, "one that has not")
        problem = checked_problem(
            name, net, loss, optimizer, data, batch_size=batch_size, accumulate=accumulate,
            validation=None, metrics=None, monitor=None, mode="auto", stop=None,
        )  # fmt: skip
        problem = over_devices(name, problem, shuffle)
        expected = jax.eval_shape(lambda key: init_state(net, optimizer, key), state.train.key)
        checks.same_structure(name, "state.train", expected, state.train)
    require_same_arguments(name, problem._asdict() | {"state": state})
    with host_numbers(), jax.debug_nans(False), jax.debug_infs(False):  # it looks for them
        return _diagnosed(problem, state)


def _diagnosed(problem: Problem, state: FitState) -> Diagnosis:
    epoch = int(state.epoch)
    order = order_of(problem.data, jax.random.fold_in(state.order_key, epoch))
    batches = in_batches(problem.data, order, problem.plan.batch_size)
    train = state.train
    for index, rows in enumerate(batches.rows):
        weights = None if batches.weights is None else batches.weights[index]
        traced, structure = split("diagnose", (problem[:4], train, rows, weights))
        after, value = _step(structure, traced, problem.plan.accumulate)
        if not _broken((value, after.params)):
            train = after
            continue
        first = next(_taken_apart(problem, train, rows, weights), None)
        if first is not None:
            sizes = [jnp.max(jnp.abs(leaf), initial=0) for leaf in jax.tree.leaves(train.params)]
            return Diagnosis(epoch, int(train.step), *first, max(map(float, sizes)))
        break
    rule = "made again, the run must break as it did"
    raise ValueError(f"diagnose: {rule}; got an epoch {epoch} in which all is finite")


@compiled(0, 2)
def _step(structure: Structure, traced: list, accumulate: int) -> tuple[TrainState, jax.Array]:
    (net, loss, optimizer, data), train, rows, weights = merge(structure, traced)
    x, y = take(data, rows)
    return advance(net, loss, optimizer, train, x, y, weights, accumulate=accumulate)


def _taken_apart(
    problem: Problem, train: TrainState, rows: jax.Array, weights: Any
) -> Iterator[tuple[str, str, float]]:
    """The quantities of a step that are not finite, in order: kind, place and value of each."""
    net, loss, optimizer, data = problem[:4]
    accumulate = problem.plan.accumulate
    key = jax.random.fold_in(train.key, train.step)
    # rows of weight 0, such as padding, do not count
    counts = np.ones(len(rows), bool) if weights is None else np.asarray(weights) > 0
    parts = in_parts((rows, counts, key), accumulate)
    for numbers, counted, part_key in zip(*parts, strict=True):
        x, y = take(data, numbers)
        if isinstance(net, MLP):
            for index, (z, a) in enumerate(net.forward(train.params, x, key=part_key)):
                for what, values in [("receives (z)", z), ("passes on (a)", a)]:
                    yield from _found("activation", f"what layer {index} {what}", values[counted])
        outputs = scaled_outputs_of(net, train.params, x, part_key)
        yield from _found("activation", "the network's output", outputs[counted])
        losses = losses_of(net, loss, outputs, y)
        for row, value in zip(np.asarray(numbers)[counted], losses[counted], strict=True):
            yield from _found("loss", f"that of row {row} of the data", value)

    def objective(params: Any, x: Any, y: Any, weights: Any, key: jax.Array) -> jax.Array:
        outputs = scaled_outputs_of(net, params, x, key)
        return normalized_mean(losses_of(net, loss, outputs, y), weights)

    batch = *take(data, rows), weights, key
    value, grads = value_and_grads(objective, train.params, batch, accumulate)
    yield from _found("loss", "the mean of the batch", value)
    for path, leaf in reversed(jax.tree_util.tree_leaves_with_path(grads)):
        yield from _found("gradient", f"that of params{jax.tree_util.keystr(path)}", leaf)
    updates, _ = optimizer.update(grads, train.opt_state, train.params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(updates):
        yield from _found("update", f"updates{jax.tree_util.keystr(path)}", leaf)
    after = apply_updates(train.params, updates)
    for path, leaf in jax.tree_util.tree_leaves_with_path(after):
        yield from _found("parameters", f"params{jax.tree_util.keystr(path)}", leaf)


def _found(quantity: str, where: str, values: Any) -> Iterator[tuple[str, str, float]]:
    values = np.ravel(np.asarray(values).astype(np.float64))
    broken = values[~np.isfinite(values)]
    if broken.size:
        yield quantity, where, float(broken[0])


def _broken(tree: Any) -> bool:
    return any(not bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))
