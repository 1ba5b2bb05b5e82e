"""The benchmarks' own arithmetic, and that the README shows what was recorded."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from bench import __main__ as command
from bench import kernels, report, single_run
from bench.measure import in_turns, ratios, spread
from bench.peers import by_hand, fnn_fit, fnn_sweep, products_and_adam, scikit_learn
from bench.rows import Entry, Row, text
from bench.tasks import Task

TASK = Task("check", (3, 5, 2), rows=20, batch_size=8, epochs=2)


def test_measures_take_turns():
    calls = []
    results = in_turns(
        {name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}, 3
    )
    assert calls == list("ababab")
    assert results == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_a_ratio_is_taken_within_a_round_and_above_one_where_we_are_faster():
    assert ratios([1.0, 2.0, 4.0], [2.0, 8.0, 12.0]) == (3.0, 2.0, 4.0)
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


def test_a_task_counts_its_steps_and_operations():
    assert TASK.steps == 2 * 3
    assert TASK.batch_rows.tolist() == [8, 8, 4]
    # 15 weights of which no input gradient is needed, and 10 that need one
    assert TASK.operations == 2 * 20 * (4 * 15 + 6 * 10)
    assert Task.from_json(TASK.to_json()) == TASK


def test_peers_in_one_batch_have_the_same_losses():
    whole = dataclasses.replace(TASK, sizes=(3, 5, 4), batch_size=20, epochs=5)
    x, y = whole.data()
    ours, theirs = (
        peer.prepare(whole, x, y, params=whole.params())() for peer in (fnn_fit, scikit_learn)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_the_orders_told_are_those_that_fit_takes():
    orders = fnn_fit.orders(TASK, 2)
    assert [sorted(order) for order in orders.tolist()] == [list(range(20))] * 2
    x, y = TASK.data()
    by_order = fnn_fit.prepare(TASK, x, y, params=TASK.params())()
    # the same rows in the order told, as epochs of a loop written out in NumPy
    assert np.allclose(by_order, adam_in_numpy(x, y, orders), rtol=1e-4)


def adam_in_numpy(x, y, orders):
    arrays = [a.astype(float) for layer in TASK.params() for a in layer]
    m, v, t, losses = [0 * a for a in arrays], [0 * a for a in arrays], 0, []
    for order in orders:
        for rows in np.split(order, np.cumsum(TASK.batch_rows)[:-1]):
            w1, b1, w2, b2 = arrays
            hidden = np.maximum(x[rows] @ w1 + b1, 0)
            z = hidden @ w2 + b2
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            losses.append(-np.log(p[np.arange(len(rows)), y[rows]]).mean())
            dz = (p - np.eye(2)[y[rows]]) / len(rows)
            dh = dz @ w2.T * (hidden > 0)
            grads = [x[rows].T @ dh, dh.sum(axis=0), hidden.T @ dz, dz.sum(axis=0)]
            t += 1
            for i, g in enumerate(grads):
                m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g * g
                step = (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
                arrays[i] = arrays[i] - TASK.learning_rate * step
    return TASK.epoch_losses(np.array(losses))


def trained_first(start, x):
    options = {"rate": 0.1, "epochs": 2}
    return products_and_adam.trained_first([w.astype("f") for w in start], x, **options)


def trained_last(start, x):
    lanes = [w.transpose(2, 1, 0).reshape(-1, 2).astype("f") for w in start]
    (found,) = products_and_adam.trained_last(
        np.concatenate(lanes), np.swapaxes(x, 1, 2), sizes=(3, 5, 2), rate=0.1, epochs=2
    )
    first, second = found[:15].reshape(3, 5, 2), found[15:].reshape(5, 2, 2)
    return first.transpose(2, 1, 0), second.transpose(2, 1, 0)


@pytest.mark.parametrize("sizes", [TASK.sizes, (8, 40, 30, 3)], ids=["small", "large"])
def test_what_is_written_out_by_hand_learns_what_a_sweep_learns(sizes):
    changed = {"lanes": 3, "batch_size": 20, "epochs": 10, "learning_rate": 0.1}
    task = dataclasses.replace(TASK, sizes=sizes, **changed)
    x, y = task.data()
    ours = fnn_sweep.prepare(task, x, y, params=task.params())()
    by_formula = by_hand.prepare(task, x, y)()
    assert by_formula.shape == ours.shape
    np.testing.assert_allclose(by_formula, ours, rtol=1e-3)


@pytest.mark.parametrize("trained", [trained_first, trained_last])
def test_the_yardstick_of_sweeps_does_all_products_and_adam(trained):
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 4, 3))
    start = [random.normal(size=shape) for shape in [(2, 5, 3), (2, 2, 5)]]
    found = trained(start, x.astype("f"))
    for lane in range(2):
        w1, w2 = (w[lane] for w in start)
        m, v = [0 * w1, 0 * w2], [0 * w1, 0 * w2]
        for t, rows in enumerate([*x, *x], start=1):
            z1 = w1 @ rows.T
            z2 = w2 @ z1
            grads = [w2.T @ z2 @ rows, z2 @ z1.T]
            for i, g in enumerate(grads):
                m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g * g
            moved = [
                a / (1 - 0.9**t) / np.sqrt(b / (1 - 0.999**t)) for a, b in zip(m, v, strict=True)
            ]
            w1, w2 = w1 - 0.1 * moved[0], w2 - 0.1 * moved[1]
        np.testing.assert_allclose(found[0][lane], w1, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found[1][lane], w2, rtol=1e-3, atol=1e-4)


ROW = Row(
    "question/work",
    "work",
    "s",
    [
        Entry("fnn", [1.0, 1.0, 2.0], {"loss": 0.5}),
        Entry("torch", [3.0, 2.0, 4.0]),
        Entry("keras", problem="it is not here"),
    ],
    {"torch": 4.0},
)


def test_a_row_tells_ratios_what_is_short_and_what_failed():
    told = text(ROW)
    assert "x2.00 (2.00 to 3.00)  wanted x4, 50% short" in told
    assert "FAILED: it is not here" in told
    assert ROW.problems == ["question/work: keras: it is not here"]
    assert Row.from_json(dataclasses.asdict(ROW)) == ROW


def test_losses_that_are_not_ours_fail_the_row():
    class Peer:
        takes_orders = True

        def __init__(self, losses):
            self.losses = np.array(losses)

        def verify(self, how):
            return self.losses

    workers = {"fnn": Peer([1.0, 0.5]), "torch": Peer([1.0, 0.5001]), "keras": Peer([1.0, 0.6])}
    assert list(single_run._other_work(TASK, workers)) == ["keras"]


def test_every_row_has_a_name_and_can_be_chosen(capsys):
    assert command.main(["--list"]) == 0
    names = capsys.readouterr().out.split()
    assert len(set(names)) == len(names)
    assert {f"single-run/{name}" for name in single_run.TARGETS} <= set(names)
    assert command.main(["--list", "--only", "cold-start"]) == 0
    assert all("cold-start" in name for name in capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        command.main(["--only", "no such row"])


@pytest.fixture(scope="module")
def recorded():
    return json.loads(report.RESULTS.read_text())


def test_the_readme_shows_what_was_recorded(recorded):
    assert report.table(recorded) in report.README.read_text()


def test_every_row_was_recorded_in_five_rounds_and_none_failed(recorded):
    rows = {row["name"]: Row.from_json(row) for row in recorded["rows"]}
    assert list(rows) == command._all_names()
    for row in rows.values():
        assert not row.problems
        assert all(len(entry.samples) >= 5 for entry in row.entries)


def test_the_picture_is_drawn(recorded, tmp_path):
    report.draw(recorded, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there, reading a profile ends the process")
def test_kernels_of_a_run_are_found():
    found = kernels.kernels("fnn", TASK)
    assert sum(found.values()) > 0
    assert not any(name.startswith("while") for name in found)
    assert set(kernels.tasks()) < set(command._all_names())
