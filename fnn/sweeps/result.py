"""The result of a sweep: the runs of all lanes, as tables, as single runs, as an ensemble."""

import dataclasses
import html
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, host_numbers, merge
from fnn._core.table import Table, flat_columns
from fnn.networks.model import outputs_of
from fnn.sweeps.program import Varied
from fnn.sweeps.rows import copied_rows, plain, rows_of
from fnn.training.fit import Fit
from fnn.training.problem import Problem, own_sign
from fnn.training.state import FitState
from fnn.types import Params

# lanes that go through the network at once
_AT_ONCE = 128
# lanes that its text shows
_BEST = 5


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The result of a sweep: the runs of all lanes, lane by lane."""

    history: dict[str, np.ndarray]
    """By name, `(lanes, epochs, ...)`, as a `Fit` has it."""
    epochs: np.ndarray
    """int32, `(lanes,)`: epochs run in this call."""
    state: FitState
    """The states to continue from, `(lanes, ...)`; one `order_key` for all lanes, or `(lanes,)`."""
    finished: np.ndarray
    """bool, `(lanes,)`: whether a lane has stopped by itself or done all of its epochs; False after
    an interruption."""
    dropped_at: np.ndarray
    """int32, `(lanes,)`: epochs after which successive halving stopped a lane; -1 if not."""
    columns: dict[str, np.ndarray]
    """The swept values by the path of the argument, `(lanes, ...)`."""
    labels: dict[str, np.ndarray]
    """Further columns, `(lanes,)`."""
    padding: float
    """How many times the useful work the layers' products do, as all lanes are as wide as
    the widest may be; 1 without `active`."""
    problem: Problem = dataclasses.field(repr=False)
    """That of the first lane. Its x and the scaler of its network are shifted by `shift`."""
    shift: np.ndarray | None = dataclasses.field(repr=False)
    """What was subtracted from x and from scalers so that float32 holds x; None: nothing."""
    varied: Varied = dataclasses.field(repr=False)

    @property
    def params(self) -> Params:
        """The parameters after the last epoch, `(lanes, ...)`."""
        return self.state.train.params

    @property
    def best_params(self) -> Params:
        """The parameters after the best epoch of each lane, `(lanes, ...)`."""
        return self.state.best_params

    @property
    def best_epoch(self) -> jax.Array:
        """The epoch, from 0, at which each lane's monitor was best, `(lanes,)`."""
        return self.state.best_epoch

    @property
    def diverged_at(self) -> jax.Array:
        """The epoch, from 0, in which a lane broke, and was rolled back; -1 if none, `(lanes,)`."""
        return self.state.diverged_at

    @property
    def order_key(self) -> jax.Array:
        """The key of the batch order: lane i is `fit(..., key=keys[i], order_key=order_key)`."""
        return self.state.order_key

    def __len__(self) -> int:
        return len(self.epochs)

    def lane(self, index: int) -> Fit:
        """One lane's run, as `fit` gives it.

        Raises:
          IndexError: There is no such lane.
        """
        size = len(self)
        rule = f"index must be a lane, from {-size} to {size - 1}"
        is_number = isinstance(index, (int, np.integer)) and not isinstance(index, bool)
        fits = is_number and -size <= index < size
        checks.require(fits, "lane", rule, index, IndexError)
        state = self.state
        with host_numbers():
            shared = state.order_key if state.order_key.ndim == 0 else state.order_key[index]
            state = jax.tree.map(lambda leaf: leaf[index], state._replace(order_key=None))
        history = {name: values[index] for name, values in self.history.items()}
        history, epochs = jax.device_put((history, self.epochs[index]))
        return Fit(history, epochs, state._replace(order_key=shared))

    def best(self, monitor: str | None = None) -> Fit:
        """The run of the best lane.

        Args:
          monitor: What to compare, at each lane's best epoch of it: a name of the history
            whose better direction is known. None: what the runs were watched by.
        Raises:
          ValueError: It was not recorded, is not one number, or does not say which is
            better; or no lane has ever reached a number.
        """
        values = self._reached(monitor)
        rule = "a lane must have finished an epoch"
        checks.require(not np.isnan(values).all(), "best", rule, f"{len(self)} that have not")
        return self.lane(int(np.nanargmin(values)))

    def table(self) -> Table:
        """All lanes, a row each.

        Returns:
          Columns: what was swept by its path (`optimizer.learning_rate`), the labels, the
          last values of the history by name, the best value of the monitor (`best_` and its
          name), `best_epoch`, `epochs`, `diverged_at`. Arrays come apart (`net.active[0]`).
        """
        table = Table(self._varying)
        for name, values in self.history.items():
            table |= flat_columns(name, values[:, -1])
        monitor = self.problem.plan.monitor
        table[f"best_{monitor}"] = np.asarray(self.state.best_value[monitor])
        table["best_epoch"] = np.asarray(self.best_epoch)
        table["epochs"] = self.epochs
        table["diverged_at"] = np.asarray(self.diverged_at)
        return table

    def summary(
        self,
        by: str | Sequence[str] | None = None,
        over: str | Sequence[str] = "seed",
        value: str | None = None,
    ) -> Table:
        """Mean and spread over seeds of each setting.

        Args:
          by: The columns of `table` that make a setting. None: all that was swept and all
            labels but `over`.
          over: The column, or columns, in which the lanes of one setting differ. A batch of
            keys is numbered in the column `seed`.
          value: The column that is averaged. None: the best value of the monitor.
        Returns:
          The columns of `by`, and of each setting `count` lanes with a finite value,
          `diverged` lanes (which are left out), `mean`, `standard_deviation` (of a sample,
          n - 1) and `standard_error`, which is that divided by sqrt(n): NaN where there are too
          few. `note` says what the interval does not cover.
        Raises:
          KeyError: There is no such column.
        """
        table = self.table()
        over = [table.full_name(name) for name in ([over] if isinstance(over, str) else over)]
        if by is None:
            names = [name for name in self._varying if name not in over]
        else:
            names = [table.full_name(name) for name in ([by] if isinstance(by, str) else by)]
        values = table[value or f"best_{self.problem.plan.monitor}"].astype(float)
        counted = np.isfinite(values) & (table["diverged_at"] < 0)
        numbers: dict[tuple, int] = {}  # of the settings, in order of appearance
        rows = zip(*[table[name].tolist() for name in names], strict=True) if names else ()
        setting = np.zeros(len(self), int)
        for lane, row in enumerate(rows):
            setting[lane] = numbers.setdefault(row, len(numbers))
        of_each = [setting == number for number in range(len(numbers) or 1)]
        groups = [values[lanes & counted] for lanes in of_each]
        nan = float("nan")
        result = Table({name: table[name][[lanes.argmax() for lanes in of_each]] for name in names})
        result["count"] = np.array([len(group) for group in groups])
        result["diverged"] = np.array([int(np.sum(lanes & ~counted)) for lanes in of_each])
        result["mean"] = np.array([group.mean() if len(group) else nan for group in groups])
        deviation = np.array([group.std(ddof=1) if len(group) > 1 else nan for group in groups])
        result["standard_deviation"] = deviation
        result["standard_error"] = deviation / np.sqrt(np.maximum(result["count"], 1))
        if self.order_key.ndim == 0:
            result.note = (
                "All lanes saw the batches in one order, so the interval over "
                f"{' and '.join(over)} does not cover what another order would change."
            )
        return result

    def predict(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """The outputs of all lanes together, at their best parameters: mean and spread.

        Args:
          x: `(rows, ...)`, as the network takes it.
        Returns:
          The mean and the standard deviation over the lanes, `(rows, out)` each. Lanes that
          have diverged are left out.
        Raises:
          ValueError: All lanes have diverged.
        """
        lanes = np.flatnonzero(np.asarray(self.diverged_at) < 0)
        checks.require(len(lanes), "predict", "a lane must not have diverged", "none such")
        if self.shift is not None:
            known = checks.real_numbers("predict", "x", x)
            x = np.asarray(jax.device_get(known), np.float64) - self.shift
        x = checks.array("predict", "x", x)
        made = in_groups(_outputs, self.varied, self.best_params, lanes, x)
        outputs = [part.astype(np.float64) for part in made]
        # the spread about the mean of the first lanes, so that no digits are lost far from 0
        centre = outputs[0].mean(axis=0)
        total = sum(np.sum(part - centre, axis=0) for part in outputs) / len(lanes)
        squares = sum(np.sum((part - centre) ** 2, axis=0) for part in outputs) / len(lanes)
        return centre + total, np.sqrt(np.maximum(squares - total**2, 0))

    def __repr__(self) -> str:
        return f"{self._heading}\n{self._best_rows()}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self._heading)}</p>\n{self._best_rows()._repr_html_()}"

    @property
    def _heading(self) -> str:
        """What was swept, and how far, in a sentence."""
        text = f"Sweep of {len(self)} lanes over {', '.join([*self.columns, *self.labels])}"
        diverged, dropped = np.asarray(self.diverged_at) >= 0, self.dropped_at >= 0
        counts = {"diverged": diverged, "dropped by halving": dropped, "unfinished": ~self.finished}
        ends = [f"{lanes.sum()} {how}" for how, lanes in counts.items() if lanes.any()]
        sentence = f"{text} ({', '.join(ends)})." if ends else f"{text}."
        return f"{sentence} The best by {self.problem.plan.monitor}:"

    def _best_rows(self) -> Table:
        """Some rows of `table`, the best lane first; columns of what was swept and how it ended."""
        order = np.argsort(self._reached(None), kind="stable")[:_BEST]
        table = self.table()
        names = [*self._varying, f"best_{self.problem.plan.monitor}", "best_epoch", "epochs"]
        return Table({"lane": order} | {name: table[name][order] for name in names})

    @property
    def _varying(self) -> dict[str, np.ndarray]:
        """The columns in which lanes differ."""
        found: dict[str, np.ndarray] = {}
        for name, values in self.columns.items():
            found |= flat_columns(name, values)
        return found | self.labels

    def _reached(self, monitor: str | None) -> np.ndarray:
        """The best value of each lane, negated where higher is better, NaN where there is none."""
        plan = self.problem.plan
        monitor = plan.monitor if monitor is None else monitor
        rule = f"monitor must be recorded: one of {', '.join(self.history)}"
        is_recorded = isinstance(monitor, str) and monitor in self.history
        checks.require(is_recorded, "best", rule, repr(monitor))
        if monitor == plan.monitor:
            return plan.sign * np.asarray(self.state.best_value[plan.monitor], np.float64)
        values = self.history[monitor].astype(np.float64)
        checks.require(values.ndim == 2, "best", "monitor must be one number", repr(monitor))
        sign = own_sign(monitor, self.problem.metrics.get(monitor))
        if sign is None:
            rule = "monitor must say which is better (a metric of one's own does not)"
            raise ValueError(f"best: {rule}; got {monitor!r}")
        values = np.where(np.isfinite(values), sign * values, np.inf).min(axis=1)
        return np.where(np.isinf(values), np.nan, values)


def in_groups(
    function: Callable, varied: Varied, params: Params, lanes: np.ndarray, *rest: Any
) -> Iterator[Any]:
    """Calls a compiled function for a few lanes at a time, which bounds memory.

    Args:
      function: Of the structure, what is swept, the traced numbers and the parameters of some
        lanes, and `rest`; to a tree of arrays `(lanes, ...)`.
      varied: The problems of all lanes.
      params: `(lanes, ...)`.
      lanes: The lanes that are wanted.
      *rest: The function's other arguments.
    Yields:
      The results, for a few lanes each, on the host.
    """
    params = plain(params)
    for start in range(0, len(lanes), _AT_ONCE):
        chosen = lanes[start : start + _AT_ONCE]
        rows = np.pad(chosen, (0, min(_AT_ONCE, len(lanes)) - len(chosen)), mode="edge")
        traced = [
            leaf[rows] if own else leaf
            for leaf, own in zip(varied.traced, varied.swept, strict=True)
        ]
        with host_numbers():
            some = copied_rows(params, rows)
            results = function(varied.structure, varied.swept, traced, some, *rest)
        yield rows_of(jax.device_get(results), slice(len(chosen)))


@compiled(0, 1)
def _outputs(
    structure: Structure, swept: tuple[bool, ...], traced: list, params: Params, x: Any
) -> jax.Array:
    """`(lanes, rows, out)`."""

    def one(traced: list, params: Params) -> jax.Array:
        problem, _ = merge(structure, traced)
        return outputs_of(problem.net, params, x)

    return jax.vmap(one, in_axes=([0 if own else None for own in swept], 0))(traced, params)
