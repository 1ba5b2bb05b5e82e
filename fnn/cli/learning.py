"""How a network is trained on a table, and measured beside a baseline."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

import fnn
from fnn.cli.model import TableModel
from fnn.cli.task import Task

PATIENCE = 30
_LEARNING_RATE, _BATCH_SIZE = 1e-3, 32
# Weight decay and dropout act as a prior, which counts less the more rows there are: they are full
# up to so many, and fall towards the second numbers. All were chosen on small tables.
_FEW_ROWS = 300
_WEIGHT_DECAY, _DROPOUT = (2.0, 0.0), (0.4, 0.1)


class Scores(NamedTuple):
    """What the rows to test on say."""

    outputs: np.ndarray
    """Probabilities `(rows, classes)`, or values `(rows,)`."""
    network: dict[str, float]
    baseline: dict[str, float]
    """The same metrics of a guess that does not look at the row."""
    by_class: dict[str, np.ndarray] | None
    """Precision, recall and F1 `(classes,)`."""
    confusion: np.ndarray | None

    @property
    def is_better(self) -> bool:
        """Whether the network's first metric beats the baseline's."""
        name = next(iter(self.network))
        better = self.network[name] - self.baseline[name]
        return better > 0 if self.confusion is not None else better < 0


def network_of(task: Task, hidden: Sequence[int]) -> fnn.MLP:
    """The network of a task, which scales its inputs, and in a regression its output."""
    is_regression = task.encoder.classes is None
    outputs = 1 if is_regression else len(task.encoder.classes or ())
    return fnn.mlp(
        (task.train.x.shape[1], *hidden, outputs),
        dropout=_by_rows(_DROPOUT, len(task.train.y)),
        inputs=fnn.standard_scaler(task.train.x),
        outputs=fnn.standard_scaler(task.train.y) if is_regression else None,
    )


def learnt(task: Task, net: fnn.MLP, *, epochs: int, key: jax.Array) -> fnn.Fit:
    """The run; its best parameters are those of the lowest loss on the rows to validate."""
    loss = fnn.squared_error if task.encoder.classes is None else fnn.softmax_cross_entropy
    decay = _by_rows(_WEIGHT_DECAY, len(task.train.y))
    return fnn.train(
        net, loss, fnn.adamw(_LEARNING_RATE, weight_decay=decay), task.train, key=key,
        epochs=epochs, batch_size=_BATCH_SIZE, validation=task.validation,
        stop=fnn.early_stopping(patience=PATIENCE),
    )  # fmt: skip


def scores_of(task: Task, model: TableModel) -> Scores:
    """The metrics of a model on the rows to test on."""
    outputs, y = model.outputs(task.test.x), task.test.y
    if model.encoder.classes is None:
        metrics = {
            "RMSE": fnn.root_mean_squared_error,
            "MAE": fnn.mean_absolute_error,
            "R2": fnn.r2,
        }
        guess = np.full_like(outputs, task.train.y.mean())
        return Scores(
            outputs, _measured(metrics, outputs, y), _measured(metrics, guess, y), None, None
        )
    classes = len(model.encoder.classes)
    metrics = {"accuracy": fnn.accuracy, "F1 (macro)": partial(fnn.f1, average="macro")}
    if classes == 2:
        metrics["ROC AUC"] = fnn.roc_auc
    shares = np.bincount(task.train.y, minlength=classes) / len(task.train.y)
    guess = np.broadcast_to(shares.astype(outputs.dtype), outputs.shape)
    each = {"precision": fnn.precision, "recall": fnn.recall, "F1": fnn.f1}
    by_class = {name: np.asarray(metric(outputs, y, average=None)) for name, metric in each.items()}
    return Scores(
        outputs, _measured(metrics, outputs, y), _measured(metrics, guess, y), by_class,
        np.asarray(fnn.confusion_matrix(outputs, y)),
    )  # fmt: skip


def _by_rows(numbers: tuple[float, float], rows: int) -> float:
    """The first number for few rows, towards the second one for many."""
    few, many = numbers
    return many + (few - many) * min(1.0, _FEW_ROWS / rows)


def _measured(metrics: dict[str, Any], outputs: Any, y: Any) -> dict[str, float]:
    return {name: float(metric(outputs, y)) for name, metric in metrics.items()}
