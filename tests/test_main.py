"""The quickstart, as a newcomer runs it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import fnn
from fnn import __main__
from fnn.cli import demo
from fnn.training import train as driver


def run_as_a_user(*arguments, folder):
    root = str(Path(fnn.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "fnn", *arguments], cwd=folder, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": root}, timeout=300,
    )  # fmt: skip


def run_here(*arguments, folder, monkeypatch):
    monkeypatch.chdir(folder)
    __main__.main(list(arguments))


def scores(text):
    """The metrics printed, by name."""
    found = re.findall(r"^  (\S.*?) {2,}(-?[\d.]+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def assert_is_a_picture(path):
    picture = imread(path)
    assert min(picture.shape[:2]) > 500
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 100


@pytest.mark.long
def test_digits_are_learnt_measured_and_drawn(tmp_path):
    done = run_as_a_user(folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no progress bar where there is no terminal"
    measured = scores(done.stdout)
    assert measured["accuracy"] >= 0.97
    assert all(measured[f"{name} (macro)"] >= 0.96 for name in ("precision", "recall", "F1"))
    assert re.search(r"\d+ of at most 100 epochs: (stopped early|all done)", done.stdout)
    assert_is_a_picture(tmp_path / "fnn-digits.png")
    assert os.listdir(tmp_path) == ["fnn-digits.png"]

    table = done.stdout.split("Confusion matrix")[1].splitlines()[1:12]
    assert table[0].split() == [str(digit) for digit in range(10)]
    counts = np.array([row.replace(".", "0").split() for row in table[1:]], int)
    assert counts[:, 0].tolist() == list(range(10))
    rows = int(re.search(r"On (\d+) test rows", done.stdout)[1])
    assert counts[:, 1:].sum() == rows
    assert np.trace(counts[:, 1:]) / rows == pytest.approx(measured["accuracy"], abs=1e-4)
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.long
def test_diabetes_is_predicted_better_than_by_the_mean(tmp_path, monkeypatch, capsys):
    run_here("diabetes", "--output", "curves.png", folder=tmp_path, monkeypatch=monkeypatch)
    measured = scores(capsys.readouterr().out)
    assert measured["MAE"] < 0.85 * measured["MAE of guessing the mean"]
    assert 30 < measured["MAE"] < measured["RMSE"] < 75
    assert 0.2 < measured["R2"] < 0.7
    assert_is_a_picture(tmp_path / "curves.png")


def test_a_seed_and_a_number_of_epochs_can_be_chosen(tmp_path, monkeypatch, capsys):
    printed = []
    for seed in ("1", "1", "2"):
        arguments = "diabetes", "--epochs", "3", "--seed", seed
        run_here(*arguments, folder=tmp_path, monkeypatch=monkeypatch)
        printed.append(capsys.readouterr().out.split("Picture")[0])
    assert "3 of at most 3 epochs: all done" in printed[0]
    assert printed[0] == printed[1] != printed[2]


def test_a_progress_bar_is_shown_on_demand(tmp_path, monkeypatch, capsys):
    arguments = "diabetes", "--epochs", "3"
    run_here(*arguments, "--progress", folder=tmp_path, monkeypatch=monkeypatch)
    assert "3/3" in capsys.readouterr().err
    run_here(*arguments, "--no-progress", folder=tmp_path, monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""


@pytest.mark.long
def test_an_interrupt_while_training_goes_on_with_what_is_there(tmp_path, monkeypatch, capsys):
    run_epochs = driver.run_epochs

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return run_epochs(*arguments, **options)

    monkeypatch.setattr(driver, "run_epochs", interrupted)
    run_here("diabetes", folder=tmp_path, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert "1 of at most 100 epochs: interrupted" in printed
    assert "R2" in scores(printed)
    assert_is_a_picture(tmp_path / "fnn-diabetes.png")


def test_an_interrupt_at_any_other_time_ends_it_with_a_word(tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fnn, "train_test_split", interrupted)
    with pytest.raises(SystemExit, match="python -m fnn: interrupted"):
        run_here(folder=tmp_path, monkeypatch=monkeypatch)


def test_help_tells_what_it_does_and_every_option(capsys):
    with pytest.raises(SystemExit) as end:
        __main__.main(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    for word in ("python -m fnn", "digits", "diabetes", "--seed", "--epochs", "--output",
                 "--no-progress", "scikit-learn", "picture", "Ctrl-C", "train --help"):  # fmt: skip
        assert word in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["iris"], "invalid choice: 'iris'"),
        (["--epochs", "0"], "--epochs must be from 1 to"),
        (["--epochs", "many"], "--epochs: invalid int value: 'many'"),
        (["--seed", "-1"], "--seed from 0 to"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        __main__.main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def no_training(monkeypatch):
    def trained(*arguments, **options):
        raise AssertionError("it must be refused before it trains")

    monkeypatch.setattr(fnn, "train_test_split", trained)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nowhere/picture.png", "--output must be a file to write to.*No such file"),
        ("folder.png", "--output must be a file to write to.*directory"),
        ("picture.docx", r"--output must end in .*\.png.*got picture\.docx"),
        ("picture", r"--output must end in .*\.png.*got picture"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_training(
    output, message, tmp_path, monkeypatch
):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit, match=f"python -m fnn: {message}"):
        run_here("--output", output, folder=tmp_path, monkeypatch=monkeypatch)
    assert os.listdir(tmp_path) == ["folder.png"]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("package", ["matplotlib", "sklearn", "tqdm"])
def test_a_missing_package_is_told_in_one_line_with_the_extra(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as end:
        run_here(folder=tmp_path, monkeypatch=monkeypatch)
    expected = f"python -m fnn: needs {package}, to be had with: pip install 'fnn[demo]'"
    assert end.value.code == expected  # Python prints it to stderr and exits with 1


def test_an_existing_picture_survives_the_check_and_is_not_emptied(tmp_path):
    path = tmp_path / "old.png"
    path.write_bytes(b"old")
    demo.check_writable(path)
    assert path.read_bytes() == b"old"
