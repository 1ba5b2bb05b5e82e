"""Checks of numbers, words and keys: what each accepts and refuses, in which words."""

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from refusals import refuses

from fnn._core import checks


@jax.jit
def traced(x):
    """A tracer is refused by nothing that looks at values."""
    assert checks.concrete(x) is None
    checks.finite("f", "x", x)
    return checks.real("f", "x", x, at_least=2, below=3), checks.integer("f", "n", x.astype(int))


# the wording


def test_every_error_is_worded_as_function_rule_and_what_was_given():
    checks.require(True, "fit", "epochs must be >= 1", 0)
    with refuses(ValueError, "fit: epochs must be >= 1; got 0"):
        checks.require(False, "fit", "epochs must be >= 1", 0)
    with refuses(TypeError, "fit: epochs must be an integer; got 'a'"):
        checks.require(False, "fit", "epochs must be an integer", repr("a"), TypeError)


def test_a_long_array_is_shown_by_its_shape_and_a_short_one_whole():
    rule = "adam: b1 must be a finite number >= 0 and < 1"
    with refuses(ValueError, f"{rule}; got [0.5, 2.0]"):
        checks.real("adam", "b1", [0.5, 2.0], at_least=0, below=1)
    with refuses(ValueError, f"{rule}; got float64 of shape (9,)"):
        checks.real("adam", "b1", [2.0] * 9, at_least=0, below=1)


# values


def test_concrete_values_are_numpy_arrays_and_tracers_are_unknown():
    for value in (2.0, np.float64(2), jnp.float32(2)):
        known = checks.concrete(value)
        assert type(known) is np.ndarray
        assert known == 2
    traced(jnp.float32(-7.0))


# real


@pytest.mark.parametrize(
    "value",
    [1, 1.5, np.float16(1), np.int8(1), np.array(1.0), ml_dtypes.bfloat16(1), [1.0, 1.5], (1, 1)],
    ids=repr,
)
def test_real_gives_numpy_float64_for_what_is_no_jax_array(value):
    got = checks.real("f", "x", value, at_least=1, below=2)
    assert isinstance(got, (np.float64, np.ndarray))
    assert got.dtype == np.float64
    assert np.shape(got) == np.shape(value)
    np.testing.assert_array_equal(got, np.asarray(value).astype(np.float64))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_real_gives_the_very_jax_array_it_was_given(dtype):
    for value in (jnp.asarray(1, dtype), jnp.ones(3, dtype)):
        assert checks.real("f", "x", value, at_least=1) is value


@pytest.mark.parametrize(
    ("value", "bounds", "interval"),
    [
        (0.0, {"above": 0}, " > 0"),
        (-1e-9, {"at_least": 0}, " >= 0"),
        (1.0, {"at_least": 0, "below": 1}, " >= 0 and < 1"),
        (1.5, {"at_least": 0, "at_most": 1}, " >= 0 and <= 1"),
        (np.nan, {}, ""),
        (np.nan, {"at_least": 0}, " >= 0"),
        (np.inf, {}, ""),
        (-np.inf, {}, ""),
        (np.inf, {"above": 0}, " > 0"),
        ([0.5, np.nan], {}, ""),
        (jnp.float32(-1), {"at_least": 0}, " >= 0"),
        (jnp.array([1.0, np.inf]), {"at_least": 0}, " >= 0"),
    ],
)
def test_real_refuses_what_is_not_finite_or_out_of_range(value, bounds, interval):
    rule = re.escape(f"f: x must be a finite number{interval}; got ")
    with pytest.raises(ValueError, match=f"^{rule}"):
        checks.real("f", "x", value, **bounds)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_real_takes_the_ends_of_a_closed_interval(value):
    assert checks.real("f", "x", value, at_least=0, at_most=1) == value


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.bool_(True),
        "1",
        None,
        1j,
        {},
        object(),
        [None],
        ["a"],
        jnp.array(True),
        jax.random.key(0),
    ],
)
def test_real_and_integer_refuse_what_is_no_real_number(value):
    with pytest.raises(TypeError, match=r"^f: x must be a finite number; got "):
        checks.real("f", "x", value)
    with pytest.raises(TypeError, match=r"^f: x must be an integer from 0 to 2147483647; got "):
        checks.integer("f", "x", value)


def test_real_and_integer_refuse_ragged_sequences():
    with refuses(ValueError, "f: x must be a finite number; got [[1], [1, 2]]"):
        checks.real("f", "x", [[1], [1, 2]])
    with refuses(ValueError, "f: n must be an integer from 0 to 2147483647; got [[1], [1, 2]]"):
        checks.integer("f", "n", [[1], [1, 2]])


@pytest.mark.parametrize(
    ("rank", "accepted", "refused"),
    [(0, [(), (3,)], [(3, 2), (1, 1, 1)]), (1, [(3,), (2, 3)], [(), (2, 2, 3)])],
)
def test_a_number_may_have_one_axis_more_than_its_rank_for_lanes(rank, accepted, refused):
    for make in (np.ones, jnp.ones):
        for shape in accepted:
            assert checks.real("f", "x", make(shape), rank=rank).shape == shape
            assert checks.integer("f", "x", make(shape, int), rank=rank).shape == shape
        for shape in refused:
            message = f"f: x must have rank {rank} (or {rank + 1}, one lane a row); got shape "
            with refuses(ValueError, message + str(shape)):
                checks.real("f", "x", make(shape), rank=rank)
            with refuses(ValueError, message + str(shape)):
                checks.integer("f", "x", make(shape, int), rank=rank)


def test_the_rank_of_a_tracer_is_checked_and_its_value_is_not():
    assert jax.jit(lambda x: checks.real("f", "x", x, above=0))(-1.0) == -1
    with pytest.raises(ValueError, match=r"^f: x must have rank 0 .*; got shape \(2, 2\)"):
        jax.jit(lambda x: checks.real("f", "x", x))(np.ones((2, 2)))
    with pytest.raises(TypeError, match="f: n must be an integer from 0 to 2147483647; got float"):
        jax.jit(lambda n: checks.integer("f", "n", n))(1.0)


# integer


@pytest.mark.parametrize("value", [0, 7, np.int64(7), np.uint8(7), 2**31 - 1, [1, 2]], ids=repr)
def test_integer_gives_numpy_int32(value):
    got = checks.integer("f", "n", value)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, value)
    given = jnp.asarray(got)
    assert checks.integer("f", "n", given) is given


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1.0, TypeError),
        (np.float32(2), TypeError),
        (0, ValueError),
        (-3, ValueError),
        (2**31, ValueError),
        (2**62, ValueError),
        ([1, 0], ValueError),
        (jnp.int32(0), ValueError),
    ],
)
def test_integer_refuses_floats_and_what_is_out_of_range(value, error):
    with pytest.raises(error, match=r"^f: n must be an integer from 1 to 2147483647; got "):
        checks.integer("f", "n", value, at_least=1)


# static arguments


@pytest.mark.parametrize("value", [1, 5, np.int64(5), np.uint8(5), jnp.int32(5), np.array(5)])
def test_count_gives_a_python_int(value):
    got = checks.count("f", "n", value)
    assert type(got) is int
    assert got == int(value)


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0, ValueError, "0"),
        (-1, ValueError, "-1"),
        (1.0, TypeError, "1.0"),
        (np.float64(2), TypeError, "np.float64(2.0)"),
        ("3", TypeError, "'3'"),
        (None, TypeError, "None"),
        (True, TypeError, "True"),
        ([1], TypeError, "[1]"),
    ],
)
def test_count_refuses_what_is_no_whole_number_large_enough(value, error, shown):
    with refuses(error, f"f: n must be an integer >= 1, known before compilation; got {shown}"):
        checks.count("f", "n", value)


def test_count_has_a_lowest_value_and_refuses_tracers():
    assert checks.count("f", "n", 0, at_least=0) == 0
    rule = "f: n must be an integer >= 2, known before compilation; got "
    with refuses(ValueError, f"{rule}1"):
        checks.count("f", "n", 1, at_least=2)
    with pytest.raises(TypeError, match=f"^{rule}.*Tracer"):
        jax.jit(lambda n: checks.count("f", "n", n, at_least=2))(3)


def test_flag_takes_bools_only():
    for value in (True, False, np.bool_(True), np.bool_(False)):
        assert checks.flag("f", "on", value) is bool(value)
    for value in (0, 1, "True", None, 1.0):
        with refuses(TypeError, f"f: on must be True or False; got {value!r}"):
            checks.flag("f", "on", value)


def test_choice_takes_a_name_or_a_function():
    table = {"relu": 1, "tanh": 2, "identity": 3}
    assert checks.choice("mlp", "activation", "tanh", table) == 2
    assert checks.choice("mlp", "activation", jnp.tanh, table) is jnp.tanh
    rule = "mlp: activation must be a function or one of relu, tanh, identity; got "
    with refuses(ValueError, f"{rule}'rellu' (did you mean 'relu'?)"):
        checks.choice("mlp", "activation", "rellu", table)
    with refuses(ValueError, f"{rule}'TanH' (did you mean 'tanh'?)"):
        checks.choice("mlp", "activation", "TanH", table)
    with refuses(ValueError, f"{rule}'qqq'"):
        checks.choice("mlp", "activation", "qqq", table)
    for value in (None, 3, ["relu"]):
        with refuses(TypeError, rule + repr(value)):
            checks.choice("mlp", "activation", value, table)


# keys


def test_a_typed_key_passes_and_an_old_one_is_typed():
    typed = jax.random.key(3)
    assert checks.key("fit", typed) is typed
    old = jax.random.PRNGKey(3)
    for value in (old, np.asarray(old)):
        assert jnp.array_equal(
            jax.random.key_data(checks.key("fit", value)), jax.random.key_data(typed)
        )
    assert jax.jit(lambda key: checks.key("fit", key))(old) == typed
    other = jax.random.key(3, impl="rbg")
    assert checks.key("fit", other) is other


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0, TypeError, "0"),
        (None, TypeError, "None"),
        ("key", TypeError, "'key'"),
        (np.ones(2, np.float32), TypeError, "float32 of shape (2,)"),
        (np.ones(2, np.int32), TypeError, "int32 of shape (2,)"),
        (np.ones(3, np.uint32), TypeError, "uint32 of shape (3,)"),
        (np.ones((4, 2), np.uint32), TypeError, "uint32 of shape (4, 2)"),
        (np.uint32(1) * np.ones((), np.uint32), TypeError, "np.uint32(1)"),
        (jnp.ones(2), TypeError, "float32 of shape (2,)"),
    ],
)
def test_what_is_no_key_is_refused(value, error, shown):
    with refuses(error, f"fit: key must be one PRNG key, such as jax.random.key(0); got {shown}"):
        checks.key("fit", value)


def test_many_keys_are_not_one_key():
    rule = "fit: key must be one PRNG key, such as jax.random.key(0); got keys of shape (4,)"
    with refuses(ValueError, rule):
        checks.key("fit", jax.random.split(jax.random.key(0), 4))
