"""Lanes of a sweep held against single runs: every kind of number that can be swept."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import (
    DATA,
    HELD_OUT,
    KEY,
    LABELS,
    PIECES,
    RATES,
    WEIGHTS,
    X,
    assert_same_bits,
    outcome,
    single,
    sweep,
    values,
)

import fnn
from fnn.sweeps.chunks import Runs

ORDER = jax.random.key(8)


class Line:
    """A model of one's own with a number in it."""

    def __init__(self, slope):
        self.slope = slope

    def init(self, key):
        return jax.random.normal(key, (3, 2))

    def apply(self, params, x):
        return jnp.asarray(self.slope).astype(params.dtype) * (x.astype(params.dtype) @ params)


jax.tree_util.register_pytree_node(
    Line, lambda line: ((line.slope,), None), lambda _, slopes: Line(*slopes)
)

WATCHED = {"validation": HELD_OUT}
MASK_WEIGHT, MASK_BIAS = np.array([True, False, True]), np.array([False, True, True])


def mask(weight, bias):
    return (fnn.Layer(weight, bias), fnn.Layer(True, False))


def blurred(outputs, targets, key):
    """A loss with randomness of its own."""
    noise = jax.random.normal(key, outputs.shape, outputs.dtype)
    return fnn.squared_error(outputs + noise, targets)


def stopping(**columns):
    return lambda i: {"stop": fnn.early_stopping(**chosen(columns, i)), **WATCHED, "epochs": 6}


def chosen(columns, lane):
    """All of a column, or what one lane has of it."""
    if lane is None:
        return columns
    return {name: column[lane] for name, column in columns.items()}


def at(column, lane):
    return column if lane is None else column[lane]


def marked(column, lane):
    return fnn.lanes(column) if lane is None else column[lane]


KINDS = {
    "learning rate": lambda i: {"optimizer": fnn.adam(at(RATES, i))},
    "b1, b2 and eps": lambda i: {
        "optimizer": fnn.adam(1e-2, **chosen({"b1": RATES, "b2": 1 - RATES, "eps": RATES}, i))
    },
    "weight decay": lambda i: {"optimizer": fnn.adamw(1e-2, weight_decay=at(10 * RATES, i))},
    "mask": lambda i: {
        "optimizer": fnn.adamw(
            1e-2, weight_decay=1.0, mask=mask(marked(MASK_WEIGHT, i), marked(MASK_BIAS, i))
        )
    },
    "momentum": lambda i: {"optimizer": fnn.sgd(0.1, momentum=at(RATES, i), nesterov=True)},
    "in a chain": lambda i: {
        "optimizer": fnn.chain(fnn.clip_by_global_norm(at(RATES, i)), fnn.sgd(0.1))
    },
    "in a schedule": lambda i: {
        "optimizer": fnn.sgd(fnn.cosine_decay(0.1, at(np.array([12, 16, 30]), i)))
    },
    "arrays in a schedule": lambda i: {
        "optimizer": fnn.sgd(
            fnn.piecewise_constant(
                at(np.array([[2, 4], [3, 9], [1, 2]]), i),
                at(PIECES, i),
            )
        )
    },
    "dropout": lambda i: {"net": fnn.mlp((3, 8, 2), dropout=at(np.array([0.1, 0.3, 0.8]), i))},
    "width": lambda i: {"net": fnn.mlp((3, 8, 2), active=at(np.array([[8], [2], [5]]), i))},
    "patience": stopping(patience=np.array([1, 2, 3]), min_delta=np.array([0.1, 0.2, 0.05])),
    "target": stopping(target=np.array([1.0, 0.5, 0.8])),
    "max_epochs": stopping(max_epochs=np.array([1, 5, 3])),
    "in a loss": lambda i: {"loss": functools.partial(fnn.huber, delta=marked(RATES * 10, i))},
    "keys of a loss": lambda i: {
        "loss": functools.partial(blurred, key=marked(jax.random.split(KEY, 3), i))
    },
    "in a metric": lambda i: {
        "loss": fnn.softmax_cross_entropy,
        "data": (X[:40], LABELS[:40]),
        "validation": (X[40:], LABELS[40:]),
        "metrics": {
            "smoothed": functools.partial(
                fnn.softmax_cross_entropy, label_smoothing=marked(RATES, i)
            )
        },
    },
    "in a model of one's own": lambda i: {"net": Line(marked(RATES, i))},
    "weights of the data": lambda i: {"data": (*DATA, marked(WEIGHTS, i))},
    "seeds": lambda i: {"key": at(jax.random.split(KEY, 3), i)},
    "seeds and a rate": lambda i: {
        "key": at(jax.random.split(KEY, 3), i),
        "optimizer": fnn.adam(at(RATES, i)),
    },
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.long] * (n % 2)) for n, kind in enumerate(KINDS)],
)
def test_a_lane_is_the_single_run(x64, kind):
    """The same first parameters, batches and steps, to rounding in float64."""
    runs = sweep(**KINDS[kind](None))
    assert len(runs) == 3
    losses = [np.asarray(runs.history["loss"][lane]) for lane in range(3)]
    assert len({row.tobytes() for row in losses}) == 3 or "stop" in KINDS[kind](None) or (
        kind == "in a metric"), "what is swept must make a difference"  # fmt: skip
    for lane in range(3):
        alone = single(**KINDS[kind](lane), order_key=runs.order_key)
        together = runs.lane(lane)
        assert jax.tree.structure(alone) == jax.tree.structure(together)
        for a, b in zip(values(alone), values(together), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_lanes_of_a_large_network_are_single_runs(x64):
    """Whose lanes are not along vectors."""
    net = fnn.mlp((3, 200, 2))
    runs = sweep(net, optimizer=fnn.adam(RATES))
    for lane in range(3):
        alone = single(net, optimizer=fnn.adam(RATES[lane]), order_key=runs.order_key)
        for a, b in zip(values(alone), values(runs.lane(lane)), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_the_shared_order_is_that_of_the_first_lanes_fit():
    keys = jax.random.split(KEY, 3)
    first = single(key=keys[0])
    runs = sweep(key=keys)
    assert_same_bits(runs.order_key, first.state.order_key)
    assert_same_bits(sweep(key=keys, order_key=ORDER).order_key, ORDER)


def test_each_lane_can_have_the_order_of_its_own_key(x64):
    keys = jax.random.split(KEY, 3)
    runs = sweep(key=keys, shared_order=False)
    given = sweep(key=keys, order_key=jax.random.split(ORDER, 3))
    for lane in range(3):
        alone = single(key=keys[lane])
        for a, b in zip(values(alone), values(runs.lane(lane)), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
        alone = single(key=keys[lane], order_key=jax.random.split(ORDER, 3)[lane])
        for a, b in zip(values(alone), values(given.lane(lane)), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_lanes_draw_from_their_own_keys_whatever_their_kind(kind):
    keys = jax.random.split(jax.random.key(9, impl=kind), 3)
    net = fnn.mlp((3, 8, 2), dropout=0.3)
    for key in (keys, keys[0]):  # one for each, one for all
        runs = sweep(net, optimizer=fnn.adam(RATES), key=key, shared_order=False)
        for lane, rate in enumerate(RATES):
            own = keys[lane] if key is keys else key
            alone = single(net, optimizer=fnn.adam(rate), key=own)
            np.testing.assert_allclose(runs.history["loss"][lane], alone.history["loss"], rtol=1e-4)


def test_old_style_keys_and_lists_are_taken():
    keys = jax.random.split(KEY, 3)
    assert_same_bits(outcome(sweep(key=jax.random.key_data(keys))), outcome(sweep(key=keys)))
    from_list = sweep(optimizer=fnn.adam([0.003, 0.01, 0.1]))
    assert_same_bits(outcome(from_list), outcome(sweep(optimizer=fnn.adam(RATES))))


def test_a_second_sweep_of_a_program_takes_one_call_and_gives_the_same_bits(
    no_pace_known, monkeypatch
):
    calls, advance = [], Runs.advance

    def counted(runs, epochs, pool):
        calls.append(epochs)
        return advance(runs, epochs, pool)

    monkeypatch.setattr(Runs, "advance", counted)
    first, second = sweep(optimizer=fnn.adam(RATES)), sweep(optimizer=fnn.adam(RATES))
    assert calls == [1, 3, 4]
    assert_same_bits(outcome(first), outcome(second))
