"""`evolve`: population-based training, round by round."""

import jax
import numpy as np
import pytest

import fnn
from fnn.tuning import evolve

X = np.linspace(-1, 1, 32)[:, None]
Y = np.sin(3 * X)
RATES = np.geomspace(1e-5, 1e-1, 8)
KEY = jax.random.key(7)


class Rounds:
    """A run for `evolve`, which keeps what it was given and what it returned."""

    def __init__(self, scale=1.0, **options):
        self.calls, self.scale, self.options = [], scale, {"epochs": 3} | options

    def __call__(self, settings, state):
        runs = fnn.sweep(
            fnn.mlp((1, 8, 1), dropout=0.1), fnn.squared_error,
            fnn.adam(self.scale * settings["rate"]), (X, Y),
            key=None if state else jax.random.key(0), state=state, **self.options,
        )  # fmt: skip
        self.calls.append((settings, state, runs))
        return runs


@pytest.fixture(scope="module")
def evolved():
    rounds = Rounds()
    return rounds, evolve(rounds, {"rate": RATES}, key=KEY, rounds=3, share=0.25)


def test_the_worst_lanes_go_on_from_the_best(evolved):
    rounds, found = evolved
    assert len(rounds.calls) == 3
    assert found.parents.shape == found.values.shape == found.settings["rate"].shape == (3, 8)
    assert found.parents[0].tolist() == list(range(8))
    for number in (1, 2):
        before = rounds.calls[number - 1][2]
        losses = before.history["loss"][:, -1]
        np.testing.assert_array_equal(found.values[number - 1], losses)
        ranked = np.argsort(losses)
        moved = np.flatnonzero(found.parents[number] != np.arange(8))
        assert sorted(moved) == sorted(ranked[6:])
        assert set(found.parents[number][moved]) <= set(ranked[:2])
    assert found.runs is rounds.calls[-1][2]
    assert int(np.max(found.runs.state.epoch)) == 9


def test_a_lane_takes_state_and_settings_of_its_parent_and_keeps_its_own_key(evolved):
    rounds, found = evolved
    for number in (1, 2):
        parents, state = found.parents[number], rounds.calls[number][1]
        before = rounds.calls[number - 1][2].state
        leaves = zip(jax.tree.leaves((state.train.params, state.train.opt_state, state.epoch)),
                     jax.tree.leaves((before.train.params, before.train.opt_state, before.epoch)),
                     strict=True)  # fmt: skip
        for mine, theirs in leaves:
            np.testing.assert_array_equal(mine, np.asarray(theirs)[parents])
        keys = [jax.random.key_data(s.train.key) for s in (state, before)]
        np.testing.assert_array_equal(*keys)
        old, new = found.settings["rate"][number - 1 : number + 1]
        ratios = new / old[parents]
        moved = parents != np.arange(8)
        np.testing.assert_array_equal(ratios[~moved], 1)
        assert all(np.isclose(ratio, 1.25) or np.isclose(ratio, 0.8) for ratio in ratios[moved])


def test_lanes_that_went_on_have_the_bits_of_a_sweep_without_rounds(evolved):
    _, found = evolved
    alone = (found.parents == np.arange(8)).all(axis=0)
    assert 2 <= alone.sum() < 8
    whole = Rounds(epochs=9)({"rate": RATES}, None)
    for mine, theirs in zip(jax.tree.leaves(found.runs.params), jax.tree.leaves(whole.params),
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(mine)[alone], np.asarray(theirs)[alone])


def test_rounds_run_one_program_and_are_the_same_again(evolved, compiled):
    _, found = evolved
    before = len(compiled)
    again = evolve(Rounds(), {"rate": RATES}, key=KEY, rounds=3, share=0.25)
    assert len(compiled) == before
    np.testing.assert_array_equal(again.values, found.values)
    np.testing.assert_array_equal(again.settings["rate"], found.settings["rate"])
    other = evolve(Rounds(), {"rate": RATES}, key=jax.random.key(8), rounds=3, share=0.25)
    assert (other.settings["rate"] != found.settings["rate"]).any()


def test_lanes_that_diverged_go_on_from_others():
    rates = np.array([1e-2, 1e-2, 1e38, 1e38, 1e38, 1e-3])
    found = evolve(Rounds(), {"rate": rates}, key=KEY, rounds=2, share=0.2)
    assert np.isnan(found.values[0]).tolist() == [False, False, True, True, True, False]
    assert (found.parents[1][[2, 3, 4]] == found.values[0].argsort()[0]).all()
    assert np.isfinite(found.values[1]).all()
    assert (np.asarray(found.runs.diverged_at) < 0).all()
    none = evolve(Rounds(), {"rate": np.full(3, 1e38)}, key=KEY, rounds=2)
    assert none.parents[1].tolist() == [0, 1, 2]


def test_a_higher_monitor_is_better_where_it_is():
    options = {"validation": (X, Y), "metrics": {"r2": fnn.r2}, "monitor": "validation_r2"}
    found = evolve(Rounds(**options), {"rate": RATES}, key=KEY, rounds=2)
    ranked = np.argsort(-found.values[0])
    assert set(found.parents[1][ranked[6:]]) <= set(ranked[:2])


def test_an_interrupted_round_is_the_last():
    rounds = Rounds(epochs=500, callback=lambda done, latest: True)
    found = evolve(rounds, {"rate": RATES}, key=KEY, rounds=3)
    assert found.values.shape == (1, 8)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"run": 3}, TypeError, "run must be a function of settings and state"),
        ({"run": lambda settings, state: 3}, TypeError, "run must return a Sweep; got int"),
        (
            {"run": lambda settings, state: Rounds()({"rate": RATES[:2]}, None)},
            ValueError,
            "a lane for each of the 8 settings; got 2 lanes",
        ),
        ({"settings": {}}, TypeError, "settings must be a dict"),
        ({"settings": {"rate": [1.0]}}, ValueError, "two lanes at least"),
        ({"settings": {"rate": 1.0}}, ValueError, "two lanes at least"),
        ({"settings": {"rate": [1.0, 2.0], "b": [1.0] * 3}}, ValueError, "one number for each"),
        ({"settings": {"rate": [1.0, 0.0]}}, ValueError, r"settings\['rate'\] must be .* > 0"),
        ({"rounds": 0}, ValueError, "rounds must be"),
        ({"share": 0.6}, ValueError, "share must be"),
        ({"factor": 1.0}, ValueError, "factor must be"),
        ({"key": 3}, TypeError, "key must be"),
    ],
)
def test_arguments_are_checked(changes, error, match):
    arguments = {"run": Rounds(), "settings": {"rate": RATES}, "key": KEY, "rounds": 1} | changes
    with pytest.raises(error, match=match):
        evolve(arguments.pop("run"), arguments.pop("settings"), **arguments)
