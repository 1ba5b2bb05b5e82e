"""Estimators for scikit-learn, with the extra `sklearn`: `FNNClassifier`, `FNNRegressor`,
and `FNNSearchCV`, which searches their parameters.

The estimators are `mlp`, `fit` and `adam` or `sgd` behind scikit-learn's interface. Unlike the rest
of fnn they compute in float64 where X is float64, as scikit-learn does. Their parameters are those
of its `MLPClassifier`, without `learning_rate`, `power_t`, `shuffle`, `verbose` and `max_fun`, and

- `learning_rate_init` may be a schedule of `fnn`;
- `n_iter_no_change=None` runs all epochs; else training stops when the loss (with
  `early_stopping` the validation score) has not improved by `tol` for so many, one epoch sooner
  than there;
- `dropout` and `norm` are those of `mlp`;
- classifiers have `class_weight`: None, "balanced", or a dict from classes to weights;
- the loss is the mean squared error (there half of it), or the mean over several labels (there
  their sum), and `loss_` and `loss_curve_` are without the penalty of `alpha`.

Rows are padded by rows of weight 0 to a multiple of the batch size, and shuffled with them: data of
nearly one size, such as the folds of a cross-validation, share one compiled program.

Fitted, they have `params_` (as `mlp` has them, in NumPy arrays), `net_`, `n_iter_`, `loss_`,
`loss_curve_`, `best_loss_`, `validation_scores_`, `best_validation_score_`, `n_features_in_`,
`n_outputs_`, and classifiers `classes_`.
"""

from fnn.sklearn.classifier import FNNClassifier
from fnn.sklearn.regressor import FNNRegressor
from fnn.sklearn.search import FNNSearchCV

__all__ = ["FNNClassifier", "FNNRegressor", "FNNSearchCV"]
