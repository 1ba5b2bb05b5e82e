"""`train` and `predict` on wrong input: one line that says what is wrong, before training."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from small_tables import as_csv, people, printed_by, write

import fnn
from fnn import __main__


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of people, trained for an epoch."""
    folder = tmp_path_factory.mktemp("people")
    path = write(folder, as_csv(people()))
    printed_by(path, "ill", folder, "--epochs", "1")
    return folder / "model.fnn"


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        __main__.main([str(argument) for argument in arguments])
    return end.value.code if isinstance(end.value.code, str) else capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("a,b\n1,2\n3\n", "b", r"data\.csv: every line must have 2 values, .*; got 1 in line 3"),
        ("a,b\n1,2\n3,4\n", "c", "table: the table must have a column .*; it has a, b; got 'c'"),
        ("a,b\n1,x\n2,x\n", "b", "target 'b' must have two values at least; got only 'x'"),
        ("a,b\n1e300,2\n2,3\n3,7\n4,8\n", "b", "column 'a' must hold numbers up to .*; got 1e.300"),
        ("a,b\n1,\n2,NA\n", "b", "target 'b' must have values; got nothing but missing ones"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(text, target, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, text)
    said = refused(capsys, "train", path, "--target", target)
    assert re.match(rf"python -m fnn train: .*{message}$", said)
    assert os.listdir(tmp_path) == ["data.csv"]


def test_a_wrong_table_to_predict_is_refused_in_one_line(model, tmp_path, capsys):
    def said(text):
        return refused(capsys, "predict", model, write(tmp_path, text))

    def changed(**values):
        return as_csv([row | values for row in people(3)])

    without = [{name: value for name, value in row.items() if name != "age"} for row in people(3)]
    assert said(as_csv(without)).startswith(
        "python -m fnn predict: encoder: frame must have a column 'age'; got row, name, home"
    )
    assert "column 'age' must hold what it did, a number; got a category" in said(changed(age="x"))
    assert "every line must have 9 values, as the first one has; got 1" in said(changed() + "1\n")


def test_a_file_that_is_no_model_is_refused(model, tmp_path, capsys):
    table = write(tmp_path, as_csv(people(3)))
    fnn.save(tmp_path / "other.fnn", np.ones(3))
    damaged = write(tmp_path, model.read_bytes()[:-50], "damaged.fnn")
    for path, message in [
        (tmp_path / "other.fnn", r"must be a model that python -m fnn train has saved"),
        (damaged, "damaged"),
        (table, "damaged"),
        (tmp_path / "nowhere.fnn", "No such file"),
    ]:
        said = refused(capsys, "predict", path, table)
        assert re.match(rf"python -m fnn predict: .*{message}", said), said
    said = refused(capsys, "predict", model, table, "--out", tmp_path / "nowhere" / "file.csv")
    assert "No such file" in said


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--test", "1"], "must be a share of rows between 0 and 1; got 1"),
        (["--seed", "-1"], "must be from 0 to 4294967295; got -1"),
        (["--seed", "one"], "must be from 0 to 4294967295; got one"),
        (["--epochs", "0"], "must be from 1 to 100000; got 0"),
        (["--hidden", "5,0"], "must be numbers of neurons with commas between them; got 5,0"),
        (["--hidden", "wide"], "must be numbers of neurons with commas between them; got wide"),
        (["--problem", "clustering"], "invalid choice: 'clustering'"),
    ],
)
def test_options_that_make_no_sense_are_refused(option, message, capsys):
    assert message in refused(capsys, "train", "data.csv", "--target", "y", *option)


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(tmp_path, capsys):
    table = write(tmp_path, as_csv(people()))
    for folder in (table, Path("/proc")):  # where not even root writes
        said = refused(capsys, "train", table, "--target", "ill", "--epochs", "1", "--out", folder)
        expected = f"python -m fnn train: --out must be a folder to write to; got {folder}: "
        assert said.startswith(expected)
        assert not capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "predict"])
def test_a_missing_package_is_told_in_one_line_with_the_extra(command, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    options = {"train": ["a.csv", "--target", "y"], "predict": ["model.fnn", "a.csv"]}
    expected = f"python -m fnn {command}: needs pyarrow, to be had with: pip install 'fnn[cli]'"
    assert refused(capsys, command, *options[command]) == expected


def test_an_interrupt_at_any_other_time_ends_it_with_a_word(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fnn, "encode", interrupted)
    said = refused(capsys, "train", write(tmp_path, as_csv(people())), "--target", "ill")
    assert said == "python -m fnn train: interrupted"
