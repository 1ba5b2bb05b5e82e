"""`tune`: batches of Optuna's trials, each the lanes of one sweep."""

import jax
import numpy as np
import pytest

import fnn

optuna = pytest.importorskip("optuna")

from fnn.tuning import tune  # noqa: E402

X = np.linspace(-1, 1, 32)[:, None]
Y = np.sin(3 * X)
RATES = {"rate": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)}
COMPLETE, PRUNED, FAIL = (
    getattr(optuna.trial.TrialState, name) for name in ("COMPLETE", "PRUNED", "FAIL")
)


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def study(direction="minimize"):
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(direction=direction, sampler=sampler)


def run(settings, **options):
    return fnn.sweep(
        fnn.mlp((1, 8, 1)), fnn.squared_error, fnn.adam(settings["rate"]), (X, Y),
        key=jax.random.key(0), **{"epochs": 8} | options,
    )  # fmt: skip


def test_trials_are_lanes_and_their_values_the_best_of_the_monitor():
    known, sweeps = study(), []

    def kept(settings):
        sweeps.append(run(settings))
        return sweeps[-1]

    best = tune(known, RATES, kept, batches=3, lanes=4)
    assert [trial.state for trial in known.trials] == [COMPLETE] * 12
    for number, trial in enumerate(known.trials):
        runs, lane = sweeps[number // 4], number % 4
        assert runs.columns["optimizer.learning_rate"][lane] == trial.params["rate"]
        assert trial.value == runs.state.best_value["loss"][lane]
        reported = [trial.intermediate_values[epoch] for epoch in range(8)]
        np.testing.assert_array_equal(reported, runs.history["loss"][lane])
    assert known.best_value == min(best.history["loss"])
    assert len({trial.params["rate"] for trial in known.trials}) == 12


def test_all_batches_run_one_program(compiled):
    known = study()
    tune(known, RATES, run, batches=1, lanes=4)
    before = len(compiled)
    tune(known, RATES, run, batches=3, lanes=4)
    assert len(compiled) == before


def test_dropped_lanes_are_pruned_and_diverged_ones_failed():
    known = study()
    tune(known, RATES, lambda s: run(s, halving=fnn.halving(2, factor=4)), batches=1, lanes=8)
    states = [trial.state for trial in known.trials]
    assert states.count(PRUNED) == 6
    assert states.count(COMPLETE) == 2
    lengths = [len(trial.intermediate_values) for trial in known.trials]
    assert sorted(lengths) == [2] * 6 + [8] * 2
    known = study()
    best = tune(known, RATES, lambda s: run({"rate": s["rate"] * 1e35}), batches=2, lanes=2)
    assert [trial.state for trial in known.trials] == [FAIL] * 4
    assert best is None


def test_a_higher_monitor_is_maximized():
    options = {"validation": (X, Y), "metrics": {"r2": fnn.r2}, "monitor": "validation_r2"}
    known = study("maximize")
    best = tune(known, RATES, lambda s: run(s, **options), batches=2, lanes=3)
    assert known.best_value == max(best.history["validation_r2"])
    match = "direction of the study must be 'maximize', as that is better for validation_r2"
    with pytest.raises(ValueError, match=match):
        tune(study(), RATES, lambda s: run(s, **options), batches=1, lanes=3)


def test_choices_of_several_kinds_reach_the_run_as_they_are():
    choices = RATES | {"option": optuna.distributions.CategoricalDistribution([1, "a"])}
    options = []

    def noted(settings):
        options.extend(settings["option"].tolist())
        return run(settings)

    tune(study(), choices, noted, batches=1, lanes=8)
    assert set(options) == {1, "a"}


def test_an_interrupted_sweep_is_the_last():
    known = study()
    ended = lambda s: run(s, epochs=500, callback=lambda done, latest: True)  # noqa: E731
    tune(known, RATES, ended, batches=3, lanes=2)
    assert [trial.state for trial in known.trials] == [FAIL] * 2


def test_trials_do_not_stay_open_where_a_run_raises():
    known = study()

    def broken(settings):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(known, RATES, broken, batches=2, lanes=3)
    assert [trial.state for trial in known.trials] == [FAIL] * 3


def test_trials_do_not_stay_open_where_one_cannot_be_asked_for(monkeypatch):
    known = study()
    asks = iter([known.ask] * 2)
    monkeypatch.setattr(known, "ask", lambda of: next(asks)(of))
    with pytest.raises(StopIteration):
        tune(known, RATES, run, batches=1, lanes=3)
    assert [trial.state for trial in known.trials] == [FAIL] * 2


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"study": 3}, TypeError, "study must be an Optuna study"),
        (
            {"study": optuna.create_study(directions=["minimize"] * 2)},
            ValueError,
            "study must have one objective; got 2",
        ),
        ({"distributions": {}}, TypeError, "distributions must be a dict"),
        ({"distributions": {"rate": (0.1, 1)}}, TypeError, "must be a dict of Optuna's distrib"),
        ({"run": 3}, TypeError, "run must be a function"),
        ({"run": lambda settings: 3}, TypeError, "run must return a Sweep; got int"),
        ({"run": lambda s: run({"rate": s["rate"][:1]})}, ValueError, "a lane for each of the 2"),
        ({"batches": 0}, ValueError, "batches must be"),
        ({"lanes": 1.5}, TypeError, "lanes must be"),
    ],
)
def test_arguments_are_checked(changes, error, match):
    arguments = {
        "study": study(), "distributions": RATES, "run": run, "batches": 1, "lanes": 2,
    } | changes  # fmt: skip
    with pytest.raises(error, match=match):
        tune(**arguments)
