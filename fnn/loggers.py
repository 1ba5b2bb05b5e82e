"""Loggers: callbacks of `train` and `sweep` that write down each epoch, elsewhere.

A callback is a function of the epochs done and the latest values. One that also has a method
`on_epochs(first, history)` gets each epoch of `train`: the number of the first one, and arrays of
the shape `(epochs, ...)` by name. So one of your own needs no more than these two methods.
"""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fnn._core import checks
from fnn.files import written_whole

__all__ = ["Logger", "csv_logger", "mlflow_logger", "tensorboard_logger", "wandb_logger"]


class Logger:
    """A callback that passes every epoch to a function.

    In `sweep` it passes the latest values of each segment, which are those of all lanes together.

    Args:
      write: `(values, step)`: numbers by name, and the epoch from 0. An array, such as a confusion
        matrix, becomes an entry per number, `name[0,1]`.

    Raises:
      TypeError: `write` is not a function.

    >>> rows = []
    >>> x = np.linspace(-1, 1, 8)[:, None]
    >>> run = fnn.train(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(0.1), (x, 2 * x),
    ...                 key=jax.random.key(0), epochs=2, progress=False,
    ...                 callback=Logger(lambda values, step: rows.append((step, sorted(values)))))
    >>> rows
    [(0, ['loss']), (1, ['loss'])]
    """

    def __init__(self, write: Callable[[dict[str, float], int], Any]):
        """As described above."""
        rule = "write must be a function of values and step"
        checks.require(callable(write), "Logger", rule, repr(write), TypeError)
        self._write, self._passed = write, False

    def on_epochs(self, first: int, history: Mapping[str, np.ndarray]) -> None:
        """Passes on these epochs.

        Args:
          first: The number of the first one, from 0.
          history: Arrays `(epochs, ...)` by name.
        """
        epochs = len(next(iter(history.values())))
        for index in range(epochs):
            row = {name: values[index] for name, values in history.items()}
            self._write(dict(_numbers(row)), first + index)
        self._passed = True

    def __call__(self, done: int, latest: Mapping[str, Any]) -> None:
        """Passes on the latest values, unless `on_epochs` has."""
        if not self._passed:
            self._write(dict(_numbers(latest)), done - 1)
        self._passed = False


def csv_logger(path: str | os.PathLike) -> Logger:
    """A logger to a CSV file: a column `epoch`, from 0, and one for each name.

    The file is up to date after each segment. Where a run is continued from a checkpoint, the rows
    of earlier epochs are kept, and those from there on are replaced. With `state=`, epochs are
    numbered from 0 again, and the file is begun anew: give it another path.

    Args:
      path: The file; its folder must be there.
    Raises:
      ValueError: A run is continued, but the file has other columns.
      OSError: The file cannot be written.
    """
    return Logger(_CsvFile(checks.path("csv_logger", "path", path)))


def tensorboard_logger(writer: Any) -> Logger:
    """A logger to TensorBoard.

    Args:
      writer: Any `SummaryWriter`, such as tensorboardX's or that of `torch.utils.tensorboard`. It
        is not closed.
    Raises:
      TypeError: It has no `add_scalar`.
    """
    _check_method("tensorboard_logger", "writer", writer, "add_scalar")

    def write(values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return Logger(write)


def wandb_logger(run: Any) -> Logger:
    """A logger to Weights & Biases.

    Args:
      run: What `wandb.init` returns. It is not finished.
    Raises:
      TypeError: It has no `log`.
    """
    _check_method("wandb_logger", "run", run, "log")
    return Logger(lambda values, step: run.log(values, step=step))


def mlflow_logger(mlflow: Any) -> Logger:
    """A logger to the active run of MLflow.

    Args:
      mlflow: The module `mlflow`. Brackets and commas in names become dots, as it allows none.
    Raises:
      TypeError: It has no `log_metrics`.
    """
    _check_method("mlflow_logger", "mlflow", mlflow, "log_metrics")
    allowed = str.maketrans({"[": ".", ",": ".", "]": None})

    def write(values: dict[str, float], step: int) -> None:
        names = {name.translate(allowed): value for name, value in values.items()}
        mlflow.log_metrics(names, step=step)

    return Logger(write)


class _CsvFile:
    """Rows that are appended to a file."""

    def __init__(self, path: Path):
        self._path, self._columns, self._next = path, None, 0

    def __call__(self, values: dict[str, float], step: int) -> None:
        columns = ["epoch", *values]
        if self._columns is None or step < self._next:  # the first epoch of a run
            self._begin(columns, step)
        rule = f"{self._path} must have the columns {', '.join(self._columns or [])}"
        checks.require(columns == self._columns, "csv_logger", rule, ", ".join(columns))
        with self._path.open("a", newline="") as file:
            file.write(_line([step, *values.values()]))
        self._next = step + 1

    def _begin(self, columns: list[str], step: int) -> None:
        """Writes the header, and those rows again that are before this epoch."""
        kept = []
        if step > 0 and self._path.exists():
            with self._path.open(newline="") as file:
                header, *rows = list(csv.reader(file)) or [columns]
            rule = f"{self._path}, which is continued, must have the columns {', '.join(columns)}"
            checks.require(header == columns, "csv_logger", rule, ", ".join(header))
            kept = [row for row in rows if int(row[0]) < step]
        text = "".join(map(_line, [columns, *kept]))
        written_whole(self._path, lambda file: file.write(text.encode()))
        self._columns = columns


def _check_method(function: str, name: str, value: Any, method: str) -> None:
    has_it = callable(getattr(value, method, None))
    got = type(value).__name__
    checks.require(has_it, function, f"{name} must have a method {method}", got, TypeError)


def _line(entries: list) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(entries)
    return text.getvalue()


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """An entry for each number."""
    for name, value in row.items():
        value = np.asarray(value)
        for index in np.ndindex(value.shape):
            place = f"[{','.join(map(str, index))}]" if index else ""
            yield name + place, value[index].item()
