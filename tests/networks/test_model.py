"""Networks of one's own."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from fnn.networks.mlp import mlp
from fnn.networks.model import Model, outputs_of
from fnn.types import Network


def test_a_model_of_ones_own_is_two_functions_compared_by_identity(key):
    def init(key):
        return jax.random.normal(key, (2, 1))

    def apply(params, x, *, key=None):
        noise = 0 if key is None else jax.random.normal(key, (1, 1))
        return x @ params + noise

    model = Model(init, apply)
    params = model.init(key)
    assert model.apply(params, jnp.ones((3, 2))).shape == (3, 1)
    assert (
        model.apply(params, jnp.ones((3, 2)), key=key) != model.apply(params, jnp.ones((3, 2)))
    ).all()
    assert model == Model(init, apply)
    assert hash(model) == hash(Model(init, apply))
    assert model != Model(init, lambda params, x: x)
    assert jax.tree.leaves(model) == []
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.init = init


def test_an_mlp_and_a_model_are_networks_and_of_different_structure():
    net, model = mlp((2, 1)), Model(lambda key: (), lambda params, x: x)
    assert isinstance(net, Network)
    assert isinstance(model, Network)
    assert not isinstance(object(), Network)
    assert jax.tree.structure(net) != jax.tree.structure(model)
    assert net != model


def test_a_key_is_given_to_those_that_take_one(key):
    def takes_one(params, x, *, key=None):
        return "none" if key is None else "one"

    def takes_anything(params, x, **options):
        return sorted(options)

    assert outputs_of(Model(lambda key: (), takes_one), (), 0, key) == "one"
    assert outputs_of(Model(lambda key: (), takes_one), (), 0) == "none"
    assert outputs_of(Model(lambda key: (), takes_anything), (), 0, key) == ["key"]
    assert outputs_of(Model(lambda key: (), lambda params, x: "as it is"), (), 0, key) == "as it is"


def test_the_summary_lists_the_parameters_without_making_them():
    def init(key):
        jax.debug.callback(lambda: pytest.fail("made"))
        return {"w": jnp.zeros((2, 3), jnp.bfloat16), "b": [jnp.zeros(3)]}

    table = Model(init, lambda params, x: x @ params["w"]).summary()
    assert {name: column.tolist() for name, column in table.items()} == {
        "leaf": ["['b'][0]", "['w']"],
        "shape": ["(3,)", "(2, 3)"],
        "dtype": ["float32", "bfloat16"],
        "parameters": [3, 6],
        "bytes": [12, 12],
    }
    assert str(table).splitlines()[-1] == "9 parameters in 24 bytes"
    assert Model(lambda key: (), min).summary().note == "0 parameters in 0 bytes"
