"""Loggers: every epoch is written once, by the real packages where they are installed."""

import csv

import jax
import numpy as np
import pytest

import fnn
from fnn import loggers

X = np.linspace(-1, 1, 32)[:, None]
Y = (X[:, 0] > 0).astype(int)
METRICS = {"accuracy": fnn.accuracy, "confusion": fnn.confusion_matrix}
CONFUSION = [f"validation_confusion[{i},{j}]" for i in (0, 1) for j in (0, 1)]
NAMES = {"loss", "validation_loss", "validation_accuracy", *CONFUSION}
EPOCHS = 6


def run(callback, epochs=EPOCHS, **options):
    return fnn.train(
        fnn.mlp((1, 4, 2)), fnn.softmax_cross_entropy, fnn.adam(0.01), (X, Y),
        key=jax.random.key(0), epochs=epochs, validation=(X, Y), metrics=METRICS, progress=False,
        callback=callback, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    """The history without a logger, by name and epoch."""
    history = {name: np.asarray(values) for name, values in run(None).history.items()}
    confusion = history.pop("validation_confusion").reshape(EPOCHS, 4)
    return history | dict(zip(CONFUSION, confusion.T, strict=True))


def test_each_epoch_is_written_once_with_all_numbers(expected):
    rows = []
    run(loggers.Logger(lambda values, step: rows.append((step, values))))
    assert [step for step, _ in rows] == list(range(EPOCHS))
    for step, values in rows:
        assert values.keys() == NAMES
        assert all(type(value) in (float, int) for value in values.values())
        assert values == {name: expected[name][step] for name in NAMES}


def test_a_sweep_writes_the_latest_values_of_its_segments():
    rows = []
    logger = loggers.Logger(lambda values, step: rows.append((step, values)))
    task = fnn.mlp((1, 4, 2)), fnn.softmax_cross_entropy, fnn.adam([0.01, 0.1]), (X, Y)
    for expected in (1, 2):  # of a second sweep as of the first
        runs = fnn.sweep(*task, key=jax.random.key(0), epochs=3, callback=logger)
        assert [step for step, _ in rows].count(2) == expected
    step, values = rows[-1]
    assert step == 2
    assert values["lanes"] == 2
    np.testing.assert_allclose(values["best loss"], runs.state.best_value["loss"].min(), rtol=1e-6)


def test_any_callback_with_on_epochs_gets_them_before_it_is_called():
    class Stopping:
        def __init__(self):
            self.events = []

        def on_epochs(self, first, history):
            self.events.append(("epochs", first, history["loss"].shape))

        def __call__(self, done, latest):
            self.events.append(("called", done))
            return True

    callback = Stopping()
    ended = run(callback, epochs=100)
    assert callback.events == [("epochs", 0, (1,)), ("called", 1)]
    assert ended.epochs == 1


def test_a_csv_file_continues_with_the_run(tmp_path, expected):
    log, folder = tmp_path / "log.csv", tmp_path / "run"

    class Ending:
        """A logger that ends the run when four epochs are done."""

        def __init__(self):
            self.logger = loggers.csv_logger(log)
            self.on_epochs = self.logger.on_epochs

        def __call__(self, done, latest):
            return done >= 4

    run(Ending(), checkpoint=folder, every=2)
    with log.open("a", newline="") as file:  # as if killed after an epoch without a checkpoint
        file.write("4" + ",9" * len(NAMES) + "\n")
    run(loggers.csv_logger(log), checkpoint=folder, every=2)
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(EPOCHS))
    for name in NAMES:
        np.testing.assert_allclose([float(row[name]) for row in rows], expected[name], rtol=1e-6)
    logger = loggers.csv_logger(log)
    for _ in range(2):
        run(logger, epochs=2)
        assert len(log.read_text().splitlines()) == 3, "a new run begins anew"


def test_a_csv_file_of_other_columns_is_not_continued(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,other\n0,1\n")
    logger = loggers.csv_logger(log)
    with pytest.raises(ValueError, match=r"log\.csv, which is continued, must have the columns"):
        logger.on_epochs(1, {"loss": np.ones(1)})
    assert log.read_text() == "epoch,other\n0,1\n"
    logger = loggers.csv_logger(tmp_path / "new.csv")
    logger.on_epochs(0, {"loss": np.ones(1)})
    with pytest.raises(ValueError, match="must have the columns epoch, loss; got epoch, mae"):
        logger.on_epochs(1, {"mae": np.ones(1)})


def test_a_file_that_cannot_be_written_ends_the_run_with_its_checkpoint(tmp_path):
    logger = loggers.csv_logger(tmp_path / "missing" / "log.csv")
    with pytest.raises(OSError, match="missing"):
        run(logger, checkpoint=tmp_path / "run")
    continued = run(None, checkpoint=tmp_path / "run")
    assert continued.epochs == EPOCHS


def test_tensorboard(tmp_path, expected):
    tensorboard = pytest.importorskip("tensorboardX")
    event_file_loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader"
    )
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        run(loggers.tensorboard_logger(writer))
    (path,) = tmp_path.iterdir()
    found = {}
    for event in event_file_loader.LegacyEventFileLoader(str(path)).Load():
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    # which puts an underscore for characters that it does not allow
    assert len(found) == len(NAMES)
    losses = [found["loss"][step] for step in range(EPOCHS)]
    np.testing.assert_allclose(losses, expected["loss"], rtol=1e-6)


def test_weights_and_biases(tmp_path, monkeypatch, expected):
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb = pytest.importorskip("wandb")
    with wandb.init(project="fnn", dir=str(tmp_path), mode="offline") as offline:
        run(loggers.wandb_logger(offline))
        offline.log({}, step=EPOCHS)  # which closes the step before
        summary = dict(offline.summary)
    assert {name: summary[name] for name in NAMES} == pytest.approx(
        {name: expected[name][-1] for name in NAMES}
    )


def test_mlflow(tmp_path, monkeypatch, expected):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'runs'}")
    with mlflow.start_run() as active:
        run(loggers.mlflow_logger(mlflow))
    client = mlflow.MlflowClient()
    for name in NAMES:
        known = name.replace("[", ".").replace(",", ".").replace("]", "")
        history = client.get_metric_history(active.info.run_id, known)
        assert [entry.step for entry in history] == list(range(EPOCHS))
        np.testing.assert_allclose([entry.value for entry in history], expected[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (loggers.Logger, "write must be a function of values and step; got 3"),
        (loggers.tensorboard_logger, "writer must have a method add_scalar; got int"),
        (loggers.wandb_logger, "run must have a method log; got int"),
        (loggers.mlflow_logger, "mlflow must have a method log_metrics; got int"),
        (loggers.csv_logger, "path must be a path"),
    ],
)
def test_loggers_check_what_they_are_given(make, match):
    with pytest.raises(TypeError, match=match):
        make(3 if make is not loggers.csv_logger else None)
