"""A picture of each kind, of small data."""

import io

import jax.numpy as jnp
import numpy as np

from fnn import plots

HISTORY = {
    "loss": jnp.array([1.0, 0.6, 0.4, 0.3, 0.3]),
    "validation_loss": jnp.array([0.9, 0.7, 0.6, 0.65, 0.65]),
}
ACCURACY = {"validation_accuracy": jnp.array([0.5, 0.7, 0.8, 0.8, 0.8])}
MATRIX = jnp.array([[8.0, 0.0, 2.0], [0.0, 5.0, 0.0], [1.0, 0.0, 4.0]])
GRID = {
    "rate": np.array([0.1, 0.1, 0.01, 0.01, 1.0]),
    "decay": np.array([0.0, 0.5, 0.5, 0.0, 0.5]),
    "mean": np.array([1.0, 2.0, 3.0, 4.0, np.nan]),
    "standard_error": np.array([0.1, 0.2, 0.3, np.nan, np.nan]),
}
OUTPUTS, TARGETS = jnp.array([[1.1], [1.9], [3.2]]), np.array([1, 2, 3])
IMAGES = np.arange(5 * 2 * 3).reshape(5, 2, 3)

POINTS, LABELS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]]), np.array([0, 1, 1, 0])


def wide_bowl(w):
    return w[0] ** 2 + 9 * w[1] ** 2


PATHS = {"straight": np.array([[2.0, 1.0], [1.0, 0.5], [0.0, 0.0]])}

DRAWN = {
    "learning_curves": lambda **given: plots.learning_curves(HISTORY | ACCURACY, **given),
    "confusion_matrix": lambda **given: plots.confusion_matrix(MATRIX, **given),
    "heat_map": lambda **given: plots.heat_map(GRID, "rate", "decay", **given),
    "predictions": lambda **given: plots.predictions(OUTPUTS, TARGETS, **given),
    "decision_boundary": lambda **given: plots.decision_boundary(
        lambda _, x: x[:, 0] - 0.5, None, POINTS, LABELS, resolution=9, **given
    ),
    "loss_surface": lambda **given: plots.loss_surface(
        wide_bowl, np.zeros(2), paths=PATHS, resolution=9, **given
    ),
}


def pixels(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="rgba", dpi=60)
    return np.frombuffer(buffer.getvalue(), np.uint8)
