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
"""

from fnn import activations, initializers, losses, metrics, schedules
from fnn.activations import identity, relu, sigmoid, softmax, tanh
from fnn.data import StandardScaler, class_weights, standard_scaler, train_test_split
from fnn.diagnosis import Diagnosis, diagnose
from fnn.driver import train
from fnn.evaluation import evaluate
from fnn.files import CheckpointError, load, load_metadata, save
from fnn.losses import (
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    huber,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)
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
from fnn.model import Model
from fnn.network import MLP, Layer, mlp
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
from fnn.stopping import EarlyStopping, early_stopping
from fnn.sweeps import Halving, Lanes, Sweep, Table, halving, lanes, product, sweep
from fnn.training import Fit, FitState, TrainState, fit, init_state, train_step

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
    "Diagnosis",
    "EarlyStopping",
    "ExponentialDecay",
    "Fit",
    "FitState",
    "Halving",
    "Lanes",
    "Layer",
    "LinearDecay",
    "Model",
    "PiecewiseConstant",
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
    "confusion_matrix",
    "cosine_decay",
    "cross_entropy",
    "diagnose",
    "early_stopping",
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
    "mlp",
    "piecewise_constant",
    "precision",
    "product",
    "r2",
    "recall",
    "relu",
    "roc_auc",
    "root_mean_squared_error",
    "save",
    "schedules",
    "sgd",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "squared_error",
    "standard_scaler",
    "sweep",
    "tanh",
    "train",
    "train_step",
    "train_test_split",
    "warmup_cosine_decay",
]
