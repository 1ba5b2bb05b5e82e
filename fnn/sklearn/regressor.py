"""`FNNRegressor`."""

from sklearn.base import MultiOutputMixin, RegressorMixin

from fnn._core import checks
from fnn.losses import squared_error
from fnn.metrics import r2
from fnn.sklearn.base import NetworkEstimator, Task, checked_weights

__all__ = ["FNNRegressor"]


class FNNRegressor(RegressorMixin, MultiOutputMixin, NetworkEstimator):
    """A regressor, as scikit-learn's `MLPRegressor`: a network trained by `fnn.fit`.

    It minimises the mean squared error of one value a row, or of several. Parameters and
    attributes: `help(fnn.sklearn)`.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> model = FNNRegressor((32,), learning_rate_init=0.01, n_iter_no_change=None, random_state=0)
    >>> model.fit(x, np.sin(3 * x[:, 0])).score(x, np.sin(3 * x[:, 0])) > 0.95
    True
    """

    def fit(self, X, y, sample_weight=None):
        """Trains the network.

        Args:
          X: `(rows, features)`, an array, a data frame or a sparse matrix, which is made dense.
          y: Values `(rows,)` or `(rows, outputs)`.
          sample_weight: `(rows,)`, >= 0.
        Returns:
          The estimator.
        Raises:
          ValueError: Data or parameters are not as described, or training diverged.
        """
        X, y = self.begin(X, y)
        self.train_on(self.task(X, y, checked_weights(sample_weight, X)))
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """One epoch on these rows, from where the last one ended. Arguments as in `fit`."""
        first = not hasattr(self, "_state")
        X, y = self.validated(X, y, reset=first)
        if first:
            self._know_outputs(y)
            self.n_iter_, self.loss_curve_ = 0, []
        self.train_on(self.task(X, y, checked_weights(sample_weight, X)), epochs=1)
        return self

    def begin(self, x, y):
        """Checks X and y of a first fit; returns both."""
        x, y = self.validated(x, y, reset=True)
        self._know_outputs(y)
        return x, y

    def _know_outputs(self, y):
        self._is_flat = y.ndim == 1
        self.n_outputs_ = 1 if self._is_flat else y.shape[1]

    def task(self, x, y, weights):
        """Rows, loss and metric of a fit, from checked data."""
        return Task(x, y.reshape(len(y), -1).astype(x.dtype), weights, squared_error, r2)

    def rows_of(self, task, goes_on=False):
        """Which rows are trained on, and which are watched: two at least, as R^2 needs."""
        rows = super().rows_of(task, goes_on)
        rule = "validation_fraction must set aside at least two rows, as R^2 of one is not defined"
        fits = rows.held_out is None or len(rows.held_out) > 1
        checks.require(fits, "FNNRegressor", rule, "one")
        return rows

    def predict(self, X):
        """The values, of the shape that `y` had."""
        outputs = self.outputs_for(X)
        return outputs[:, 0] if self._is_flat else outputs
