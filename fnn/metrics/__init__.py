"""Metrics: how well the outputs for a whole data set agree with its targets.

A metric is `metric(outputs, targets, weights=None, **options)`: outputs come first, as
everywhere here, not targets, as in scikit-learn. What it measures, and every convention
for what is undefined, is scikit-learn's.

- Outputs are `(rows, out)`, floating; `(rows,)` are one column. Values, as outputs and as
  targets, may be `(rows,)` or `(rows, 1)`, each beside either.
- Classes are read off outputs `(rows, classes)` as the largest score (the first of equal
  ones), and off one column as class 1 where the score is strictly greater than
  `threshold`, otherwise class 0: at the threshold itself, class 0, as scikit-learn's
  classifiers do. So one column means two classes. Without a threshold it is 0, for logits
  (in `evaluate` 0.5 where an `mlp` ends in a sigmoid); but scores `(rows,)`, or of several
  labels, that are known and all from 0 to 1 could be probabilities, and are refused where
  0.5 would predict something else.
- Predicted labels, integers or bools `(rows,)` or `(rows, 1)`, may stand in place of scores
  in every metric of classes but `roc_auc`. How many classes there are, `num_classes` says,
  or else the largest label.
- Targets of classes are labels `(rows,)` or `(rows, 1)`, or distributions
  `(rows, classes)`, of which the largest counts. For one column they may also be floats
  that are 0 or 1 (once compiled, floats count as 1 where greater than 0.5).
- With `multilabel=True` a row can have several labels: targets are `(rows, labels)` of 0
  and 1, and outputs scores of that shape, each split at `threshold`, or predictions of 0
  and 1. It must be given, as one-hot targets are also distributions; only `average="samples"`,
  which has no other meaning, implies it. Where it is not, targets of more labels than one a row
  are refused.
- Weights are `(rows,)`, finite and >= 0.
- Results have the dtype of the outputs, but at least float32 (for predicted labels, JAX's
  default). They are NaN where weights sum to 0, where there is a NaN among the outputs,
  and, once compiled, where a label is out of range, or targets `(rows, classes)` are no
  distributions, or those of several labels neither 0 nor 1.

Options that are words are static; options that are numbers are traced. A metric says in
`higher_is_better` which way is good: True, False, or None for neither.
"""

from fnn.metrics.classification import (
    accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
)
from fnn.metrics.ranking import roc_auc
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
