"""Everything compiles for accelerators, on a machine that has none.

Takes the extra `platforms`, and `JAX_PLATFORMS=cpu`, as there is no driver.
"""

import functools
import importlib.util
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental import topologies
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import fnn
from bench import accelerator
from bench.accelerator import (
    ROWS,
    TARGETS,
    compiled_text,
    ours,
    place,
    step_cost,
    sweep_program,
)

PLUGINS = {"cuda": "jax_plugins.xla_cuda12", "tpu": "libtpu"}


@pytest.fixture(autouse=True, scope="module")
def _no_compilation_cache():
    """A program for a device that is not there can be compiled, but not loaded from the cache."""
    for enabled in (False, True):
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()  # whether there is one is asked once
        if not enabled:
            yield


def is_there(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def needs(target):
    platform = TARGETS[target]["platform"]
    there = is_there(PLUGINS[platform]) and os.environ.get("JAX_PLATFORMS") == "cpu"
    reason = "takes the extra `platforms`, and JAX_PLATFORMS=cpu"
    return pytest.param(target, marks=pytest.mark.skipif(not there, reason=reason))


on_all = pytest.mark.parametrize("target", [needs(target) for target in TARGETS])
on_h100 = pytest.mark.parametrize("target", [needs("H100")])

KEY = jax.random.key(0)
X = jax.ShapeDtypeStruct((48, 8), np.float32)
Y = jax.ShapeDtypeStruct((48,), np.int32)
OPTIMIZER = fnn.chain(fnn.clip_by_global_norm(1.0), fnn.adamw(fnn.cosine_decay(1e-3, 100)))
NETS = {
    "plain": fnn.mlp((8, 16, 4)),
    "all options": fnn.mlp(
        (8, 8, 8, 4), activation=("tanh", "gelu"), dropout=0.1, norm="layer", residual=True
    ),
    "bfloat16": fnn.mlp((8, 8, 4), dtype="bfloat16"),
    "active": fnn.mlp((8, 8, 4), active=(4,)),
    "a model": fnn.Model(lambda key: jax.random.normal(key, (8, 4)), lambda params, x: x @ params),
}


def fitted(net, optimizer=OPTIMIZER):
    """A run as a function of its key and data."""

    def run(key, x, y):
        result = fnn.fit(
            net, fnn.softmax_cross_entropy, optimizer, (x, y), key=key, epochs=3, batch_size=16,
            validation=(x, y), metrics={"accuracy": fnn.accuracy},
            stop=fnn.early_stopping(patience=1),
        )  # fmt: skip
        return result.history, result.best_params

    return run


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
@on_all
def test_a_fit_compiles(target, net):
    assert "while" in compiled_text(target, fitted(net), KEY, X, Y)


@on_all
def test_a_step_compiles(target):
    net = NETS["all options"]
    state = jax.eval_shape(lambda key: fnn.init_state(net, OPTIMIZER, key), KEY)

    def step(state, x, y):
        return fnn.train_step(net, fnn.softmax_cross_entropy, OPTIMIZER, state, (x, y))

    assert compiled_text(target, step, state, X, Y)


@on_all
def test_vmapped_fits_compile(target):
    many = jax.vmap(fitted(NETS["all options"]), in_axes=(0, None, None))
    keys = jax.ShapeDtypeStruct((4,), KEY.dtype)
    assert "while" in compiled_text(target, many, keys, X, Y)


@on_all
def test_a_gradient_through_a_fit_compiles(target):
    def last_loss(rate, key, x, y):
        history, _ = fitted(NETS["plain"], fnn.adam(rate))(key, x, y)
        return history["loss"][-1]

    rate = jax.ShapeDtypeStruct((), np.float32)
    assert "while" in compiled_text(target, jax.grad(last_loss), rate, KEY, X, Y)


@on_all
def test_an_evaluation_compiles(target):
    net = NETS["all options"]
    params = jax.eval_shape(net.init, KEY)

    def scores(params, x, y):
        metrics = {"accuracy": fnn.accuracy, "matrix": fnn.confusion_matrix}
        return fnn.evaluate(net, params, (x, y), metrics, batch_size=20)

    assert compiled_text(target, scores, params, X, Y)


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
@on_all
def test_the_program_of_a_sweep_compiles(target, net):
    data = np.zeros((48, 8), np.float32), np.zeros(48, np.int32)
    function, args = sweep_program(
        net, fnn.softmax_cross_entropy, fnn.adam(np.logspace(-3, -1, 4)), data, 16, KEY,
        stop=fnn.early_stopping(patience=2), target=target,
    )  # fmt: skip
    assert "while" in compiled_text(target, function, *args)


# At most so many kernels and megabytes a step, for jax 0.10.2.
BOUNDS = {
    "2-16-2": (8, 1),
    "64-64-10": (10, 1),
    "784-256-128-10": (24, 90),
    "784-1024-1024-10": (27, 140),
    "10000 x 2-16-2": (13, 120),
    "128 x 64-64-10": (18, 36),
    "16 x 784-256-128-10": (27, 230),
    "8 x 64-32-10": (16, 3),
}


@pytest.mark.skipif(jax.__version__ != "0.10.2", reason="counted with jax 0.10.2")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@on_h100
def test_a_step_takes_few_kernels(target, row):
    function, args = ours(row)
    cost = step_cost(compiled_text(target, function, *args), row.batches)
    kernels, megabytes = BOUNDS[row.name]
    assert cost.kernels <= kernels
    assert cost.megabytes <= megabytes


ATOMIC = re.compile(r"\b(atom|red)\.")


def machine_code(target, folder, function, *args):
    """What the compiler writes for a GPU, in PTX."""
    on_device = place(target)
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(np.shape(a), a.dtype, sharding=on_device), args
    )
    options = {"xla_dump_to": str(folder)}
    jax.jit(function).lower(*shapes).compile(compiler_options=options)
    return "".join(path.read_text() for path in folder.glob("*.ptx"))


@on_h100
def test_nothing_is_added_up_in_an_order_that_changes_from_call_to_call(target, tmp_path):
    """As atomic operations do; a sum over segments has them."""
    numbers, segments = (
        jax.ShapeDtypeStruct((1000,), np.float32),
        jax.ShapeDtypeStruct((1000,), np.int32),
    )
    sums = functools.partial(jax.ops.segment_sum, num_segments=8)
    lanes, of_lanes = ours(ROWS[4])
    programs = {
        "fit": (fitted(NETS["all options"]), KEY, X, Y),
        "lanes": (lanes, *of_lanes),
        "segments": (sums, numbers, segments),
    }
    found = {}
    for name, (function, *args) in programs.items():
        folder = tmp_path / name
        folder.mkdir()
        found[name] = bool(ATOMIC.search(machine_code(target, folder, function, *args)))
    assert found == {"fit": False, "lanes": False, "segments": True}


@pytest.mark.parametrize("target", [needs("H100")])
def test_a_network_of_1e9_parameters_fits_eight_devices(target, record_figure):
    """Each device has an eighth of every layer's neurons, with their weights and statistics."""
    devices = topologies.get_topology_desc(**TARGETS[target] | {"topology": "1x1x8"}).devices
    mesh = Mesh(np.array(devices), ("model",))

    def placed(leaf, rows=False):
        axes = [None] * (leaf.ndim - 1) + ["model"] if leaf.ndim and not rows else []
        place = NamedSharding(mesh, PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

    net, opt = fnn.mlp((8192, *[8192] * 15, 1024), remat=True), fnn.adam(1e-3)
    state = jax.eval_shape(lambda key: fnn.init_state(net, opt, key), KEY)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    assert numbers > 1e9
    state = jax.tree.map(placed, state)
    batch = (
        placed(jax.ShapeDtypeStruct((4096, 8192), np.float32), rows=True),
        placed(jax.ShapeDtypeStruct((4096,), np.int32), rows=True),
    )

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, batch):
        return fnn.train_step(net, fnn.softmax_cross_entropy, opt, state, batch, accumulate=4)

    memory = step.lower(state, batch).compile().memory_analysis()
    kept, temporary = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    record_figure(
        f"{numbers:.3g} parameters on eight devices like an {target}: on each {kept / 2**30:.2f} "
        f"GiB of weights, statistics and data, and {temporary / 2**30:.2f} GiB for a step"
    )
    # weights, and two statistics of each
    assert kept < 1.2 * 12 * numbers / 8
    assert temporary < 2.5 * 2**30


TEXT = """
%body.1 (arg: (s32[], f32[4,2])) -> (s32[], f32[4,2]) {
  %arg = (s32[], f32[4,2]{1,0}) parameter(0)
  %a = f32[4,2]{1,0} get-tuple-element(%arg), index=1
  %f = f32[4,2]{1,0} fusion(%a), kind=kLoop, calls=%fused
  %g = (f32[2]{0}, bf16[4]{0}) fusion(%f, %a), kind=kInput, calls=%reduced
  ROOT %t = (s32[], f32[4,2]{1,0}) tuple(%i, %f)
}
ENTRY %main (x: f32[4,2]) -> f32[4,2] {
  %w = (s32[], f32[4,2]) while(%x), body=%body.1, backend_config={"known_trip_count":{"n":"7"}}
}
"""


def test_kernels_and_bytes_are_those_of_the_loop():
    assert step_cost(TEXT, 7) == accelerator.Cost(2, (64 + 16 + 64) / 1e6)
    with pytest.raises(ValueError, match=r"^step_cost: the program must have a loop of 8 trips"):
        step_cost(TEXT, 8)


def test_rows_have_bounds_and_the_page_shows_them():
    assert [row.name for row in ROWS] == list(BOUNDS)
    page = Path(accelerator.__file__).with_name("README.md").read_text()
    for name, (kernels, _) in BOUNDS.items():
        assert f"| {name} | {kernels}, " in page
    readme = Path(accelerator.__file__).parents[1].joinpath("README.md").read_text()
    small, larger = BOUNDS["2-16-2"][0], BOUNDS["64-64-10"][0]
    claim = f"a step of 2-16-2 takes {small} of them and one of 64-64-10 takes {larger},"
    assert claim in " ".join(readme.split())
    docs = Path(accelerator.__file__).parents[1].joinpath("docs", "accelerators.md").read_text()
    assert f"a step of 64-64-10 takes {larger} kernels" in " ".join(docs.split())
