"""What the report of `train` says: the table and the plan before training, the result after."""

from typing import Any

import jax
import numpy as np

import fnn
from fnn import plots
from fnn.cli.common import count
from fnn.cli.learning import PATIENCE, Scores
from fnn.cli.report import Picture, Section
from fnn.cli.task import Task

# of classes and columns, so many are shown
_MOST_SHOWN = 30


def plan(task: Task, net: fnn.MLP, rows: int) -> list[Section]:
    """Before training: the problem, the columns, the split, the network."""
    return [_problem(task, rows), *_columns(task), _network(task, net)]


def result(task: Task, run: fnn.Fit, scores: Scores, epochs: int) -> list[Section]:
    """After training: how it went, and what the rows to test on say."""
    sections = [_training(run, epochs), _test(task, scores)]
    if scores.by_class is None:
        sections.append(_values(task, scores))
    else:
        sections.append(_classes(task, scores))
    return sections


def _problem(task: Task, rows: int) -> Section:
    kind, because, is_open = task.problem
    other = "regression" if kind == "classification" else "classification"
    lines = [f"{kind.capitalize()} of {task.target!r}, {because}."]
    if is_open:
        lines.append(f"If that is wrong, say --problem {other}.")
    classes = task.encoder.classes
    if classes is not None:
        lines.append(f"{len(classes)} classes: {_listed([str(name) for name in classes])}.")
    parts = {"train on": task.train, "validate": task.validation, "test on": task.test}
    sizes = [f"{len(part.y):,} to {purpose}" for purpose, part in parts.items()]
    lines.append(f"{count(rows, 'row')}: {', '.join(sizes)}.")
    if task.unlabelled:
        lines.append(f"{count(task.unlabelled, 'row')} without {task.target!r} left out.")
    return Section("Problem", lines)


def _columns(task: Task) -> list[Section]:
    columns = task.encoder.columns
    table = {
        "column": [column.name for column in columns[:_MOST_SHOWN]],
        "holds": [_PLURALS[column.kind] for column in columns[:_MOST_SHOWN]],
        "missing": [f"{task.missing[column.name]:,}" for column in columns[:_MOST_SHOWN]],
        "features": [f"{len(column.names):,}" for column in columns[:_MOST_SHOWN]],
    }
    features = task.train.x.shape[1]
    lines = [f"{count(len(columns), 'column')} encoded as {count(features, 'feature')}."]
    if len(columns) > _MOST_SHOWN:
        lines.append(f"The first {_MOST_SHOWN} of them:")
    found = [Section("Columns", lines, table)]
    if task.left_out:
        reasons = {"column": list(task.left_out), "why": list(task.left_out.values())}
        found.append(Section("Columns left out", (), reasons))
    return found


_PLURALS = {
    "number": "numbers",
    "boolean": "true and false",
    "time": "times",
    "duration": "durations",
    "category": "categories",
}


def _network(task: Task, net: fnn.MLP) -> Section:
    params = jax.eval_shape(net.init, jax.random.key(0))
    weights = sum(leaf.size for leaf in jax.tree.leaves(params))
    sizes = "-".join(map(str, net.sizes))
    return Section("Network", [f"{sizes}, {weights:,} weights and biases."])


def _training(run: fnn.Fit, limit: int) -> Section:
    epochs, best = int(run.epochs), int(run.best_epoch)
    if int(run.diverged_at) >= 0:
        reason = f"epoch {int(run.diverged_at)} broke and was rolled back"
    elif epochs == limit:
        reason = "all done"
    elif int(run.state.wait) >= PATIENCE:
        reason = f"stopped early, no lower validation loss in {PATIENCE}"
    else:
        reason = "interrupted"
    lines = [
        f"{epochs:,} of at most {count(limit, 'epoch')}: {reason}.",
        f"The weights are those of epoch {best}, counted from 0, of the lowest validation loss.",
    ]

    def draw(ax: Any) -> None:
        plots.learning_curves(run.history, epochs=run.epochs, best_epoch=run.best_epoch, ax=ax)

    alt = f"The losses over {epochs} epochs on the rows to train on and to validate"
    return Section("Training", lines, None, Picture(draw, (7, 3.6), alt))


def _test(task: Task, scores: Scores) -> Section:
    if scores.by_class is None:
        baseline = f"the mean of {task.target!r} in the rows to train on"
    else:
        name = str((task.encoder.classes or ())[np.bincount(task.train.y).argmax()])
        baseline = f"the most frequent class of the rows to train on, {name!r}"
    lines = [
        f"On {count(len(task.test.y), 'row')} that training has not seen.",
        f"The baseline always predicts {baseline}.",
    ]
    if not scores.is_better:
        lines.append("The network is no better than that: do not rely on it.")
    table = {
        "metric": list(scores.network),
        "network": [_score(*metric) for metric in scores.network.items()],
        "baseline": [_score(*metric) for metric in scores.baseline.items()],
    }
    return Section("Test", lines, table)


def _classes(task: Task, scores: Scores) -> Section:
    names = [str(name) for name in task.encoder.classes or ()]
    confusion: Any = scores.confusion
    of_class = scores.by_class or {}
    table: dict[str, list[str]] = {"class": names}
    table |= {what: [f"{value:.3f}" for value in values] for what, values in of_class.items()}
    table["rows"] = [f"{total:.0f}" for total in confusion.sum(axis=1)]
    if len(names) <= 10:
        cells = {
            f"as {name}": [f"{value:.0f}" for value in column]
            for name, column in zip(names, confusion.T, strict=True)
        }
        table |= cells

    def draw(ax: Any) -> None:
        plots.confusion_matrix(confusion, names=names, ax=ax)

    size = float(np.clip(0.5 * len(names) + 2.4, 3.6, 8))
    alt = "The confusion matrix: true classes down, predicted classes across"
    return Section("Classes", (), table, Picture(draw, (size, size), alt))


def _values(task: Task, scores: Scores) -> Section:
    def draw(ax: Any) -> None:
        plots.predictions(scores.outputs, task.test.y, ax=ax)

    alt = "Predicted values against true ones, with the line on which they agree"
    errors = scores.outputs - task.test.y
    low, middle, high = np.quantile(errors, [0.05, 0.5, 0.95])
    lines = [
        f"Of ten errors nine lie between {low:.4g} and {high:.4g}; their median is {middle:.4g}."
    ]
    return Section("Errors", lines, None, Picture(draw, (4.8, 4.8), alt))


def _score(metric: str, value: float) -> str:
    """Errors in the units of the target with four digits, shares with four decimals."""
    return f"{value:#.4g}" if metric in ("RMSE", "MAE") else f"{value:.4f}"


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
