"""`python -m fnn predict`: what a saved model says of the rows of a new table."""

import argparse
import contextlib
import csv
import sys
from pathlib import Path

from fnn.cli.common import need, one_line
from fnn.cli.model import load_model
from fnn.cli.table import read_table


def main(argv: list[str]) -> None:
    """Writes a CSV of predictions, one line for each row of the table, in its order."""
    options = parsed(argv)
    need("predict", "pyarrow", "narwhals")
    with one_line("predict"):
        model = load_model(options.model)
        columns = model.encoder.columns
        texts = [column.name for column in columns if column.kind == "category"]
        lines = list(model.predictions(read_table(options.table, texts)))
        with contextlib.ExitStack() as stack:
            file = sys.stdout
            if options.out is not None:
                file = stack.enter_context(open(options.out, "w", newline="", encoding="utf-8"))
            csv.writer(file, lineterminator="\n").writerows(lines)


def parsed(argv: list[str]) -> argparse.Namespace:
    """The options; exits where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m fnn predict",
        description="Predicts the target of each row of a table, in its order, with a model that "
        "`python -m fnn train` has saved. Writes CSV: the prediction, and in a classification the "
        "probability of each class.",
    )
    add = parser.add_argument
    add("model", type=Path, help="model.fnn, as train has written it")
    about = "a CSV or Parquet file with the columns that the model was trained on"
    add("table", type=Path, help=about)
    add("--out", type=Path, metavar="FILE", help="the CSV file to write (default: to the terminal)")
    return parser.parse_args(argv)
