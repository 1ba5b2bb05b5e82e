"""What does not change a bit: sweeps cut, packed, stopped, resumed and broken otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import (
    EIGHT,
    KEY,
    LAST,
    NET,
    RANDOM,
    RATES,
    assert_same_bits,
    eight,
    outcome,
    single,
    sweep,
    values,
)

import fnn
from fnn._host import segments
from fnn.sweeps import chunks
from fnn.sweeps.chunks import Runs


def rows(tree, lanes):
    """These lanes of an outcome."""
    history, epochs, state = tree
    order_key, state = state.order_key, state._replace(order_key=None)
    chosen = jax.tree.map(lambda leaf: leaf[np.asarray(lanes)], (history, epochs, state))
    return *chosen, order_key


@pytest.fixture
def chunk_counts(monkeypatch):
    """The number of chunks, each time that they were made."""
    numbers = []
    make = Runs._make_chunks

    def watched(self):
        make(self)
        numbers.append(len(self._chunks))

    monkeypatch.setattr(Runs, "_make_chunks", watched)
    return numbers


@pytest.mark.usefixtures("one_or_all_devices")
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


@pytest.mark.parametrize("resident", [False, True])
def test_lanes_that_have_stopped_make_room_and_no_bit_changes(chunk_counts, monkeypatch, resident):
    """Whether states stay on the devices or go to the host after every call."""
    layout = chunks.layout_of
    monkeypatch.setattr(
        chunks, "layout_of", lambda *a, **k: layout(*a, **k)._replace(resident=resident)
    )
    stop = fnn.early_stopping(max_epochs=LAST)
    packed = eight(stop=stop)
    assert packed.epochs.tolist() == LAST.tolist()
    assert chunk_counts[:-1] == sorted(chunk_counts[:-1], reverse=True)
    assert chunk_counts[0] < 8 // len(jax.devices())
    chunk_counts.clear()
    monkeypatch.setattr(Runs, "_fewer_chunks_do", lambda self: False)
    assert_same_bits(outcome(eight(stop=stop)), outcome(packed))
    assert chunk_counts == [0], "nothing may have been packed"
    assert np.all(packed.history["loss"][0] == packed.history["loss"][0, 0])


def test_stopped_lanes_leave_soon(monkeypatch):
    """What is computed is the epochs that lanes live, and little more."""
    computed = []
    run = Runs._run

    def watched(self, index, first, epochs):
        computed.append(epochs * len(self._chunks[index].lanes))
        run(self, index, first, epochs)

    monkeypatch.setattr(Runs, "_run", watched)
    # else fast machines run more epochs in a call, how many depends on the clock
    monkeypatch.setattr(segments, "_SHORT_SECONDS", 0)
    stop = fnn.early_stopping(max_epochs=np.where(np.arange(64) % 8 == 0, 64, 8))
    runs = sweep(optimizer=fnn.adam(np.geomspace(1e-3, 0.1, 64)), stop=stop, epochs=64,
                 at_once=4)  # fmt: skip
    assert runs.epochs.sum() == 8 * 64 + 56 * 8
    assert sum(computed) < 1.3 * runs.epochs.sum()


@pytest.mark.usefixtures("one_or_all_devices")
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


@pytest.mark.usefixtures("one_or_all_devices")
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


@pytest.mark.parametrize("cut", [2, 3, 4])  # two of them rungs
def test_halving_can_be_resumed_and_what_was_dropped_stays(cut):
    rule = fnn.halving(2, factor=2)
    whole = eight(halving=rule)
    part = eight(halving=rule, epochs=cut)
    rest = eight(halving=rule, epochs=8 - cut, key=None, state=part.state)
    assert_same_bits(rest.state, whole.state)
    np.testing.assert_array_equal(part.epochs + rest.epochs, whole.epochs)
    np.testing.assert_array_equal(np.maximum(part.dropped_at, rest.dropped_at), whole.dropped_at)


def test_lanes_at_several_epochs_continue_only_under_halving():
    part = eight(halving=fnn.halving(2, factor=2), epochs=3)
    with pytest.raises(ValueError, match=r"must be at one epoch .* got epochs \[2, 3\]"):
        eight(epochs=5, key=None, state=part.state)


def test_lanes_of_a_group_compete_by_their_mean():
    whole = eight()
    at_two = eight(epochs=2).history["validation_loss"].min(axis=1)
    runs = eight(halving=fnn.halving(2, factor=4, group=2))
    best = int(at_two.reshape(4, 2).mean(axis=1).argmin())
    kept = [2 * best, 2 * best + 1]
    assert np.flatnonzero(runs.dropped_at < 0).tolist() == kept
    assert_same_bits(rows(outcome(runs), kept), rows(outcome(whole), kept))
    with pytest.raises(ValueError, match=r"multiple of halving's group; got 8 lanes, group=3"):
        eight(halving=fnn.halving(2, group=3))


def test_brackets_have_the_shares_of_hyperband():
    rule = fnn.halving(1, factor=3, brackets=5)
    counts = np.bincount(rule.bracket_of(143))
    assert counts.tolist() == [81, 34, 15, 8, 5], "table 1 of Li et al. for R=81, eta=3"
    assert rule.bracket_of(7).tolist() == rule.bracket_of(143)[:7].tolist()
    of_groups = fnn.halving(1, factor=3, brackets=5, group=2).bracket_of(286)
    assert of_groups.tolist() == rule.bracket_of(143).repeat(2).tolist()
    assert not fnn.halving(1).bracket_of(9).any()


def test_brackets_choose_among_their_own_lanes_and_later_ones_begin_later():
    rule = fnn.halving(2, factor=2, brackets=2)
    runs = eight(halving=rule)
    best = {n: eight(epochs=n).history["validation_loss"].min(axis=1) for n in (2, 4)}
    expected = np.full(8, -1)
    first, second = (np.flatnonzero(rule.bracket_of(8) == number) for number in (0, 1))
    assert (len(first), len(second)) == (4, 4)
    after_two = first[np.argsort(best[2][first])]
    expected[after_two[2:]] = 2
    after_four = after_two[:2][np.argsort(best[4][after_two[:2]])]
    expected[after_four[1:]] = 4
    expected[second[np.argsort(best[4][second])][2:]] = 4
    np.testing.assert_array_equal(runs.dropped_at, expected)
    kept = np.flatnonzero(expected < 0)
    assert_same_bits(rows(outcome(runs), kept), rows(outcome(eight()), kept))
    for cut in (3, 4):
        part = eight(halving=rule, epochs=cut)
        rest = eight(halving=rule, epochs=8 - cut, key=None, state=part.state)
        assert_same_bits(rest.state, runs.state)
    with pytest.raises(ValueError, match=r"halving of 9 brackets must have as many lanes .* got 8"):
        eight(halving=fnn.halving(2, brackets=9))


def test_a_group_of_which_a_lane_was_dropped_competes_no_longer():
    """Though another of its lanes had stopped by itself."""
    stop = fnn.early_stopping(max_epochs=np.array([9, 1] * 4))
    rule = fnn.halving(2, factor=2, group=2)
    whole = eight(stop=stop, halving=rule)
    assert (whole.dropped_at[::2] >= 0).any()
    assert (whole.dropped_at[1::2] < 0).all()
    part = eight(stop=stop, halving=rule, epochs=3)
    rest = eight(stop=stop, halving=rule, epochs=5, key=None, state=part.state)
    assert_same_bits(rest.state, whole.state)


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


@pytest.mark.cpu_layout
@pytest.mark.usefixtures("one_or_all_devices")
def test_other_values_compile_nothing_and_other_lanes_do_not_either(compiled):
    eight()
    before = len(compiled)
    eight(optimizer=fnn.adam(EIGHT / 2))
    eight(optimizer=fnn.adam(EIGHT[:6]))
    assert len(compiled) == before
    eight(optimizer=fnn.adam(1e-2, b1=EIGHT))
    assert len(compiled) > before, "the listener must hear"
