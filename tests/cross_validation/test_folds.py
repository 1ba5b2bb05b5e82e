"""Folds: each row held out once, classes in proportion, groups whole."""

import jax
import numpy as np
import pytest

from fnn.cross_validation.folds import splits_of, whole_data

LABELS = np.repeat([0, 1, 2], [20, 15, 12])
GROUPS = np.repeat(np.arange(12), np.arange(1, 13))


def splits(rows=47, folds=5, **options):
    options = {
        "key": jax.random.key(0),
        "repeats": 1,
        "stratify": None,
        "groups": None,
        "share": None,
        "allow_incomplete": False,
        **options,
    }
    return splits_of("f", rows, folds, **options)


@pytest.mark.parametrize("share", [None, 0.25, 3])
@pytest.mark.parametrize(
    ("rows", "options"),
    [
        (47, {}),
        (47, {"stratify": LABELS}),
        (78, {"groups": GROUPS, "folds": 4}),
        (9, {"folds": "leave_one_out"}),
        (10, {"folds": 10}),
    ],
)
def test_every_row_is_held_out_once_and_trained_on_in_the_other_folds(rows, options, share):
    for pairs in splits(rows, share=share, repeats=2, **options):
        held_out = np.concatenate([split.test for split in pairs])
        np.testing.assert_array_equal(np.sort(held_out), np.arange(rows))
        for split in pairs:
            assert len(split.train)
            assert len(split.test)
            np.testing.assert_array_equal(np.sort(np.concatenate(split)), np.arange(rows))
            assert (len(split.validation) > 0) == (share is not None)


def test_folds_differ_by_one_row_at_most():
    sizes = [len(split.test) for split in splits()[0]]
    assert sorted(sizes) == [9, 9, 9, 10, 10]
    sizes = [len(split.test) for split in splits(stratify=LABELS)[0]]
    assert sorted(sizes) == [9, 9, 9, 10, 10]


def test_stratified_folds_have_the_classes_in_proportion():
    for split in splits(stratify=LABELS, share=0.25)[0]:
        assert (abs(np.bincount(LABELS[split.test]) - np.array([20, 15, 12]) / 5) < 1).all()
        of_validation = np.bincount(LABELS[split.validation], minlength=3)
        expected = np.bincount(LABELS[np.concatenate([split.train, split.validation])]) / 4
        assert (abs(of_validation - expected) <= 1).all()


def test_groups_are_in_one_fold_and_in_one_part_of_it():
    for split in splits(78, 4, groups=GROUPS, share=0.25)[0]:
        train, test, validation = (set(GROUPS[part]) for part in split)
        assert not train & test
        assert not train & validation
        assert not validation & test
    sizes = [len(split.test) for split in splits(78, 4, groups=GROUPS)[0]]
    assert max(sizes) - min(sizes) <= 3, "the largest group has 12 rows"


def test_repeats_and_keys_divide_anew_and_the_same_key_alike():
    first, second = splits(repeats=2)
    assert (first[0].test != second[0].test[: len(first[0].test)]).any()
    again = splits(repeats=2)
    np.testing.assert_array_equal(again[1][3].train, second[3].train)
    other = splits(key=jax.random.key(1))[0]
    assert set(other[0].test) != set(first[0].test)


def test_scikit_learns_splitters_can_be_handed_over():
    selection = pytest.importorskip("sklearn.model_selection")
    x = np.zeros((47, 1))
    given = list(selection.StratifiedKFold(4).split(x, LABELS))
    for split, (train, test) in zip(splits(folds=given)[0], given, strict=True):
        np.testing.assert_array_equal(split.train, train)
        np.testing.assert_array_equal(split.test, test)
    generator = selection.ShuffleSplit(3, random_state=0).split(x)
    (pairs,) = splits(folds=generator, allow_incomplete=True)
    assert len(pairs) == 3


def test_all_rows_with_some_for_validation():
    options = {"key": jax.random.key(0), "stratify": LABELS, "groups": None}
    whole = whole_data("f", 47, share=0.2, **options)
    assert len(whole.validation) == 10
    np.testing.assert_array_equal(np.sort(np.concatenate(whole)), np.arange(47))


PAIR = ([0, 1], [2, 3, 4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds must be from 2 to the number of rows, 5; got 1"),
        ({"folds": 6}, "folds must be from 2 to the number of rows, 5; got 6"),
        ({"folds": "each"}, "or pairs of row numbers; got 'each'"),
        ({"folds": []}, "there must be at least one fold; got none"),
        ({"folds": [[0, 1, 2]]}, r"pairs \(train, test\) of row numbers; got list as fold 0"),
        ({"folds": [PAIR, ([2, 0], [0, 1])]}, r"both trained on and held out; got row \[0\]"),
        ({"folds": [PAIR]}, "held out in one fold .*; got row 0 in 0"),
        ({"folds": [PAIR, ([3], [0, 1, 2])]}, "held out in one fold .*; got row 2 in 2"),
        ({"folds": [([0, 5], [1])]}, "rows of fold 0 must be different integers from 0 to 4"),
        ({"folds": [([0, -1], [1])]}, "rows of fold 0 must be different integers from 0 to 4"),
        ({"folds": [([0, 0], [1])]}, "a row twice"),
        ({"folds": [([], [1])]}, "at least one"),
        ({"folds": [([0.5], [1])]}, "different integers"),
        ({"folds": [PAIR], "repeats": 2}, "repeats must be 1 where folds are given"),
        ({"stratify": np.array([0, 0, 0, 0, 1]), "folds": 2}, "as many rows as .* a class of 1"),
        ({"groups": np.zeros(5, int), "folds": 2}, "as many groups as folds, 2; got 1"),
        ({"groups": np.zeros(5, int), "stratify": np.zeros(5, int)}, "must be None; got both"),
        ({"share": 4, "folds": 5}, "validation must leave rows to train on; got 4 of 4"),
        ({"groups": np.array([0, 0, 0, 1, 1]), "folds": 2, "share": 1}, "leave a group"),
    ],
)
def test_what_cannot_be_divided_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        splits(5, **options)
