"""Sweeps and the machine: devices, memory, Ctrl-C, the precision of products."""

import contextlib
import functools
import os
import re
import subprocess
import sys
import threading

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_sweeps import EIGHT, LAST, RATES, X, assert_same_bits, eight, single, sweep, values

import fnn
from fnn._core.devices import assumed
from fnn._core.dtypes import float64_enabled
from fnn._host import segments
from fnn.sweeps import chunks, layout, program, store
from fnn.sweeps import rows as rows_of_lanes
from fnn.sweeps.layout import Layout, layout_of, within_memory
from fnn.training.epochs import scanned

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


@pytest.mark.long
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


@pytest.mark.cpu_layout
def test_slopes_of_outputs_are_stored_as_the_layers_products_read_them():
    """By `(out, rows)`, where lanes lie before both."""
    outputs, targets = jnp.asarray(X[:7, :2]), jnp.asarray(X[7:14, :2])

    def total(loss):
        return jax.jit(jax.grad(lambda outputs: jnp.sum(loss(outputs, targets))))

    kept = total(program.of_kept(fnn.squared_error))
    assert re.search(r"f32\[2,7\]\S* call\(", kept.lower(outputs).compile().as_text())
    np.testing.assert_array_equal(kept(outputs), total(fnn.squared_error)(outputs))


@pytest.mark.long
@pytest.mark.cpu_layout
def test_sixteen_thousand_lanes_run_in_bounded_memory():
    """In units of their parameters and histories."""
    assert float(run_python(MANY)) < 7


def test_a_sweep_runs_on_the_default_device_if_one_is_chosen():
    chosen = jax.devices()[-1]
    with jax.default_device(chosen):
        runs = sweep(optimizer=fnn.adam(RATES))
        assert layout_of(3, 100, along_vectors=False, lanes_end=False, at_once=None).devices == (
            chosen,
        )
    assert {leaf.device for leaf in jax.tree.leaves(runs.state.train)} == {chosen}


@pytest.mark.cpu_layout
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
    devices = tuple(jax.devices())
    layout = Layout(devices, False, threads=2, chunk=10 * len(devices), resident=False)
    assert within_memory(layout, 250) == layout
    assert within_memory(layout, 500).chunk == 5 * len(devices)
    assert within_memory(layout, 10**9).chunk == len(devices)
    smallest = layout._replace(chunk=len(devices))
    assert within_memory(smallest, 10**9) == smallest

    asked = []
    monkeypatch.setattr(
        chunks, "within_memory",
        lambda layout, needed: asked.append(needed) or layout._replace(chunk=len(devices)),
    )  # fmt: skip
    runs = sweep(optimizer=fnn.adam(EIGHT), at_once=4)
    assert len(asked) == 2
    assert asked[0] > 2 * asked[1] > 0, "the compiler's account"
    assert len(runs) == 8


def test_ctrl_c_returns_what_is_there_marked_and_it_can_be_resumed(no_pace_known, monkeypatch):
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


# ---- where memory is the device's own, and the precision of products


@pytest.fixture
def as_on_an_accelerator(monkeypatch):
    """One device that is taken for one with memory of its own."""

    def layout(*args, **options):
        found = layout_of(*args, **options)
        chunk = found.chunk if options["at_once"] is None else options["at_once"]
        return Layout(found.devices[:1], True, threads=1, chunk=chunk, resident=True)

    monkeypatch.setattr(chunks, "layout_of", layout)
    monkeypatch.setattr(rows_of_lanes, "has_own_memory", lambda devices: True)
    monkeypatch.setattr(store, "write_rows", None)  # which takes states to the host


STEP_SIZES = np.append(np.logspace(-3, -1, 10), 1e300)
"""The last one diverges."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"at_once": 4}, marks=pytest.mark.long),
        pytest.param(
            {"stop": fnn.early_stopping(patience=1, min_delta=0.02)}, marks=pytest.mark.long
        ),
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


def test_lanes_on_a_gpu_are_in_sums_where_they_are_few(x64, as_on_an_accelerator, monkeypatch):
    rates, forms = np.geomspace(1e-3, 0.1, 33), []

    def watched(problem, packing, train, batches, *, largest_summed):
        forms.append((largest_summed, len(train.params)))
        return scanned(problem, packing, train, batches, largest_summed=largest_summed)

    monkeypatch.setattr(program, "scanned", watched)
    net = fnn.mlp((3, 22, 20, 2), activation="tanh")
    with assumed("cuda"):
        sweep(net, optimizer=fnn.adam(rates))
        assert set(forms) == {(0, 2)}
        forms.clear()
        runs = sweep(net, optimizer=fnn.adam(rates), at_once=4)
        assert set(forms) == {(2**19 // (16 * 4), 1)}, "sums, of parameters in one array"
    for lane in (0, 32):
        one = single(net, optimizer=fnn.adam(rates[lane]))
        mine = jax.tree.map(lambda leaf, lane=lane: leaf[lane], runs.params)
        chex.assert_trees_all_close(mine, one.params, rtol=1e-9, atol=1e-11)


@pytest.mark.long
def test_what_stays_on_a_device_is_saved_and_continued(as_on_an_accelerator, tmp_path, monkeypatch):
    whole = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6)
    first = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=4)
    before = values(first.state)
    with monkeypatch.context() as patch:
        # what a continued sweep takes to the host is no state
        to_host = chunks.to_host
        patch.setattr(
            chunks,
            "to_host",
            lambda tree: None if isinstance(tree, fnn.FitState) else to_host(tree),
        )
        rest = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=2, state=first.state)
    assert_same_bits(rest.state, whole.state)
    assert_same_bits(first.state, before)
    options = {"checkpoint": tmp_path, "every": 2, "at_once": 4}
    sweep(
        optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6, **options, callback=lambda done, _: done >= 2
    )
    resumed = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6, **options)
    in_one_go = sweep(optimizer=fnn.sgd(STEP_SIZES[:-1]), epochs=6, at_once=4)
    assert_same_bits(resumed.state, in_one_go.state)
    assert_same_bits(resumed.history, in_one_go.history)


@pytest.mark.usefixtures("one_or_all_devices")
@pytest.mark.parametrize("resident", [False, True])
def test_threads_compute_in_the_precision_of_the_caller_s_context(monkeypatch, resident):
    monkeypatch.setattr(layout, "_RESIDENT_BYTES", 2**28 * resident)
    with float64_enabled(True):
        runs = sweep(optimizer=fnn.adam(RATES), at_once=1)
    assert {leaf.dtype for leaf in jax.tree.leaves(runs.params)} == {np.dtype(np.float64)}


def test_clear_caches_has_a_sweep_traced_again():
    factor = 1.0

    def loss(outputs, targets):
        return factor * fnn.squared_error(outputs, targets)

    before = sweep(loss=loss, optimizer=fnn.adam(RATES)).history["loss"]
    factor = 10.0
    jax.clear_caches()
    assert (sweep(loss=loss, optimizer=fnn.adam(RATES)).history["loss"] > 5 * before)[:, 0].all()


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
