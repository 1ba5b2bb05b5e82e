"""Lanes along the last axis: what `vmap` makes of a function, computed otherwise."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.sweeps.lanes_last.interpreter import of_lanes_last
from fnn.sweeps.lanes_last.steps import is_small, scanned_lanes_last
from fnn.training.control import materialized
from fnn.training.epochs import epochs_from, repacked
from fnn.training.packing import packing_of
from fnn.training.problem import checked_problem
from fnn.training.state import InitialState, initial_state

pytestmark = pytest.mark.cpu_layout

RANDOM = np.random.default_rng(0)
COUNT = 8
X = RANDOM.normal(size=(40, 2)).astype(np.float32)


A = RANDOM.normal(size=(3, 4)).astype(np.float32)
B = RANDOM.normal(size=(4, 5)).astype(np.float32)
LONG = RANDOM.normal(size=(3, 200)).astype(np.float32)


@jax.custom_vjp
def of_own_slope(a):
    return a**2


of_own_slope.defvjp(lambda a: (a**2, a), lambda a, slope: (3 * a * slope,))

FUNCTIONS = {
    "elementwise": (lambda a, n: jnp.tanh(a) + jnp.where(a > 0, a**2, jnp.exp(a)) * n,
                    [A, np.float32(2)]),
    "product": (jnp.matmul, [A, B]),
    "product of vectors": (jnp.matmul, [A[0], B[:, 0]]),
    "product of a vector": (jnp.matmul, [A[0], B]),
    "product along other axes": (lambda a, b: jnp.einsum("kab,kc->cab", a, b),
                                 [RANDOM.normal(size=(4, 2, 3)).astype(np.float32), B]),
    "product with a batch": (lambda a, b: jnp.einsum("bij,bjk->bik", a, b),
                             [np.stack([A, A + 1]), np.stack([B, B - 1])]),
    "long product": (lambda a, b: a @ b.T, [LONG, LONG + 1]),
    "product of integers": (lambda a, n: jnp.full((3, 4), n) @ jnp.full((4, 5), 3 * n + 2),
                            [A, 2**13 + 1]),
    "product of integers, modulo 2^32": (lambda a, n: jnp.full((3, 70), n) @ jnp.full(70, n),
                                         [A, 2**15 + 1]),
    "product of bools": (lambda a, b: (a > 1) @ (b > 1), [A, B]),
    "product of complex numbers": (
        lambda a, b: jnp.imag(jax.lax.complex(a, 2 * a) @ jax.lax.complex(b, b - 1)), [A, B]),
    "narrow product": (lambda a, b: a.astype(jnp.bfloat16) @ b.astype(jnp.bfloat16), [A, B]),
    "sums": (lambda a: (a.sum(), a.sum(0), a.max(1), a.min(), a.mean((0, 1))), [A]),
    "long sums": (lambda a: (a.sum(1), a.max()), [LONG]),
    "any and argmax": (lambda a: ((a > 1).any(0), jnp.argmax(a, axis=1), jnp.cumsum(a, 0)), [A]),
    "shapes": (lambda a: (a.T.reshape(2, 6), a[:, ::2], a[None], jnp.stack([a, a + 1], 1),
                          jnp.split(a, 2, axis=1), jnp.broadcast_to(a[1], (2, 4))), [A]),
    "what stands with constants": (lambda a: jnp.concatenate([a, np.ones((3, 2), np.float32)], 1),
                                   [A]),
    "picking": (lambda a, n: (a[n], jnp.take_along_axis(a, jnp.full((3, 1), n), 1)), [A, 1]),
    "loops": (lambda a: jax.lax.fori_loop(0, 3, lambda i, v: v * 2 + i.astype(v.dtype), a), [A]),
    "branches": (lambda a, n: jax.lax.cond(n > 1, lambda: a, lambda: -a), [A, 2]),
    "calls": (lambda a: jax.jit(jax.nn.relu)(jax.checkpoint(jnp.sin)(a)), [A]),
    "derivatives of one's own": (lambda a, b: (fnn.relu(a), of_own_slope(a), of_own_slope(b)),
                                 [A, B]),
    "random numbers": (lambda a, n: a + jax.random.normal(
        jax.random.fold_in(jax.random.key(0), n), (3, 4)), [A, 1]),
    "sorting": (lambda a: jnp.sort(a, axis=0), [A]),
    "constants alone": (lambda a: jnp.arange(3), [A]),
}  # fmt: skip


@pytest.mark.parametrize("shared", [False, True], ids=["all have lanes", "the last is shared"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_with_the_lanes_last_a_function_is_what_vmap_makes_of_it(name, shared):
    function, arguments = FUNCTIONS[name]
    count = jnp.arange(COUNT)

    def with_count(count, *arguments):
        del count
        return function(*arguments)

    values = [jnp.asarray(a) for a in arguments]
    last = [jnp.stack([v + lane for lane in range(COUNT)], -1) for v in values]
    marks = [True] * len(last)
    if shared and len(values) > 1:
        last[-1], marks[-1] = values[-1], False
    found = of_lanes_last(with_count, COUNT, (True, *marks), count, *last)
    axes = (-1, *[-1 if mark else None for mark in marks])
    expected = jax.vmap(with_count, in_axes=axes, out_axes=-1)(count, *last)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def unread(a, b):
    z = a @ b
    jnp.sin(z)  # which nobody reads
    return z


STORED = {
    "what is read once is not": (lambda a, b: a @ b, 0),
    "a product read twice": (lambda a, b: (lambda z: jnp.sin(z) * jnp.cos(z))(a @ b), 1),
    "what goes into a product": (lambda a, b: jnp.sin(a) @ b, 1),
    "not for results that nobody reads": (unread, 0),
    # a, what is summed up, and what comes back to a; but not z
    "of a layer of relus and its slope": (
        lambda a, b: jax.value_and_grad(lambda b: jnp.sum(fnn.relu(a @ b) @ B.T))(b), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", STORED)
def test_products_are_stored_once_where_they_are_read_again(name):
    function, expected = STORED[name]
    values = [jnp.stack([v + lane for lane in range(COUNT)], -1) for v in (A, B)]

    def all_lanes(count, *values):
        marks = (True, True, True)
        return of_lanes_last(lambda count, a, b: function(a, b), COUNT, marks, count, *values)

    text = compiled_text(all_lanes, jnp.arange(COUNT), *values)
    assert len(re.findall(r" call\(", text)) == expected


def test_what_prints_or_calls_back_does_so_for_each_lane():
    seen, of_all = [], []

    def watched(count, a):
        jax.debug.callback(lambda a: seen.append(float(a)), a.sum())
        jax.debug.callback(lambda: of_all.append(True))
        return 2 * a

    of_lanes_last(watched, COUNT, (True, True), jnp.arange(COUNT), jnp.ones((3, COUNT)))
    jax.effects_barrier()
    assert seen == [3.0] * COUNT
    assert of_all == [True]


def compiled_text(function, *args):
    return jax.jit(function).lower(*args).compile().as_text()


def test_what_is_stored_is_not_joined_with_what_reads_it():
    """The compiler would join them to one kernel, and compute it anew for every term."""

    def kernels(kept):
        def summed(a):
            a = kept(jnp.abs(a) + 1)
            return sum(a[i] * a[i + 1] for i in range(len(a) - 1))

        return compiled_text(summed, jnp.ones((9, 4))).count(" fusion(")

    assert kernels(lambda a: a) == 1
    assert kernels(materialized) == 2


def test_steps_of_small_networks_call_no_matrix_product():
    def text(width):
        net = fnn.mlp((2, width, 1))
        problem = checked_problem(
            "test", net, fnn.squared_error, fnn.sgd(0.1), (X, X[:, :1]), batch_size=10,
            validation=None, metrics=None, monitor=None, mode="auto", stop=None,
        )  # fmt: skip

        def advanced(key):
            state = initial_state(problem, InitialState(key, jax.random.key(1)))
            first, last = jnp.int32(0), jnp.int32(2)
            packing = packing_of(problem.optimizer, state.train.params)
            state = repacked(state, packing.pack)
            state, _ = epochs_from(problem, packing, state, first, last, 2, scanned_lanes_last)
            return state.train.params

        keys = jax.random.split(jax.random.key(0), 3)
        assert is_small(net, 10) == (width < 300)
        return jax.jit(jax.vmap(advanced)).lower(keys).as_text()

    assert "dot_general" not in text(8)
    assert "dot_general" not in text(300), "long sums are written out too, if it comes to that"
    assert not is_small(fnn.Model(lambda key: (), lambda params, x: x), 10)
