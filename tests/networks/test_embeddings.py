"""Embeddings of coded columns, against the same network of one-hot columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import random_params

import fnn

RANDOM = np.random.default_rng(0)
ROWS = 48
X = np.stack(
    [
        RANDOM.integers(0, 3, ROWS),
        1.7e9 + 100 * RANDOM.normal(size=ROWS),
        RANDOM.normal(size=ROWS),
        RANDOM.integers(0, 300, ROWS),
    ],
    axis=1,
)
Y = np.stack([np.sin(X[:, 2]) + X[:, 0], np.cos(X[:, 3])], axis=1)
EMBEDDINGS = {3: (300, 4), 0: (3, 2)}
NET = fnn.mlp((4, 6, 2), activation="tanh", embeddings=EMBEDDINGS, inputs=fnn.standard_scaler(X))
OPTIONS = {"key": jax.random.key(1), "epochs": 2, "batch_size": 16}
TASK = fnn.squared_error, fnn.adam(0.01), (X, Y)


def by_one_hot(params, x):
    """The outputs of NET: a table is the weights of one-hot columns, before the first layer."""
    first, second = params
    z = (x - X.mean(axis=0)) / X.std(axis=0)
    vectors = [
        (np.arange(len(table)) == x[:, [column]]).astype(float) @ table
        for column, table in zip((0, 3), first.tables, strict=True)
    ]
    a = jnp.concatenate([z[:, 1:3], *vectors], axis=1)
    return jnp.tanh(a @ first.weight + first.bias[None]) @ second.weight + second.bias[None]


def test_a_table_has_a_vector_for_each_code():
    first, second = NET.init(jax.random.key(0))
    assert [table.shape for table in first.tables] == [(3, 2), (300, 4)], "in order of columns"
    assert first.weight.shape == (2 + 2 + 4, 6)
    assert second.tables is None
    table = np.asarray(first.tables[1])
    assert abs(table.mean()) < 0.1
    assert table.std() == pytest.approx(1, abs=0.1)
    assert not np.isin(first.tables[0], table).any()
    assert all(layer.tables is None for layer in fnn.mlp((4, 6, 2)).init(jax.random.key(0)))


def test_outputs_and_gradients_are_those_of_one_hot_columns(x64):
    params = random_params(NET)
    np.testing.assert_allclose(NET.apply(params, X), by_one_hot(params, X), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(NET.apply)(params, X), by_one_hot(params, X), rtol=1e-6)
    np.testing.assert_allclose(NET.apply(params, X[5]), by_one_hot(params, X[5:6])[0], rtol=1e-6)
    objective = lambda apply: lambda params: jnp.sum(apply(params, X) ** 2)  # noqa: E731
    found = jax.grad(objective(NET.apply))(params)
    expected = jax.grad(objective(by_one_hot))(params)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    assert np.abs(found[0].tables[1]).max() > 0


def test_all_columns_may_hold_codes():
    net = fnn.mlp((2, 3), embeddings={0: (4, 2), 1: (5, 1)})
    params = random_params(net)
    codes = np.array([[3, 0], [0, 4]])
    for x in (codes, codes.astype(np.uint8), codes.astype(np.float32), jnp.asarray(codes)):
        first = np.concatenate([params[0].tables[0][codes[:, 0]], params[0].tables[1][codes[:, 1]]],
                               axis=1)  # fmt: skip
        expected = first @ params[0].weight + params[0].bias[None]
        np.testing.assert_allclose(net.apply(params, x), expected, rtol=1e-5)


def test_codes_are_read_before_the_computation_gets_narrow():
    net = fnn.mlp((1, 1), embeddings={0: (300, 1)}, dtype="bfloat16")
    params = net.init(jax.random.key(0))
    expected = (params[0].tables[0] @ params[0].weight)[:, 0]
    found = net.apply(params, np.arange(300.0)[:, None])[:, 0]
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=0.05, atol=1e-3)


def test_a_fit_takes_raw_rows_far_from_zero_with_codes_as_they_are():
    found = fnn.fit(NET, *TASK, validation=(X, Y), **OPTIONS)
    near = np.where(np.arange(4) == 1, (X - X.mean(axis=0)) / X.std(axis=0), X)
    bare = fnn.mlp((4, 6, 2), activation="tanh", embeddings=EMBEDDINGS,
                   inputs=fnn.standard_scaler(near))  # fmt: skip
    expected = fnn.fit(bare, *TASK[:2], (near, Y), **OPTIONS)
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=1e-4)
    first = NET.init(jax.random.split(OPTIONS["key"])[0])[0].tables[1]
    assert np.any(np.asarray(found.params[0].tables[1]) != np.asarray(first))
    measured = fnn.evaluate(NET, found.params, (X, Y), {"loss": fnn.squared_error})["loss"]
    np.testing.assert_allclose(measured, found.history["validation_loss"][-1], rtol=1e-5)


def test_lanes_of_a_sweep_are_single_runs():
    rates = np.array([0.01, 0.001])
    runs = fnn.sweep(NET, TASK[0], fnn.adam(rates), TASK[2], **OPTIONS)
    for lane, rate in enumerate(rates):
        one = fnn.fit(NET, TASK[0], fnn.adam(rate), TASK[2], **OPTIONS)
        np.testing.assert_allclose(runs.history["loss"][lane], one.history["loss"], rtol=1e-4)
        np.testing.assert_allclose(runs.params[0].tables[1][lane], one.params[0].tables[1],
                                   rtol=1e-3, atol=1e-4)  # fmt: skip


def test_a_network_of_fewer_active_units_has_embeddings_too():
    wide = fnn.mlp((4, 6, 2), embeddings=EMBEDDINGS, active=[2])
    params = wide.init(jax.random.key(0))
    assert np.count_nonzero(params[0].weight) == 8 * 2
    assert wide.apply(params, X).shape == (ROWS, 2)


def test_params_are_saved_and_shown(tmp_path):
    params = NET.init(jax.random.key(0))
    fnn.save(tmp_path / "net", params)
    again = fnn.load(tmp_path / "net", like=params)
    for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    bare = fnn.mlp((4, 6, 2), embeddings=EMBEDDINGS)
    assert repr(bare) == "mlp((4, 6, 2), embeddings={0: (3, 2), 3: (300, 4)})"
    table = bare.summary()
    assert table["weight"].tolist() == ["(8, 6)", "(6, 2)"]
    assert table["parameters"].sum() == sum(leaf.size for leaf in jax.tree.leaves(params))


def call(function, x):
    params = NET.init(jax.random.key(0))
    return {
        "apply": lambda: NET.apply(params, x),
        "list": lambda: NET.apply(params, x.tolist()),
        "fit": lambda: fnn.fit(NET, *TASK[:2], (x, Y), **OPTIONS),
        "validation": lambda: fnn.fit(NET, *TASK, validation=(x, Y), **OPTIONS),
        "sweep": lambda: fnn.sweep(NET, TASK[0], fnn.adam([0.1, 0.2]), (x, Y), **OPTIONS),
        "cross_validate": lambda: fnn.cross_validate(NET, *TASK[:2], (x, Y), **OPTIONS),
        "evaluate": lambda: fnn.evaluate(NET, params, (x, Y), {"loss": fnn.squared_error}),
    }[function]()


@pytest.mark.parametrize("code", [3, -1, 0.5])
@pytest.mark.parametrize(
    "function", ["apply", "list", "fit", "validation", "sweep", "cross_validate", "evaluate"]
)
def test_what_is_no_code_is_refused(function, code):
    x = X.copy()
    x[5, 0] = code
    match = rf"column 0 of x must hold codes, integers from 0 to 2; got {float(code)} in row 5"
    with pytest.raises(ValueError, match=match):
        call(function, x)


def test_on_a_device_what_is_no_code_gives_nan():
    net = fnn.mlp((1, 1), embeddings={0: (3, 2)})
    params = net.init(jax.random.key(0))
    x = jnp.asarray([0.0, 2.0, 3.0, -1.0, 0.5])[:, None]
    assert np.isnan(net.apply(params, x)[:, 0]).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("embeddings", "error", "match"),
    [
        ([3], TypeError, r"embeddings must be a dict"),
        ({0: 3}, TypeError, r"embeddings must be a dict .* got 0: 3"),
        ({0: (3, 2, 1)}, TypeError, r"got 0: \(3, 2, 1\)"),
        ({4: (3, 2)}, ValueError, "the column 4 of embeddings must be <= 3"),
        ({-1: (3, 2)}, ValueError, "the column -1 of embeddings must be an integer >= 0"),
        ({"a": (3, 2)}, TypeError, "the column 'a' of embeddings must be an integer"),
        ({0: (0, 2)}, ValueError, "categories of column 0 of embeddings must be an integer >= 1"),
        ({0: (3, 2.0)}, TypeError, "width of column 0 of embeddings must be an integer >= 1"),
    ],
)
def test_embeddings_are_checked(embeddings, error, match):
    with pytest.raises(error, match=match):
        fnn.mlp((4, 6, 2), embeddings=embeddings)


def test_params_without_tables_are_refused():
    with pytest.raises(ValueError, match="params of an mlp"):
        NET.apply(fnn.mlp((8, 6, 2)).init(jax.random.key(0)), X)
