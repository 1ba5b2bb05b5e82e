"""Settings that are searched for sweep by sweep: by Optuna, or by population-based training.

All sweeps of a search have one shape, so they run one compiled program.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn._core import checks
from fnn.sweeps.result import Sweep
from fnn.training.fit import Fit
from fnn.training.state import FitState

__all__ = ["Evolution", "evolve", "tune"]


def tune(
    study: Any,
    distributions: Mapping[str, Any],
    run: Callable[[dict[str, np.ndarray]], Sweep],
    *,
    batches: int,
    lanes: int,
) -> Fit | None:
    """Asks an Optuna study for settings, runs them as the lanes of a sweep, and reports the values.

    A trial's value is the best value of its lane's monitor, and its intermediate values are those
    of each epoch, which inform the study's pruner. Lanes that `halving` has dropped are reported as
    pruned, lanes that diverged as failed. All batches have one shape, so nothing compiles twice.

    Args:
      study: Of one objective, from `optuna.create_study`; its direction is that of the monitor. A
        sampler that knows of trials under way makes different suggestions within a batch:
        `TPESampler(constant_liar=True)`, for one.
      distributions: What is suggested, by name, such as
        `{"rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)}`.
      run: A function of the settings, arrays `(lanes,)` by name, to a `Sweep` with a lane for each.
      batches: How many sweeps to run, >= 1. It ends early if one is interrupted.
      lanes: How many trials to a sweep, >= 1.
    Returns:
      The run of the best trial, among those that are neither pruned nor failed; None without any.
    Raises:
      ImportError: Optuna is not installed.
      ValueError, TypeError: An argument is not as described here. Then, and where `run` raises, the
        trials of the batch are reported as failed.
    Source: Akiba et al. 2019, arXiv:1907.10902 (Optuna; ask and tell).
    """
    try:
        from optuna.distributions import BaseDistribution
        from optuna.study import StudyDirection
        from optuna.trial import TrialState
    except ImportError:
        rule = "it needs Optuna, to be had with: pip install 'fnn[tuning]'"
        raise ImportError(f"tune: {rule}") from None
    _check(study, distributions, run, BaseDistribution)
    batches = checks.count("tune", "batches", batches)
    lanes = checks.count("tune", "lanes", lanes)
    best, best_value = None, np.inf
    for _ in range(batches):
        trials: list[Any] = []
        try:
            while len(trials) < lanes:
                trials.append(study.ask(dict(distributions)))
            settings = {
                name: _column([trial.params[name] for trial in trials]) for name in distributions
            }
            runs = run(settings)
            sign = _checked_sign(runs, lanes, study.direction == StudyDirection.MINIMIZE)
        except BaseException:
            for trial in trials:
                study.tell(trial, state=TrialState.FAIL)
            raise
        monitor = runs.problem.plan.monitor
        values = np.asarray(runs.state.best_value[monitor], float)
        dropped, diverged = runs.dropped_at >= 0, np.asarray(runs.diverged_at) >= 0
        complete = runs.finished & ~dropped & ~diverged & np.isfinite(values)
        for lane, trial in enumerate(trials):
            reported = runs.history[monitor][lane, : runs.epochs[lane]]
            for epoch in np.flatnonzero(np.isfinite(reported)).tolist():
                trial.report(float(reported[epoch]), epoch)
            if complete[lane]:
                study.tell(trial, float(values[lane]))
            else:
                state = TrialState.PRUNED if dropped[lane] else TrialState.FAIL
                study.tell(trial, state=state)
        reached = np.where(complete, sign * values, np.inf)
        if reached.min() < best_value:
            best, best_value = runs.lane(int(reached.argmin())), reached.min()
        if not (runs.finished | dropped).all():
            break
    return best


def _column(values: list) -> np.ndarray:
    """The values as an array, of objects where NumPy would make texts of what are none."""
    column = np.array(values)
    changed = column.dtype.kind == "U" and not all(isinstance(value, str) for value in values)
    return np.array(values, object) if changed else column


def _check(study: Any, distributions: Any, run: Any, distribution: type) -> None:
    rule = "study must be an Optuna study, with ask and tell"
    is_study = all(callable(getattr(study, name, None)) for name in ("ask", "tell"))
    checks.require(is_study, "tune", rule, type(study).__name__, TypeError)
    rule = "study must have one objective"
    checks.require(len(study.directions) == 1, "tune", rule, len(study.directions))
    rule = "distributions must be a dict of Optuna's distributions by name, at least one"
    is_dict = isinstance(distributions, Mapping) and len(distributions) > 0
    fits = is_dict and all(isinstance(one, distribution) for one in distributions.values())
    checks.require(fits, "tune", rule, repr(distributions), TypeError)
    rule = "run must be a function of the settings"
    checks.require(callable(run), "tune", rule, repr(run), TypeError)


def _checked_sign(runs: Any, lanes: int, minimizes: bool) -> int:
    """1 where a lower monitor is better, -1 where a higher one is."""
    _check_lanes("tune", runs, lanes)
    plan = runs.problem.plan
    better = "minimize" if plan.sign == 1 else "maximize"
    rule = f"the direction of the study must be {better!r}, as that is better for {plan.monitor}"
    got = "minimize" if minimizes else "maximize"
    checks.require(minimizes == (plan.sign == 1), "tune", rule, repr(got))
    return plan.sign


class Evolution(NamedTuple):
    """The result of `evolve`."""

    runs: Sweep
    """That of the last round. Its states have gone through all rounds."""
    settings: dict[str, np.ndarray]
    """By name, those of each round, `(rounds, lanes)`."""
    parents: np.ndarray
    """int, `(rounds, lanes)`: the lane whose state each lane began with; its own number where it
    went on."""
    values: np.ndarray
    """The monitor after each round, `(rounds, lanes)`; NaN where a lane has diverged."""


def evolve(
    run: Callable[[dict[str, np.ndarray], FitState | None], Sweep],
    settings: Mapping[str, Any],
    *,
    key: jax.Array,
    rounds: int,
    share: float = 0.25,
    factor: float = 1.25,
) -> Evolution:
    """Population-based training: between rounds the worst lanes go on from the best ones.

    Lanes are compared by the latest value of their monitor. Each of the worst takes the state of
    one of the best, chosen at random, and its settings, each multiplied or divided by `factor` at
    random. Lanes that diverged are among the worst. A lane keeps its own key, so copies differ in
    dropout, and the settings of a lane become a schedule.

    Args:
      run: A function of the settings, arrays `(lanes,)` by name, and of the states to continue
        from, None in the first round, to a `Sweep` with a lane for each:
        `sweep(..., key=None if state else key, state=state, epochs=5)`.
      settings: The first ones, numbers > 0 by name, `(lanes,)` each.
      key: A PRNG key, which decides what is chosen at random.
      rounds: How many sweeps to run, >= 1. It ends early if one is interrupted.
      share: How many lanes are among the worst and among the best, in (0, 0.5]; one at least.
      factor: By what settings change, > 1.
    Returns:
      An `Evolution`.
    Raises:
      ValueError, TypeError: An argument is not as described here.
    Source: Jaderberg et al. 2017, arXiv:1711.09846 (truncation selection, perturbation).

    >>> x = np.linspace(-1, 1, 32)[:, None]
    >>> def run(settings, state):
    ...     return fnn.sweep(
    ...         fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(settings["rate"]), (x, 3 * x),
    ...         key=None if state else jax.random.key(0), state=state, epochs=2, progress=False,
    ...     )
    >>> found = evolve(run, {"rate": [1e-4, 1e-3, 1e-2, 1e-1]}, key=jax.random.key(1), rounds=2)
    >>> print(found.parents)
    [[0 1 2 3]
     [3 1 2 3]]
    """
    name = "evolve"
    rule = "run must be a function of settings and state"
    checks.require(callable(run), name, rule, repr(run), TypeError)
    settings = _checked_settings(settings)
    lanes = len(next(iter(settings.values())))
    key = checks.key(name, key)
    rounds = checks.count(name, "rounds", rounds)
    share = float(checks.one_real(name, "share", share, above=0, at_most=0.5))
    factor = float(checks.one_real(name, "factor", factor, above=1))
    parents = np.arange(lanes)
    made, state = [], None
    while True:
        runs = run(settings, state)
        _check_lanes(name, runs, lanes)
        values = _latest(runs)
        made.append((settings, parents, values))
        if len(made) == rounds or not runs.finished.all():
            break
        ranked = np.argsort(np.nan_to_num(runs.problem.plan.sign * values, nan=np.inf))
        of_parents, of_settings = jax.random.split(jax.random.fold_in(key, len(made)))
        parents = _parents(of_parents, ranked, values, share)
        moved = parents != np.arange(lanes)
        up = jax.random.bernoulli(of_settings, shape=(len(settings), lanes))
        changes = np.where(moved, np.where(up, factor, 1 / factor), 1)
        settings = {
            name: values[parents] * change
            for (name, values), change in zip(settings.items(), changes, strict=True)
        }
        state = _inherited(runs.state, parents)
    known, lineage, reached = zip(*made, strict=True)
    by_name = {name: np.stack([one[name] for one in known]) for name in settings}
    return Evolution(runs, by_name, np.stack(lineage), np.stack(reached))


def _parents(key: jax.Array, ranked: np.ndarray, values: np.ndarray, share: float) -> np.ndarray:
    """The lane from which each one goes on."""
    lanes = np.arange(len(values))
    there = int(np.isfinite(values).sum())
    number = min(max(1, int(share * len(lanes))), there)
    if number == 0 or number == len(lanes):
        return lanes
    worst = ranked[min(there, len(lanes) - number) :]
    chosen = np.asarray(jax.random.randint(key, (len(worst),), 0, number))
    parents = lanes.copy()
    parents[worst] = ranked[:number][chosen]
    return parents


def _latest(runs: Sweep) -> np.ndarray:
    """The monitor of each lane at its last epoch, NaN where it has diverged."""
    values = np.asarray(runs.state.latest[runs.problem.plan.monitor], np.float64)
    return np.where(np.asarray(runs.diverged_at) >= 0, np.nan, values)


def _inherited(state: FitState, parents: np.ndarray) -> FitState:
    """The states of the parents, each with the keys of the lane itself."""
    keys, order_key = state.train.key, state.order_key
    bare = state._replace(train=state.train._replace(key=None), order_key=None)
    taken = jax.tree.map(lambda leaf: leaf[parents], bare)
    return taken._replace(train=taken.train._replace(key=keys), order_key=order_key)


def _checked_settings(settings: Any) -> dict[str, np.ndarray]:
    rule = "settings must be a dict of numbers (lanes,) by name, at least one"
    is_dict = isinstance(settings, Mapping) and len(settings) > 0
    checks.require(is_dict, "evolve", rule, repr(settings), TypeError)
    found = {
        name: np.asarray(checks.real("evolve", f"settings[{name!r}]", values, rank=0, above=0))
        for name, values in settings.items()
    }
    shapes = {name: values.shape for name, values in found.items()}
    same = len(set(shapes.values())) == 1 and all(len(shape) == 1 for shape in shapes.values())
    rule = "settings must have one number for each lane, two lanes at least"
    fits = same and next(iter(shapes.values()))[0] > 1
    checks.require(fits, "evolve", rule, f"shapes {shapes}")
    return found


def _check_lanes(function: str, runs: Any, lanes: int) -> None:
    rule = "run must return a Sweep"
    checks.require(isinstance(runs, Sweep), function, rule, type(runs).__name__, TypeError)
    rule = f"the sweep must have a lane for each of the {lanes} settings"
    checks.require(len(runs) == lanes, function, rule, f"{len(runs)} lanes")
