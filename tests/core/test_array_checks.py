"""Checks of arrays, trees, objects and paths: what each accepts and refuses."""

import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from refusals import refuses

from fnn._core import checks

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
