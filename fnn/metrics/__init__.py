"""Metrics: how well the outputs for a whole data set agree with its targets.

A metric is `metric(outputs, targets, weights=None, **options)`: outputs come first, as
everywhere here, not targets, as in scikit-learn. What it measures, and every convention
for what is undefined, is scikit-learn's.

- Outputs are `(rows, out)`, floating.
- Classes are read off outputs `(rows, classes)` as the largest score (the first of equal
  ones), and off one column as class 1 where the score is strictly greater than
  `threshold`, otherwise class 0: at the threshold itself, class 0, as scikit-learn's
  classifiers do. So one column means two classes.
- Targets of classes are labels `(rows,)` or distributions `(rows, classes)`, of which the
  largest counts. For one column they may also be `(rows, 1)`, or floats that are 0 or 1
  (once compiled, floats count as 1 where greater than 0.5).
- Weights are `(rows,)`, finite and >= 0.
- Results have the dtype of the outputs, but at least float32. They are NaN where weights
  sum to 0, where there is a NaN among the outputs, and, once compiled, where a label is
  out of range.

Options that are words are static; options that are numbers are traced. A metric says in
`higher_is_better` which way is good: True, False, or None for neither.
"""

from fnn.metrics.classification import (
    accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
    roc_auc,
)
from fnn.metrics.regression import (
    mean_absolute_error,
    mean_squared_error,
    r2,
    root_mean_squared_error,
)

__all__ = [
    "accuracy",
    "confusion_matrix",
    "f1",
    "mean_absolute_error",
    "mean_squared_error",
    "precision",
    "r2",
    "recall",
    "roc_auc",
    "root_mean_squared_error",
]
