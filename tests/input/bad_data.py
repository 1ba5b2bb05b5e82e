"""Data that are refused wherever given: as data, as validation, in `evaluate`, in a step."""

import numpy as np
from bad_input import LABELS, NAMES, ROWS, VALUES, WEIGHTS, X, spoilt

DATA = {
    "too few features": (
        (X[:, :2], LABELS),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12, 2)",
    ),
    "too many features": (
        (X[:, [0, 1, 2, 2]], LABELS),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12, 4)",
    ),
    "x without features": (
        (X[:, 0], LABELS),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12,)",
    ),
    "one row without the axis of rows": (
        (X[0], LABELS[:3]),
        ValueError,
        "RUN: outputs of the network must be one array (3, out); got float32(4,)",
    ),
    "x shorter than y": (
        (X[:-1], LABELS),
        ValueError,
        "RUN: x and y of DATA must be of one length; got 11 and 12 rows",
    ),
    "y shorter than x": (
        (X, LABELS[:-1]),
        ValueError,
        "RUN: x and y of DATA must be of one length; got 12 and 11 rows",
    ),
    "scalars": (
        (1.0, 2),
        ValueError,
        "RUN: x and y of DATA must have rows: shapes (rows, ...); got () and ()",
    ),
    "empty arrays": (
        (X[:0], LABELS[:0]),
        ValueError,
        "RUN: DATA must have at least one row; got none",
    ),
    "empty lists": (([], []), ValueError, "RUN: DATA must have at least one row; got none"),
    "labels that are floats": (
        (X, LABELS.astype(np.float32)),
        TypeError,
        "*: labels * be integers; got float32*",
    ),
    "labels that are names": (
        (X, NAMES),
        TypeError,
        "RUN: y of DATA must hold numbers (turn names into integer labels with names, labels = "
        "np.unique(y of DATA, return_inverse=True)); got <U1 of shape (12,)",
    ),
    "labels that are missing": (
        (X, [None] * ROWS),
        TypeError,
        "RUN: y of DATA must hold numbers (*); got object of shape (12,)",
    ),
    "labels that are dates": (
        (X, np.full(ROWS, "2020-01-01", "M8[D]")),
        TypeError,
        "RUN: y of DATA must hold real numbers; got dtype datetime64[D]",
    ),
    "labels from -1": ((X, LABELS - 1), ValueError, "*: labels must be from 0 to 3*; got -1"),
    "labels from 1": ((X, LABELS + 1), ValueError, "*: labels must be from 0 to 3*; got 4"),
    "labels that int32 would wrap": (
        (X, LABELS + 2**32),
        ValueError,
        "RUN: y of DATA must fit int32; got values from 4294967296 to 4294967299",
    ),
    "labels in two columns": (
        (X, np.stack([LABELS, LABELS], axis=1)),
        ValueError,
        "*: targets must * as outputs are (12, 4); got *(12, 2)",
    ),
    "distributions over too few classes": (
        (X, np.full((ROWS, 3), 1 / 3)),
        ValueError,
        "*: targets must * as outputs are (12, 4); got *(12, 3)",
    ),
    "x and y swapped": (
        (LABELS, X),
        ValueError,
        "mlp.apply: x must have shape (..., 3); got (12,)",
    ),
    "x and y swapped, as many rows as features": (
        (LABELS[:3], X[:3]),
        ValueError,
        "RUN: outputs of the network must be one array (3, out); got float32(4,)",
    ),
    "NaN in x": (
        (spoilt(X, (1, 2), np.nan), LABELS),
        ValueError,
        "RUN: x of DATA must be finite everywhere; got nan at index (1, 2)",
    ),
    "infinity in x": (
        (spoilt(X, (1, 2), -np.inf), LABELS),
        ValueError,
        "RUN: x of DATA must be finite everywhere; got -inf at index (1, 2)",
    ),
    "x beyond float32": (
        (spoilt(X.astype(float), (1, 2), 1e300), LABELS),
        ValueError,
        f"RUN: x of DATA must fit float32; got values from {X.astype(float).min()} to 1e+300",
    ),
    "NaN in y": (
        (X, spoilt(VALUES, (5, 0), np.nan)),
        ValueError,
        "RUN: y of DATA must be finite everywhere; got nan at index (5, 0)",
    ),
    "infinity in y": (
        (X, spoilt(VALUES, (5, 0), np.inf)),
        ValueError,
        "RUN: y of DATA must be finite everywhere; got inf at index (5, 0)",
    ),
    "complex x": (
        (X + 1j, LABELS),
        TypeError,
        "RUN: x of DATA must hold real numbers; got dtype complex64",
    ),
    "ragged x": (
        ([[1.0, 2.0], [3.0]], [0, 1]),
        ValueError,
        "RUN: x of DATA must be an array, all of its rows of one shape; got rows of different "
        "shapes",
    ),
    "NaN in weights": (
        (X, LABELS, spoilt(WEIGHTS, 3, np.nan)),
        ValueError,
        "RUN: weights of DATA must be finite everywhere; got nan at index (3,)",
    ),
    "infinity in weights": (
        (X, LABELS, spoilt(WEIGHTS, 3, np.inf)),
        ValueError,
        "RUN: weights of DATA must be finite everywhere; got inf at index (3,)",
    ),
    "a negative weight": (
        (X, LABELS, spoilt(WEIGHTS, 3, -0.5)),
        ValueError,
        "RUN: weights of DATA must be >= 0; got -0.5",
    ),
    "weights that are all 0": (
        (X, LABELS, 0 * WEIGHTS),
        ValueError,
        "RUN: weights of DATA must not all be 0; got only 0",
    ),
    "weights that vanish": (
        (X, LABELS, np.full(12, 1e-42)),
        ValueError,
        "RUN: the largest of weights of DATA must be >= 1.18e-38, and their sum <= 3.4e+38; "
        "got 1e-42, and 1.2e-41",
    ),
    "weights whose sum overflows": (
        (X, LABELS, np.full(12, 3e38)),
        ValueError,
        "RUN: the largest of weights of DATA must be >= 1.18e-38, and their sum <= 3.4e+38; "
        "got 3e+38, and 3.6e+39",
    ),
    "weights in a column": (
        (X, LABELS, WEIGHTS[:, None]),
        ValueError,
        "RUN: weights of DATA must be (12,); got (12, 1)",
    ),
    "weights per class": (
        (X, LABELS, np.ones(4)),
        ValueError,
        "RUN: weights of DATA must be (12,); got (4,)",
    ),
    "one weight": ((X, LABELS, 1.0), ValueError, "RUN: weights of DATA must be (12,); got ()"),
    "an array for data": (
        X,
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got ndarray",
    ),
    "a dict for data": (
        {"x": X, "y": LABELS},
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got dict",
    ),
    "x alone": (
        (X,),
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got tuple of 1",
    ),
    "too much": (
        (X, LABELS, WEIGHTS, WEIGHTS),
        TypeError,
        "RUN: DATA must be a tuple (x, y) or (x, y, weights); got tuple of 4",
    ),
}
