"""`python -m fnn train` beside scikit-learn's networks, on three real tables: test scores by seed.

    python -m bench.command_line [--seeds 5]

A seed decides the split and the first weights. All train on the same encoded columns, scaled by the
rows that they train on, with hidden layers of the same sizes, and are tested on the same rows.
scikit-learn's defaults train on all the other rows, until their loss falls no more; ours, and
theirs with `early_stopping=True`, set some of them aside to stop by.
"""

import argparse
import importlib.resources
import tempfile
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bench.rows import OURS
from fnn.cli.learning import learnt, network_of, scores_of
from fnn.cli.model import TableModel
from fnn.cli.table import read_table
from fnn.cli.task import Task, task_of
from fnn.cli.train import parsed

SCIKIT_LEARN, STOPPED = "scikit-learn", "scikit-learn, early stopping"
# the target of each table
TARGETS = {"penguins": "Sex", "wine": "cultivar", "diabetes": "progress"}


def write_tables(folder: Path) -> dict[str, Path]:
    """The tables as CSV files, by name; they ship in Python packages.

    - penguins: 344 rows, numbers, categories, dates, texts and missing values; two classes.
      The package palmerpenguins (Horst, Hill and Gorman 2020; CC0).
    - wine: 178 rows, 13 numbers, three classes. scikit-learn.
    - diabetes: 442 rows, 10 numbers, a regression. scikit-learn.
    """
    from sklearn.datasets import load_diabetes, load_wine

    raw = importlib.resources.files("palmerpenguins") / "data" / "penguins-raw.csv"
    paths = {name: folder / f"{name}.csv" for name in TARGETS}
    paths["penguins"].write_bytes(raw.read_bytes())
    wine: Any = load_wine()
    _write(paths["wine"], wine, wine.target_names[wine.target])
    diabetes: Any = load_diabetes(scaled=False)
    _write(paths["diabetes"], diabetes, diabetes.target)
    return paths


def _write(path: Path, bunch: Any, target: np.ndarray) -> None:
    lines = [[*bunch.feature_names, TARGETS[path.stem]]]
    lines += [[*row, value] for row, value in zip(bunch.data, target, strict=True)]
    path.write_text("".join(f"{','.join(map(str, line))}\n" for line in lines))


def ours(task: Task, options: argparse.Namespace, key: jax.Array) -> float:
    """The score of `python -m fnn train`: its first metric on the rows to test on."""
    net = network_of(task, options.hidden)
    run = learnt(task, net, epochs=options.epochs, key=key)
    model = TableModel(net, run.best_params, task.encoder)
    return next(iter(scores_of(task, model).network.values()))


def scikit_learn(task: Task, options: argparse.Namespace, *, early_stopping: bool) -> float:
    """The score of scikit-learn's pipeline."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.metrics import root_mean_squared_error
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = (np.concatenate(parts) for parts in zip(task.train, task.validation, strict=True))
    settings = {"random_state": options.seed, "early_stopping": early_stopping}
    if task.encoder.classes is not None:
        model = make_pipeline(
            StandardScaler(), MLPClassifier(hidden_layer_sizes=options.hidden, **settings)
        )
        return float(model.fit(x, y).score(*task.test))
    network = MLPRegressor(hidden_layer_sizes=options.hidden, **settings)
    pipeline = make_pipeline(StandardScaler(), network)
    model = TransformedTargetRegressor(pipeline, transformer=StandardScaler()).fit(x, y)
    return float(root_mean_squared_error(task.test.y, model.predict(task.test.x)))


def measure(name: str, path: Path, seeds: int) -> tuple[str, dict[str, list[float]]]:
    """The metric, and by peer a score for each seed."""
    scores: dict[str, list[float]] = {OURS: [], SCIKIT_LEARN: [], STOPPED: []}
    task = None
    for seed in range(seeds):
        options = parsed([str(path), "--target", TARGETS[name], "--seed", str(seed)])
        of_split, of_run = jax.random.split(jax.random.key(seed))
        task = task_of(read_table(path), TARGETS[name], key=of_split, test_size=options.test)
        scores[OURS].append(ours(task, options, of_run))
        scores[SCIKIT_LEARN].append(scikit_learn(task, options, early_stopping=False))
        scores[STOPPED].append(scikit_learn(task, options, early_stopping=True))
    is_regression = task is not None and task.encoder.classes is None
    return "RMSE, lower is better" if is_regression else "accuracy, higher is better", scores


def main() -> None:
    """Prints a row for each table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that scikit-learn's epochs ended before convergence
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_tables(Path(folder)).items():
            metric, scores = measure(name, path, options.seeds)
            print(f"{name}: {metric}, mean of {options.seeds} seeds  [command-line/{name}]")
            for peer, values in scores.items():
                ends = f"({min(values):.4g} to {max(values):.4g})"
                error = np.std(np.subtract(values, scores[OURS])) / np.sqrt(len(values))
                beside = np.mean(values) - np.mean(scores[OURS])
                rest = "" if peer == OURS else f"  {beside:+.4f} +- {error:.4f} beside ours"
                print(f"  {peer:30}{np.mean(values):10.4f} {ends}{rest}", flush=True)


if __name__ == "__main__":
    main()
