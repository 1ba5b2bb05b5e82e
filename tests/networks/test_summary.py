"""The fields of an `mlp`, and its summary."""

import dataclasses
import inspect

import jax
import pytest

import fnn


def test_a_network_has_no_fields_but_those_that_its_arguments_decide():
    fields = {field.name for field in dataclasses.fields(fnn.MLP)}
    arguments = set(inspect.signature(fnn.mlp).parameters)
    assert fields == arguments - {"activation", "output", "initializer"} | {
        "activations",
        "initializers",
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False},
        {"norm": "layer", "residual": True, "dropout": 0.1},
        {"param_dtype": "float16"},
        {"activation": ["tanh", lambda z: z]},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_the_summary_counts_what_the_parameters_hold(options, key):
    net = fnn.mlp((3, 4, 4, 2), **options)
    params, table = net.init(key), net.summary()
    assert table["layer"].tolist() == [0, 1, 2]
    assert table["weight"].tolist() == [str(layer.weight.shape) for layer in params]
    for count, memory, layer in zip(table["parameters"], table["bytes"], params, strict=True):
        assert count == sum(leaf.size for leaf in jax.tree.leaves(layer))
        assert memory == sum(leaf.nbytes for leaf in jax.tree.leaves(layer))
    assert table["multiplications"].tolist() == [12, 16, 8]
    leaves = jax.tree.leaves(params)
    assert table.note == (
        f"{sum(leaf.size for leaf in leaves)} parameters in "
        f"{sum(leaf.nbytes for leaf in leaves)} bytes, 36 multiplications per row"
    )
    assert str(table).splitlines()[-1] == table.note


def test_the_summary_names_activations_and_needs_no_numbers(x64):
    net = fnn.mlp((3, 4, 4, 2), activation=["tanh", lambda z: z], active=[[1, 2], [2, 3]])
    assert net.summary()["activation"].tolist() == ["tanh", "<lambda>", "identity"]
    assert net.summary()["bytes"][0] == 8 * 16
    assert jax.eval_shape(lambda net: len(net.summary()["layer"]) * net.dropout,
                          fnn.mlp((2, 1), dropout=0.5)).shape == ()  # fmt: skip
