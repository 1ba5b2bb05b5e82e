"""Folds: which rows a network trains on, and which are held out."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn._core import checks


class Split(NamedTuple):
    """Row numbers of one fold, int32; no row is in two parts."""

    train: np.ndarray
    test: np.ndarray
    """The held-out rows."""
    validation: np.ndarray
    """Rows taken from the training rows to watch the run by; may be empty."""


def splits_of(
    function: str,
    rows: int,
    folds: Any,
    *,
    key: jax.Array,
    repeats: int,
    stratify: np.ndarray | None,
    groups: np.ndarray | None,
    share: float | int | None,
    allow_incomplete: bool,
) -> list[list[Split]]:
    """The folds of each repeat.

    Args:
      function: The caller's name, for errors.
      rows: The number of rows.
      folds: Their number, "leave_one_out", or pairs of row numbers.
      key: A PRNG key.
      repeats: How many times the rows are divided anew.
      stratify: Labels `(rows,)` whose proportions each fold should have.
      groups: Labels `(rows,)`; no group is in two folds.
      share: The share or number of a fold's training rows for validation; None for none.
      allow_incomplete: Whether given pairs may hold rows out never, or more than once.
    Raises:
      ValueError, TypeError: As `cross_validate` says.
    """
    random = _random(key)
    rule = "either stratify or groups must be None"
    checks.require(stratify is None or groups is None, function, rule, "both")
    given = not isinstance(folds, (int, np.integer, str))
    if given:
        rule = "repeats must be 1 where folds are given, and stratify and groups None"
        fits = repeats == 1 and stratify is None and groups is None
        checks.require(fits, function, rule, "others")
        divided = [_checked_pairs(function, rows, folds, allow_incomplete)]
    else:
        if isinstance(folds, str):
            rule = "folds must be a number, 'leave_one_out', or pairs of row numbers"
            checks.require(folds == "leave_one_out", function, rule, repr(folds))
            folds = rows
        folds = checks.count(function, "folds", folds)
        rule = f"folds must be from 2 to the number of rows, {rows}"
        checks.require(2 <= folds <= rows, function, rule, folds)
        divided = [
            _pairs(_fold_of(function, rows, folds, random, stratify, groups), folds)
            for _ in range(repeats)
        ]
    return [
        [_with_validation(function, pair, share, random, stratify, groups) for pair in pairs]
        for pairs in divided
    ]


def whole_data(
    function: str,
    rows: int,
    *,
    key: jax.Array,
    stratify: np.ndarray | None,
    groups: np.ndarray | None,
    share: float | int | None,
) -> Split:
    """All rows, none held out, with a part of them for validation."""
    pair = np.arange(rows), np.arange(0)
    return _with_validation(function, pair, share, _random(key), stratify, groups)


def check_classes(function: str, splits: list[list[Split]], labels: np.ndarray) -> None:
    """Raises where a class has no row to train on in some fold."""
    classes, numbers = np.unique(labels, return_inverse=True)
    for pairs in splits:
        for fold, split in enumerate(pairs):
            counts = np.bincount(numbers[split.train], minlength=len(classes))
            rule = "each class must have training rows in each fold (stratify=True spreads them)"
            got = f"none of class {classes[counts.argmin()]} in fold {fold}"
            checks.require(counts.all(), function, rule, got)


def check_weights(function: str, splits: list[list[Split]], weights: np.ndarray) -> None:
    """Raises where all rows of a part weigh 0: its loss would be 0, better than any other."""
    for pairs in splits:
        for fold, split in enumerate(pairs):
            for part, rows in split._asdict().items():
                rule = "in each fold, weights of the rows of each part must not all be 0"
                counts = rows.size == 0 or (weights[rows] > 0).any()
                checks.require(counts, function, rule, f"only 0 in {part} of fold {fold}")


def labels_of_rows(function: str, name: str, labels: Any, rows: int) -> np.ndarray:
    """Labels `(rows,)` as integers from 0; anything that can be sorted is a label."""
    labels = np.asarray(checks.rectangular(function, name, labels))
    rule = f"{name} must be labels of the rows, ({rows},)"
    checks.require(labels.shape == (rows,), function, rule, labels.shape)
    try:
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:
        rule = f"{name} must be labels that can be sorted"
        got = " and ".join(sorted({type(label).__name__ for label in labels}))
        raise TypeError(f"{function}: {rule}; got {got}") from None


def _random(key: jax.Array) -> np.random.Generator:
    """Random numbers on the host."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def _fold_of(
    function: str,
    rows: int,
    folds: int,
    random: np.random.Generator,
    stratify: np.ndarray | None,
    groups: np.ndarray | None,
) -> np.ndarray:
    """The fold of each row, `(rows,)`."""
    fold = np.empty(rows, int)
    if groups is not None:
        sizes = np.bincount(groups)
        rule = f"there must be at least as many groups as folds, {folds}"
        checks.require(len(sizes) >= folds, function, rule, len(sizes))
        # the largest groups first, each to the smallest fold, equal ones in random order
        filled, of_group = np.zeros(folds, int), np.empty(len(sizes), int)
        shuffled = random.permutation(len(sizes))
        for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
            of_group[group] = filled.argmin()
            filled[of_group[group]] += sizes[group]
        return of_group[groups]
    order = random.permutation(rows)
    if stratify is not None:
        fewest = np.bincount(stratify).min()
        rule = f"each class of stratify must have at least as many rows as there are folds, {folds}"
        checks.require(fewest >= folds, function, rule, f"a class of {fewest}")
        order = order[np.argsort(stratify[order], kind="stable")]
    # in turn, so that folds, and the classes in them, are equal to within a row
    fold[order] = np.arange(rows) % folds
    return fold


def _pairs(fold: np.ndarray, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and held-out rows of each fold."""
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number))
            for number in range(folds)]  # fmt: skip


def _checked_pairs(
    function: str, rows: int, folds: Any, allow_incomplete: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Given pairs of training and held-out rows."""
    rule = "folds must be a number, 'leave_one_out', or pairs (train, test) of row numbers"
    checks.require(isinstance(folds, Iterable), function, rule, repr(folds), TypeError)
    pairs = list(folds)
    checks.require(pairs, function, "there must be at least one fold", "none")
    checked = []
    for number, pair in enumerate(pairs):
        is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
        checks.require(is_pair, function, rule, f"{type(pair).__name__} as fold {number}")
        train, test = (_row_numbers(function, f"rows of fold {number}", part, rows)
                       for part in pair)  # fmt: skip
        shared = np.intersect1d(train, test)
        rule = "no row of a fold may be both trained on and held out"
        checks.require(shared.size == 0, function, rule, f"row {shared[:1]} in fold {number}")
        checked.append((train, test))
    if not allow_incomplete:
        times = np.bincount(np.concatenate([test for _, test in checked]), minlength=rows)
        rule = "each row must be held out in one fold (or allow_incomplete=True)"
        wrong = np.flatnonzero(times != 1)
        got = f"row {wrong[0]} in {times[wrong[0]]}" if wrong.size else ""
        checks.require(wrong.size == 0, function, rule, got)
    return checked


def _row_numbers(function: str, name: str, part: Any, rows: int) -> np.ndarray:
    part = np.asarray(checks.rectangular(function, name, part))
    rule = f"{name} must be different integers from 0 to {rows - 1}, at least one"
    is_list = part.ndim == 1 and part.size > 0 and part.dtype.kind in "iu"
    checks.require(is_list, function, rule, f"{part.dtype}{part.shape}")
    in_range = part.min() >= 0 and part.max() < rows
    checks.require(in_range, function, rule, f"from {part.min()} to {part.max()}")
    checks.require(len(np.unique(part)) == len(part), function, rule, "a row twice")
    return part.astype(np.int32)


def _with_validation(
    function: str,
    pair: tuple[np.ndarray, np.ndarray],
    share: float | int | None,
    random: np.random.Generator,
    stratify: np.ndarray | None,
    groups: np.ndarray | None,
) -> Split:
    """The fold, with a part of its training rows for validation."""
    train, test = (part.astype(np.int32) for part in pair)
    if share is None:
        return Split(train, test, train[:0])
    taken = math.ceil(share * len(train)) if isinstance(share, float) else share
    rule = "validation must leave rows to train on"
    checks.require(taken < len(train), function, rule, f"{taken} of {len(train)}")
    order = random.permutation(len(train))
    if groups is not None:  # whole groups, in random order
        rank = random.permutation(groups.max() + 1)
        order = order[np.argsort(rank[groups[train[order]]], kind="stable")]
        ends = np.flatnonzero(np.diff(groups[train[order]]) != 0) + 1
        rule = "validation must leave a group to train on"
        checks.require(ends.size > 0, function, rule, "one group of training rows")
        taken = ends[np.abs(ends - taken).argmin()]
    elif stratify is not None:  # every so many rows of each class
        order = order[np.argsort(stratify[train[order]], kind="stable")]
        chosen = np.linspace(0, len(train), taken, endpoint=False).astype(int)
        order = np.concatenate([order[chosen], np.delete(order, chosen)])
    validation, rest = train[order[:taken]], train[order[taken:]]
    return Split(np.sort(rest), test, np.sort(validation))
