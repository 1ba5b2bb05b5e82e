"""Compiled programs: one for all values, let go before a process has too many."""

import gc
import subprocess
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn._core import jit_cache as programs
from fnn._core.dtypes import float64_enabled
from fnn._core.jit_cache import Remembered, compiled, memory_maps

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory maps")


def counted():
    """A compiled function, and the shapes that it was traced with."""
    shapes = []

    @compiled(0)
    def scaled(factor, x):
        shapes.append((factor, x.shape))
        return factor * x

    return scaled, shapes


def test_a_function_is_traced_once_for_each_static_argument_and_shape():
    scaled, shapes = counted()
    for values in ([1.0, 2.0], [3.0, 4.0]):
        np.testing.assert_array_equal(scaled(2, np.array(values, np.float32)), 2 * np.array(values))
    scaled(3, np.ones(2, np.float32))
    scaled(2, np.ones(3, np.float32))
    scaled(2, np.ones(2, np.float32))
    assert shapes == [(2, (2,)), (3, (2,)), (2, (3,))]


def test_it_works_under_jit_vmap_and_grad():
    scaled, _ = counted()
    x = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(jax.jit(lambda x: scaled(2, x))(x), 2 * x)
    np.testing.assert_array_equal(jax.vmap(lambda x: scaled(2, x))(x), 2 * x)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(scaled(2, x)))(x), np.full((3, 2), 2))


class Made:
    """What is remembered, by identity."""


@pytest.mark.parametrize(
    "context",
    [
        lambda: jax.default_matmul_precision("float32"),
        lambda: float64_enabled(True),
        lambda: jax.default_device(jax.devices()[-1]),
        lambda: jax.sharding.set_mesh(jax.make_mesh((1,), ("rows",))),
    ],
    ids=["products", "float64", "device", "mesh"],
)
def test_what_is_remembered_is_so_under_the_same_options_and_contexts(context):
    remembered = Remembered(2)
    one = remembered("key", Made)
    with context():
        other = remembered("key", Made)
        assert remembered("key", Made) is other is not one
    assert remembered("key", Made) is one


def test_the_oldest_is_forgotten_and_all_of_it_when_jax_forgets():
    remembered = Remembered(2)
    first, second = remembered(1, Made), remembered(2, Made)
    assert remembered(1, Made) is first
    assert remembered(3, Made) is not second, "a third evicts what was asked for longest ago"
    assert remembered(1, Made) is first
    assert remembered(2, Made) is not second
    alive = weakref.ref(first)
    del first
    jax.clear_caches()
    gc.collect()
    assert alive() is None


def test_the_oldest_programs_are_let_go_first(monkeypatch):
    scaled, shapes = counted()
    monkeypatch.setattr(programs, "_kept", type(programs._kept)())
    for rows in range(1, 9):
        scaled(2, np.ones(rows, np.float32))
    scaled(2, np.ones(1, np.float32))  # used again, so the newest
    counts = iter([100, 0])  # too many before two are let go, few after
    monkeypatch.setattr(programs, "memory_maps", lambda: next(counts))
    monkeypatch.setattr(programs, "_most_maps", lambda: 50.0)
    scaled(2, np.ones(9, np.float32))
    monkeypatch.setattr(programs, "memory_maps", lambda: 0)
    shapes.clear()
    for rows in (4, 5, 6, 7, 8, 1, 9, 2, 3):
        scaled(2, np.ones(rows, np.float32))
    assert shapes == [(2, (2,)), (2, (3,))]


def test_there_are_only_so_many_programs(monkeypatch):
    scaled, shapes = counted()
    monkeypatch.setattr(programs, "_kept", type(programs._kept)())
    monkeypatch.setattr(programs, "_MOST", 3)
    for rows in (1, 2, 3, 4, 4, 3, 2, 1):
        scaled(2, np.ones(rows, np.float32))
    assert [rows for _, (rows,) in shapes] == [1, 2, 3, 4, 1]


@pytest.mark.long
@on_linux
def test_what_is_let_go_gives_its_memory_maps_back(monkeypatch, key):
    x = np.ones((8, 2), np.float32)

    def run(units):
        net = fnn.mlp((2, units, 1))
        fnn.fit(net, fnn.squared_error, fnn.adam(0.1), (x, x[:, :1]), key=key, epochs=2)
        return memory_maps()

    before, after = run(3), run(4)
    held = after - before
    assert held > 50, "a program holds no maps, so the test shows nothing"
    # room for one more, and no more
    monkeypatch.setattr(programs, "_most_maps", lambda: before + 0.5 * held)
    assert max(run(units) for units in range(5, 9)) < before + 2.5 * held


@pytest.mark.long
def test_many_shapes_are_counted_by_a_command():
    command = [sys.executable, "-m", "bench.many_shapes", "--shapes", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 shapes" in done.stdout
