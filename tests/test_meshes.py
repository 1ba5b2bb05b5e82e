"""Data whose rows are sharded over devices: the same runs, each device computing its part."""

import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import fnn
from fnn._core import jit_cache
from fnn._core.dataset import dataset, sharded
from fnn._core.shards import in_equal_parts
from fnn.training import epochs, placement
from fnn.training.batches import in_batches, order_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 3)).astype(np.float32)
Y = RNG.integers(0, 4, size=48)
WEIGHTS = RNG.uniform(0.5, 2, size=48).astype(np.float32)
NET = fnn.mlp((3, 8, 4))
ONE, TWO = (fnn.data_mesh(devices=jax.devices()[:count]) for count in (1, 2))
run = {"key": jax.random.key(0), "epochs": 4, "batch_size": 16}


def fitted(data, **options):
    measured = {"metrics": {"accuracy": fnn.accuracy}} if "validation" in options else {}
    options = run | measured | options
    return fnn.fit(NET, fnn.softmax_cross_entropy, fnn.adam(1e-2), data, **options)


def assert_close(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), ours, theirs)


def compiled_program(data, **options):
    """The text of the program that `fit` calls."""
    found = []

    class Spy:
        def __call__(self, *args):
            found.append(program.of(*args).lower(*args).compile().as_text())
            return program(*args)

    program = epochs._run_epochs
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "_run_epochs", Spy())
        fitted(data, **options)
    (text,) = found
    return text


def collectives(text):
    """The shapes that each collective operation moves."""
    pattern = r"= (.*?) (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\("
    return [
        (kind, re.findall(r"\w+\[[\d,]*\]", shapes)) for shapes, kind in re.findall(pattern, text)
    ]


@pytest.mark.parametrize("weights", [(), (WEIGHTS,)])
def test_a_mesh_of_one_and_of_two_devices_give_the_same_run(weights):
    one, two = (
        fitted(data, validation=data)
        for data in (fnn.shard_data((X, Y, *weights), mesh) for mesh in (ONE, TWO))
    )
    assert len(two.params[0].weight.devices()) == 2
    assert_close(two.history, one.history)
    assert_close(two.params, one.params)


def test_the_rows_of_all_batches_are_all_rows_in_another_order_each_epoch():
    data = fnn.shard_data((X, Y), TWO)

    rows = sharded(dataset("fit", "data", data))
    rows = rows._replace(shards=in_equal_parts("fit", rows.shards, 48, 16))
    first, second = (
        in_batches(rows, order_of(rows, jax.random.key(epoch)), 16).rows for epoch in (0, 1)
    )
    assert sorted(first.ravel().tolist()) == list(range(48))
    assert first.tolist() != second.tolist()
    for batch in np.asarray(first):  # equally many of each shard, in its place
        assert (batch // 6).tolist() == np.repeat(np.arange(8), 2).tolist()


def test_shuffling_globally_gives_the_run_without_a_mesh():
    data = fnn.shard_data((X, Y), TWO)
    assert_close(
        fitted(data, validation=data, shuffle="global").history,
        fitted((X, Y), validation=(X, Y)).history,
    )


def test_rows_that_do_not_divide_count_once():
    data = fnn.shard_data((X[:45], Y[:45]), TWO)
    assert [len(part) for part in data] == [48, 48, 48]
    assert np.asarray(data[2]).tolist() == [1.0] * 45 + [0.0] * 3
    params = NET.init(jax.random.key(1))
    metrics = {"accuracy": fnn.accuracy, "loss": fnn.softmax_cross_entropy}
    for batch_size in (None, 7, 16):
        scores = fnn.evaluate(NET, params, data, metrics, batch_size=batch_size)
        assert_close(scores, fnn.evaluate(NET, params, (X[:45], Y[:45]), metrics))
    whole = fitted(data, shuffle="global", batch_size=48)
    assert_close(whole.history, fitted((X[:45], Y[:45]), batch_size=45).history)


def test_a_step_reduces_gradients_once_and_moves_no_rows():
    found = collectives(compiled_program(fnn.shard_data((X, Y), TWO)))
    (of_step,) = [shapes for kind, shapes in found if kind == "all-reduce" and len(shapes) > 1]
    moved = [shape for _, shapes in found for shape in shapes]
    assert set(moved) - set(of_step) <= {"f32[]", "pred[]"}
    assert {kind for kind, _ in found} == {"all-reduce"}
    # what is shuffled globally does move
    moving = compiled_program(fnn.shard_data((X, Y), TWO), shuffle="global")
    assert "f32[16,3]" in [shape for _, shapes in collectives(moving) for shape in shapes]


def test_arrays_that_jax_has_sharded_are_taken_as_they_are():
    for mesh in (Mesh(jax.devices()[:2], ("rows",)), jax.make_mesh((2,), ("rows",))):
        sharding = NamedSharding(mesh, PartitionSpec("rows"))
        x, y = (jax.device_put(part, sharding) for part in (X, Y))
        given = fitted((x, y))
        assert_close(given.history, fitted(fnn.shard_data((X, Y), TWO)).history)
        assert_close(fitted((x, Y)).history, given.history)  # y on the host


def test_train_continues_on_fewer_devices(tmp_path):
    options = run | {"progress": False, "checkpoint": tmp_path, "every": 1}
    call = lambda mesh, epochs: fnn.train(  # noqa: E731
        NET, fnn.softmax_cross_entropy, fnn.adam(1e-2), fnn.shard_data((X, Y), mesh),
        **options | {"epochs": epochs},
    )  # fmt: skip
    call(TWO, 2)
    continued = call(ONE, 4)
    assert_close(continued.history, fitted(fnn.shard_data((X, Y), TWO)).history)
    with pytest.raises(
        ValueError, match=r"(?s)train: the arguments must be those.*\n  shards: int64 8 then, None"
    ):
        fnn.train(NET, fnn.softmax_cross_entropy, fnn.adam(1e-2), (X, Y), **options)


def test_large_matrices_are_divided_along_model():
    mesh = fnn.data_mesh(model=2)
    assert dict(mesh.shape) == {"data": 1, "model": 2}
    net = fnn.mlp((3, 256, 256, 4))
    call = lambda data: fnn.fit(  # noqa: E731
        net, fnn.softmax_cross_entropy, fnn.adam(1e-3), data, **run | {"epochs": 2}
    )
    divided, whole = call(fnn.shard_data((X, Y), mesh)), call(fnn.shard_data((X, Y), ONE))
    weight = divided.params[1].weight
    assert weight.addressable_shards[0].data.size == weight.size // 2
    assert_close(divided.history, whole.history)
    continued = fnn.fit(
        net, fnn.softmax_cross_entropy, fnn.adam(1e-3), fnn.shard_data((X, Y), mesh),
        **run | {"epochs": 1, "state": divided.state},
    )  # fmt: skip
    assert continued.state.epoch == 3


def test_large_statistics_are_divided_and_parameters_are_whole(monkeypatch):
    net = fnn.mlp((3, 520, 4))
    call = lambda: fnn.fit(  # noqa: E731
        net, fnn.softmax_cross_entropy, fnn.adam(1e-3), fnn.shard_data((X, Y), TWO),
        **run | {"epochs": 3},
    )  # fmt: skip
    monkeypatch.setattr(placement, "_LARGE_STATISTIC", 1024)
    divided = call()
    monkeypatch.undo()
    jit_cache._kept.clear()  # programs know the size
    whole = call()
    parts = {
        name: {
            leaf.addressable_shards[0].data.size / leaf.size
            for leaf in (state.params[0].weight, state.opt_state.mu[0].weight)
        }
        for name, state in {"divided": divided.state.train, "whole": whole.state.train}.items()
    }
    assert parts == {"divided": {1.0, 0.5}, "whole": {1.0}}
    assert_close(divided.history, whole.history)


def test_diagnose_takes_the_same_batches():
    y = np.where(np.arange(48) == 17, 1e30, 0).astype(np.float32)
    data = fnn.shard_data((X, y), TWO)
    broken = fnn.fit(fnn.mlp((3, 1)), fnn.squared_error, fnn.sgd(0.1), data, **run)
    assert broken.diverged_at == 0
    found = fnn.diagnose(fnn.mlp((3, 1)), fnn.squared_error, fnn.sgd(0.1), data, state=broken.state,
                         batch_size=16)  # fmt: skip
    assert found.step == broken.state.diverged_step


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fnn.data_mesh(model=3), "data_mesh: model must divide the 2 devices; got 3"),
        (
            lambda: fnn.data_mesh(devices=[]),
            "data_mesh: devices must be a list of JAX's, at least one; got none",
        ),
        (
            lambda: fnn.shard_data((X, Y), Mesh(jax.devices(), ("rows",))),
            "shard_data: mesh must be a jax.sharding.Mesh with an axis 'data'; got Mesh",
        ),
        (
            lambda: fitted(fnn.shard_data((X, Y), TWO), batch_size=15),
            "fit: batch_size must be a multiple of the 2 devices over which rows are sharded",
        ),
        (
            lambda: fitted((X, Y), shuffle="shards"),
            "fit: shuffle='shards' is for data whose rows are sharded over devices",
        ),
        (
            lambda: fitted((X, Y), shuffle="rows"),
            "fit: shuffle must be None, 'shards' or 'global'; got 'rows'",
        ),
        (
            lambda: fnn.shard_data((np.where(X > 2, np.nan, X), Y), TWO),
            "shard_data: x of data must be finite everywhere; got nan at index",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


EIGHT = """
import jax, numpy as np, fnn
jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(128, 3)), rng.integers(0, 4, 128)
net = fnn.mlp((3, 8, 4), param_dtype=np.float64)
source = fnn.streams.from_arrays(x, y, block_rows=16, buffer_rows=64)
for count in (1, 2, 8):
    for given in ((x, y), source):
        data = fnn.shard_data(given, fnn.data_mesh(devices=jax.devices()[:count]))
        run = fnn.train(net, fnn.softmax_cross_entropy, fnn.adam(1e-2), data, progress=False,
                        key=jax.random.key(0), epochs=4, validation=data,
                        metrics={"auc": fnn.accuracy})
        print(*np.concatenate([run.history[name] for name in sorted(run.history)]), end=" ")
    print()
"""


@pytest.mark.long
def test_one_two_and_eight_devices_give_the_same_history():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", EIGHT], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "XLA_FLAGS": flags},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two, eight = np.array([line.split() for line in done.stdout.splitlines()], float)
    np.testing.assert_allclose(two, one, rtol=1e-12)
    np.testing.assert_allclose(eight, one, rtol=1e-12)


@pytest.mark.long
def test_runs_on_a_mesh_can_be_vmapped_and_differentiated():
    data = fnn.shard_data((X, Y), TWO)

    def losses(rate, key):
        run = fnn.fit(NET, fnn.softmax_cross_entropy, fnn.sgd(rate), data, key=key, epochs=2)
        return run.history["loss"]

    keys = jax.random.split(jax.random.key(0), 2)
    many = jax.vmap(losses, in_axes=(None, 0))(0.1, keys)
    assert_close(many[1], losses(0.1, keys[1]))
    slope = jax.grad(lambda rate: losses(rate, keys[0])[-1])(0.1)
    near = [losses(rate, keys[0])[-1] for rate in (0.09, 0.11)]
    np.testing.assert_allclose(slope, (near[1] - near[0]) / 0.02, rtol=0.02)
