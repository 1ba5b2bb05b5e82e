"""Cross-validation beside scikit-learn's and skorch's: seconds for all folds of all settings.

    python -m bench.cross_validation [--rounds 3] [--quick]

A round is one call of each, in turns. scikit-learn and skorch run in two processes. The rows of a
fresh process time all of it, with imports and compilation.
"""

import argparse
import importlib.util
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.measure import in_turns
from bench.rows import OURS, Row, entries, text

SCIKIT_LEARN, SKORCH = "scikit-learn, 2", "skorch, 2"
# what is timed of scikit-learn and of ours where nothing is cross-validated
_ONE_FIT = "one fit of an estimator"


class Work(NamedTuple):
    """What is cross-validated: a network of one hidden layer or more, trained by Adam."""

    data: str
    """A function of `sklearn.datasets`."""
    hidden: tuple[int, ...]
    folds: int | str
    settings: int
    """Learning rates."""
    epochs: int
    batch_size: int
    targets: dict[str, float]
    """How many times as fast we want to be, warm."""
    fresh: dict[str, float]
    """The same in a fresh process."""


WORKS = {
    "digits": Work(
        "load_digits", (64,), 5, 20, 20, 32, {SCIKIT_LEARN: 20, SKORCH: 40}, {SCIKIT_LEARN: 2.5}
    ),
    "iris": Work("load_iris", (16,), "leave_one_out", 1, 50, 32, {SCIKIT_LEARN: 250}, {}),
    "estimator": Work(
        "load_digits", (64,), _ONE_FIT, 1, 20, 32, {SCIKIT_LEARN: 4}, {SCIKIT_LEARN: 1 / 1.6}
    ),
}


def prepared(peer: str, work: Work) -> Callable[[], float]:
    """A function that cross-validates, and returns the best mean accuracy."""
    from sklearn import datasets  # part of what a fresh process pays for

    x, y = getattr(datasets, work.data)(return_X_y=True)
    x = ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-3)).astype(np.float32)
    return {OURS: _ours, SCIKIT_LEARN: _scikit_learn, SKORCH: _skorch}[peer](work, x, y)


def _rates(work: Work) -> np.ndarray:
    return np.geomspace(1e-4, 1e-2, work.settings) if work.settings > 1 else np.array([1e-2])


def _ours(work: Work, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    import jax

    import fnn

    if work.folds == _ONE_FIT:
        from fnn.sklearn import FNNClassifier

        model = FNNClassifier(work.hidden, batch_size=work.batch_size, max_iter=work.epochs,
                              learning_rate_init=float(_rates(work)[0]), n_iter_no_change=None,
                              random_state=0)  # fmt: skip
        return lambda: float(model.fit(x, y).score(x, y))
    net = fnn.mlp((x.shape[1], *work.hidden, int(y.max()) + 1))

    def run() -> float:
        cv = fnn.cross_validate(
            net, fnn.softmax_cross_entropy, fnn.adam(_rates(work)), (x, y),
            key=jax.random.key(0), folds=work.folds, epochs=work.epochs,
            batch_size=work.batch_size, metrics={"accuracy": fnn.accuracy}, score="accuracy",
            stratify=work.folds != "leave_one_out", progress=False,
        )  # fmt: skip
        return float(cv.summary()["mean"].max())

    return run


def _search(work: Work, model, name: str, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """scikit-learn's search over the learning rates, in two processes."""
    from sklearn.model_selection import GridSearchCV, LeaveOneOut, StratifiedKFold

    if work.folds == "leave_one_out":
        folds = LeaveOneOut()
    else:
        folds = StratifiedKFold(work.folds, shuffle=True, random_state=0)
    grid = {name: _rates(work).tolist()}
    search = GridSearchCV(model, grid, cv=folds, n_jobs=2, refit=False)
    return lambda: float(search.fit(x, y).best_score_)


def _scikit_learn(work: Work, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")  # that all epochs ended before convergence
    model = MLPClassifier(
        work.hidden, batch_size=work.batch_size, max_iter=work.epochs, alpha=0, tol=0,
        n_iter_no_change=work.epochs, random_state=0,
    )  # fmt: skip
    if work.folds == _ONE_FIT:
        model.set_params(learning_rate_init=float(_rates(work)[0]))
        return lambda: float(model.fit(x, y).score(x, y))
    return _search(work, model, "learning_rate_init", x, y)


def _skorch(work: Work, x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn

    torch.set_num_threads(1)
    sizes = [x.shape[1], *work.hidden]
    layers = [part for a, b in itertools.pairwise(sizes)
              for part in (nn.Linear(a, b), nn.ReLU())]  # fmt: skip
    model = NeuralNetClassifier(
        nn.Sequential(*layers, nn.Linear(sizes[-1], int(y.max()) + 1)),
        criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, max_epochs=work.epochs,
        batch_size=work.batch_size, train_split=None, verbose=0, iterator_train__shuffle=True,
    )  # fmt: skip
    return _search(work, model, "lr", x, y.astype(np.int64))


def peers(work: Work) -> list[str]:
    """Those that are installed."""
    if work.folds == _ONE_FIT:
        return [OURS, SCIKIT_LEARN]
    has_skorch = importlib.util.find_spec("skorch") and importlib.util.find_spec("torch")
    return [OURS, SCIKIT_LEARN, *([SKORCH] if has_skorch else [])]


def warm(name: str, work: Work, rounds: int) -> Row:
    """Second and later calls in one process."""
    runs = {peer: prepared(peer, work) for peer in peers(work)}
    figures = {peer: {"accuracy": run()} for peer, run in runs.items()}  # compiles, too

    def timed(run: Callable[[], float]) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    samples = in_turns({p: lambda run=run: timed(run) for p, run in runs.items()}, rounds)
    title = f"{name}: {work.settings} settings, folds {work.folds}, {work.epochs} epochs"
    if work.folds == _ONE_FIT:
        title = f"digits: {_ONE_FIT}, {work.epochs} epochs"
    return Row(f"cross-validation/{name}", title, "s", entries(samples, figures, {}), work.targets)


def fresh(name: str, work: Work, rounds: int) -> Row:
    """Whole processes."""

    def timed(peer: str) -> float:
        command = [sys.executable, "-m", "bench.cross_validation", "--one", peer, name]
        command += ["--epochs", str(work.epochs), "--settings", str(work.settings)]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
        return time.perf_counter() - start

    samples = in_turns({peer: lambda peer=peer: timed(peer) for peer in peers(work)[:2]}, rounds)
    title = f"{name}, in a fresh process"
    return Row(f"cross-validation/{name}/fresh", title, "s", entries(samples, {}, {}), work.fresh)


def main() -> None:
    """Prints a row for each work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few epochs, settings and rounds")
    parser.add_argument("--one", nargs=2, metavar=("PEER", "WORK"), help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--settings", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        peer, name = options.one
        work = WORKS[name]._replace(epochs=options.epochs, settings=options.settings)
        prepared(peer, work)()
        return
    rounds = 1 if options.quick else options.rounds
    for name, work in WORKS.items():
        if options.quick:
            folds = work.folds if work.folds == _ONE_FIT else 3
            work = work._replace(epochs=2, settings=min(2, work.settings), folds=folds)
        print(text(warm(name, work, rounds)), flush=True)
        print(text(fresh(name, work, rounds)), flush=True)


if __name__ == "__main__":
    main()
