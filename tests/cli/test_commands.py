"""`train` and `predict`, as a user runs them, on three real tables."""

import csv
import html
import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from small_tables import EPOCHS, as_csv, people, printed_by, write

import fnn
from bench.command_line import TARGETS, write_tables
from fnn import __main__
from fnn.cli.model import load_model
from fnn.cli.table import read_table
from fnn.training import train as driver

WANTED = {  # the problem guessed, and the metric that the network must win
    "penguins": ("Classification of 'Sex', as it holds texts", "accuracy"),
    "wine": ("Classification of 'cultivar', as it holds texts", "accuracy"),
    "diabetes": ("Regression of 'progress', as it holds 214 different whole numbers", "RMSE"),
}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The real tables, by name."""
    return write_tables(tmp_path_factory.mktemp("tables"))


class Trained(NamedTuple):
    """What `train` has left."""

    folder: Path
    text: str
    net: fnn.MLP
    run: fnn.Fit


@pytest.fixture(scope="module")
def trained(real, tmp_path_factory):
    """A training of a real table, by its name."""
    found, runs, train = {}, [], fnn.train

    def noted(net, *arguments, **options):
        runs.append((net, train(net, *arguments, **options)))
        return runs[-1][1]

    def once(name):
        if name not in found:
            out = tmp_path_factory.mktemp(name) / "out"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(fnn, "train", noted)
                text = printed_by(real[name], TARGETS[name], out)
            found[name] = Trained(out, text, *runs[-1])
        return found[name]

    return once


def scores(text):
    """The metrics of the network and of the baseline, by name."""
    lines = text.split("\nTest\n")[1].split("\n\n")[0].splitlines()[3:]
    found = [re.fullmatch(r"  (\S.*?) +(-?[\d.]+) +(-?[\d.]+)", line).groups() for line in lines]
    return {name: (float(network), float(baseline)) for name, network, baseline in found}


@pytest.mark.long
@pytest.mark.parametrize("name", WANTED)
def test_a_real_table_is_learnt_better_than_by_the_baseline(name, trained):
    problem, metric = WANTED[name]
    assert problem in trained(name).text
    network, baseline = scores(trained(name).text)[metric]
    assert network < 0.9 * baseline if metric == "RMSE" else network > baseline + 0.2
    assert sorted(os.listdir(trained(name).folder)) == ["model.fnn", "report.html"]


@pytest.mark.parametrize("name", WANTED)
def test_the_page_says_what_the_text_says_and_needs_nothing_else(name, trained):
    folder, text, *_ = trained(name)
    page = (folder / "report.html").read_text()
    visible = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))
    for line in text.splitlines():
        assert re.sub(r"\s+", " ", line.strip()) in visible
    assert not re.search(r"<script|<link|@import|url\(|https?:", page)
    pictures = re.findall(r'(?:src|srcset)="([^"]*)"', page)
    assert len(pictures) == 4, "two pictures, each on light and on dark paper"
    assert all(uri.startswith("data:image/png;base64,") for uri in pictures)
    assert len(set(pictures)) == 4
    assert page.count('media="(prefers-color-scheme: dark)"') == 2
    assert len(re.findall(r'alt="[^"]{20,}"', page)) == 2


@pytest.mark.parametrize("name", WANTED)
def test_what_is_predicted_from_the_file_is_what_was_trained(name, real, trained, tmp_path):
    folder, _, net, run = trained(name)
    x = load_model(folder / "model.fnn").encoder(read_table(real[name]))
    outputs = net.apply(run.best_params, x)
    expected = outputs if name == "diabetes" else jax.nn.softmax(outputs)
    out = tmp_path / "predictions.csv"
    __main__.main(["predict", str(folder / "model.fnn"), str(real[name]), "--out", str(out)])
    head, *lines = csv.reader(out.read_text().splitlines())
    values = np.array([line[-expected.shape[1] :] for line in lines], float)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6)
    assert head[0] == TARGETS[name]
    if name != "diabetes":
        names = np.array([text.removeprefix("probability of ") for text in head[1:]])
        assert [line[0] for line in lines] == names[values.argmax(axis=1)].tolist()


@pytest.mark.long
def test_both_commands_run_as_a_user_runs_them(tmp_path):
    write(tmp_path, as_csv(people()), "people.csv")
    root = str(Path(fnn.__file__).parents[1])

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "fnn", *arguments], cwd=tmp_path, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": root}, timeout=300,
        )  # fmt: skip

    done = run("train", "people.csv", "--target", "ill", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no progress bar where there is no terminal"
    command = re.search(r"To predict: python -m fnn (predict fnn-people\S*model\.fnn)", done.stdout)
    write(tmp_path, as_csv([row | {"ill": None, "home": "tent"} for row in people(5)]), "new.csv")
    done = run(*command[1].split(), "new.csv")
    assert done.returncode == 0, done.stderr
    lines = list(csv.reader(done.stdout.splitlines()))
    assert lines[0] == ["ill", "probability of no", "probability of yes"]
    assert len(lines) == 6
    assert all(float(a) + float(b) == pytest.approx(1) for _, a, b in lines[1:])


@pytest.mark.parametrize("target", ["kind", "size"])
def test_the_network_is_exported_as_asked_for(target, tmp_path, monkeypatch):
    rows = [{"a": row % 7 / 7, "b": row % 5 / 5} for row in range(60)]
    rows = [row | {"kind": "pqr"[round(3 * row["a"]) % 3], "size": row["b"] - row["a"]}
            for row in rows]  # fmt: skip
    path = write(tmp_path, as_csv(rows))
    options = ["--epochs", "2", "--export", "numpy", "--export", "c"]
    text = printed_by(path, target, tmp_path, *options)
    assert f"Exported: {tmp_path / 'network.h'}." in text
    assert "network" in (tmp_path / "network.h").read_text()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "network", raising=False)
    model = load_model(tmp_path / "model.fnn")
    x = model.encoder(read_table(path))
    found = importlib.import_module("network").apply(x)
    np.testing.assert_allclose(found.reshape(model.outputs(x).shape), model.outputs(x), atol=1e-6)


def test_a_missing_package_for_an_export_is_said_before_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    path = write(tmp_path, as_csv(people()))
    match = r"train: needs onnx, to be had with: pip install 'fnn\[export\]'"
    with pytest.raises(SystemExit, match=match):
        printed_by(path, "ill", tmp_path, "--export", "onnx")


def test_help_tells_every_option(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["train", "--help"])
    printed = capsys.readouterr().out
    for word in ("--target", "--problem", "--ignore", "--test", "--seed", "--hidden", "--epochs",
                 "--out", "--export", "Ctrl-C", "model.fnn", "report.html"):  # fmt: skip
        assert word in printed
    with pytest.raises(SystemExit):
        __main__.main(["predict", "--help"])
    assert "--out" in capsys.readouterr().out


def test_an_interrupt_while_training_goes_on_with_what_is_there(tmp_path, monkeypatch):
    run_epochs = driver.run_epochs

    def interrupted(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return run_epochs(*arguments, **options)

    monkeypatch.setattr(driver, "run_epochs", interrupted)
    text = printed_by(write(tmp_path, as_csv(people())), "ill", tmp_path)
    assert f"1 of at most {EPOCHS} epochs: interrupted" in text
    assert load_model(tmp_path / "model.fnn").encoder.classes == ("no", "yes")


def test_another_seed_is_another_split_and_another_network(tmp_path):
    path = write(tmp_path, as_csv([{"x": row % 7 / 7, "y": row % 3} for row in range(90)]))
    printed = [
        printed_by(path, "y", tmp_path, "--epochs", "2", "--seed", seed) for seed in ("0", "1")
    ]
    assert "If that is wrong, say --problem regression." in printed[0]
    assert "2 of at most 2 epochs: all done." in printed[0]
    assert printed[0] != printed[1]


def test_options_are_followed(tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fnn, "train", interrupted)
    path = write(tmp_path, as_csv([{"x": row % 7 / 7, "y": row % 3, "z": 1} for row in range(90)]))
    options = ["--problem", "regression", "--hidden", "5,4", "--test", "0.5", "--ignore", "z"]
    with pytest.raises(SystemExit, match="python -m fnn train: interrupted"):
        __main__.main(["train", str(path), "--target", "y", "--out", str(tmp_path), *options])
    plan = capsys.readouterr().out
    assert "Regression of 'y', as asked for." in plan
    assert "90 rows: 40 to train on, 5 to validate, 45 to test on." in plan
    assert "z       to be ignored" in plan
    assert "1-5-4-1, 39 weights and biases." in plan
