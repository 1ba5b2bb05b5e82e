"""Sweeps held against single runs, and against themselves cut, packed and broken otherwise."""

import contextlib
import functools
import itertools
import os
import re
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import segments
from fnn.sweeps import chunks, program, store
from fnn.sweeps.chunks import Runs
from fnn.sweeps.layout import Layout, layout_of, within_memory

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 3)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(3, 2)) + 0.1 * RANDOM.normal(size=(50, 2))).astype(np.float32)
LABELS = Y.argmax(axis=1)
DATA, HELD_OUT = (X[:40], Y[:40]), (X[40:], Y[40:])
NET = fnn.mlp((3, 8, 2), activation="tanh")
KEY = jax.random.key(7)
ORDER = jax.random.key(8)


def sweep(net=NET, loss=fnn.squared_error, optimizer=None, data=DATA, **options):
    """A small sweep; what is not given is as in `single`."""
    optimizer = fnn.adam(1e-2) if optimizer is None else optimizer
    options = {"key": KEY, "epochs": 4, "batch_size": 16, "progress": False, **options}
    return fnn.sweep(net, loss, optimizer, data, **options)


def single(net=NET, loss=fnn.squared_error, optimizer=None, data=DATA, **options):
    optimizer = fnn.adam(1e-2) if optimizer is None else optimizer
    options = {"key": KEY, "epochs": 4, "batch_size": 16, **options}
    return fnn.fit(net, loss, optimizer, data, **options)


def values(tree):
    """Leaves as NumPy arrays, keys as their data."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return [
        np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)
        for leaf in jax.tree.leaves(tree)
    ]


def assert_same_bits(a, b):
    for one, other in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(one, other)


def outcome(runs):
    """All that a sweep says of its lanes."""
    return runs.history, runs.epochs, runs.state


def rows(tree, lanes):
    """These lanes of an outcome."""
    history, epochs, state = tree
    order_key, state = state.order_key, state._replace(order_key=None)
    chosen = jax.tree.map(lambda leaf: leaf[np.asarray(lanes)], (history, epochs, state))
    return *chosen, order_key


# ---- every kind of number that can be swept


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

RATES = np.array([0.003, 0.01, 0.1])
WATCHED = {"validation": HELD_OUT}
MASK_WEIGHT, MASK_BIAS = np.array([True, False, True]), np.array([False, True, True])
WEIGHTS = RANDOM.uniform(0, 2, (3, 40)).astype(np.float32)
PIECES = RANDOM.uniform(0.01, 0.1, (3, 3))


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_lane_is_the_single_run(x64, kind):
    """The same first parameters, batches and steps, to rounding in float64."""
    runs = sweep(**KINDS[kind](None))
    assert len(runs) == 3
    told = [np.asarray(runs.history["loss"][lane]) for lane in range(3)]
    assert len({row.tobytes() for row in told}) == 3 or "stop" in KINDS[kind](None) or (
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


def test_old_style_keys_and_lists_are_taken():
    keys = jax.random.split(KEY, 3)
    assert_same_bits(outcome(sweep(key=jax.random.key_data(keys))), outcome(sweep(key=keys)))
    from_list = sweep(optimizer=fnn.adam([0.003, 0.01, 0.1]))
    assert_same_bits(outcome(from_list), outcome(sweep(optimizer=fnn.adam(RATES))))


# ---- what does not change a bit

EIGHT = np.geomspace(1e-3, 0.3, 8)
# each of the two test devices has so many lanes of a chunk
AT_ONCE = 1


def eight(**options):
    options = {"optimizer": fnn.adam(EIGHT), "at_once": AT_ONCE, "epochs": 8, **options}
    return sweep(validation=HELD_OUT, **options)


@pytest.fixture
def dealt(monkeypatch):
    """The numbers of chunks there were, whenever they were made anew."""
    numbers = []
    deal = Runs._deal

    def watched(self):
        deal(self)
        numbers.append(len(self._chunks))

    monkeypatch.setattr(Runs, "_deal", watched)
    return numbers


def test_a_broken_lane_keeps_its_last_finite_epoch_and_harms_no_other():
    rates = EIGHT.copy()
    rates[3] = 1e30
    whole, broken = eight(), eight(optimizer=fnn.adam(rates))
    others = [lane for lane in range(8) if lane != 3]
    assert_same_bits(rows(outcome(broken), others), rows(outcome(whole), others))
    assert broken.diverged_at.tolist() == [-1, -1, -1, 0, -1, -1, -1, -1]
    assert broken.epochs.tolist() == [8, 8, 8, 0, 8, 8, 8, 8]
    start = fnn.init_state(NET, fnn.adam(1.0), KEY).params
    for a, b in zip(values(start), values(broken.lane(3).params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert broken.finished.all()


@pytest.mark.parametrize("net", [NET, fnn.mlp((3, 200, 2))], ids=["small", "large"])
def test_neither_place_nor_neighbours_change_a_bit(net):
    """Also where lanes do not fill vectors: 21 a device."""
    rates = np.geomspace(1e-3, 0.1, 42)
    moved = RANDOM.permutation(42)
    other = rates[moved]
    other[0] = 1e38
    whole = sweep(net, optimizer=fnn.adam(rates), at_once=21)
    shuffled = sweep(net, optimizer=fnn.adam(other), at_once=21)
    assert int(shuffled.diverged_at[0]) >= 0
    places = np.arange(1, 42)
    assert_same_bits(rows(outcome(shuffled), places), rows(outcome(whole), moved[places]))


LAST = np.array([1, 8, 2, 8, 3, 3, 8, 2])


@pytest.mark.parametrize("resident", [False, True])
def test_lanes_that_have_stopped_make_room_and_no_bit_changes(dealt, monkeypatch, resident):
    """Whether states stay on the devices or go to the host after every call."""
    layout = chunks.layout_of
    monkeypatch.setattr(
        chunks, "layout_of", lambda *a, **k: layout(*a, **k)._replace(resident=resident)
    )
    stop = fnn.early_stopping(max_epochs=LAST)
    packed = eight(stop=stop)
    assert packed.epochs.tolist() == LAST.tolist()
    assert dealt[:-1] == sorted(dealt[:-1], reverse=True)
    assert dealt[0] < 4
    dealt.clear()
    monkeypatch.setattr(Runs, "_fewer_chunks_do", lambda self: False)
    assert_same_bits(outcome(eight(stop=stop)), outcome(packed))
    assert dealt == [0], "nothing may have been packed"
    assert np.all(packed.history["loss"][0] == packed.history["loss"][0, 0])


def test_stopped_lanes_leave_soon(monkeypatch):
    """What is computed is the epochs that lanes live, and little more."""
    computed = []
    run = Runs._run

    def watched(self, index, first, epochs):
        computed.append(epochs * len(self._chunks[index].lanes))
        run(self, index, first, epochs)

    monkeypatch.setattr(Runs, "_run", watched)
    stop = fnn.early_stopping(max_epochs=np.where(np.arange(64) % 8 == 0, 64, 8))
    runs = sweep(optimizer=fnn.adam(np.geomspace(1e-3, 0.1, 64)), stop=stop, epochs=64,
                 at_once=4)  # fmt: skip
    assert runs.epochs.sum() == 8 * 64 + 56 * 8
    assert sum(computed) < 1.3 * runs.epochs.sum()


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_a_resumed_sweep_is_the_uninterrupted_one(cut):
    stop = fnn.early_stopping(max_epochs=LAST)
    whole = eight(stop=stop)
    part = eight(stop=stop, epochs=cut)
    rest = eight(stop=stop, epochs=8 - cut, key=None, state=part.state)
    assert_same_bits(rest.state, whole.state)
    np.testing.assert_array_equal(part.epochs + rest.epochs, whole.epochs)
    for name, history in whole.history.items():
        joined = np.concatenate([part.history[name], rest.history[name]], axis=1)
        np.testing.assert_array_equal(joined, history)


def test_halving_keeps_the_best_at_each_rung_and_changes_no_bit():
    whole = eight()
    halved = eight(halving=fnn.halving(2, factor=2))
    at_two, at_four = eight(epochs=2), eight(epochs=4)
    of_two = at_two.history["validation_loss"].min(axis=1)
    first = np.argsort(of_two)[:4]
    of_four = at_four.history["validation_loss"].min(axis=1)
    second = sorted(first, key=lambda lane: of_four[lane])[:2]
    out_first = [lane for lane in range(8) if lane not in first]
    out_second = [lane for lane in first if lane not in second]
    assert_same_bits(rows(outcome(halved), second), rows(outcome(whole), second))
    for lanes, epochs, part in [(out_first, 2, at_two), (out_second, 4, at_four)]:
        assert halved.epochs[lanes].tolist() == [epochs] * len(lanes)
        assert halved.dropped_at[lanes].tolist() == [epochs] * len(lanes)
        assert_same_bits(rows((({}, part.epochs, halved.state)), lanes),
                         rows(({}, part.epochs, part.state), lanes))  # fmt: skip
    assert halved.dropped_at[second].tolist() == [-1, -1]
    assert halved.finished.all()
    assert halved.best().epochs == 8


def test_halving_can_be_resumed_and_what_was_dropped_stays():
    rule = fnn.halving(2, factor=2)
    whole = eight(halving=rule)
    part = eight(halving=rule, epochs=3)
    rest = eight(halving=rule, epochs=5, key=None, state=part.state)
    assert_same_bits(rest.state, whole.state)
    np.testing.assert_array_equal(part.epochs + rest.epochs, whole.epochs)
    np.testing.assert_array_equal(np.maximum(part.dropped_at, rest.dropped_at), whole.dropped_at)
    with pytest.raises(ValueError, match=r"stand at one epoch .* got epochs \[2, 3\]"):
        eight(epochs=5, key=None, state=part.state)


def test_stopped_and_broken_lanes_compete_with_what_they_reached():
    rates = EIGHT.copy()
    rates[0] = 1e30
    stop = fnn.early_stopping(max_epochs=np.array([9, 9, 9, 9, 9, 9, 9, 1]))
    runs = eight(optimizer=fnn.adam(rates), stop=stop, halving=fnn.halving(3, factor=2.7))
    assert int(runs.diverged_at[0]) == 0
    assert runs.dropped_at[0] == -1, "it had ended by itself"
    best = np.array(runs.state.best_value["validation_loss"])
    kept = [lane for lane in range(1, 8) if runs.dropped_at[lane] == -1 and runs.epochs[lane] == 8]
    dropped = [lane for lane in range(1, 8) if runs.dropped_at[lane] == 3]
    assert len(dropped) + len(kept) == 6
    assert len(kept) in (2, 3), "of three kept, one may be that which had stopped"
    assert max(best[kept]) < min(best[dropped])


def test_a_train_state_and_the_state_of_one_run_are_where_all_lanes_begin(x64):
    start = single(epochs=2)
    runs = sweep(optimizer=fnn.adam(RATES), key=None, state=start.state)
    anew = sweep(optimizer=fnn.adam(RATES), key=None, state=start.state.train)
    many = fnn.TrainState(*jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), start.state.train))
    again = sweep(optimizer=fnn.adam(RATES), key=None, state=many)
    assert_same_bits(outcome(again), outcome(anew))
    for lane in range(3):
        alone = single(optimizer=fnn.adam(RATES[lane]), key=None, state=start.state)
        for a, b in zip(values(alone), values(runs.lane(lane)), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
        alone = single(optimizer=fnn.adam(RATES[lane]), key=None, state=start.state.train)
        for a, b in zip(values(alone), values(anew.lane(lane)), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def test_other_values_compile_nothing_and_other_lanes_do_not_either():
    compiled = []
    eight()
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: compiled.append(event) if "backend_compile" in event else None
    )
    try:
        eight(optimizer=fnn.adam(EIGHT / 2))
        eight(optimizer=fnn.adam(EIGHT[:6]))
        assert not compiled
        eight(optimizer=fnn.adam(1e-2, b1=EIGHT))
        assert compiled, "the listener must hear"
    finally:
        jax.monitoring.clear_event_listeners()


# ---- the machine


def run_python(code, devices=1, timeout=300):
    flags = f"--xla_force_host_platform_device_count={devices}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=timeout,
        env={**os.environ, "XLA_FLAGS": flags},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


ON_DEVICES = """
import hashlib, jax, numpy as np, fnn
x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
runs = fnn.sweep(fnn.mlp((3, 8, 2)), fnn.squared_error, fnn.adam(np.geomspace(1e-3, 1, 30)),
                 (x, x[:, :2]), key=jax.random.key(0), epochs=5, batch_size=16, progress=False,
                 stop=fnn.early_stopping(max_epochs=np.arange(30) % 6 + 1), at_once=4)
leaves = [runs.epochs, *jax.tree.leaves(runs.params)]
print(len(jax.devices()), *(hashlib.sha1(np.asarray(a).tobytes()).hexdigest() for a in leaves))
print(*runs.history["loss"].ravel())
"""


def test_eight_devices_give_what_one_gives():
    (bits, losses), (same, also) = (
        [line.split() for line in run_python(ON_DEVICES, devices=devices).splitlines()]
        for devices in (1, 8)
    )
    assert (bits.pop(0), same.pop(0)) == ("1", "8")
    assert bits == same
    # what is recorded of an epoch is a mean, which another program may add up in another order
    np.testing.assert_allclose(np.array(also, float), np.array(losses, float), rtol=1e-6)


MANY = """
import jax, numpy as np, fnn
def peak():
    with open("/proc/self/status") as status:
        return int(dict(line.split(":", 1) for line in status)["VmHWM"].split()[0]) * 1024
def run(lanes):
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 2)).astype(np.float32)
    runs = fnn.sweep(fnn.mlp((2, 256, 2)), fnn.squared_error, fnn.adam(np.full(lanes, 1e-3)),
                     (x, x), key=jax.random.key(0), epochs=4, batch_size=64, progress=False)
    assert np.isfinite(runs.history["loss"]).all()
    return runs.history["loss"].nbytes + sum(leaf.nbytes for leaf in jax.tree.leaves(runs.params))
run(512)
before = peak()
bytes_of = run(16_384)
print((peak() - before) / bytes_of)
"""


def test_slopes_of_outputs_are_stored_as_the_layers_products_read_them():
    """By `(out, rows)`, where lanes lie before both."""
    outputs, targets = jnp.asarray(X[:7, :2]), jnp.asarray(X[7:14, :2])

    def total(loss):
        return jax.jit(jax.grad(lambda outputs: jnp.sum(loss(outputs, targets))))

    kept = total(program.of_kept(fnn.squared_error))
    assert re.search(r"f32\[2,7\]\S* call\(", kept.lower(outputs).compile().as_text())
    np.testing.assert_array_equal(kept(outputs), total(fnn.squared_error)(outputs))


def test_sixteen_thousand_lanes_run_in_bounded_memory():
    """In units of their parameters and histories."""
    assert float(run_python(MANY)) < 8


@pytest.mark.parametrize("cores", [1, 2, 64])
@pytest.mark.parametrize("size", [1, 5, 128, 10_000])
@pytest.mark.parametrize("state_bytes", [100, 80_000, 10**9])
@pytest.mark.parametrize("lanes_end", [False, True])
def test_all_lanes_have_a_place(monkeypatch, cores, size, state_bytes, lanes_end):
    monkeypatch.setattr("fnn.sweeps.layout._cores", lambda: cores)
    devices = len(jax.devices())
    for vectors in (False, True):
        place = functools.partial(
            layout_of, size, state_bytes, along_vectors=vectors, lanes_end=lanes_end
        )
        layout = place(at_once=None)
        assert layout.chunk % devices == 0
        assert 1 <= layout.threads <= max(1, cores // devices)
        least = 16 * devices if vectors else devices
        assert layout.threads * layout.chunk < size + layout.threads * max(least, layout.chunk)
        assert layout.chunk // devices <= 256
        if vectors:
            assert layout.chunk // devices % 16 == 0, "AVX-512 has vectors of 16 float32"
        if lanes_end and size == 10_000 and cores < 64:
            assert size / layout.chunk >= 7 * layout.threads, "some are left when most have ended"
        assert place(at_once=3).chunk == 3 * devices


def test_an_accelerator_cuts_lanes_only_where_their_states_are_large(monkeypatch):
    """Small ones cost the start of their kernels, so often as there are chunks."""
    monkeypatch.setattr("fnn.sweeps.layout.has_own_memory", lambda devices: True)
    place = functools.partial(layout_of, along_vectors=False, lanes_end=True, at_once=None)
    assert place(10_000, 1_300).chunk >= 10_000
    assert place(1_000, 2**24).chunk <= 150
    assert place(10_000, 1_300).threads == 1


def test_chunks_shrink_until_they_fit_into_memory(monkeypatch):
    monkeypatch.setattr("fnn.sweeps.layout._free_bytes", lambda device: 1000)
    layout = Layout(tuple(jax.devices()), False, threads=2, chunk=20, resident=False)
    assert within_memory(layout, 250) == layout
    assert within_memory(layout, 500).chunk == 10
    assert within_memory(layout, 10**9).chunk == 2
    assert within_memory(layout._replace(chunk=2), 10**9).chunk == 2

    asked = []
    monkeypatch.setattr(
        chunks, "within_memory",
        lambda layout, needed: asked.append(needed) or layout._replace(chunk=2),
    )  # fmt: skip
    runs = sweep(optimizer=fnn.adam(EIGHT), at_once=4)
    assert len(asked) == 2
    assert asked[0] > 2 * asked[1] > 0, "the compiler's account"
    assert len(runs) == 8


def test_ctrl_c_returns_what_is_there_marked_and_it_can_be_resumed(monkeypatch):
    event = threading.Event()
    event.set()
    stop = fnn.early_stopping(max_epochs=LAST)
    monkeypatch.setattr(segments, "_interruptible", lambda: contextlib.nullcontext(event))
    part = eight(stop=stop)
    monkeypatch.undo()
    assert part.epochs.tolist() == [1] * 8
    assert part.finished.tolist() == (LAST == 1).tolist()
    assert np.isfinite(part.history["loss"]).all()
    rest = eight(stop=stop, epochs=7, key=None, state=part.state)
    assert_same_bits(rest.state, eight(stop=stop).state)


def test_the_bar_tells_lanes_alive_and_the_best(capsys):
    runs = eight(progress=True)
    shown = capsys.readouterr().err
    assert "8/8" in shown
    assert "lanes=8" in shown
    best = runs.table()["best_validation_loss"].min()
    assert f"best validation_loss={best:.4g}" in shown
    eight(progress=False)
    assert capsys.readouterr().err == ""


# ---- the result


def classified(**options):
    grid = fnn.product(learning_rate=[1e-3, 1e-1, 3e38], seed=range(3))
    keys = jax.vmap(jax.random.key)(grid["seed"])
    return sweep(
        loss=fnn.softmax_cross_entropy, data=(X[:40], LABELS[:40]), key=keys,
        optimizer=fnn.sgd(grid["learning_rate"]), validation=(X[40:], LABELS[40:]),
        metrics={"accuracy": fnn.accuracy,
                 "recalls": functools.partial(fnn.recall, average=None)},
        **options,
    )  # fmt: skip


def test_product_is_the_grid_of_itertools():
    grid = fnn.product(a=[1, 2], b=("x", "y", "z"), c=[(1, 2), (3, 4)])
    rows = list(itertools.product([1, 2], "xyz", [(1, 2), (3, 4)]))
    assert list(grid) == ["a", "b", "c"]
    assert grid["a"].tolist() == [row[0] for row in rows]
    assert grid["b"].tolist() == [row[1] for row in rows]
    assert grid["c"].tolist() == [list(row[2]) for row in rows]


def test_the_table_has_a_row_per_lane():
    runs = classified(labels={"kind": np.array(list("abcdefghi"))})
    table = runs.table()
    assert all(type(column) is np.ndarray and column.shape == (9,) for column in table.values())
    assert list(table) == [
        "optimizer.learning_rate", "kind", "seed", "loss", "validation_accuracy",
        "validation_loss", "validation_recalls[0]", "validation_recalls[1]",
        "best_validation_loss", "best_epoch", "epochs", "diverged_at",
    ]  # fmt: skip
    assert table["learning_rate"].tolist() == [1e-3] * 3 + [1e-1] * 3 + [3e38] * 3
    assert table["seed"].tolist() == [0, 1, 2] * 3
    for lane in range(6):
        run = runs.lane(lane)
        assert table["loss"][lane] == run.history["loss"][-1]
        assert table["validation_recalls[1]"][lane] == run.history["validation_recalls"][-1, 1]
        best = run.history["validation_loss"].min()
        assert table["best_validation_loss"][lane] == best
    assert (table["diverged_at"] >= 0).tolist() == [False] * 6 + [True] * 3
    with pytest.raises(KeyError, match=r"must be, or end, the name of one column.*'rate'"):
        table["rate"]
    assert "1e-03" in str(table) or "0.001" in str(table)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_are_read_as_they_are(library):
    frames = pytest.importorskip(library)
    table = sweep(optimizer=fnn.adam(RATES), labels={"name": ["a", "b", "c"]}).table()
    frame = frames.DataFrame(table)
    assert list(frame.columns) == list(table)
    assert len(frame) == 3
    assert list(frame["optimizer.learning_rate"]) == RATES.tolist()


def test_ends_of_names_must_be_unique():
    optimizer = fnn.chain(fnn.clip_by_global_norm(RATES), fnn.clip_by_global_norm(RATES))
    table = sweep(optimizer=fnn.chain(*optimizer.optimizers, fnn.sgd(0.1))).table()
    assert np.array_equal(table["optimizers.0.max_norm"], RATES)
    with pytest.raises(KeyError, match=r"which ends optimizer\.optimizers\.0\.max_norm and"):
        table["max_norm"]


def test_the_best_lane_is_the_best_by_any_monitor():
    runs = classified(monitor="validation_accuracy")
    table = runs.table()
    assert float(runs.best().state.best_value["validation_accuracy"]) == np.nanmax(
        table["best_validation_accuracy"]
    )
    lowest = np.nanmin(np.where(runs.epochs[:, None] > 0, runs.history["loss"], np.nan))
    assert runs.best("loss").history["loss"].min() == lowest
    with pytest.raises(ValueError, match="must be recorded: one of loss"):
        runs.best("accuracy")
    with pytest.raises(ValueError, match="must be one number"):
        runs.best("validation_recalls")
    with pytest.raises(IndexError, match=r"from -9 to 8; got 9"):
        runs.lane(9)
    assert_same_bits(runs.lane(-1), runs.lane(8))


def test_the_summary_is_mean_and_spread_over_seeds():
    runs = classified()
    summary = runs.summary()
    assert list(summary) == ["optimizer.learning_rate", "count", "diverged", "mean",
                             "standard_deviation", "standard_error"]  # fmt: skip
    best = runs.table()["best_validation_loss"].reshape(3, 3)[:2].astype(float)
    assert summary["count"].tolist() == [3, 3, 0]
    assert summary["diverged"].tolist() == [0, 0, 3]
    np.testing.assert_allclose(summary["mean"][:2], best.mean(axis=1))
    np.testing.assert_allclose(summary["standard_deviation"][:2], best.std(axis=1, ddof=1))
    np.testing.assert_allclose(summary["standard_error"][:2], best.std(axis=1, ddof=1) / np.sqrt(3))
    assert np.isnan(summary["mean"][2])
    assert "one order" in summary.note
    assert classified(shared_order=False).summary().note == ""
    by_seed = runs.summary(by="seed", over="learning_rate", value="validation_accuracy")
    accuracy = runs.table()["validation_accuracy"].reshape(3, 3)[:2].mean(axis=0)
    np.testing.assert_allclose(by_seed["mean"], accuracy, rtol=1e-6)
    assert by_seed["seed"].tolist() == [0, 1, 2]


def test_predict_is_the_mean_and_spread_of_lanes_that_did_not_diverge(monkeypatch):
    monkeypatch.setattr("fnn.sweeps.result._AT_ONCE", 4)
    runs = classified()
    outputs = np.stack([NET.apply(runs.lane(lane).best_params, X) for lane in range(6)])
    mean, spread = runs.predict(X)
    np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(spread, outputs.std(axis=0), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="must not have diverged"):
        sweep(optimizer=fnn.sgd(np.array([1e30, 1e31]))).predict(X)


def test_predict_uses_each_lanes_own_network():
    active = np.array([[8], [2]])
    runs = sweep(fnn.mlp((3, 8, 2), active=active), key=jax.random.split(KEY, 2))
    each = [
        fnn.mlp((3, 8, 2), active=active[lane]).apply(runs.lane(lane).best_params, X)
        for lane in range(2)
    ]
    np.testing.assert_allclose(runs.predict(X)[0], np.mean(each, axis=0), rtol=1e-5, atol=1e-6)


# ---- widths


def test_what_padding_costs_is_told_and_much_of_it_must_be_meant():
    net = fnn.mlp((3, 8, 2), active=np.array([[8], [4]]))
    assert sweep(net).padding == pytest.approx(2 * 40 / (40 + 20))
    assert sweep(optimizer=fnn.adam(RATES)).padding == 1
    net = fnn.mlp((3, 16, 2), active=np.array([[1], [2]]))
    with pytest.raises(ValueError, match=r"padding must cost at most 4 times.*; got 10.7 times"):
        sweep(net)
    assert sweep(net, allow_padding=True).padding == pytest.approx(32 / 3)


# ---- mistakes

MISTAKES = {
    "nothing is swept": (lambda: sweep(), ValueError, "something must be swept"),
    "lengths differ": (
        lambda: sweep(optimizer=fnn.adam(RATES, b1=RATES[:2])), ValueError,
        r"one length; got optimizer.learning_rate: 3, optimizer.b1: 2",
    ),
    "keys of another length": (
        lambda: sweep(optimizer=fnn.adam(RATES), key=jax.random.split(KEY, 2)), ValueError,
        r"got optimizer.learning_rate: 3, key: 2",
    ),
    "in a loss": (
        lambda: sweep(optimizer=fnn.adam(RATES),
                      loss=functools.partial(fnn.huber, delta=fnn.lanes([1.0, 2.0]))),
        ValueError, r"got loss.delta: 2, optimizer.learning_rate: 3",
    ),
    "a lane's value is out of range": (
        lambda: sweep(loss=functools.partial(fnn.softmax_cross_entropy,
                                             label_smoothing=fnn.lanes([0.1, 0.2, 1.5])),
                      data=(X[:40], LABELS[:40])),
        ValueError, r"label_smoothing.*1.5",
    ),
    "a lane's weights are negative": (
        lambda: sweep(data=(*DATA, fnn.lanes(-WEIGHTS))), ValueError, "weights of data",
    ),
    "two axes more": (
        lambda: sweep(optimizer=fnn.Adam(np.ones((2, 2)), 0.9, 0.999, 1e-8)), ValueError,
        "something must be swept",
    ),
    "no key": (lambda: sweep(optimizer=fnn.adam(RATES), key=None), TypeError, "one PRNG key"),
    "no lanes": (lambda: sweep(optimizer=fnn.adam(RATES[:0])), ValueError, "at least one lane"),
    "labels of another length": (
        lambda: sweep(optimizer=fnn.adam(RATES), labels={"seed": [1, 2]}), ValueError,
        r"one value per lane \(3,\); got 'seed' of shape \(2,\)",
    ),
    "labels that are none": (
        lambda: sweep(optimizer=fnn.adam(RATES), labels=[1, 2, 3]), TypeError, "labels must be",
    ),
    "a label of a column's name": (
        lambda: sweep(optimizer=fnn.adam(RATES), labels={"optimizer.learning_rate": RATES}),
        ValueError, "names of their own",
    ),
    "halving that is none": (
        lambda: sweep(optimizer=fnn.adam(RATES), halving=3), TypeError, "halving must be",
    ),
    "no lanes at once": (
        lambda: sweep(optimizer=fnn.adam(RATES), at_once=0), ValueError, "at_once must be",
    ),
    "a state of another network": (
        lambda: sweep(optimizer=fnn.adam(RATES), key=None,
                      state=single(fnn.mlp((3, 4, 2)), epochs=1).state),
        ValueError, "state must have the structure",
    ),
    "lanes of nothing": (lambda: fnn.lanes(1.0), ValueError, r"shape \(lanes, ...\)"),
    "lanes of strings": (lambda: fnn.lanes(["a", "b"]), TypeError, "numbers, bools or keys"),
    "a product of nothing": (lambda: fnn.product(), ValueError, "at least one column"),
    "an empty column": (lambda: fnn.product(a=[]), ValueError, "at least one value"),
    "a column that is a number": (lambda: fnn.product(a=3), ValueError, "at least one value"),
    "a factor that keeps all": (lambda: fnn.halving(2, factor=1), ValueError, "factor must be"),
    "no epochs before the first rung": (lambda: fnn.halving(0), ValueError, "min_epochs"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_words(mistake):
    action, error, words = MISTAKES[mistake]
    with pytest.raises(error, match=words):
        action()


def test_it_says_that_it_cannot_be_transformed():
    with pytest.raises(ValueError, match="must be known, as it runs on the host"):
        jax.jit(lambda rate: sweep(optimizer=fnn.adam(rate)).epochs)(RATES)


def test_fewer_lanes_than_a_rung_needs_leave_one():
    rule = fnn.halving(1, factor=3)
    assert rule.rungs(10) == (1, 3, 9)
    assert rule.kept(np.array([3.0, np.nan, 1.0, 2.0])).tolist() == [False, False, True, True]
    assert rule.kept(np.array([3.0])).tolist() == [True]


@pytest.fixture
def as_on_an_accelerator(monkeypatch):
    """One device that is taken for one with memory of its own."""

    def layout(*args, **options):
        found = layout_of(*args, **options)
        chunk = found.chunk if options["at_once"] is None else options["at_once"]
        return Layout(found.devices[:1], True, threads=1, chunk=chunk, resident=True)

    monkeypatch.setattr(chunks, "layout_of", layout)
    monkeypatch.setattr(store, "write_rows", None)  # which takes states to the host


STEP_SIZES = np.append(np.logspace(-3, -1, 10), 1e300)
"""The last one diverges."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"at_once": 4},
        {"stop": fnn.early_stopping(patience=1, min_delta=0.02)},
        {"stop": fnn.early_stopping(patience=1, min_delta=0.02), "at_once": 3},
        {"halving": fnn.halving(2), "at_once": 2},
    ],
    ids=["one chunk", "chunks", "stopping", "stopping in chunks", "halving in chunks"],
)
def test_where_memory_is_the_device_s_own_states_stay_there(request, x64, options):
    on_cpu = sweep(optimizer=fnn.sgd(STEP_SIZES), epochs=8, **options)
    request.getfixturevalue("as_on_an_accelerator")
    runs = sweep(optimizer=fnn.sgd(STEP_SIZES), epochs=8, **options)
    np.testing.assert_array_equal(runs.epochs, on_cpu.epochs)
    np.testing.assert_array_equal(runs.diverged_at, on_cpu.diverged_at)
    assert runs.diverged_at[-1] >= 0
    for one, other in zip(values(runs.state), values(on_cpu.state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(runs.history["loss"], on_cpu.history["loss"], rtol=1e-9)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(runs.state))


def test_what_stays_on_a_device_is_saved_and_continued(as_on_an_accelerator, tmp_path):
    whole = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6)
    first = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=4)
    assert_same_bits(sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=2, state=first.state).state,
                     whole.state)  # fmt: skip
    options = {"checkpoint": tmp_path, "every": 2, "at_once": 4}
    sweep(
        optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6, **options, callback=lambda done, _: done >= 2
    )
    resumed = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6, **options)
    in_one_go = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6, at_once=4)
    assert_same_bits(resumed.state, in_one_go.state)
    assert_same_bits(resumed.history, in_one_go.history)


def test_another_precision_of_products_is_another_program(monkeypatch):
    asked = []
    scanned = program.epochs_from
    monkeypatch.setattr(
        program, "epochs_from",
        lambda *args: asked.append(jax.config.jax_default_matmul_precision) or scanned(*args),
    )  # fmt: skip
    optimizer = fnn.adam(np.array([1e-3, 1.234e-2, 0.1]))
    sweep(optimizer=optimizer, epochs=5)
    with jax.default_matmul_precision("float32"):
        sweep(optimizer=optimizer, epochs=5)
    assert asked == [None, "float32"]


def test_the_precision_of_products_is_honoured(key):
    net = fnn.mlp((40, 40, 2))  # whose products are not written out as sums
    x, y = np.ones((40, 40), np.float32), np.ones((40, 2), np.float32)
    params, metrics = net.init(key), {"loss": fnn.squared_error}
    calls = [
        lambda x: net.apply(params, x),
        lambda x: fnn.evaluate(net, params, (x, y), metrics),
        lambda x: fnn.fit(net, fnn.squared_error, fnn.sgd(0.1), (x, y), key=key, epochs=2).epochs,
    ]
    for call in calls:
        assert "HIGHEST" not in str(jax.make_jaxpr(call)(x))
        with jax.default_matmul_precision("float32"):
            assert "HIGHEST" in str(jax.make_jaxpr(call)(x))
