"""The benchmarks' own arithmetic, and that the README shows what was recorded."""

import contextlib
import copy
import dataclasses
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from bench import __main__ as command
from bench import devices, kernels, peers, presence, report, results, single_run, workers
from bench.devices import Device
from bench.measure import in_turns, ratios, spread
from bench.peers import Peer, by_hand, fnn_fit, fnn_sweep, products_and_adam, scikit_learn
from bench.precision import full_precision
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
    # the same rows in the order given, as epochs of a loop written out in NumPy
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


def recorded_step(step):
    """What repeats the step's operations on the memory that they had, as a CUDA graph would."""
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    calls = []

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            calls.append((function, args, kwargs or {}, result))
            return result

    step()  # makes what is made once
    with Record():
        step()

    @torch.no_grad()
    def replay():
        for function, args, kwargs, result in calls:
            for new, old in zip(tensors(function(*args, **kwargs)), tensors(result), strict=True):
                if new.data_ptr() != old.data_ptr():
                    old.copy_(new)

    def tensors(result):
        found = result if isinstance(result, (tuple, list)) else [result]
        return [value for value in found if isinstance(value, torch.Tensor)]

    return replay


@pytest.mark.parametrize("record", [lambda step: step, recorded_step], ids=["eager", "replayed"])
def test_a_step_in_pytorch_to_be_captured_learns_what_fit_learns(record):
    pytest.importorskip("torch")
    from bench.peers import torch_graph, torch_graph_ensemble

    lanes = dataclasses.replace(TASK, lanes=3, learning_rate=0.01)
    (x, y), orders = TASK.data(), fnn_fit.orders(TASK, TASK.epochs)
    one = dataclasses.replace(lanes, lanes=1)
    alone = [[(weight[i], bias[i]) for weight, bias in lanes.params()] for i in range(3)]
    ours = [fnn_fit.prepare(one, x, y, params=params)() for params in alone]
    given = {"orders": orders, "record": record}
    single = torch_graph.prepare(one, x, y, params=alone[0], **given)
    ensemble = torch_graph_ensemble.prepare(lanes, x, y, params=lanes.params(), **given)
    for _ in range(2):  # every run begins anew
        np.testing.assert_allclose(single(), ours[0], rtol=1e-5)
        np.testing.assert_allclose(ensemble(), ours, rtol=1e-5)


@pytest.mark.parametrize("name", ["torch_graph", "torch_graph_ensemble"])
def test_a_step_to_be_captured_draws_orders_and_first_weights_of_its_own(name):
    pytest.importorskip("torch")
    peer = importlib.import_module(f"bench.peers.{name}")
    task = dataclasses.replace(TASK, epochs=60, learning_rate=0.01, lanes=1)
    losses = np.atleast_2d(peer.prepare(task, *task.data(), record=lambda step: step)())
    assert losses.shape == (1, 60)
    assert losses[0, -1] < losses[0, 0] / 2


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


@pytest.mark.long
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
    printed = text(ROW)
    assert "x2.00 (2.00 to 3.00)  wanted x4, 50% short" in printed
    assert "FAILED: it is not here" in printed
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


CPU = Device("a CPU, 2 cores", "cpu", has_cuda=False)
GPU = Device("a GPU", "gpu", has_cuda=True)


@pytest.fixture
def runs_on(monkeypatch):
    """Sets the device, on which every package is installed but those named."""

    def run_on(device, *not_installed):
        for module in (command, presence, workers):
            monkeypatch.setattr(module, "device", lambda: device)
        monkeypatch.setattr(presence, "_is_installed", lambda package: package not in not_installed)

    return run_on


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Has single runs measured at once, and recorded in a folder of the test's own."""

    def measure(name, rounds, quick):
        return Row(
            f"single-run/{name}", *dataclasses.astuple(ROW)[1:3], ours_and_torch, {"torch": 9}
        )

    ours_and_torch = copy.deepcopy(ROW.entries[:2])  # as a row is changed below
    monkeypatch.setattr(single_run, "measure", measure)
    monkeypatch.setattr(report, "publish", lambda: None)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.json")
    return ours_and_torch


def test_rows_of_one_device_do_not_replace_those_of_another(runs_on, measured):
    runs_on(GPU)
    assert command.main(["--only", "single-run/2-16-2"]) == 0
    runs_on(CPU)
    assert command.main(["--only", "single-run/2-16-2"]) == 0
    before = results.read()
    assert list(before) == [CPU.name, GPU.name]
    measured.pop()
    runs_on(GPU)
    assert command.main(["--only", "single-run/2-16-2", "--only", "single-run/64-64-10"]) == 0
    after = results.read()
    assert after[CPU.name] == before[CPU.name]
    rows = {row["name"]: Row.from_json(row) for row in after[GPU.name]["rows"]}
    assert list(rows) == ["single-run/2-16-2", "single-run/64-64-10"]
    assert [entry.peer for entry in rows["single-run/2-16-2"].entries] == ["fnn"]


def test_targets_are_for_a_cpu(runs_on, measured):
    for device, targets in {CPU: {"torch": 9}, GPU: {}}.items():
        runs_on(device)
        command.main(["--only", "single-run/2-16-2"])
        assert results.read()[device.name]["rows"][0]["targets"] == targets


def test_a_row_of_other_versions_is_not_set_beside_those_recorded(runs_on, measured, monkeypatch):
    runs_on(GPU)
    command.main(["--only", "single-run/2-16-2"])
    monkeypatch.setattr(results, "versions", lambda: {"jax": "0"})
    with pytest.raises(SystemExit):
        command.main(["--only", "single-run/64-64-10"])
    assert command.main(["--only", "single-run/64-64-10", "--quick"]) == 0
    runs_on(CPU)
    assert command.main(["--only", "single-run/64-64-10"]) == 0


def test_missing_peers_are_named_and_do_not_fail_the_command(runs_on, measured, capsys):
    runs_on(CPU, "keras")
    assert command.main(["--only", "single-run/2-16-2"]) == 0
    printed = capsys.readouterr().out
    assert "not here: torch-graph (needs CUDA), keras (not installed), " in printed
    runs_on(GPU)
    assert command.main(["--only", "single-run/2-16-2"]) == 0
    assert "not here: scikit-learn (runs on CPUs only), " in capsys.readouterr().out
    measured[1].problem = "losses are not ours"
    assert command.main(["--only", "single-run/2-16-2"]) == 1


def test_pytorch_without_cuda_is_missing_beside_a_gpu(runs_on):
    runs_on(GPU._replace(has_cuda=False))
    theirs = ["torch", "torch-compile", "torch-graph", "torch-func", "torch-graph-ensemble"]
    assert {peer for peer, why in presence.missing().items() if why == "needs CUDA"} == {*theirs}
    assert presence.here(theirs) == []
    runs_on(GPU)
    assert presence.here(theirs) == theirs


def test_a_peer_that_is_here_and_fails_is_a_problem_and_a_missing_one_is_none(runs_on, monkeypatch):
    runs_on(CPU, "keras")
    monkeypatch.setitem(peers.ALL, "broken", Peer("broken"))
    with contextlib.ExitStack() as stack:
        found, problems = workers.started(["keras", "broken"], TASK, Path("data.npz"), stack)
    assert found == {}
    assert list(problems) == ["broken"]


def test_growth_is_measured_on_a_cpu_only():
    left_out = set(command.all_names(CPU)) - set(command.all_names(GPU))
    assert {name.split("/")[0] for name in left_out} == {"growth"}


def test_processes_share_a_gpu_and_keep_to_the_cpu_where_jax_does(monkeypatch):
    assert CPU.environment["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert GPU.environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert GPU.environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert GPU.environment["CUDA_VISIBLE_DEVICES"] == "3"


def test_the_device_is_that_of_jax():
    found = devices.device()
    assert found.platform == jax.default_backend()
    assert found.is_cpu or found.name == jax.devices()[0].device_kind


def test_verifications_multiply_in_full_precision(monkeypatch):
    set_to = ["high"]
    torch = SimpleNamespace(
        get_float32_matmul_precision=lambda: set_to[-1],
        set_float32_matmul_precision=set_to.append,
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    before = jax.config.jax_default_matmul_precision
    with full_precision():
        assert (jax.config.jax_default_matmul_precision, set_to[-1]) == ("float32", "highest")
    assert (jax.config.jax_default_matmul_precision, set_to[-1]) == (before, "high")


@pytest.fixture(scope="module")
def recorded():
    return json.loads(results.RESULTS.read_text())


def test_the_readme_shows_what_was_recorded(recorded):
    assert report.tables(recorded) in report.README.read_text()


def test_every_device_has_a_table_of_its_peers(recorded):
    row = Row(
        "single-run/work", "work", "s", [ROW.entries[0], Entry("torch-graph", [2.0, 2.0, 4.0])]
    )
    gpu = {"platform": "gpu", "date": "2030-01-02", "versions": {"jax": "1"}}
    both = {**recorded, GPU.name: {**gpu, "rows": [dataclasses.asdict(row)]}}
    shown = report.tables(both)
    assert shown.startswith(report.tables(recorded))
    assert shown.removeprefix(report.tables(recorded)).strip().splitlines() == [
        "### a GPU, 2030-01-02",
        "",
        "| | fnn | torch-graph |",
        "|---|---|---|",
        "| work | 1 s | 2 (2 to 2) |",
        "",
        "",
        "Measured on 2030-01-02: a GPU; jax 1.",
    ]


def test_every_row_was_recorded_in_five_rounds_and_none_failed(recorded):
    for measured in recorded.values():
        rows = [Row.from_json(row) for row in measured["rows"]]
        names = command.all_names(Device("", measured["platform"], has_cuda=False))
        assert {row.name for row in rows} <= set(names)
        assert measured["platform"] != "cpu" or [row.name for row in rows] == names
        for row in rows:
            assert not row.problems
            assert all(len(entry.samples) >= 5 for entry in row.entries)


@pytest.mark.parametrize("name", ["picture.png", "picture.svg"])
def test_the_picture_is_drawn(name, recorded, tmp_path):
    for dark in (False, True):
        report.draw(next(iter(recorded.values())), tmp_path / name, dark=dark)
        assert (tmp_path / name).stat().st_size > 10_000


def test_every_peer_has_a_dot_in_the_picture():
    theirs = {*peers.PEERS, *peers.SWEEPS} - {"fnn", peers.OUR_SWEEP}
    assert theirs == set(report._DOTS)
    assert len(set(report._DOTS.values())) == len(theirs)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there, reading a profile ends the process")
def test_kernels_of_a_run_are_found():
    found = kernels.kernels("fnn", TASK)
    assert sum(found.values()) > 0
    assert not any(name.startswith("while") for name in found)
    assert set(kernels.tasks()) < set(command.all_names(CPU))
