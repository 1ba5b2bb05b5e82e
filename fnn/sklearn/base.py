"""What the estimators share: a network, its training on checked data, and its outputs."""

import contextlib
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fnn._core import checks
from fnn._core.dtypes import float64_enabled
from fnn.networks.mlp import MLP, mlp
from fnn.optimizers import Chain, adam, add_decayed_weights, chain, sgd
from fnn.training.fit import Fit, fit
from fnn.training.step import TrainState, init_state
from fnn.training.stopping import EarlyStopping, early_stopping
from fnn.types import Loss, Metric

# Rows go through a network in blocks of one size, so that the outputs of a row do not depend on how
# many others there are.
_BLOCK = 256


class Task(NamedTuple):
    """What is to be learnt: checked data, and how it is judged."""

    x: np.ndarray
    """`(rows, features)`, floating."""
    y: np.ndarray
    """Targets of the loss, `(rows, ...)`."""
    weights: np.ndarray
    """`(rows,)`, those of classes included."""
    loss: Loss
    score: Metric
    labels: np.ndarray | None = None
    """Classes `(rows,)`, in whose proportions rows are set aside for early stopping."""


class Rows(NamedTuple):
    """Which rows are trained on, and how."""

    kept: np.ndarray
    """Numbers of the rows to train on."""
    held_out: np.ndarray | None
    """Numbers of the rows that early stopping watches."""
    seed: int
    """Of the first parameters, the batch order and dropout."""
    batch_size: int
    steps: int
    """Per epoch."""

    @property
    def padded(self) -> tuple[int, int]:
        """How many rows to train on and to watch there are, with those of weight 0."""
        watched = 0 if self.held_out is None else power_of_two(len(self.held_out))
        return self.steps * self.batch_size, watched


class NetworkEstimator(BaseEstimator):
    """What both estimators share: parameters, and training on checked data."""

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=1e-4,
        batch_size="auto",
        learning_rate_init=1e-3,
        max_iter=200,
        random_state=None,
        tol=1e-4,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        dropout=None,
        norm=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.tol = tol
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.dropout = dropout
        self.norm = norm

    n_features_in_: int
    n_outputs_: int

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def net_(self) -> MLP:
        """The network: `net_.apply(params_, x)` are its outputs."""
        check_is_fitted(self)
        return self._net(self.n_features_in_, self.n_outputs_)

    def _net(self, features: int, outputs: int) -> MLP:
        hidden = self.hidden_layer_sizes
        hidden = tuple(hidden) if isinstance(hidden, Iterable) else (hidden,)
        return mlp(
            (features, *hidden, outputs),
            activation=self.activation,
            dropout=self.dropout,
            norm=self.norm,
        )

    def _optimizer(self, penalty: Any) -> Chain:
        """The optimizer, of gradients to which `penalty` times the weights is added."""
        rate, name = self.learning_rate_init, type(self).__name__
        checks.word(name, "solver", self.solver, "adam", "sgd")
        if self.solver == "adam":
            update = adam(rate, b1=self.beta_1, b2=self.beta_2, eps=self.epsilon)
        else:
            update = sgd(rate, momentum=self.momentum, nesterov=self.nesterovs_momentum)
        return chain(add_decayed_weights(penalty), update)

    def _batch(self, rows: int) -> int:
        """Rows per step; where all are one batch, a power of two, so that few shapes occur."""
        name, size = type(self).__name__, self.batch_size
        if isinstance(size, str):
            rule = "batch_size must be 'auto' or a number of rows"
            checks.require(size == "auto", name, rule, repr(size))
            size = 200
        size = checks.count(name, "batch_size", size)
        return size if rows >= size else power_of_two(rows)

    def validated(self, x: Any, y: Any, reset: bool) -> tuple[np.ndarray, Any]:
        """X, dense and floating, and y."""
        x, y = validate_data(
            self, x, y, reset=reset, accept_sparse="csr", multi_output=True,
            dtype=(np.float64, np.float32),
        )  # fmt: skip
        return x.toarray() if hasattr(x, "toarray") else x, y

    def begin(self, x: Any, y: Any) -> tuple[np.ndarray, Any]:
        """Checked X and y of a first fit; sets what classes, outputs and features there are."""
        raise NotImplementedError

    def task(self, x: np.ndarray, y: Any, weights: np.ndarray) -> Task:
        """What these rows are to teach, of checked data; after the first fit has set classes."""
        raise NotImplementedError

    def rows_of(self, task: Task, goes_on: bool = False) -> Rows:
        """Which rows are trained on; draws the random numbers of a fit."""
        random = check_random_state(self.random_state)
        kept, held_out = np.arange(len(task.x)), None
        if self.early_stopping and not goes_on:
            parts: Any = train_test_split(
                kept, test_size=self.validation_fraction, stratify=task.labels, random_state=random
            )
            kept, held_out = parts
        seed = random.randint(np.iinfo(np.int32).max)
        batch_size = self._batch(len(kept))
        return Rows(kept, held_out, seed, batch_size, -(-len(kept) // batch_size))

    def objects(self, task: Task, penalty_weight: Any) -> tuple[MLP, Chain, EarlyStopping | None]:
        """Network, optimizer and stopping rule.

        Parameters that are numbers may be arrays, one value per lane, as may `penalty_weight`, the
        mean weight of a batch, by which alpha is divided.
        """
        stop = None
        if self.n_iter_no_change is not None:
            stop = early_stopping(patience=self.n_iter_no_change, min_delta=self.tol)
        name = type(self).__name__
        rule = "weights of the rows to train on must not all be 0, those of classes included"
        checks.require(np.all(penalty_weight > 0), name, rule, "only 0")
        alpha = checks.real(name, "alpha", self.alpha, at_least=0)
        net = self._net(task.x.shape[1], self.n_outputs_)
        return net, self._optimizer(alpha / penalty_weight), stop

    def train_on(self, task: Task, epochs: int | None = None) -> None:
        """Trains on checked data; `epochs` for `partial_fit`, which goes on where it was."""
        goes_on = epochs is not None
        rows = self.rows_of(task, goes_on)
        padded, padded_watched = rows.padded
        data: Any = task[:3]
        watched = watches(rows, task.score)
        if rows.held_out is not None:
            held_out = tuple(part[rows.held_out] for part in data)
            watched["validation"] = _padded(held_out, padded_watched)
            data = tuple(part[rows.kept] for part in data)
        with precision(task.x.dtype):
            net, optimizer, stop = self.objects(task, data[2].sum() / rows.steps)
            key = jax.random.key(rows.seed)
            run = fit(
                net,
                task.loss,
                optimizer,
                _padded(data, padded),
                key=key,
                state=self._begin(net, optimizer, key, goes_on),
                epochs=self.max_iter if epochs is None else epochs,
                batch_size=rows.batch_size,
                stop=None if goes_on else stop,
                **watched,
            )
            self.keep(run, rows.held_out is not None, goes_on)

    def _begin(self, net: Any, optimizer: Any, key: jax.Array, goes_on: bool) -> TrainState | None:
        """The state to go on from, or with the weights of the last `fit`; None to begin anew."""
        if not hasattr(self, "_state") or not (goes_on or self.warm_start):
            return None
        state = jax.tree.map(jnp.asarray, self._state)
        expected = jax.eval_shape(net.init, key)
        shapes, given = (jax.tree.map(lambda leaf: leaf.shape, tree)
                         for tree in (expected, state.params))  # fmt: skip
        rule = "layers and outputs must be those of the last fit (warm_start=False begins anew)"
        checks.require(shapes == given, type(self).__name__, rule, "others")
        if goes_on:
            return state._replace(key=key)
        return init_state(net, optimizer, key)._replace(params=state.params)

    def keep(self, run: Fit, watched: bool, goes_on: bool) -> None:
        """The results as attributes, in NumPy arrays, which can be pickled anywhere."""
        rule = "training must not diverge: lower learning_rate_init, or scale X"
        diverged = int(run.diverged_at)
        checks.require(
            diverged < 0, type(self).__name__, rule, f"no finite loss in epoch {diverged}"
        )
        epochs = int(run.epochs)
        losses = np.asarray(run.history["loss"])[:epochs].tolist()
        self.params_ = jax.tree.map(np.asarray, run.best_params if watched else run.params)
        # the weights that predict are those that training goes on from
        state = run.state.train._replace(key=None, params=self.params_)
        self._state = jax.tree.map(np.asarray, state)
        self.loss_curve_ = [*self.loss_curve_, *losses] if goes_on else losses
        self.n_iter_ = self.n_iter_ + epochs if goes_on else epochs
        self.loss_, self.best_loss_ = losses[-1], None if watched else min(losses)
        self.validation_scores_ = self.best_validation_score_ = None
        if watched:
            scores = np.asarray(run.history["validation_score"])[:epochs].tolist()
            self.validation_scores_, self.best_validation_score_ = scores, max(scores)
        if epochs == self.max_iter and self.n_iter_no_change is not None and not goes_on:
            warnings.warn(
                f"{type(self).__name__}: max_iter ({self.max_iter}) epochs ended before the loss "
                "stopped improving (n_iter_no_change=None runs all epochs)",
                ConvergenceWarning,
                stacklevel=4,
            )

    def outputs_for(self, x: Any) -> np.ndarray:
        """The outputs of the network, `(rows, n_outputs_)`."""
        check_is_fitted(self)
        x = validate_data(self, x, reset=False, accept_sparse="csr", dtype=(np.float64, np.float32))
        x = x.toarray() if hasattr(x, "toarray") else x
        blocks = power_of_two(-(-len(x) // _BLOCK))
        (padded,) = _filled((x,), blocks * _BLOCK)
        with precision(self.params_[0].weight.dtype):
            outputs = _in_blocks(self.net_, self.params_, padded)
        return np.asarray(outputs)[: len(x)]


def checked_weights(weights: Any, x: np.ndarray) -> np.ndarray:
    """Weights `(rows,)`, 1 where none are given."""
    return _check_sample_weight(weights, x, dtype=x.dtype, ensure_non_negative=True)


def watches(rows: Rows, score: Metric) -> dict[str, Any]:
    """The arguments of `fit` that say by what a run is watched, but for the validation data."""
    if rows.held_out is None:
        return {"monitor": "loss"}
    return {"monitor": "validation_score", "metrics": {"score": score}}


def power_of_two(number: int) -> int:
    """The first one that is not below a number >= 1."""
    return 1 << (number - 1).bit_length()


def _filled(arrays: tuple, rows: int) -> tuple:
    """The arrays, their first row repeated up to so many rows."""
    return tuple(np.concatenate([a, np.broadcast_to(a[:1], (rows - len(a), *a.shape[1:]))])
                 for a in arrays)  # fmt: skip


def _padded(data: tuple, rows: int) -> tuple:
    """`(x, y, weights)` with rows of weight 0, so that few shapes occur and few compile."""
    weights = np.zeros(rows, data[2].dtype)
    weights[: len(data[2])] = data[2]
    return (*_filled(data[:2], rows), weights)


def precision(dtype: Any) -> contextlib.AbstractContextManager:
    """float64 where the data are float64, as in scikit-learn."""
    return float64_enabled(dtype == np.float64)


@jax.jit
def _in_blocks(net: MLP, params: Any, x: jax.Array) -> jax.Array:
    """Outputs `(rows, out)` for rows that fill blocks."""
    blocks = x.reshape(-1, _BLOCK, x.shape[1])
    outputs = jax.lax.map(lambda block: net.apply(params, block), blocks)
    return outputs.reshape(len(x), -1)
