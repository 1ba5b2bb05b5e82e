"""Scikit-learn's fitted `MLPClassifier` and `MLPRegressor`."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fnn._core import checks
from fnn.activations import ACTIVATIONS, name_of
from fnn.interop.functions import shown
from fnn.interop.network import network_of
from fnn.interop.steps import (
    Affine,
    Dropout,
    Function,
    Linear,
    Step,
    affine,
    library,
    steps_of,
    where_is,
)
from fnn.networks.mlp import MLP, Layer
from fnn.types import Params

_NAMES = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
_OURS = {theirs: ours for ours, theirs in _NAMES.items()}
_OF_PROBABILITIES = ("logistic", "softmax")


def to_sklearn(net: MLP, params: Params, *, classes: Sequence | None = None) -> Any:
    """The network as a fitted estimator of scikit-learn.

    A network that ends in sigmoid or softmax, or for which `classes` are given, is an
    `MLPClassifier`, any other one that ends in identity an `MLPRegressor`. Of logits the
    classifier makes probabilities: two become one, their difference. A scaler of inputs
    makes it a `Pipeline` with a `RobustScaler`, which does the same and, unlike others of
    scikit-learn, loses no digits where x is float32; a scaler of outputs a
    `TransformedTargetRegressor`. Dropout, which acts in training only, is left out.

    Args:
      net: An `mlp` without norm, whose hidden layers share one activation: identity, sigmoid,
        tanh or relu.
      params: Its parameters.
      classes: The labels of a classifier, sorted, one per output (two for one output). None: 0, 1,
        ...; or it is a regressor. A network with more than one output that ends in sigmoid is a
        classifier of several labels a row, 0, 1, ...
    Returns:
      The estimator. It computes in the wider of the dtypes of x and the parameters, and can be
      trained further by `partial_fit` (not a pipeline).
    Raises:
      ValueError, TypeError: The network has what scikit-learn has not, or the wrong number of
        classes.
      ImportError: scikit-learn is not installed.

    >>> net = mlp((4, 8, 3))
    >>> model = to_sklearn(net, net.init(jax.random.key(0)), classes=["a", "b", "c"])
    >>> model.predict(np.zeros((1, 4)))
    array(['a'], dtype='<U1')
    """
    name = "to_sklearn"
    library(name, "sklearn", "sklearn")
    steps: list[Any] = [
        step for step in steps_of(name, net, params) if not isinstance(step, Dropout)
    ]
    inputs = steps.pop(0) if isinstance(steps[0], Affine) else None
    outputs = steps.pop() if isinstance(steps[-1], Affine) else None
    last = steps.pop().sigma if isinstance(steps[-1], Function) else ACTIVATIONS["identity"]
    rule = "net must have no norm, which scikit-learn's networks do not have"
    checks.require(net.norm is None, name, rule, f"norm={net.norm!r}")
    linears = [step for step in steps if isinstance(step, Linear)]
    ends, labels = _ending(name, last, net.sizes[-1], classes)
    rule = "net must have no scaler of outputs, which are classes"
    checks.require(labels is None or outputs is None, name, rule, "one")
    hidden = _hidden(name, net)
    pairs = [_pair(step) for step in linears]
    if net.sizes[-1] == 2 and ends == "softmax":
        weight, bias = (part.astype(np.float64) for part in pairs[-1])
        difference = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
        pairs[-1] = tuple(part.astype(pairs[0][0].dtype) for part in difference)  # pyright: ignore[reportArgumentType, reportCallIssue]
    model = _estimator(net, hidden, ends, labels, pairs)
    if inputs is not None:
        from sklearn.pipeline import make_pipeline

        model = make_pipeline(_scaler(inputs), model)
    if outputs is None:
        return model
    return _with_target_scaler(model, net, outputs.inverse())


def from_sklearn(model: Any) -> tuple[MLP, tuple[Layer, ...]]:
    """The network of a fitted estimator of scikit-learn.

    The network of a classifier returns logits, for fnn's losses on logits: one for each of three
    and more classes (`softmax_cross_entropy`; `softmax` of them is `predict_proba`), one for two
    classes or for each of several labels a row (`sigmoid_cross_entropy`; `sigmoid` of it is the
    probability of `classes_[1]`). Labels are numbers, positions in `classes_`.

    Args:
      model: A fitted `MLPClassifier` or `MLPRegressor`; a `Pipeline` of `StandardScaler`,
        `MinMaxScaler` or `RobustScaler` and one of these; or a `TransformedTargetRegressor` of one
        of these and such a scaler.
    Returns:
      `(net, params)`. Scalers become scalers of inputs and outputs, of NumPy's float64.
    Raises:
      ValueError, TypeError: The model is another one, or is not fitted; or a part of it has no
        counterpart, which the error names.
      ImportError: scikit-learn is not installed.

    >>> from sklearn.neural_network import MLPRegressor
    >>> model = MLPRegressor(hidden_layer_sizes=(4,), tol=1.0).fit(np.eye(3), np.arange(3.0))
    >>> net, params = from_sklearn(model)
    >>> net
    mlp((3, 4, 1))
    """
    name = "from_sklearn"
    library(name, "sklearn", "sklearn")
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.utils.validation import check_is_fitted

    rule = "it must be fitted"
    try:
        check_is_fitted(model)
    except (ValueError, TypeError, AttributeError) as error:  # NotFittedError is a ValueError
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}: {rule}; got {type(model).__name__}: {error}") from None
    if type(model) is not TransformedTargetRegressor:
        return network_of(name, _steps(name, model))
    where = where_is("transformer_", model.transformer_)
    outputs = _affine_of(name, model.transformer_, where)
    return network_of(name, [*_steps(name, model.regressor_), outputs.inverse()])


def _ending(
    function: str, last: Any, size: int, classes: Sequence | None
) -> tuple[str, np.ndarray | None]:
    """The activation that scikit-learn ends in, and the classes."""
    name = name_of(last)
    rule = "net must end in identity, sigmoid or softmax"
    fits = name in ("identity", "sigmoid", "softmax")
    checks.require(fits, function, rule, shown(last))
    if name == "identity" and classes is None:
        return "identity", None
    is_sigmoid = name == "sigmoid" or size == 1
    rule = "a classifier that ends in softmax must have two outputs at least"
    checks.require(name != "softmax" or size > 1, function, rule, size)
    count = 2 if size == 1 else size
    known = np.arange(count) if classes is None else np.asarray(classes)
    rule = f"classes must be {count} sorted labels"
    fits = known.ndim == 1 and len(known) == count and bool((known[:-1] < known[1:]).all())
    checks.require(fits, function, rule, repr(classes))
    several = is_sigmoid and size > 1
    rule = "classes of several labels a row must be 0, 1, ..."
    fits = not several or np.array_equal(known, np.arange(count))
    checks.require(fits, function, rule, repr(classes))
    return "logistic" if is_sigmoid else "softmax", known


def _hidden(function: str, net: MLP) -> str:
    """The activation of hidden layers, as scikit-learn names it."""
    hidden = {name_of(sigma): shown(sigma) for sigma in net.activations[:-1]}
    rule = f"hidden layers must have one activation, of {', '.join(_NAMES)}"
    fits = len(hidden) <= 1 and {*hidden} <= {*_NAMES}
    checks.require(fits, function, rule, ", ".join(hidden.values()))
    return _NAMES[next(iter(hidden), "relu") or "relu"]


def _pair(step: Linear) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts, float32 at least."""
    dtype = np.float64 if step.weight.dtype == np.float64 else np.float32
    bias = np.zeros(step.weight.shape[1]) if step.bias is None else step.bias
    return step.weight.astype(dtype), bias.astype(dtype)


def _estimator(
    net: MLP, hidden: str, ends: str, classes: np.ndarray | None, pairs: list[Any]
) -> Any:
    """An estimator that has seen one batch, with these parameters."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    options = {"hidden_layer_sizes": net.sizes[1:-1], "activation": hidden}
    rows = 2 if classes is None else len(classes)
    x = np.zeros((rows, net.sizes[0]), pairs[0][0].dtype)
    if classes is None:
        y = np.zeros((rows, net.sizes[-1]), x.dtype)
        model = MLPRegressor(**options).partial_fit(x, y[:, 0] if y.shape[1] == 1 else y)
    elif ends == "logistic" and net.sizes[-1] > 1:
        model = MLPClassifier(**options).partial_fit(x, np.eye(rows, dtype=int), classes=classes)
    else:
        model = MLPClassifier(**options).partial_fit(x, classes, classes=classes)
    for index, (weight, bias) in enumerate(pairs):
        model.coefs_[index][...], model.intercepts_[index][...] = weight, bias
    return model


def _scaler(step: Affine) -> Any:
    from sklearn.preprocessing import RobustScaler

    ours = step.scaler("to_sklearn", len(step.centre))
    theirs = RobustScaler().fit(np.zeros((1, len(step.centre))))
    theirs.center_, theirs.scale_ = np.asarray(ours.mean), np.asarray(ours.scale)
    return theirs


def _with_target_scaler(model: Any, net: MLP, outputs: Affine) -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import RobustScaler

    whole = TransformedTargetRegressor(model, transformer=RobustScaler(), check_inverse=False)
    y = np.zeros((2, net.sizes[-1]))
    with warnings.catch_warnings():  # of a training that is thrown away
        warnings.simplefilter("ignore")
        whole.fit(np.zeros((2, net.sizes[0])), y[:, 0] if y.shape[1] == 1 else y)
    whole.regressor_, whole.transformer_ = model, _scaler(outputs)
    return whole


def _steps(function: str, model: Any) -> list[Step]:
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import Pipeline

    if type(model) is Pipeline:
        *scalers, last = [(name, part) for name, part in model.steps if part != "passthrough"]
        steps: list[Step] = [
            _affine_of(function, part, where_is(name, part)) for name, part in scalers
        ]
        return steps + _steps(function, last[1])
    rule = "it must be an MLPClassifier, an MLPRegressor, or such behind scalers"
    is_known = type(model) in (MLPClassifier, MLPRegressor)
    checks.require(is_known, function, rule, type(model).__name__, TypeError)
    rule = "the outputs must not go through a function that fnn has no name for"
    ends = model.out_activation_
    fits = ends in _OURS or ends in _OF_PROBABILITIES
    checks.require(fits, function, rule, f"out_activation_={ends!r}")
    steps = []
    last = len(model.coefs_) - 1
    for index, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        steps.append(Linear(weight, bias, f"coefs_[{index}]"))
        name = model.activation if index < last else ends
        if name not in _OF_PROBABILITIES or index < last:
            steps.append(Function(ACTIVATIONS[_OURS[name]]))
    return steps


def _affine_of(function: str, scaler: Any, where: str) -> Affine:
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    kind = type(scaler)
    is_known = kind in (MinMaxScaler, RobustScaler, StandardScaler)
    rule = f"{where} must be a StandardScaler, MinMaxScaler or RobustScaler"
    checks.require(is_known, function, rule, kind.__name__)
    if kind is MinMaxScaler:
        rule = f"{where} must not clip"
        checks.require(not scaler.clip, function, rule, "clip=True")
        # its own summand, min_, has lost digits of a minimum far from zero
        return affine(scaler.data_min_, scaler.scale_, scaler.feature_range[0], where)
    centre = scaler.mean_ if kind is StandardScaler else scaler.center_
    used = scaler.with_mean if kind is StandardScaler else scaler.with_centering
    scale = scaler.scale_ if scaler.scale_ is not None else 1.0
    return affine(centre if used else 0.0, 1 / np.asarray(scale), 0.0, where)
