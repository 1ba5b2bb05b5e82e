"""Data before training: splitting it, weighing its classes."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks

__all__ = ["class_weights", "train_test_split"]


def train_test_split(
    *arrays: Any, key: jax.Array, test_size: float = 0.25, stratify: Any = None
) -> list[Any]:
    """Random training and test parts of the rows, the same rows for every array.

    Runs on the host: the sizes of the parts are static.

    Args:
      *arrays: `(rows, ...)` each, all of one length; anything `np.asarray` accepts.
      key: A PRNG key.
      test_size: The share of rows in (0, 1), rounded up, or their number, in the test part.
      stratify: Integer labels `(rows,)` whose proportions both parts should have; every
        class needs two rows, and each part a row per class.
    Returns:
      `[train_1, test_1, train_2, test_2, ...]`: NumPy arrays, or JAX arrays where the argument is
      one, rows in random order.
    Raises:
      ValueError, TypeError: Lengths differ, a part would be empty, or the labels do not
        allow the split.

    >>> x, y = np.arange(8).reshape(8, 1), np.array([0, 1] * 4)
    >>> split = train_test_split(x, y, key=jax.random.key(0), stratify=y)
    >>> [part.shape for part in split], split[3].tolist()
    ([(6, 1), (2, 1), (6,), (2,)], [0, 1])
    """
    name = "train_test_split"
    key = checks.key(name, key)
    checks.require(bool(arrays), name, "there must be at least one array", "none")
    parts = [checks.rectangular(name, "every array", a) for a in arrays]
    checks.require(all(a.ndim for a in parts), name, "arrays must have rows", "a scalar")
    lengths = [len(a) for a in parts]
    rows = lengths[0]
    checks.require(len(set(lengths)) == 1, name, "arrays must have one length", lengths)
    test_rows = _test_rows(name, rows, test_size)
    order = np.asarray(jax.random.permutation(key, rows))
    if stratify is not None:
        order = _test_first(name, order, test_rows, stratify)
    test, train = order[:test_rows], order[test_rows:]
    return [part for array in parts for part in (array[train], array[test])]


def class_weights(labels: Any, num_classes: int) -> jax.Array:
    """A weight per class under which all classes count the same: scikit-learn's "balanced".

        weight_c = rows / (num_classes * rows of class c)

    `class_weights(y, k)[y]` are the weights of the rows.

    Args:
      labels: Integer labels `(rows,)` in [0, num_classes).
      num_classes: The number of classes. Static.
    Returns:
      Weights `(num_classes,)`, floating. Under a transformation a class without rows,
      which otherwise raises, gets weight 0.
    Raises:
      ValueError, TypeError: Labels are no labels of that many classes, or a class has no
        rows.

    >>> print(class_weights(np.array([0, 0, 0, 1]), 2))
    [0.6666667 2.       ]
    """
    name = "class_weights"
    num_classes = checks.count(name, "num_classes", num_classes)
    labels = _labels(name, "labels", labels)
    rows = labels.shape[0]
    known = checks.concrete(labels)
    if known is not None:
        low, high = known.min(), known.max()
        rule = f"labels must be from 0 to {num_classes - 1}"
        checks.require(low >= 0 and high < num_classes, name, rule, low if low < 0 else high)
        absent = sorted(set(range(num_classes)) - set(known.tolist()))
        checks.require(not absent, name, "every class must have rows", f"none of {absent}")
    one_hot = jax.nn.one_hot(labels.astype(np.int32), num_classes, dtype=np.int32)
    counts = jnp.sum(one_hot, axis=0).astype(float)
    return jnp.where(counts == 0, 0, rows / (num_classes * jnp.maximum(counts, 1)))


def _labels(function: str, name: str, labels: Any) -> Any:
    labels = checks.array(function, name, labels)
    rule = f"{name} must be integers of shape (rows,), at least one"
    checks.require(labels.dtype.kind in "biu", function, rule, labels.dtype, TypeError)
    checks.require(labels.ndim == 1 and labels.size > 0, function, rule, labels.shape)
    return labels


def _test_rows(function: str, rows: int, test_size: Any) -> int:
    if isinstance(test_size, (float, np.floating)):
        rule = "test_size must be a share in (0, 1), or a number of rows"
        checks.require(0 < test_size < 1, function, rule, test_size)
        test_rows = math.ceil(rows * float(test_size))
    else:
        test_rows = checks.count(function, "test_size", test_size)
    rule = "both parts must have rows"
    checks.require(test_rows < rows, function, rule, f"{test_rows} of {rows} rows to test on")
    return test_rows


def _test_first(function: str, order: np.ndarray, test_rows: int, stratify: Any) -> np.ndarray:
    """The order, changed so that its first `test_rows` hold each class in proportion."""
    labels = checks.concrete(_labels(function, "stratify", stratify))
    if labels is None:
        raise ValueError(f"{function}: stratify must be known before compilation; got a tracer")
    rows = len(order)
    checks.require(len(labels) == rows, function, f"stratify must have {rows} rows", len(labels))
    classes, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rule = "every class of stratify must have two rows"
    checks.require(counts.min() >= 2, function, rule, f"one of class {classes[counts.argmin()]}")
    fewest = min(test_rows, rows - test_rows)
    rule = f"each part must have a row for each of {len(classes)} classes"
    checks.require(fewest >= len(classes), function, rule, f"a part of {fewest} rows")
    share = counts * test_rows / rows
    taken = np.floor(share).astype(int)
    # the rows left over go to the classes that the rounding cost most
    most_lost = np.argsort(taken - share, kind="stable")
    taken[most_lost[: test_rows - taken.sum()]] += 1
    rank = np.empty(rows, int)
    for index in range(len(classes)):
        members = order[labels[order] == index]
        rank[members] = np.arange(len(members))
    tested = rank[order] < taken[labels[order]]
    return np.concatenate([order[tested], order[~tested]])
