"""Checks: what each accepts, what it refuses, and in which words."""

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from fnn import checks


def refuses(error, message):
    """The whole message, taken literally."""
    return pytest.raises(error, match=f"^{re.escape(message)}$")


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


# arrays


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([[1, 2], [3, 4]], "int32"),
        ([1.0, 2.0], "float32"),
        ((True, False), "bool"),
        (3, "int32"),
        (np.ones(2, np.float64), "float32"),
        (np.ones(2, np.float16), "float16"),
        (np.ones(2, np.uint8), "uint8"),
        (np.ones(2, np.uint64), "uint32"),
        (np.ones(2, ml_dtypes.bfloat16), "bfloat16"),
        (np.zeros((0, 3)), "float32"),
        (np.zeros((0,), np.int64), "int32"),
        ([], "float32"),
    ],
)
def test_array_takes_what_asarray_takes_at_the_precision_of_jax(value, dtype):
    got = checks.array("fit", "x", value)
    assert isinstance(got, np.ndarray)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.asarray(value))


def test_array_keeps_double_precision_where_jax_does(x64):
    assert checks.array("fit", "x", [1.0, 2.0]).dtype == np.float64
    assert checks.array("fit", "x", [2**40]).dtype == np.int64


def test_array_gives_jax_arrays_and_tracers_as_they_are():
    x = jnp.ones(3)
    assert checks.array("fit", "x", x) is x
    assert jax.jit(lambda x: checks.array("fit", "x", x) is x and 1.0)(np.nan) == 1


def test_array_and_finite_leave_the_given_array_alone():
    x = np.array([1.0, 2.0])
    got = checks.array("fit", "x", x)
    got[0] = 9.0
    assert x[0] == 1.0


@pytest.mark.parametrize("value", [["a", "b"], np.array("a"), [b"a"], [None, 1], {"a": 1}, {1}])
def test_array_tells_how_names_become_labels(value):
    rule = "fit: y must hold numbers (turn names into integer labels with names, labels = "
    rule += "np.unique(y, return_inverse=True)); got "
    with pytest.raises(TypeError, match=f"^{re.escape(rule)}"):
        checks.array("fit", "y", value)


@pytest.mark.parametrize(
    "value",
    [[1j], np.array("2020-01-01", "datetime64[D]"), np.timedelta64(1, "s"), jax.random.key(0)],
    ids=["complex", "date", "duration", "key"],
)
def test_array_refuses_what_is_not_real(value):
    with pytest.raises(TypeError, match=r"^fit: x must hold real numbers; got dtype "):
        checks.array("fit", "x", value)


@pytest.mark.parametrize("check", [checks.array, checks.rectangular])
def test_arrays_refuse_ragged_rows(check):
    message = "fit: x must be an array, all of its rows of one shape; "
    with refuses(ValueError, f"{message}got rows of different shapes"):
        check("fit", "x", [[1, 2], [3]])


def test_rectangular_takes_any_dtype():
    for value in (["a", "b"], [1, 2], 3.0, np.array([None])):
        np.testing.assert_array_equal(checks.rectangular("f", "x", value), np.asarray(value))
    x = jnp.ones(2)
    assert checks.rectangular("f", "x", x) is x


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([2**40, 1], "int32; got values from 1 to 1099511627776"),
        ([1, -(2**40)], "int32; got values from -1099511627776 to 1"),
        (np.array([2**32], np.uint64), "uint32; got values from 4294967296 to 4294967296"),
    ],
)
def test_array_refuses_integers_that_would_wrap_around(value, shown):
    with refuses(ValueError, f"fit: y must fit {shown}"):
        checks.array("fit", "y", value)


def test_array_tells_of_values_that_float32_cannot_hold():
    with refuses(ValueError, "fit: x must fit float32; got values from 1.0 to 1e+300"):
        checks.array("fit", "x", np.array([1.0, 1e300]))


@pytest.mark.parametrize("table", [[[True, 1.5], [False, 2.5]], [[1, 0.5]]])
def test_array_takes_a_table_with_columns_of_several_kinds(table):
    given = np.array(table, object)
    np.testing.assert_array_equal(checks.array("fit", "x", given), np.array(table, np.float32))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([[0.0, 1.0], [np.nan, 2.0]], "nan at index (1, 0)"),
        ([0.0, -np.inf, np.nan], "-inf at index (1,)"),
        (np.array(np.inf), "inf at index ()"),
        (jnp.array([1.0, np.nan]), "nan at index (1,)"),
        (np.array([1.0, np.nan], ml_dtypes.bfloat16), "nan at index (1,)"),
    ],
)
def test_array_tells_where_it_is_not_finite(value, shown):
    with refuses(ValueError, f"fit: x must be finite everywhere; got {shown}"):
        checks.array("fit", "x", value)


# trees


def test_trees_of_one_structure_pass_whatever_their_values():
    tree = {"w": jnp.ones((2, 3)), "b": None, "n": np.int32(1)}
    checks.same_structure("f", "params", tree, jax.tree.map(lambda x: x * 0, tree))
    checks.same_structure("f", "params", {}, {})


@pytest.mark.parametrize(
    ("given", "listed"),
    [
        ({"w": jnp.ones((2, 1)), "b": jnp.ones(2)}, "  ['b']: float32(2,)\n  ['w']: float32(2, 1)"),
        ({"w": jnp.ones((2, 3))}, "  ['w']: float32(2, 3)"),
        (
            {"w": jnp.ones((2, 3), jnp.bfloat16), "b": jnp.ones(3)},
            "  ['b']: float32(3,)\n  ['w']: bfloat16(2, 3)",
        ),
        (jnp.ones((2, 3)), "  the tree: float32(2, 3)"),
        ((), "  (no arrays)"),
    ],
)
def test_trees_that_differ_are_both_shown(given, listed):
    expected = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    wanted = "  ['b']: float32(3,)\n  ['w']: float32(2, 3)"
    message = f"f: params must have the structure\n{wanted}\n; got\n{listed}"
    with refuses(ValueError, message):
        checks.same_structure("f", "params", expected, given)


def test_trees_that_differ_only_in_their_containers_are_told_apart():
    with pytest.raises(
        ValueError, match=r"^f: params must be PyTreeDef\(\(\*,\)\); got PyTreeDef\(\[\*\]\)"
    ):
        checks.same_structure("f", "params", (jnp.ones(1),), [jnp.ones(1)])


# trees, words, objects and paths


def test_a_tree_of_floats_is_taken_at_jaxs_precision_and_another_leaf_is_named():
    leaf = jnp.ones(2)
    taken = checks.floats("adam", "params", {"a": leaf, "b": np.ones(2, ">f8"), "c": [0.5]})
    assert taken["a"] is leaf
    assert taken["b"].dtype == np.float32
    assert taken["b"].dtype.isnative
    assert taken["c"] == [0.5]
    with refuses(TypeError, "adam: params['b'][0] must be floating; got int32"):
        checks.floats("adam", "params", {"a": leaf, "b": [np.ones(2, np.int32)]})


def test_extended_precision_is_taken_if_it_fits():
    one = np.ones(2, np.longdouble)
    assert checks.array("fit", "x", one).dtype == np.float32
    with pytest.raises(ValueError, match=r"^fit: x must fit float32; got values from 1e"):
        checks.array("fit", "x", 1e300 * one)


def test_one_number_is_not_those_of_many_lanes():
    assert checks.one_real("halving", "factor", 3.0, above=1) == 3
    with refuses(ValueError, "halving: factor must be one number; got shape (2,)"):
        checks.one_real("halving", "factor", [2.0, 3.0])


def test_a_count_may_have_a_highest_value():
    assert checks.count("fit", "epochs", 3, at_most=3) == 3
    with refuses(ValueError, "fit: epochs must be <= 3; got 4"):
        checks.count("fit", "epochs", 4, at_most=3)


def test_words_are_compared_as_words():
    checks.word("mlp", "norm", None, None, "layer")
    with refuses(ValueError, "fit: mode must be 'auto', 'min' or 'max'; got ['min', 'max']"):
        checks.word("fit", "mode", ["min", "max"], "auto", "min", "max")
    with pytest.raises(ValueError, match=r"^fit: mode must be 'min' or 'max'; got array"):
        checks.word("fit", "mode", np.array(["min", "max"]), "min", "max")


def test_an_object_has_functions_and_is_no_class():
    class Own:
        init = apply = staticmethod(abs)

    checks.functions("fit", "net", Own(), "init", "apply")
    with refuses(TypeError, "fit: net must have pure functions init and update; got Own"):
        checks.functions("fit", "net", Own(), "init", "update")
    with pytest.raises(TypeError, match=r"got <class '.*Own'>$"):
        checks.functions("fit", "net", Own, "init", "apply")


def test_a_path_is_text_or_what_stands_for_it():
    assert str(checks.path("save", "path", b"a/b")) == "a/b"
    for bad in ("", "a\0b"):
        with refuses(ValueError, f"save: path must be a path of the file system; got {bad!r}"):
            checks.path("save", "path", bad)
    with refuses(TypeError, "save: path must be a path of the file system; got 3"):
        checks.path("save", "path", 3)
