"""Early stopping as a rule on a recorded monitor, against the rule written as a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

VALUES = [5.0, 4.0, 4.5, 3.95, 3.94, 3.93, 3.92, 3.2, 3.3, 3.4, 3.1, 9.0, 9.0, 9.0, 9.0]


def epochs_of_the_rule(values, patience=None, min_delta=0.0, target=None, max_epochs=None):
    """How many epochs scikit-learn's rule lets run, lower being better."""
    best, wait = np.inf, 0
    for epoch, value in enumerate(values, start=1):
        wait = 0 if value < best - min_delta else wait + 1
        best = min(best, value)
        if patience is not None and wait >= patience:
            return epoch
        if target is not None and best <= target:
            return epoch
        if max_epochs is not None and epoch >= max_epochs:
            return epoch
    return len(values)


RULES = [
    {"patience": 1},
    {"patience": 2},
    {"patience": 3},
    {"patience": 3, "min_delta": 0.1},
    {"patience": 4, "min_delta": 0.02},
    {"patience": 4, "min_delta": 0.001},
    {"target": 3.93},
    {"target": 0.0},
    {"max_epochs": 1},
    {"max_epochs": 6},
    {"patience": 3, "target": 3.2, "max_epochs": 12},
]


# A model whose loss in epoch e is VALUES[e], whatever the data: its one weight counts steps.
def scripted_apply(params, x):
    values = jnp.asarray(VALUES, jnp.float32)
    value = values[jnp.clip(params["step"].astype(int), 0, len(VALUES) - 1)]
    return jnp.full((x.shape[0], 1), value) + 0 * params["step"]


def counting_update(grads, state, params=None):
    return jax.tree.map(jnp.ones_like, grads), state


class Counting:
    init = staticmethod(lambda params: ())
    update = staticmethod(counting_update)


SCRIPTED = fnn.Model(lambda key: {"step": jnp.zeros(())}, scripted_apply)
COUNTING = Counting()
DATA = (np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))


def output_itself(outputs, targets):
    return outputs[:, 0]


def negative_output(outputs, targets, weights=None):
    return -outputs[0, 0]


negative_output.higher_is_better = True


@jax.jit
def scripted(stop):
    return fnn.fit(SCRIPTED, output_itself, COUNTING, DATA, key=jax.random.key(0),
                   epochs=len(VALUES), stop=stop)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_training_ends_where_the_rule_says(rule):
    run = scripted(fnn.early_stopping(**rule))
    assert int(run.epochs) == epochs_of_the_rule(VALUES, **rule)
    kept = VALUES[: int(run.epochs)]
    assert int(run.best_epoch) == int(np.argmin(kept))
    assert run.history["loss"].tolist() == pytest.approx(
        kept + [kept[-1]] * (len(VALUES) - len(kept))
    )


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_where_higher_is_better_the_rule_is_mirrored(rule):
    rule = dict(rule)
    if "target" in rule:
        rule["target"] = -rule["target"]
    run = fnn.fit(SCRIPTED, output_itself, COUNTING, DATA, key=jax.random.key(0),
                  epochs=len(VALUES), stop=fnn.early_stopping(**rule), validation=DATA,
                  metrics={"score": negative_output}, monitor="validation_score")  # fmt: skip
    # validated after the step, so one value ahead; the last value then repeats
    shifted = [*VALUES[1:], VALUES[-1]]
    rule["target"] = -rule["target"] if "target" in rule else None
    assert int(run.epochs) == epochs_of_the_rule(shifted, **rule)
    assert int(run.best_epoch) == int(np.argmin(shifted[: int(run.epochs)]))


def test_the_best_parameters_are_those_after_the_best_epoch():
    run = scripted(fnn.early_stopping(patience=2))
    # the weight counts steps, one per epoch: after epoch e it is e + 1
    assert float(run.best_params["step"]) == int(run.best_epoch) + 1
    assert float(run.params["step"]) == int(run.epochs)


def test_a_monitor_that_is_not_a_number_is_never_better(key):
    def nan_metric(outputs, targets, weights=None):
        return jnp.where(outputs[0, 0] < 4, jnp.nan, outputs[0, 0])

    run = fnn.fit(SCRIPTED, output_itself, COUNTING, DATA, key=key, epochs=6, validation=DATA,
                  metrics={"nan": nan_metric}, monitor="validation_nan", mode="min")  # fmt: skip
    assert int(run.epochs) == 6
    assert int(run.best_epoch) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "early_stopping: at least one of patience, target and max_epochs"),
        ({"patience": 0}, ValueError, "early_stopping: patience must be an integer from 1"),
        ({"patience": 2.5}, TypeError, "early_stopping: patience must be an integer"),
        ({"patience": 1, "min_delta": -1}, ValueError, "min_delta must be a finite number >= 0"),
        ({"target": float("nan")}, ValueError, "target must be a finite number; got nan"),
        ({"max_epochs": 0}, ValueError, "max_epochs must be an integer from 1"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        fnn.early_stopping(**options)
