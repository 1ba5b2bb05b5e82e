"""Optuna's trials as lanes of sweeps: a batch of suggestions at a time, in one compiled program."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fnn._core import checks
from fnn.sweeps.result import Sweep
from fnn.training.fit import Fit

__all__ = ["tune"]


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
      The best lane's run; None where none has a value.
    Raises:
      ImportError: Optuna is not installed.
      ValueError, TypeError: An argument is not as described here. Then, and where `run` raises, the
        trials of the batch are reported as failed.
    Source: Akiba et al. 2019, arXiv:1907.10902 (Optuna; ask and tell).
    """
    try:
        from optuna.study import StudyDirection
        from optuna.trial import TrialState
    except ImportError:
        rule = "it needs Optuna, to be had with: pip install 'fnn[tuning]'"
        raise ImportError(f"tune: {rule}") from None
    _check(study, distributions, run)
    batches = checks.count("tune", "batches", batches)
    lanes = checks.count("tune", "lanes", lanes)
    best, best_value = None, np.inf
    for _ in range(batches):
        trials = [study.ask(dict(distributions)) for _ in range(lanes)]
        try:
            settings = {
                name: np.array([trial.params[name] for trial in trials]) for name in distributions
            }
            runs = run(settings)
            sign = _checked_sign(runs, lanes, study.direction == StudyDirection.MINIMIZE)
        except BaseException:
            for trial in trials:
                study.tell(trial, state=TrialState.FAIL)
            raise
        monitor = runs.problem.plan.monitor
        values = np.asarray(runs.state.best_value[monitor], float)
        diverged = np.asarray(runs.diverged_at) >= 0
        for lane, trial in enumerate(trials):
            reported = runs.history[monitor][lane, : runs.epochs[lane]]
            for epoch in np.flatnonzero(np.isfinite(reported)).tolist():
                trial.report(float(reported[epoch]), epoch)
            if runs.dropped_at[lane] >= 0:
                study.tell(trial, state=TrialState.PRUNED)
            elif diverged[lane] or not runs.finished[lane] or not np.isfinite(values[lane]):
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, float(values[lane]))
        reached = np.where(np.isfinite(values), sign * values, np.inf)
        if reached.min() < best_value:
            best, best_value = runs.lane(int(reached.argmin())), reached.min()
        if not (runs.finished | (runs.dropped_at >= 0)).all():
            break
    return best


def _check(study: Any, distributions: Any, run: Any) -> None:
    rule = "study must be an Optuna study, with ask and tell"
    is_study = all(callable(getattr(study, name, None)) for name in ("ask", "tell"))
    checks.require(is_study, "tune", rule, type(study).__name__, TypeError)
    rule = "study must have one objective"
    checks.require(len(study.directions) == 1, "tune", rule, len(study.directions))
    rule = "distributions must be a dict of Optuna's distributions by name, at least one"
    is_dict = isinstance(distributions, Mapping) and len(distributions) > 0
    checks.require(is_dict, "tune", rule, repr(distributions), TypeError)
    rule = "run must be a function of the settings"
    checks.require(callable(run), "tune", rule, repr(run), TypeError)


def _checked_sign(runs: Any, lanes: int, minimizes: bool) -> int:
    """1 where a lower monitor is better, -1 where a higher one is."""
    rule = "run must return a Sweep"
    checks.require(isinstance(runs, Sweep), "tune", rule, type(runs).__name__, TypeError)
    rule = f"the sweep must have a lane for each of the {lanes} settings"
    checks.require(len(runs) == lanes, "tune", rule, f"{len(runs)} lanes")
    plan = runs.problem.plan
    better = "minimize" if plan.sign == 1 else "maximize"
    rule = f"the direction of the study must be {better!r}, as that is better for {plan.monitor}"
    got = "minimize" if minimizes else "maximize"
    checks.require(minimizes == (plan.sign == 1), "tune", rule, repr(got))
    return plan.sign
