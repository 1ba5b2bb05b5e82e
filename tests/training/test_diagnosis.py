"""Diagnoses: each kind of break is put into a run, and must be named."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype(np.float32)
Y = X[:, :2]
NET = fnn.mlp((3, 4, 4, 2))


def diagnosed(net=NET, loss=fnn.squared_error, optimizer=None, data=(X, Y), **options):
    """The diagnosis of a run, and the run."""
    optimizer = optimizer or fnn.sgd(1e-2)
    run = fnn.fit(net, loss, optimizer, data, key=jax.random.key(0), epochs=6, batch_size=16,
                  **options)  # fmt: skip
    assert int(run.diverged_at) >= 0
    found = fnn.diagnose(net, loss, optimizer, data, state=run.state, batch_size=16)
    assert found.epoch == int(run.diverged_at)
    assert str(found).startswith(f"epoch {found.epoch}, step {found.step}: {found.quantity} not")
    return found, run


def bad_activation(z):
    return jnp.where(jnp.abs(z) < 1e3, z, jnp.nan)


@pytest.mark.parametrize("layer", [0, 1])
def test_an_activation_is_named_with_its_layer(layer):
    activation = ["relu", "relu"]
    activation[layer] = bad_activation
    net = fnn.mlp((3, 4, 4, 2), activation=activation)
    data = X * 1e6, Y
    found, _ = diagnosed(net, data=data)
    assert (found.quantity, found.step) == ("activation", 0)
    assert found.where == f"what layer {layer} passes on (a)"
    assert np.isnan(found.value)


def test_what_a_layer_receives_comes_before_what_it_passes_on():
    found, _ = diagnosed(optimizer=fnn.sgd(1e30))
    assert found.quantity == "activation"
    assert "receives (z)" in found.where
    assert found.largest > 1e6


def test_a_loss_is_named_with_the_row():
    def loss(outputs, targets):
        losses = fnn.squared_error(outputs, targets)
        return jnp.where(targets[:, 0] == Y[7, 0], jnp.inf, losses)

    found, run = diagnosed(loss=loss)
    assert (found.quantity, found.where) == ("loss", "that of row 7 of the data")
    assert found.value == np.inf
    assert found.step == int(run.state.diverged_step)


def test_rows_without_weight_are_not_blamed():
    def loss(outputs, targets):
        losses = fnn.squared_error(outputs, targets)
        return jnp.where(targets[:, 0] == Y[7, 0], jnp.inf, losses)

    weights = np.ones(40, np.float32)
    weights[7] = 0
    found, _ = diagnosed(loss=loss, optimizer=Breaks(), data=(X, Y, weights))
    assert (found.quantity, found.step) == ("update", 4)


@jax.custom_jvp
def steep(z):
    return z


steep.defjvp(lambda primals, tangents: (primals[0], tangents[0] * jnp.inf))


def test_gradients_are_named_from_the_last_layer():
    net = fnn.mlp((3, 4, 4, 2), activation=["relu", steep])
    found, _ = diagnosed(net)
    assert found.quantity == "gradient"
    # the last layer's are finite: the slope breaks on its way to the one before
    assert found.where == "that of params[1].bias"


class Breaks:
    def init(self, params):
        return jnp.zeros((), np.int32)

    def update(self, grads, state, params=None):
        bad = jnp.where(state >= 4, jnp.nan, 0.0)
        return jax.tree.map(lambda g: -1e-3 * g + bad.astype(g.dtype), grads), state + 1


def test_an_update_is_named_with_its_leaf_and_step():
    found, run = diagnosed(optimizer=Breaks())
    assert (found.quantity, found.step, found.epoch) == ("update", 4, 1)
    assert found.where == "updates[0].weight"
    assert int(run.diverged_at) == 1


def test_parameters_that_overflow_are_named():
    class Pushes(Breaks):
        def update(self, grads, state, params=None):
            return jax.tree.map(lambda g: jnp.full_like(g, 3e38), grads), state + 1

    def no_loss(outputs, targets):
        return jnp.sum(outputs * 0 + targets * 0, axis=-1)

    net = fnn.Model(lambda key: jnp.full(2, 3e38), lambda params, x: x[:, :2] + 0 * params[None])
    found, _ = diagnosed(net, loss=no_loss, optimizer=Pushes())
    assert (found.quantity, found.where) == ("parameters", "params")


def test_a_lane_of_a_sweep_is_diagnosed():
    rates = np.array([1e-3, 1e12])
    runs = fnn.sweep(NET, fnn.squared_error, fnn.sgd(rates), (X, Y), key=jax.random.key(0),
                     epochs=4, batch_size=16, progress=False)  # fmt: skip
    lane = runs.lane(1)
    found = fnn.diagnose(NET, fnn.squared_error, fnn.sgd(rates[1]), (X, Y), state=lane.state,
                         batch_size=16)  # fmt: skip
    assert found.epoch == int(lane.diverged_at)


def test_weights_dropout_and_options_are_those_of_the_run():
    net = fnn.mlp((3, 4, 4, 2), dropout=0.2)
    loss = functools.partial(fnn.huber, delta=2.0)
    weights = np.ones(40, np.float32)
    found, _ = diagnosed(net, loss, fnn.sgd(1e30), (X, Y, weights))
    assert found.quantity == "activation"


def test_what_has_not_diverged_or_is_no_state_is_told():
    run = fnn.fit(NET, fnn.squared_error, fnn.sgd(1e-2), (X, Y), key=jax.random.key(0), epochs=1)
    with pytest.raises(ValueError, match="the run must have diverged"):
        fnn.diagnose(NET, fnn.squared_error, fnn.sgd(1e-2), (X, Y), state=run.state)
    with pytest.raises(TypeError, match="state must be a FitState"):
        fnn.diagnose(NET, fnn.squared_error, fnn.sgd(1e-2), (X, Y), state=run.state.train)


def test_another_run_is_told():
    bad = fnn.fit(NET, fnn.squared_error, fnn.sgd(1e12), (X, Y), key=jax.random.key(0), epochs=3)
    with pytest.raises(ValueError, match="must break as it did"):
        fnn.diagnose(NET, fnn.squared_error, fnn.sgd(1e-3), (X, Y), state=bad.state)
    with pytest.raises(ValueError, match=r"state\.train must have the structure"):
        fnn.diagnose(NET, fnn.squared_error, fnn.adam(1e-3), (X, Y), state=bad.state)


def test_a_diagnosis_is_shown_as_python():
    found, _ = diagnosed(optimizer=fnn.sgd(1e30))
    assert repr(found).startswith(f"Diagnosis(epoch={found.epoch}, step={found.step}, quantity='")
    assert "np." not in repr(found)
