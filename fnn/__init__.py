"""Feed-forward neural networks as pure functions on JAX.

Everything held is a value (a pytree), everything called is a pure function, and a whole
training run is one compiled program. In the order of the textbook:

    net = fnn.mlp((64, 128, 10))                          neurons in layers
    params = net.init(key)                                weights and biases
    y_hat = net.apply(params, x)                          forward propagation
    losses = fnn.softmax_cross_entropy(y_hat, y)          how wrong it is
    grads = jax.grad(...)(params)                         backward propagation
    updates, state = opt.update(grads, state, params)     the update
    run = fnn.fit(net, loss, opt, (x, y), ...)            all of it, over epochs
    fnn.evaluate(net, run.best_params, (xt, yt), ...)     on data held out

The chapters, with the names of each; `help(fnn.mlp)` and so on say more:

    Data            encode, train_test_split, class_weights; standard_scaler,
                    min_max_scaler, robust_scaler, quantile_scaler
    Neurons         identity, sigmoid, tanh, relu, softmax; more in `fnn.activations`;
                    first weights in `fnn.initializers`
    Networks        mlp, and Model for one of your own; `print(net.summary())`
    Losses          squared_error, absolute_error, huber; softmax_cross_entropy and
                    sigmoid_cross_entropy on logits, cross_entropy and
                    binary_cross_entropy on probabilities (`fnn.losses`)
    Optimizers      sgd, adam, adamw, chain, clip_by_global_norm, add_decayed_weights;
                    apply_updates
    Learning rates  linear_decay, exponential_decay, cosine_decay, warmup_cosine_decay,
                    piecewise_constant (`fnn.schedules`)
    Training        fit, early_stopping; train, with a progress bar and checkpoints;
                    init_state and train_step for a loop of your own; diagnose
    Evaluation      evaluate; accuracy, precision, recall, f1, roc_auc,
                    confusion_matrix, mean_absolute_error, mean_squared_error,
                    root_mean_squared_error, r2 (`fnn.metrics`)
    Many devices    data_mesh, shard_data: `fit`, `train` and `evaluate` on all of them
    Many networks   sweep, product, lanes, halving, concatenate_sweeps; cross_validate
    Files           save, load, load_metadata; `fnn.export` for where no JAX is
    Large data      `fnn.streams`: files and loaders in place of arrays, for train, evaluate
                    and scalers
    Tools           `fnn.loggers`, `fnn.tuning` (Optuna, populations), `fnn.sklearn`
    Pictures        `fnn.plots`, which needs matplotlib
    Other libraries `fnn.interop`: PyTorch, scikit-learn, Keras, Flax, Equinox
"""

from fnn import activations, initializers, losses, metrics, schedules, streams
from fnn._core.table import Table
from fnn.activations import identity, relu, sigmoid, softmax, tanh
from fnn.cross_validation.cross_validate import cross_validate
from fnn.cross_validation.result import CrossValidation
from fnn.data import class_weights, train_test_split
from fnn.evaluation import evaluate
from fnn.files import CheckpointError, load, load_metadata, save
from fnn.frames import Encoded, Encoder, encode
from fnn.losses import (
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    huber,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
from fnn.meshes import data_mesh, shard_data
from fnn.metrics import (
    accuracy,
    confusion_matrix,
    f1,
    mean_absolute_error,
    mean_squared_error,
    precision,
    r2,
    recall,
    roc_auc,
    root_mean_squared_error,
)
from fnn.networks.mlp import MLP, Layer, mlp
from fnn.networks.model import Model
from fnn.optimizers import (
    Adam,
    AdamState,
    AdamW,
    AddDecayedWeights,
    Chain,
    ClipByGlobalNorm,
    Sgd,
    SgdState,
    adam,
    adamw,
    add_decayed_weights,
    apply_updates,
    chain,
    clip_by_global_norm,
    sgd,
)
from fnn.scalers import (
    MinMaxScaler,
    QuantileScaler,
    RobustScaler,
    StandardScaler,
    min_max_scaler,
    quantile_scaler,
    robust_scaler,
    standard_scaler,
)
from fnn.schedules import (
    CosineDecay,
    ExponentialDecay,
    LinearDecay,
    PiecewiseConstant,
    WarmupCosineDecay,
    cosine_decay,
    exponential_decay,
    linear_decay,
    piecewise_constant,
    warmup_cosine_decay,
)
from fnn.sweeps.columns import Lanes, lanes, product
from fnn.sweeps.concatenate import concatenate_sweeps
from fnn.sweeps.halving import Halving, halving
from fnn.sweeps.result import Sweep
from fnn.sweeps.sweep import sweep
from fnn.training.diagnosis import Diagnosis, diagnose
from fnn.training.fit import Fit, fit
from fnn.training.state import FitState
from fnn.training.step import TrainState, init_state, train_step
from fnn.training.stopping import EarlyStopping, early_stopping
from fnn.training.train import train

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Adam",
    "AdamState",
    "AdamW",
    "AddDecayedWeights",
    "Chain",
    "CheckpointError",
    "ClipByGlobalNorm",
    "CosineDecay",
    "CrossValidation",
    "Diagnosis",
    "EarlyStopping",
    "Encoded",
    "Encoder",
    "ExponentialDecay",
    "Fit",
    "FitState",
    "Halving",
    "Lanes",
    "Layer",
    "LinearDecay",
    "MinMaxScaler",
    "Model",
    "PiecewiseConstant",
    "QuantileScaler",
    "RobustScaler",
    "Sgd",
    "SgdState",
    "StandardScaler",
    "Sweep",
    "Table",
    "TrainState",
    "WarmupCosineDecay",
    "absolute_error",
    "accuracy",
    "activations",
    "adam",
    "adamw",
    "add_decayed_weights",
    "apply_updates",
    "binary_cross_entropy",
    "chain",
    "class_weights",
    "clip_by_global_norm",
    "concatenate_sweeps",
    "confusion_matrix",
    "cosine_decay",
    "cross_entropy",
    "cross_validate",
    "data_mesh",
    "diagnose",
    "early_stopping",
    "encode",
    "evaluate",
    "exponential_decay",
    "f1",
    "fit",
    "halving",
    "huber",
    "identity",
    "init_state",
    "initializers",
    "lanes",
    "linear_decay",
    "load",
    "load_metadata",
    "losses",
    "mean_absolute_error",
    "mean_squared_error",
    "metrics",
    "min_max_scaler",
    "mlp",
    "piecewise_constant",
    "precision",
    "product",
    "quantile_scaler",
    "r2",
    "recall",
    "relu",
    "robust_scaler",
    "roc_auc",
    "root_mean_squared_error",
    "save",
    "schedules",
    "sgd",
    "shard_data",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "squared_error",
    "standard_scaler",
    "streams",
    "sweep",
    "tanh",
    "train",
    "train_step",
    "train_test_split",
    "warmup_cosine_decay",
]
