"""What is to be learnt from a table: the guess, the columns, the rows, and what is refused."""

from decimal import Decimal

import jax
import numpy as np
import pyarrow as pa
import pytest
from small_tables import people

import fnn
from fnn.cli.task import problem_of, task_of

KEY = jax.random.key(0)


def table(**columns):
    return pa.table(columns)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"] * 10, "classification"),
        ([True, False] * 10, "classification"),
        ([0, 1] * 3, "classification"),
        ([3, 7, 9] * 5, "classification"),
        ([1.0, 2.0] * 10, "classification"),
        (list(range(20)) * 5, "classification"),
        (list(range(21)) * 5, "regression"),
        (list(range(5)) * 4, "regression"),
        (list(range(100)), "regression"),
        ([0.5, 1.0] * 10, "regression"),
        ([Decimal("0.50"), Decimal("1.00")] * 10, "regression"),
        ([Decimal(1), Decimal(2)] * 10, "classification"),
    ],
)
def test_the_problem_is_guessed_by_the_target(values, kind):
    found = problem_of(pa.chunked_array([values]))
    assert found.kind == kind
    assert found.because.startswith("as it holds ")


def test_a_guess_can_be_overruled():
    x, y = np.random.default_rng(0).normal(size=60), [1, 2, 3] * 20
    assert task_of(table(x=x, y=y), "y", key=KEY).encoder.classes == (1, 2, 3)
    task = task_of(table(x=x, y=y), "y", problem="regression", key=KEY)
    assert task.encoder.classes is None
    assert task.train.y.dtype == np.float64


def test_columns_of_which_nothing_can_be_learnt_are_left_out_with_a_reason():
    task = task_of(pa.Table.from_pylist(people()), "ill", key=KEY, ignored=["born"])
    assert task.left_out == {
        "row": "it counts the rows",
        "name": "it has 43 different texts in 43 rows",
        "planet": "it is the same in all rows",
        "nothing": "it has no values",
        "born": "to be ignored",
    }
    assert task.encoder.names == [
        "age", "age is missing", "home = boat", "home = flat", "home = house", "home is missing",
        "home is other", "smokes",
    ]  # fmt: skip
    assert task.missing == {"age": 7, "home": 5, "smokes": 0}


def test_every_row_is_in_one_part_and_classes_are_in_all():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [40, 30, 30]))
    x = np.random.default_rng(1).normal(size=100)
    task = task_of(table(x=x, y=labels), "y", key=KEY)
    parts = [task.train, task.validation, task.test]
    assert [len(part.y) for part in parts] == [72, 8, 20]
    assert sorted(np.concatenate([part.x[:, 0] for part in parts])) == sorted(x)
    assert [np.bincount(part.y).tolist() for part in parts[1:]] == [[3, 3, 2], [8, 6, 6]]


def test_few_rows_of_many_classes_are_split():
    x, y = np.random.default_rng(0).normal(size=30), ["a", "b", "c", "d", "e"] * 6
    task = task_of(table(x=x, y=y), "y", key=KEY)
    sizes = [np.bincount(part.y) for part in (task.train, task.validation, task.test)]
    assert [part.sum() for part in sizes] == [19, 5, 6]
    assert [part.min() for part in sizes] == [3, 1, 1]


def test_the_encoder_knows_only_the_rows_to_train_on():
    x = np.random.default_rng(0).normal(size=50)
    x[::5] = np.nan
    task = task_of(
        pa.table({"x": pa.array(x, from_pandas=True), "y": x.round() == 0}), "y", key=KEY
    )
    (column,) = task.encoder.columns
    there = task.train.x[task.train.x[:, 1] == 0, 0]
    assert column.fill == pytest.approx(there.mean())
    assert column.fill != pytest.approx(np.nanmean(x))


def test_rows_without_the_target_are_left_out():
    y = [None, "a", "b", "a", "b"] * 8
    task = task_of(table(x=np.arange(40.0), y=y), "y", key=KEY)
    assert task.unlabelled == 8
    assert sum(len(part.y) for part in (task.train, task.validation, task.test)) == 32


X = np.random.default_rng(0).normal(size=20).tolist()


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"Age": X, "ill": X}, {"target": "age"}, r"got 'age' \(did you mean 'Age'\?\)"),
        ({"x": X, "y": X}, {"ignored": ["z"]}, "it has x, y; got 'z'"),
        ({"x": X, "y": [None] * 20}, {}, "target 'y' must have values; got nothing but missing"),
        ({"x": X, "y": ["a"] * 20}, {}, "target 'y' must have two values at least; got only 'a'"),
        ({"x": X, "y": [None] * 9 + [3] * 11}, {}, "'y' must have two values at least; got only 3"),
        ({"x": X, "y": [*"aaaaaaaaaaaaaaaaaabb"]}, {},
         "each class of target 'y' must have 3 rows at least; got 2 rows of 'b'"),
        ({"x": X, "y": [*"ab"] * 10}, {"problem": "regression"}, "'y' must hold numbers for a reg"),
        ({"x": X, "y": X}, {"problem": "classification"}, "'y' must hold integers for a class"),
        ({"x": [1.0] * 20, "y": X}, {}, "a column to learn from; got 'x': it is the same in all"),
        ({"y": X}, {}, "a column to learn from; got the target alone"),
        ({"x": [np.inf, *X[1:]], "y": X}, {}, "column 'x' must hold finite numbers"),
        ({"x": [1e-300 * x for x in X], "y": X}, {}, "must hold numbers that differ by 1e-30"),
        ({"x": [[1.0]] * 20, "y": X}, {}, "column 'x' must hold numbers, booleans, dates"),
        ({"x": X[:4], "y": X[:4]}, {"test_size": 0.99}, "both parts must have rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_refused_with_the_column(columns, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        task_of(table(**columns), **({"target": "y", "key": KEY} | options))


def test_the_split_follows_the_key():
    rows = table(x=X, y=X)
    first, again, other = (
        task_of(rows, "y", key=jax.random.key(seed)).test.y.tolist() for seed in (1, 1, 2)
    )
    assert first == again != other
    assert isinstance(task_of(rows, "y", key=KEY).encoder, fnn.Encoder)
