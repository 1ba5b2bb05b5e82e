"""Sweeps joined to one, and sent from one process to another."""

import functools
import pickle
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import (
    AT_ONCE,
    DATA,
    EIGHT,
    HELD_OUT,
    KEY,
    X,
    assert_same_bits,
    eight,
    outcome,
    sweep,
)

import fnn
from fnn import plots
from fnn._core.dtypes import float64_enabled

KEYS = jax.random.split(KEY, 8)
ORDER = jax.random.key(3)
LINEAR = fnn.mlp((3, 2))


def halves(**options):
    """Two sweeps of four lanes, each with a half of the learning rates."""
    return [
        sweep(optimizer=fnn.adam(rates), at_once=AT_ONCE, epochs=8, validation=HELD_OUT, **options)
        for rates in (EIGHT[:4], EIGHT[4:])
    ]


def assert_same_tables(one, other, rtol=1e-9):
    assert list(one) == list(other)
    for name in one:
        if one[name].dtype.kind == "U":
            assert one[name].tolist() == other[name].tolist()
            continue
        np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=1e-12, err_msg=name)


def copied(function):
    """The function as a process has it that unpickles it by value."""
    return types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip


# ---- joined


def test_the_parts_of_a_sweep_are_the_sweep_to_the_last_bit():
    runs, whole = fnn.concatenate_sweeps(halves()), eight()
    assert_same_bits(outcome(runs), outcome(whole))
    assert_same_bits(runs.varied.traced, whole.varied.traced)
    assert runs.varied.swept == whole.varied.swept
    assert runs.order_key.shape == ()
    assert (runs.finished.all(), runs.dropped_at.tolist()) == (True, [-1] * 8)


@pytest.mark.long
@pytest.mark.usefixtures("x64")
def test_parts_with_numbers_of_their_own_are_the_sweep_of_all_of_them():
    grid = fnn.product(delta=[0.5, 2.0], learning_rate=[0.003, 0.03], seed=[4, 5])

    def of(delta, learning_rate, patience, seeds, **options):
        return sweep(
            fnn.mlp((3, 8, 2), activation="tanh", dropout=0.1), functools.partial(
                fnn.huber, delta=delta), fnn.adam(learning_rate),
            key=jax.vmap(jax.random.key)(seeds), order_key=ORDER, validation=HELD_OUT, epochs=6,
            metrics={"squared": fnn.squared_error}, stop=fnn.early_stopping(patience=patience),
            labels={"seed": seeds}, **options,
        )  # fmt: skip

    whole = of(fnn.lanes(grid["delta"]), grid["learning_rate"], np.repeat([9, 1], 4), grid["seed"])
    parts = [
        of(delta, rate, patience, np.array([4, 5]))  # neither of the three is swept
        for delta, patience in ((0.5, 9), (2.0, 1))
        for rate in (0.003, 0.03)
    ]
    runs = fnn.concatenate_sweeps(iter(parts))
    assert list(runs.columns) == ["loss.delta", "optimizer.learning_rate", "stop.patience"]
    assert runs.epochs.tolist() == whole.epochs.tolist()
    assert_same_tables(runs.table(), whole.table())
    assert_same_tables(runs.summary(), whole.summary())
    assert runs.summary().note == whole.summary().note != ""
    for one, other in zip(
        jax.tree.leaves((runs.params, runs.best_params, runs.history, runs.predict(X))),
        jax.tree.leaves((whole.params, whole.best_params, whole.history, whole.predict(X))),
        strict=True,
    ):
        assert one.dtype == other.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(runs.best().params[0].weight, whole.best().params[0].weight)
    assert str(runs).splitlines()[:2] == str(whole).splitlines()[:2]
    assert np.array_equal(runs.lane(5).history["loss"], parts[2].lane(1).history["loss"])
    assert plots.heat_map(runs.summary(), "delta", "learning_rate").has_data()


def test_a_joined_sweep_continues_as_the_whole_would():
    runs = fnn.concatenate_sweeps(halves(order_key=ORDER))
    continued = eight(state=runs.state, key=None)
    whole = eight(order_key=ORDER)
    assert_same_bits(outcome(continued), outcome(eight(state=whole.state, key=None)))
    assert_same_bits(continued.order_key, ORDER)


def test_what_is_equal_in_all_parts_is_kept_once():
    parts = halves()
    sent = pickle.loads(pickle.dumps(parts[1]))  # whose data are another copy
    runs = fnn.concatenate_sweeps([parts[0], sent])
    assert sum(runs.varied.swept) == 1
    shared = [leaf for leaf in runs.varied.traced if np.shape(leaf) == DATA[0].shape]
    assert len(shared) == 1
    assert shared[0] is parts[0].problem.data.x


def test_where_data_differ_each_lane_has_its_own():
    x, y = DATA
    parts = [sweep(data=(scale * x, y), key=KEYS[:2], order_key=ORDER) for scale in (1, 2)]
    runs = fnn.concatenate_sweeps(parts)
    assert list(runs.columns) == ["data.0"]
    assert np.array_equal(runs.columns["data.0"], np.stack([x, x, 2 * x, 2 * x]))
    assert np.array_equal(runs.problem.data.x, x)
    assert runs.table()["seed"].tolist() == [0, 1, 0, 1]


def test_batch_orders_that_differ_are_those_of_the_lanes():
    parts = [sweep(key=keys) for keys in (KEYS[:2], KEYS[2:4])]
    runs = fnn.concatenate_sweeps(parts)
    assert runs.order_key.shape == (4,)
    assert_same_bits(runs.order_key[2], parts[1].order_key)
    assert_same_bits(runs.lane(3), parts[1].lane(1))
    assert runs.summary().note == ""


def test_shorter_histories_are_continued_by_their_last_value():
    parts = [sweep(key=KEYS[:2], epochs=2), sweep(key=KEYS[2:4], epochs=4)]
    runs = fnn.concatenate_sweeps(parts)
    assert runs.epochs.tolist() == [2, 2, 4, 4]
    losses = parts[0].history["loss"]
    assert np.array_equal(runs.history["loss"][:2], losses[:, [0, 1, 1, 1]])
    with pytest.raises(ValueError, match="lanes to continue must be at one epoch"):
        sweep(state=runs.state, key=None)


def test_seeds_number_the_keys_of_all():
    def seeds(*parts):
        return fnn.concatenate_sweeps(parts).labels.get("seed", np.array([])).tolist()

    first, second = sweep(key=KEYS[:2]), sweep(key=KEYS[2:4])
    assert seeds(first, second) == [0, 1, 2, 3]
    assert seeds(first, first) == [0, 1, 0, 1]
    named = [sweep(key=KEYS[i : i + 2], labels={"seed": [i, i + 1]}) for i in (0, 2)]
    assert seeds(*named) == [0, 1, 2, 3]
    single = [sweep(optimizer=fnn.adam(EIGHT[:2]), key=key) for key in KEYS[:2]]
    assert seeds(single[0], single[0]) == []
    assert seeds(*single) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="labels must have seed in all sweeps or in none"):
        seeds(named[1], single[0])


def test_widths_padding_and_how_lanes_ended_are_those_of_all_lanes():
    def of(active, **options):
        return sweep(fnn.mlp((3, 8, 2), active=active), key=KEYS[:4], order_key=ORDER, **options)

    parts = [of((8,)), of((3,), halving=fnn.halving(2, factor=2))]
    runs = fnn.concatenate_sweeps(parts)
    assert runs.padding == pytest.approx(2 * 40 / (40 + 15))  # products of all and of active units
    assert runs.table()["active[0]"].tolist() == [8] * 4 + [3] * 4
    assert runs.dropped_at.tolist() == [-1] * 4 + parts[1].dropped_at.tolist()
    assert (runs.dropped_at == 2).sum() == 2
    both = [part.predict(X)[0] for part in parts]
    np.testing.assert_allclose(runs.predict(X)[0], np.mean(both, axis=0), rtol=1e-5, atol=1e-6)


# ---- functions that come twice


def steep(power):
    def loss(outputs, targets):
        return jnp.mean((outputs - targets) ** power, axis=-1)

    return loss


def test_functions_are_the_same_by_name_code_and_closure():
    def loss(outputs, targets):
        return jnp.mean(jnp.abs(outputs - targets), axis=-1)

    loss.__qualname__ = steep(4).__qualname__
    losses = copied(steep(4)), copied(steep(4)), steep(2), loss
    first, same, cell, code = (sweep(LINEAR, one, key=KEYS[:2]) for one in losses)
    assert first.varied.structure != same.varied.structure
    assert len(fnn.concatenate_sweeps([first, same])) == 4
    with pytest.raises(ValueError, match=r"numbers only; got another loss\.power in sweep 1$"):
        fnn.concatenate_sweeps([first, cell])
    with pytest.raises(ValueError, match=r"numbers only; got another loss in sweep 2$"):
        fnn.concatenate_sweeps([first, same, code])


# ---- from another process


def sent(number):
    """A sweep with keys of another kind, x far from zero, scalers, partials and widths."""
    keys = jax.random.split(jax.random.key(number, impl="rbg"), 2)
    x = 1e9 + np.arange(60.0).reshape(20, 3)
    net = fnn.mlp((3, 4, 1), inputs=fnn.standard_scaler(x), active=[(4,), (2,)], dropout=0.1)
    loss = functools.partial(fnn.huber, delta=fnn.lanes([1.0, 2.0]))
    return fnn.sweep(
        net, loss, fnn.adam(0.1), (x, x[:, 0]), key=keys, order_key=ORDER, epochs=2,
        validation=(x, x[:, 0]), metrics={"r2": fnn.r2}, monitor="validation_r2", progress=False,
        stop=fnn.early_stopping(patience=3), labels={"who": ["a", "b"]}, at_once=1,
    )  # fmt: skip


SENDER = """
import pickle, sys
sys.path[:0] = sys.argv[2:]
from test_concatenate import sent
with open(sys.argv[1], "wb") as file:
    pickle.dump(sent(1), file)
"""


@pytest.mark.long
def test_a_sweep_of_another_process_is_like_one_of_this_one(tmp_path):
    file, here = tmp_path / "runs.pickle", Path(__file__).parent
    command = [sys.executable, "-c", SENDER, str(file), str(here), str(here.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs, ours = pickle.loads(file.read_bytes()), sent(1)
    for leaf in jax.tree.leaves(theirs.state):
        assert leaf.devices() == {jax.devices()[0]}
    assert_same_tables(theirs.table(), ours.table(), rtol=1e-5)
    np.testing.assert_allclose(theirs.predict(1e9 + X), ours.predict(1e9 + X), rtol=1e-5)
    assert_same_bits(theirs.state.train.key, ours.state.train.key)
    assert theirs.varied.structure == ours.varied.structure
    runs = fnn.concatenate_sweeps([sent(0), theirs])
    assert runs.table()["who"].tolist() == ["a", "b", "a", "b"]
    assert runs.table()["seed"].tolist() == [0, 1, 2, 3]
    assert_same_bits(runs.lane(3), theirs.lane(1))
    assert np.array_equal(runs.shift, ours.shift)


# ---- mistakes


def two(**options):
    return sweep(**{"net": LINEAR, "key": KEYS[:2], **options})


SHORT = tuple(part[:30] for part in DATA)
FAR = 1e9 + np.arange(120.0).reshape(40, 3)


def scaled(x):
    return two(net=fnn.mlp((3, 2), inputs=fnn.standard_scaler(x)), data=(x, DATA[1]))


def in_64_bits():
    with float64_enabled(True):
        return two()


MISTAKES = {
    "none": (list, ValueError, "there must be at least one sweep; got none"),
    "one": (two, TypeError, "sweeps must be a list of results of sweep; got Sweep"),
    "a run": (lambda: [two(), two().best()], TypeError, "results of sweep; got Fit"),
    "folds": (
        lambda: [object.__new__(fnn.CrossValidation)], TypeError, "sweep; got CrossValidation",
    ),
    "sizes": (
        lambda: [two(), two(), two(net=fnn.mlp((3, 4, 2)))], ValueError,
        r"sweeps must differ in the values of numbers only; got another .*net.sizes in sweep 2",
    ),
    "batches and metrics": (
        lambda: [two(), two(batch_size=8, validation=HELD_OUT, metrics={"a": fnn.r2})], ValueError,
        r"another batch_size, history \(names, shapes or dtypes\), metrics, monitor, validation in",
    ),
    "modes": (
        lambda: [two(), two(mode="max")], ValueError,
        "differ in the values of numbers only; got another mode in sweep 1",
    ),
    "64 bits": (
        lambda: [two(), in_64_bits()], ValueError,
        r"differ in the values .*; got another history \(names, shapes or dtypes\) in sweep 1",
    ),
    "data of other lengths": (
        lambda: [two(), two(data=SHORT)], ValueError,
        r"data.0 must be of one shape in all sweeps; got \(40, 3\) and \(30, 3\)",
    ),
    "labels": (
        lambda: [two(labels={"a": [1, 2]}), two(labels={"b": [1, 2]})], ValueError,
        "labels must have the same names in all sweeps; got a, b not in both sweeps 0 and 1",
    ),
    "keys of other kinds": (
        lambda: [two(), two(key=jax.random.split(jax.random.key(0, impl="rbg"), 2))], ValueError,
        r"state of sweep 1 must have the structure(.|\n)*key<fry>(.|\n)*key<rbg>",
    ),
    "shifts": (
        lambda: [scaled(FAR), scaled(FAR + 1)], ValueError,
        "x in 64 bits must have been shifted by one scaler .*another scaler of inputs in sweep 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(mistake):
    make, error, words = MISTAKES[mistake]
    with pytest.raises(error, match=f"^concatenate_sweeps: .*{words}"):
        fnn.concatenate_sweeps(make())
