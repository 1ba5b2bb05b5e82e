"""`python -m fnn train`: from a table in a file to a network, a report and a saved model."""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from fnn.cli.common import need, one_line
from fnn.cli.learning import learnt, network_of, scores_of
from fnn.cli.model import EXPORTS, TableModel, export_model, save_model
from fnn.cli.report import Section, as_html, as_text
from fnn.cli.sections import plan, result
from fnn.cli.table import read_table
from fnn.cli.task import task_of

MODEL, REPORT = "model.fnn", "report.html"


def main(argv: list[str]) -> None:
    """Trains on the table, prints the report, writes it and the model."""
    options = parsed(argv)
    need("train", "pyarrow", "narwhals", "matplotlib")
    for form in options.export:
        need("train", *EXPORTS[form].needs, extra="export")
    of_split, of_run = jax.random.split(jax.random.key(options.seed))
    try:
        with one_line("train"):
            table = read_table(options.table)
            task = task_of(
                table, options.target, problem=options.problem, test_size=options.test,
                key=of_split, ignored=options.ignore,
            )  # fmt: skip
            net = network_of(task, options.hidden)
            _make_folder(options.out)
        before = plan(task, net, table.num_rows)
        print(f"{as_text(before)}\n", flush=True)
        run = learnt(task, net, epochs=options.epochs, key=of_run)
        model = TableModel(net, run.best_params, task.encoder)
        scores = scores_of(task, model)
        after = result(task, run, scores, options.epochs)
        print(f"{as_text(after)}\n", flush=True)
        path = options.out / MODEL
        files = Section("Files", [
            f"Model: {path}. Report: {options.out / REPORT}.",
            f"To predict: python -m fnn predict {path} NEW.csv",
            *(f"Exported: {options.out / EXPORTS[form].name}." for form in options.export),
        ])  # fmt: skip
        page = as_html(f"{options.table.name}: {options.target}", [*before, *after, files])
        with one_line("train"):
            save_model(path, model)
            for form in options.export:
                export_model(options.out, model, form)
            (options.out / REPORT).write_text(page, encoding="utf-8")
        print(as_text([files]))
    except KeyboardInterrupt:
        sys.exit("python -m fnn train: interrupted")


def _make_folder(path: Path) -> None:
    """Makes it; raises where nothing can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        rule = "--out must be a folder to write to"
        raise ValueError(f"{rule}; got {path}: {error.strerror}") from None


def parsed(argv: list[str]) -> argparse.Namespace:
    """The options; exits where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m fnn train",
        description="Trains a network on a table in a file: guesses the problem, splits, scales, "
        "trains with early stopping, measures on rows it has never seen beside a baseline. Writes "
        f"{REPORT} and {MODEL}, with which `python -m fnn predict` predicts.",
        epilog="Ctrl-C ends the training and continues with what is there.",
    )
    add = parser.add_argument
    add("table", type=Path, help="a CSV file whose first line has the names, or a Parquet file")
    add("--target", required=True, metavar="COLUMN", help="the column to predict")
    about = (
        "default: guessed by the target; texts, true and false, and few whole numbers are classes"
    )
    add("--problem", choices=["classification", "regression"], help=about)
    about = "a column not to use; may be repeated"
    add("--ignore", action="append", default=[], metavar="COLUMN", help=about)
    add(
        "--test",
        type=_share,
        default=0.2,
        metavar="SHARE",
        help="of rows to test on (default: 0.2)",
    )
    add("--seed", type=_seed, default=0, metavar="N", help="of all that is random (default: 0)")
    about = "neurons of the hidden layers (default: 64,64)"
    add("--hidden", type=_sizes, default=(64, 64), metavar="N,N", help=about)
    add("--epochs", type=_epochs, default=1000, metavar="N", help="at most so many (default: 1000)")
    about = "folder for model and report, made if it is not there (default: fnn-NAME)"
    add("--out", type=Path, metavar="FOLDER", help=about)
    about = "also write the network for where no JAX is; may be repeated"
    add("--export", action="append", default=[], choices=list(EXPORTS), help=about)
    options = parser.parse_args(argv)
    options.out = options.out or Path(f"fnn-{options.table.stem}")
    return options


def _share(text: str) -> float:
    return _held(text, float, lambda value: 0 < value < 1, "a share of rows between 0 and 1")


def _seed(text: str) -> int:
    return _held(text, int, lambda value: 0 <= value < 2**32, "from 0 to 4294967295")


def _epochs(text: str) -> int:
    return _held(text, int, lambda value: 1 <= value <= 100_000, "from 1 to 100000")


def _sizes(text: str) -> tuple[int, ...]:
    read = lambda text: tuple(int(part) for part in text.split(","))  # noqa: E731
    rule = "numbers of neurons with commas between them"
    return _held(text, read, lambda values: min(values) >= 1, rule)


def _held(text: str, read: Callable[[str], Any], holds: Callable[[Any], bool], rule: str) -> Any:
    """The value of an option, of which something must hold."""
    with contextlib.suppress(ValueError):
        value = read(text)
        if holds(value):
            return value
    raise argparse.ArgumentTypeError(f"must be {rule}; got {text}")
