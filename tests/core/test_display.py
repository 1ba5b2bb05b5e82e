"""Texts of values: short, without addresses, and of any value whatever."""

import collections
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn._core.display import call_text, text_of

Pair = collections.namedtuple("Pair", "first second")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (np.bool_(True), "True"),
        (1, "1"),
        (np.int32(5), "5"),
        (1e-8, "1e-08"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.1), "0.1"),
        (jnp.float32(0.1), "0.1"),
        (jnp.asarray(3), "3"),
        ("a", '"a"'),
        ('say "a"', r'"say \"a\""'),
        (np.dtype("float32"), '"float32"'),
        ((1,), "(1,)"),
        ((1, np.float64(2)), "(1, 2.0)"),
        ([np.int32(1), "b"], '[1, "b"]'),
        ({"a": np.bool_(False)}, '{"a": False}'),
        (Pair(1, np.float64(2)), "Pair(first=1, second=2.0)"),
        (np.zeros((2, 3), bool), "<bool[2,3]>"),
        (jax.ShapeDtypeStruct((2,), np.float32), "<float32[2]>"),
        (jax.random.key(0), "<key>"),
        (jax.random.split(jax.random.key(0), 3), "<3 keys>"),
        (fnn.huber, "huber"),
        (functools.partial(fnn.huber, delta=np.float64(0.5)), "partial(huber, delta=0.5)"),
        (jax.tree_util.Partial(fnn.huber, delta=0.5), "partial(huber, delta=0.5)"),
        (lambda x: x, "<lambda>"),
        (np.ndarray, "ndarray"),
        (object(), "<object>"),
    ],
)
def test_texts_of_single_values(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "rank", "text"),
    [
        (np.array([1e-4, 1e-3, 1e-1]), 0, "<3 values from 0.0001 to 0.1>"),
        (np.array([1 / 3, 2 / 3]), 0, "<2 values from 0.3333 to 0.6667>"),
        (np.array([0.5]), 0, "<1 value, all 0.5>"),
        (np.array([3, 3]), 0, "<2 values, all 3>"),
        (np.array([True, False]), 0, "<2 values>"),
        (np.zeros((0,)), 0, "<0 values>"),
        (np.array([3, 6]), 1, "[3, 6]"),
        (np.array([[1, 2]]), 2, "[[1, 2]]"),
        (np.arange(9), 1, "<9 values from 0 to 8>"),
        (np.arange(6).reshape(3, 2), 1, "<3 values of shape (2,) from 0 to 5>"),
        (jnp.arange(3), 0, "<3 values from 0 to 2>"),
    ],
)
def test_texts_of_arrays_in_configs(value, rank, text):
    assert text_of(value, rank=rank) == text


def test_floats_are_shown_with_so_many_digits():
    assert text_of([1 / 3, 12345.678, 3], digits=4) == "[0.3333, 1.235e+04, 3]"
    assert call_text("f", [1 / 3], {"x": jnp.float32(2 / 3)}, digits=2) == "f(0.33, x=0.67)"


def test_values_that_are_not_known_are_shown_by_dtype_and_shape():
    texts = []

    @jax.jit
    def traced(one, many):
        texts.append((text_of(one), text_of(many, rank=0)))
        return one

    program = jax.make_jaxpr(traced)(1.0, np.ones((2, 3), np.float32))
    assert texts == [("<traced float32>", "<traced float32[2,3]>")]
    assert len(program.eqns) == 1  # the call itself; to show a value computes nothing
    given_away = jnp.ones(2)
    given_away.delete()
    assert text_of(given_away, rank=0) == "<float32[2]>"


def test_values_are_shown_where_transfers_are_forbidden():
    array = jnp.arange(3)
    with jax.transfer_guard("disallow"):
        assert text_of(array, rank=0) == "<3 values from 0 to 2>"


@pytest.mark.parametrize(
    "value",
    [optax.adam(0.1), [jax.nn.relu, np.add, object(), fnn.Model(init=min, apply=max)], re.compile],
)
def test_no_text_has_an_address(value):
    assert " at 0x" not in text_of(value)
