"""Data frames as arrays, as scikit-learn's encoders make them, from pandas and Polars alike."""

import datetime
import json
import pickle
import sys
import time

import jax
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

import fnn

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

DAYS = [datetime.datetime(2026, 11, day, 12) for day in (1, 2, 3, 4, 5)]
CONTENTS = {
    "age": [20.0, None, 40.0, 60.0, None],
    "rooms": [1, 2, 3, 4, 5],
    "home": ["b", "a", None, "b", "c"],
    "kind": ["x", "y", "x", "y", "x"],
    "paid": [True, False, None, True, True],
    "seen": DAYS,
    "left": ["no", "yes", "no", "yes", "no"],
}


@pytest.fixture(params=[pandas.DataFrame, polars.DataFrame, dict], ids=["pandas", "polars", "dict"])
def made(request):
    return request.param


def test_numbers_and_categories_are_encoded_as_by_scikit_learn(made):
    encoded = fnn.encode(made({name: CONTENTS[name] for name in ("age", "rooms", "kind")}))
    frame = pandas.DataFrame(CONTENTS)
    theirs = ColumnTransformer([
        ("numbers", SimpleImputer(add_indicator=True), ["age", "rooms"]),
        ("kinds", OneHotEncoder(sparse_output=False), ["kind"]),
    ]).fit_transform(frame)  # fmt: skip
    names = encoded.encoder.names
    assert names == ["age", "age is missing", "rooms", "kind = x", "kind = y", "kind is other"]
    np.testing.assert_array_equal(encoded.x[:, [0, 2, 1, 3, 4]], theirs)
    np.testing.assert_array_equal(encoded.x[:, 5], 0)
    assert encoded.x.dtype == np.float64
    assert encoded.y is None


def test_missing_categories_booleans_and_times(made):
    encoded = fnn.encode(made(CONTENTS), "left")
    x = dict(zip(encoded.encoder.names, encoded.x.T.tolist(), strict=True))
    assert x["home is missing"] == [0, 0, 1, 0, 0]
    assert x["home = b"] == [1, 0, 0, 1, 0]
    assert x["paid"] == [1, 0, 0.75, 1, 1]
    assert x["paid is missing"] == [0, 0, 1, 0, 0]
    utc = datetime.UTC
    assert x["seen"] == [day.replace(tzinfo=utc).timestamp() for day in DAYS]
    assert encoded.y.tolist() == [0, 1, 0, 1, 0]
    assert encoded.y.dtype == np.int32
    assert encoded.encoder.classes == ("no", "yes")
    assert encoded.encoder.decode(encoded.y).tolist() == CONTENTS["left"]
    assert encoded.encoder.decode(np.array([[0.1, 2.0], [3.0, 1.0]])).tolist() == ["yes", "no"]


def test_dates_and_durations_are_seconds(made):
    contents = {
        "day": [day.date() for day in DAYS],
        "for": [datetime.timedelta(hours=hours) for hours in range(5)],
    }
    frame = made(contents)
    if made is pandas.DataFrame:
        frame["day"] = pandas.to_datetime(frame["day"])
    encoded = fnn.encode(frame)
    np.testing.assert_array_equal(np.diff(encoded.x[:, 0]), 24 * 3600)
    np.testing.assert_array_equal(encoded.x[:, 1], 3600 * np.arange(5))


def test_new_rows_are_encoded_like_the_old(made):
    encoder = fnn.encode(made(CONTENTS), "left").encoder
    new = made({
        "seen": [DAYS[0], None], "kind": ["z", "x"], "more": [1, 2], "home": [None, "z"],
        "paid": [None, False], "rooms": [None, 3], "age": [float("nan"), 7.0],
    })  # fmt: skip
    x = dict(zip(encoder.names, encoder(new).T.tolist(), strict=True))
    assert x["kind is other"] == [1, 0]
    assert x["home is other"] == [0, 1]
    assert x["home is missing"] == [1, 0]
    assert x["age"] == [40, 7]
    assert x["age is missing"] == [1, 0]
    assert x["rooms"] == [3, 3], "the mean, as none was missing before"
    assert x["seen"] == [x["seen"][0], np.mean([*map(datetime.datetime.timestamp, [
        day.replace(tzinfo=datetime.UTC) for day in DAYS])])]  # fmt: skip
    unknown = fnn.encode(made(CONTENTS), "left", unknown="error").encoder
    with pytest.raises(ValueError, match="column 'home' must hold categories seen before; got 'z'"):
        unknown(new)


def test_categories_become_codes_for_embeddings(made):
    frame = made({"home": ["b", None, "a"], "age": [1.0, 2.0, 3.0], "town": ["x", "x", "y"]})
    encoded = fnn.encode(frame, categories="codes")
    encoder = encoded.encoder
    assert encoder.names == ["home", "age", "town"]
    assert encoded.x.tolist() == [[2, 1, 1], [3, 2, 1], [1, 3, 2]]
    assert encoder.embeddings == {0: (4, 3), 2: (3, 3)}
    new = made({"home": ["new", None], "age": [0.0, 0.0], "town": ["y", None]})
    assert encoder(new).tolist() == [[0, 0, 2], [3, 0, 0]], "0 is for others"
    assert fnn.Encoder.from_dict(json.loads(json.dumps(encoder.to_dict()))) == encoder
    net = fnn.mlp((3, 4, 2), embeddings=encoder.embeddings)
    assert net.apply(net.init(jax.random.key(0)), encoder(new)).shape == (2, 2)
    strict = fnn.encode(frame, categories="codes", unknown="error").encoder
    with pytest.raises(ValueError, match="column 'home' must hold categories seen before"):
        strict(new)
    assert fnn.encode(frame).encoder.embeddings == {}
    many = made({"word": [f"word {index}" for index in range(99)]})
    width = fnn.encode(many, categories="codes").encoder.embeddings[0][1]
    assert width == 21, "of 100 codes, as fastai's emb_sz_rule"


def test_targets_are_classes_or_values(made):
    frame = made({"a": [1.0, 2.0, 3.0], "value": [0.5, 1.5, 2.5], "count": [3, 1, 3]})
    assert fnn.encode(frame, "value").y.tolist() == [0.5, 1.5, 2.5]
    with pytest.raises(ValueError, match="holds integers, so task must be"):
        fnn.encode(frame, "count")
    assert fnn.encode(frame, "count", task="regression").y.tolist() == [3, 1, 3]
    labels = fnn.encode(frame, "count", task="classification")
    assert labels.y.tolist() == [1, 0, 1]
    assert labels.encoder.classes == (1, 3)
    assert labels.encoder.targets(made({"count": [3, 3, 1]})).tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="'count' must hold the classes 1, 3; got 2"):
        labels.encoder.targets(made({"count": [2]}))
    flags = fnn.encode(made({"a": [1.0, 2.0], "ok": [True, False]}), "ok")
    assert flags.encoder.classes == (False, True)
    assert flags.y.tolist() == [1, 0]


def test_an_encoder_is_a_value_that_can_be_written_down(made, tmp_path):
    encoder = fnn.encode(made(CONTENTS), "left").encoder
    again = fnn.Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert again == encoder
    assert pickle.loads(pickle.dumps(encoder)) == encoder
    assert fnn.encode(made(CONTENTS)).encoder != encoder
    fnn.save(tmp_path / "net", {"w": np.ones(2)}, metadata={"encoder": encoder.to_dict()})
    kept = fnn.load_metadata(tmp_path / "net")["encoder"]
    np.testing.assert_array_equal(fnn.Encoder.from_dict(kept)(made(CONTENTS)),
                                  encoder(made(CONTENTS)))  # fmt: skip
    assert repr(encoder).startswith("Encoder(columns={'age': 'number'") or '"age"' in repr(encoder)
    assert "\n" not in repr(encoder)


def test_categoricals_and_objects_of_pandas():
    frame = pandas.DataFrame({
        "size": pandas.Categorical(["l", "s", None], categories=["s", "m", "l"]),
        "flag": pandas.Series([True, None, False], dtype=object),
        "text": pandas.Series(["a", None, "b"], dtype=object),
        "whole": pandas.array([1, None, 3], dtype="Int64"),
    })  # fmt: skip
    encoded = fnn.encode(frame)
    x = dict(zip(encoded.encoder.names, encoded.x.T.tolist(), strict=True))
    assert x["size = l"] == [1, 0, 0]
    assert x["size is missing"] == [0, 0, 1]
    assert x["flag"] == [1, 0.5, 0]
    assert x["text is missing"] == [0, 1, 0]
    assert x["whole"] == [1, 2, 3]


def test_integers_as_categories_are_the_same_whether_some_are_missing_or_not():
    whole = pandas.DataFrame({"size": pandas.Series([1, 2, 1]).astype("category")})
    broken = pandas.DataFrame({"size": pandas.Series([1, None, 2]).astype("category")})
    encoder = fnn.encode(whole).encoder
    assert encoder.names == ["size = 1", "size = 2", "size is other"]
    assert encoder(broken).tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    other = fnn.encode(broken).encoder
    assert other.names == ["size = 1", "size = 2", "size is missing", "size is other"]
    assert other(whole)[:, 2:].tolist() == [[0, 0]] * 3


def test_many_columns_and_many_categories_are_quick():
    texts = np.array([f"category {row % 2_000}" for row in range(60_000)])
    columns = {f"column {number}": [1.0, 2.0] for number in range(4_000)}
    begin = time.process_time()
    codes = fnn.encode({"text": texts}, categories="codes")
    assert fnn.encode(columns).x.shape == (2, 4_000)
    assert time.process_time() - begin < 3  # seconds, not the eight of a look through all for each
    assert codes.encoder.embeddings[0][0] == 2_001


def test_categories_may_be_called_missing_or_other(made):
    names = fnn.encode(made({"a": ["missing", None, "other"]})).encoder.names
    assert names == ["a = missing", "a = other", "a is missing", "a is other"]


@pytest.mark.parametrize(
    ("contents", "options", "message"),
    [
        ({"a": [None, None]}, {}, "column 'a' must have a value; got nothing but missing ones"),
        ({"a": [1.0, float("inf")]}, {}, "column 'a' must hold finite numbers"),
        ({"a": [[1], [2]]}, {}, "column 'a' must hold"),
        ({"a": []}, {}, "frame must have rows"),
        ({"a": [1.0, 2.0]}, {"target": "b"}, "frame must have a column 'b'; got a"),
        ({"a": [1.0, 2.0]}, {"target": 1}, "target must be the name of a column"),
        ({"a": [1.0, None]}, {"target": "a"}, "must have a value in each row; got none in row 1"),
        ({"a": ["x", "x"]}, {"target": "a"}, "must have two values at least; got only 'x'"),
        ({"a": [0.5, 1.0]}, {"target": "a", "task": "classification"}, "integers for a class"),
        ({"a": [2**53, 2**53 + 1, 3]}, {"target": "a", "task": "classification"}, "below 2.*large"),
        ({"a": ["x", "y"]}, {"target": "a", "task": "regression"}, "numbers for a regression"),
        ({"a": [1.0]}, {"unknown": "drop"}, "unknown must be"),
        ({"a": [1.0]}, {"categories": "ordinal"}, "categories must be"),
        ({"a": [1.0]}, {"task": "ranking"}, "task must be"),
    ],
)
def test_what_has_no_meaning_is_refused_by_name(made, contents, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fnn.encode(made(contents), **options)


def test_frames_that_changed_are_refused_by_name(made):
    encoder = fnn.encode(made(CONTENTS), "left").encoder
    without = {name: values for name, values in CONTENTS.items() if name != "age"}
    with pytest.raises(ValueError, match="encoder: frame must have a column 'age'"):
        encoder(made(without))
    with pytest.raises(ValueError, match="'age' must hold what it did, a number; got a category"):
        encoder(made(CONTENTS | {"age": ["a", "b", "c", "d", "e"]}))
    with pytest.raises(ValueError, match="must be labels"):
        encoder.decode(np.array([0.5, 0.2]))
    with pytest.raises(ValueError, match="labels out of range"):
        encoder.decode(np.array([0, 2]))
    with pytest.raises(ValueError, match="scores must be numbers; got NaN"):
        encoder.decode(np.array([[0.1, np.nan]]))


@pytest.mark.parametrize("library", [pandas.DataFrame, polars.DataFrame, pyarrow.table, dict])
def test_integers_that_float64_does_not_hold_are_rounded(library):
    encoded = fnn.encode(library({"number": [2**60 + 1, 3, None]}))
    assert encoded.x[:2].tolist() == [[2.0**60, 0], [3, 0]]


def test_dates_as_objects_are_dates():
    days = [day.date() for day in DAYS[:2]]
    frame = pandas.DataFrame({"day": pandas.Series([*days, None], dtype=object)})
    encoded = fnn.encode(frame)
    assert encoded.x[:2, :1].tolist() == fnn.encode(polars.DataFrame({"day": days})).x.tolist()
    assert encoded.x[2].tolist() == [encoded.x[:2, 0].mean(), 1]


def test_names_that_would_mislead_are_refused():
    with pytest.raises(TypeError, match=r"names of columns must be texts.*; got 0"):
        fnn.encode(pandas.DataFrame(np.eye(2)))
    pairs = pandas.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    with pytest.raises(TypeError, match=r"names of columns must be texts.*; got \('a', 'b'\)"):
        fnn.encode(pandas.DataFrame([[1.0, 2.0]], columns=pairs))
    with pytest.raises(ValueError, match="different names; got two 'a is missing'"):
        fnn.encode(pandas.DataFrame({"a": [1.0, None], "a is missing": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="different names; got two 'a = x'"):
        fnn.encode(pandas.DataFrame({"a": ["x", "y"], "a = x": [1.0, 2.0]}))


def test_other_things_are_no_frames():
    with pytest.raises(TypeError, match=r"frame must be a data frame in memory.*; got LazyFrame"):
        fnn.encode(polars.DataFrame(CONTENTS).lazy())
    with pytest.raises(TypeError, match=r"frame must be a data frame.*; got list"):
        fnn.encode([[1.0, 2.0]])
    twice = pandas.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(ValueError, match="columns must have different names; got two 'a'"):
        fnn.encode(twice)
    mixed = pandas.DataFrame({"a": pandas.Series([1, "b"], dtype=object)})
    with pytest.raises(TypeError, match=r"'a' must hold values of one kind.*; got int, str"):
        fnn.encode(mixed)


def test_arrays_in_a_dict_are_read_by_their_dtypes_and_need_no_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals.stable.v1", None)
    days = np.array([*DAYS[:2], None], "datetime64[s]")
    frame = {
        "age": np.array([20, np.nan, 40]),
        "rooms": np.int8([1, 2, 3]),
        "home": np.array(["b", "a", "b"]),
        "paid": np.array([True, False, True]),
        "seen": days,
        "took": days - days[0],
        "mixed": [1, 2.5, None],
        "left": (np.str_("no"), "yes", "no"),
    }
    encoded = fnn.encode(frame, "left")
    x = dict(zip(encoded.encoder.names, encoded.x.T.tolist(), strict=True))
    first, second = (day.replace(tzinfo=datetime.UTC).timestamp() for day in DAYS[:2])
    assert x["age"] == [20, 30, 40]
    assert x["age is missing"] == x["home = a"] == [0, 1, 0]
    assert (x["rooms"], x["paid"]) == ([1, 2, 3], [1, 0, 1])
    assert x["seen"] == [first, second, (first + second) / 2]
    assert x["took"] == [0, 86400, 43200]
    assert x["mixed"] == [1, 2.5, 1.75]
    assert encoded.y.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(encoded.encoder(frame), encoded.x)
    whole = {"size": [1.0, 2.0], "count": np.array([3, 4])}
    with pytest.raises(ValueError, match="'count' holds integers, so task must be"):
        fnn.encode(whole, "count")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({}, "frame must have columns; got an empty dict"),
        ({3: [1.0]}, "names of columns must be texts; got 3"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "columns of a dict must be of one length; got {'a': 1"),
        ({"a": 1.0}, r"column 'a' must be a list or an array \(rows,\); got float"),
        ({"a": "text"}, r"column 'a' must be a list or an array \(rows,\); got str"),
        ({"a": np.ones((2, 1))}, r"column 'a' must be a list or an array \(rows,\); got shape"),
        ({"a": [1.0, "b"]}, "column 'a' must hold values of one kind: .* got float, str"),
        ({"a": np.array([1j])}, "column 'a' must hold numbers, .* got complex128"),
        ({"a": [1.0, np.inf]}, "column 'a' must hold finite numbers; got infinite ones"),
        ({"a": []}, "frame must have rows; got none"),
    ],
)
def test_a_dict_that_is_no_frame_is_refused(frame, words):
    with pytest.raises((ValueError, TypeError), match=f"^encode: {words}"):
        fnn.encode(frame)
