"""The quickstart, `python -m fnn`: from a table of numbers to a trained and tested network.

`digits` and `diabetes` are whole examples, to be read and copied from.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn import plots

BATCH_SIZE = 32
PATIENCE = 10


def digits(epochs: int, seed: int, progress: bool) -> Any:
    """Which digit is it? Trains a classifier of pictures of 8 x 8 pixels; returns a figure."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x / 16  # from 0, paper, to 1, ink
    test_key, validation_key, key = jax.random.split(jax.random.key(seed), 3)
    x, x_test, y, y_test = fnn.train_test_split(x, y, key=test_key, test_size=0.2, stratify=y)
    x, x_val, y, y_val = fnn.train_test_split(x, y, key=validation_key, test_size=0.15, stratify=y)

    net = fnn.mlp((64, 256, 128, 10), dropout=0.4)
    loss = partial(fnn.softmax_cross_entropy, label_smoothing=0.1)
    opt = fnn.adam(fnn.cosine_decay(3e-3, decay_steps=epochs * math.ceil(len(x) / BATCH_SIZE)))
    tell_plan("handwritten digits, ten classes", net, x, x_val, x_test)
    run = fnn.train(
        net, loss, opt, (x, y), key=key, epochs=epochs, batch_size=BATCH_SIZE,
        validation=(x_val, y_val), metrics={"accuracy": fnn.accuracy},
        stop=fnn.early_stopping(patience=PATIENCE), progress=progress,
    )  # fmt: skip
    tell_end(run, epochs)

    metrics = {
        "accuracy": fnn.accuracy,
        "precision (macro)": partial(fnn.precision, average="macro"),
        "recall (macro)": partial(fnn.recall, average="macro"),
        "F1 (macro)": partial(fnn.f1, average="macro"),
        "confusion matrix": fnn.confusion_matrix,
    }
    scores = fnn.evaluate(net, run.best_params, (x_test, y_test), metrics)
    confusion = scores.pop("confusion matrix")
    tell_scores(scores, len(x_test))
    tell_confusion(confusion)

    outputs = net.apply(run.best_params, x_test)
    return draw_digits(run, confusion, x_test, y_test, np.asarray(outputs.argmax(axis=-1)))


def draw_digits(run: fnn.Fit, confusion: Any, x: Any, true: Any, predicted: Any) -> Any:
    """Learning curves, confusion matrix, and up to ten mistaken digits."""
    figure = new_figure(11, 7.4)
    top, bottom = figure.subfigures(2, 1, height_ratios=(3, 1))
    left, right = top.subplots(1, 2, width_ratios=(1.3, 1))
    plots.learning_curves(run.history, epochs=run.epochs, best_epoch=run.best_epoch, ax=left)
    plots.confusion_matrix(confusion, ax=right).set_title(f"{len(x)} test digits")
    wrong = np.flatnonzero(predicted != true)
    bottom.suptitle(f"Mistaken digits: {len(wrong)}")
    if len(wrong):
        titles = [f"true {true[i]}\npredicted {predicted[i]}" for i in wrong[:10]]
        plots.image_grid(x[wrong[:10]].reshape(-1, 8, 8), titles, figure=bottom)
    return figure


def diabetes(epochs: int, seed: int, progress: bool) -> Any:
    """How far will it go? Trains a regression of the disease's progress; returns a figure."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    test_key, validation_key, key = jax.random.split(jax.random.key(seed), 3)
    x, x_test, y, y_test = fnn.train_test_split(x, y, key=test_key, test_size=0.2)
    x, x_val, y, y_val = fnn.train_test_split(x, y, key=validation_key, test_size=0.2)
    scale_x, scale_y = fnn.standard_scaler(x), fnn.standard_scaler(y)

    net = fnn.mlp((10, 32, 32, 1), activation="tanh", dropout=0.2)
    rate = fnn.cosine_decay(1e-3, decay_steps=epochs * math.ceil(len(x) / BATCH_SIZE))
    opt = fnn.adamw(rate, weight_decay=0.01)
    tell_plan("progress of diabetes within a year, a score from 25 to 346", net, x, x_val, x_test)
    run = fnn.train(
        net, fnn.squared_error, opt, (scale_x(x), scale_y(y)), key=key, epochs=epochs,
        batch_size=BATCH_SIZE, validation=(scale_x(x_val), scale_y(y_val)),
        stop=fnn.early_stopping(patience=PATIENCE), progress=progress,
    )  # fmt: skip
    tell_end(run, epochs)

    outputs = scale_y.inverse(net.apply(run.best_params, scale_x(x_test)))
    guesses = jnp.full_like(outputs, y.mean())
    scores = {
        "MAE": fnn.mean_absolute_error(outputs, y_test),
        "MAE of guessing the mean": fnn.mean_absolute_error(guesses, y_test),
        "RMSE": fnn.root_mean_squared_error(outputs, y_test),
        "R2": fnn.r2(outputs, y_test),
    }
    tell_scores(scores, len(x_test))

    figure = new_figure(10, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    plots.learning_curves(run.history, epochs=run.epochs, best_epoch=run.best_epoch, ax=left)
    plots.predictions(outputs, y_test, ax=right).set_title(f"{len(x_test)} test rows")
    return figure


def tell_plan(title: str, net: fnn.MLP, x: Any, x_val: Any, x_test: Any) -> None:
    """Prints what is trained, on how many rows."""
    params = jax.eval_shape(net.init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    print(f"data  {title}:")
    print(f"      {len(x)} rows to train on, {len(x_val)} to validate, {len(x_test)} to test")
    print(f"net   {'-'.join(map(str, net.sizes))}, {count} weights and biases", flush=True)


def tell_end(run: fnn.Fit, limit: int) -> None:
    """Prints how long the run was and why it ended."""
    if run.diverged_at >= 0:
        reason = f"epoch {run.diverged_at} broke and was rolled back"
    elif run.epochs == limit:
        reason = "all done"
    elif run.state.wait >= PATIENCE:
        reason = f"stopped early, no lower validation loss in {PATIENCE}"
    else:
        reason = "interrupted"
    print(f"run   {run.epochs} of at most {limit} epochs: {reason}")
    print(f"      best epoch, counted from 0: {run.best_epoch}; its weights are kept")


def tell_scores(scores: Mapping[str, Any], rows: int) -> None:
    """Prints a line per metric."""
    print(f"\nOn {rows} test rows:")
    for name, score in scores.items():
        print(f"  {name:{max(map(len, scores))}}  {float(score):#.4g}")


def tell_confusion(matrix: Any) -> None:
    """Prints a confusion matrix of counts, zeros as dots."""
    print("\nConfusion matrix (down: the true digit; across: the predicted one):")
    print("     " + "".join(f"{name:4}" for name in range(len(matrix))))
    for name, row in enumerate(np.asarray(matrix, int)):
        print(f"  {name:3}" + "".join(f"{count or '.':>4}" for count in row))


def new_figure(width: float, height: float) -> Any:
    """An empty figure, of that many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """The options of the command line; exits where they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m fnn",
        description="Trains a small network on data that come with scikit-learn, stops early, "
        "measures it on rows it has never seen, prints the metrics and draws a picture.",
        epilog="Ctrl-C ends the training and continues with what is there. On a table of your own: "
        "python -m fnn train --help, then python -m fnn predict --help.",
    )
    add, on_terminal = parser.add_argument, sys.stderr.isatty()
    about = (
        "digits: classify handwritten ones (default); diabetes: predict its progress (regression)"
    )
    add("data", nargs="?", choices=list(EXAMPLES), default="digits", help=about)
    add("--seed", type=int, default=0, metavar="N", help="seed of all that is random (default: 0)")
    add("--epochs", type=int, default=100, metavar="N", help="at most so many (default: 100)")
    add("--output", type=Path, metavar="PATH", help="picture to write (default: fnn-DATA.png)")
    about = "show a progress bar (default: on a terminal)"
    add("--progress", action=argparse.BooleanOptionalAction, default=on_terminal, help=about)
    options = parser.parse_args(argv)
    if not (1 <= options.epochs <= 100_000 and 0 <= options.seed < 2**32):
        parser.error("--epochs must be from 1 to 100000, --seed from 0 to 4294967295")
    options.output = options.output or Path(f"fnn-{options.data}.png")
    return options


def check_writable(path: Path) -> None:
    """Exits if no picture can be written there."""
    kinds = new_figure(1, 1).canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        sys.exit(f"python -m fnn: --output must end in .{', .'.join(sorted(kinds))}; got {path}")
    try:
        is_new = not path.exists()
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        sys.exit(
            f"python -m fnn: --output must be a file to write to; got {path}: {error.strerror}"
        )


def main(argv: list[str] | None = None) -> None:
    """Runs the example asked for."""
    options = parsed(argv)
    for package in ("matplotlib", "sklearn", "tqdm"):
        try:
            __import__(package)
        except ImportError:
            sys.exit(f"python -m fnn: needs {package}, to be had with: pip install 'fnn[demo]'")
    check_writable(options.output)
    begin = time.perf_counter()
    try:
        figure = EXAMPLES[options.data](options.epochs, options.seed, options.progress)
        figure.savefig(options.output, dpi=150, bbox_inches="tight", pad_inches=0.2)
    except KeyboardInterrupt:
        sys.exit("python -m fnn: interrupted")
    seconds = time.perf_counter() - begin
    print(f"\nPicture: {options.output}. All in {seconds:.1f} s, compilation included.")


EXAMPLES = {"digits": digits, "diabetes": diabetes}
