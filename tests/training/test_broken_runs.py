"""A run that breaks, and a run in pieces."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import DATA, HELD_OUT, KEY, NET, OPT, WEIGHTS, assert_same_bits, values

import fnn

# ---- a run that breaks


STEPS_DONE = fnn.Model(lambda key: {"w": jnp.zeros(())}, lambda params, x: params["w"] + 0 * x)
"""With the optimizer below its outputs are the number of steps done."""


class Counting:
    init = staticmethod(lambda params: ())
    update = staticmethod(
        lambda grads, state, params=None: (jax.tree.map(jnp.ones_like, grads), ())
    )


COUNTING = Counting()


def breaking_at(outputs, targets, *, step):
    """A loss that is the output itself, but NaN in that step."""
    return jnp.where(outputs[:, 0] == step, jnp.nan, outputs[:, 0])


@pytest.mark.parametrize("step", [0, 4, 7, 11])
def test_divergence_is_undone_to_the_start_of_its_epoch_and_reported(step, key):
    data = (np.zeros((8, 1), np.float32), np.zeros(8, np.float32))
    fit = partial(fnn.fit, STEPS_DONE, partial(breaking_at, step=step), COUNTING, data, epochs=5,
                  batch_size=2)  # four steps an epoch  # fmt: skip
    run = fit(key=key)
    epoch = step // 4
    assert int(run.diverged_at) == int(run.epochs) == epoch
    assert int(run.state.diverged_step) == step
    assert float(run.params["w"]) == 4 * epoch
    assert int(run.state.train.step) == 4 * epoch
    losses = [4 * e + 1.5 for e in range(epoch)]
    repeated = losses[-1] if losses else np.nan
    np.testing.assert_allclose(run.history["loss"], losses + [repeated] * (5 - epoch))
    # going on from there changes nothing: it has stopped
    assert int(fit(state=run.state).epochs) == 0


def test_parameters_that_overflow_while_the_loss_is_finite_are_noticed(key):
    x = np.ones((4, 1), np.float32)
    run = fnn.fit(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(3e38), (x, 100 + x), key=key,
                  epochs=3, batch_size=4)  # fmt: skip
    assert int(run.diverged_at) == 0
    assert all(np.isfinite(leaf).all() for leaf in values(run.params))


def test_a_run_that_never_broke_says_so(key):
    run = fnn.fit(NET, fnn.squared_error, OPT, DATA, key=key, epochs=2)
    assert int(run.diverged_at) == int(run.state.diverged_step) == -1


# ---- a run in pieces


def piece(epochs, state=None, stop=None):
    return fnn.fit(NET, fnn.squared_error, OPT, (*DATA, WEIGHTS[:40]), key=KEY, epochs=epochs,
                   batch_size=16, validation=HELD_OUT, state=state, stop=stop)  # fmt: skip


@pytest.mark.parametrize("pieces", [(2, 2), (1, 3), (1, 2, 1), (1,) * 4], ids=str)
def test_a_run_in_pieces_equals_the_uninterrupted_one_bit_for_bit(pieces):
    whole = piece(4)
    state, history = None, []
    for epochs in pieces:
        run = piece(epochs, state)
        assert run.history["loss"].shape == (epochs,)
        history.append(run.history)
        state = run.state
    assert_same_bits(whole.state, state)
    joined = {name: np.concatenate([h[name] for h in history]) for name in whole.history}
    assert_same_bits(whole.history, joined)
    assert int(state.epoch) == 4


def test_keys_of_any_kind_serve_and_a_run_from_them_continues():
    fit = partial(fnn.fit, NET, fnn.squared_error, OPT, DATA, batch_size=16)
    key = jax.random.key(0, impl="rbg")
    run = fit(key=key, epochs=2)
    assert_same_bits(fit(key=key, epochs=4).state, fit(state=run.state, epochs=2).state)


def test_a_stopped_run_continues_as_stopped_unless_the_rule_changes():
    stop = fnn.early_stopping(max_epochs=2)
    run = piece(3, stop=stop)
    assert int(run.epochs) == 2
    again = piece(3, run.state, stop)
    assert int(again.epochs) == 0
    assert again.history["loss"].tolist() == [float(run.history["loss"][-1])] * 3
    onward = piece(3, run.state, fnn.early_stopping(max_epochs=4))
    assert int(onward.epochs) == 2
    assert_same_bits(onward.state, piece(4).state)


def test_a_train_state_begins_a_run_from_its_parameters():
    first = piece(2)
    run = piece(1, first.state.train)
    assert int(run.state.epoch) == 1
    assert int(run.state.train.step) == int(first.state.train.step) + 3
    assert int(run.best_epoch) == 0
    start = fnn.init_state(NET, fnn.sgd(0.0), KEY)
    still = fnn.fit(NET, fnn.squared_error, fnn.sgd(0.0), DATA, epochs=1, state=start)
    assert_same_bits(still.params, start.params)
