"""PyTorch's `Sequential`, and state dicts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fnn._core import checks
from fnn.activations import ACTIVATIONS, name_of
from fnn.interop.functions import EXACT_GELU, option_of, shown, with_option
from fnn.interop.network import network_of
from fnn.interop.state_dict import with_state
from fnn.interop.steps import (
    EPSILON,
    Affine,
    Dropout,
    Function,
    Linear,
    Norm,
    Step,
    affine,
    batch_norm,
    check_epsilon,
    library,
    steps_of,
    unknown,
    where_is,
)
from fnn.networks.mlp import MLP, Layer
from fnn.types import Params

# By fnn's name. Those with an option are written out below.
_FUNCTIONS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "hard_sigmoid": "Hardsigmoid",
    "hard_silu": "Hardswish",
    "hard_tanh": "Hardtanh",
    "log_sigmoid": "LogSigmoid",
    "mish": "Mish",
    "relu6": "ReLU6",
    "selu": "SELU",
    "silu": "SiLU",
    "soft_sign": "Softsign",
    "softplus": "Softplus",
}
_WITH_OPTION = {"leaky_relu": "LeakyReLU", "elu": "ELU", "celu": "CELU"}
_NAMES = {theirs: ours for ours, theirs in _FUNCTIONS.items()}
# The options that the others must have left alone.
_PLAIN = {
    "Hardtanh": {"min_val": -1.0, "max_val": 1.0},
    "Softplus": {"beta": 1.0, "threshold": 20.0},
}


def to_torch(net: MLP, params: Params) -> Any:
    """The network as a `torch.nn.Sequential`, in evaluation mode.

    Layers are `Linear`, `LayerNorm`, activations and `Dropout`. A scaler of inputs or outputs is a
    layer of its own, whose numbers are buffers: `fnn.interop.torch_scaling.Scaling`.

    Args:
      net: An `mlp`.
      params: Its parameters.
    Returns:
      A module from x `(..., in)` to outputs `(..., out)`, in the dtype of the parameters, on the
      CPU. Its `state_dict()` is what PyTorch saves.
    Raises:
      ValueError, TypeError: The network has what PyTorch has no layer for (residual connections,
        `active`, embeddings, a quantile scaler, some activations); or `params` are those of another
        one.
      ImportError: PyTorch is not installed.

    >>> net = mlp((2, 8, 1), activation="tanh")
    >>> params = net.init(jax.random.key(0))
    >>> to_torch(net, params)
    Sequential(
      (0): Linear(in_features=2, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=1, bias=True)
    )
    """
    name = "to_torch"
    torch = library(name, "torch", "torch")
    steps = steps_of(name, net, params)
    dtype = getattr(torch, np.dtype(params[0].weight.dtype).name)
    layers = [_layer(name, torch, step, dtype) for step in steps]
    return torch.nn.Sequential(*layers).eval()


def from_torch(other: Any, *, net: MLP | None = None) -> tuple[MLP, tuple[Layer, ...]]:
    """The network of a PyTorch module, or the parameters of a state dict.

    Args:
      other: A `torch.nn.Sequential` in evaluation mode, nested or not, of `Linear`, `LayerNorm`
        (eps 1e-5), `BatchNorm1d`, activations, `Dropout` and `Identity`. Or a state dict of any
        module, of which the linear layers are taken in their order, and so are the norms.
      net: For a state dict, the `mlp` whose parameters it has.
    Returns:
      `(net, params)`, on JAX's default device. Batch normalisation becomes what it does in
      evaluation: it is multiplied into the layer beside it, in float64; before the first layer
      or after the last one it is a scaler. Dropout acts in training only, as there.
    Raises:
      ValueError, TypeError: A layer has no counterpart, or not in that place, or with these
        options; the error names it. Or arrays do not fit.

    >>> import torch
    >>> net, params = from_torch(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Sigmoid()))
    >>> net
    mlp((2, 1), output="sigmoid")
    """
    name = "from_torch"
    torch = library(name, "torch", "torch")
    if isinstance(other, Mapping):
        rule = "with a state dict, which has no structure, net must be given"
        checks.require(net is not None, name, rule, "None", TypeError)
        return with_state(name, net, other, _array)
    rule = "net is for a state dict; a module has its own structure"
    checks.require(net is None, name, rule, "both", TypeError)
    rule = "it must be a torch.nn.Sequential or a state dict"
    checks.require(_is_sequence(torch.nn, other), name, rule, type(other).__name__, TypeError)
    return network_of(name, _steps(name, torch, other, ""))


def _layer(function: str, torch: Any, step: Step, dtype: Any) -> Any:
    nn = torch.nn

    def fill(parameter: Any, values: np.ndarray | None) -> None:
        if values is not None:
            wide = np.float64 if values.dtype == np.float64 else np.float32
            parameter.data = torch.from_numpy(np.array(values, wide)).to(dtype)

    if isinstance(step, Linear):
        layer = nn.Linear(*step.weight.shape, bias=step.bias is not None, dtype=dtype)
        fill(layer.weight, step.weight.T)
        fill(layer.bias, step.bias)
        return layer
    if isinstance(step, Norm):
        layer = nn.LayerNorm(len(step.scale), eps=EPSILON, dtype=dtype)  # pyright: ignore[reportArgumentType]
        fill(layer.weight, step.scale)
        fill(layer.bias, step.shift)
        return layer
    if isinstance(step, Dropout):
        return nn.Dropout(step.rate)
    if isinstance(step, Affine):
        from fnn.interop.torch_scaling import Scaling

        return Scaling(*step.rounded(np.float64 if dtype == torch.float64 else np.float32))
    return _function(function, nn, step)


def _function(function: str, nn: Any, step: Function) -> Any:
    sigma, name = step.sigma, name_of(step.sigma)
    if name in _FUNCTIONS:
        return getattr(nn, _FUNCTIONS[name])()
    if name in ("softmax", "log_softmax"):
        return {"softmax": nn.Softmax, "log_softmax": nn.LogSoftmax}[name](dim=-1)
    if name == "gelu" or sigma == EXACT_GELU:
        return nn.GELU(approximate="tanh" if name else "none")
    if option := option_of(sigma):
        return getattr(nn, _WITH_OPTION[option[0]])(option[1])
    raise ValueError(f"{function}: PyTorch must have the activation; got {shown(sigma)}")


def _steps(function: str, torch: Any, module: Any, prefix: str) -> list[Step]:
    nn, steps = torch.nn, []
    for name, layer in module._modules.items():  # `named_children` leaves out what is there again
        # of these very types, as those made of them compute something else
        if _is_sequence(nn, layer):
            steps += _steps(function, torch, layer, f"{prefix}{name}.")
        elif type(layer) is not nn.Identity:
            steps.append(_step(function, nn, layer, where_is(f"{prefix}{name}", layer)))
    return steps


def _is_sequence(nn: Any, module: Any) -> bool:
    """Whether it is one that calls its layers in their order and does nothing else."""
    forward = getattr(type(module), "forward", None)
    return isinstance(module, nn.Sequential) and forward is nn.Sequential.forward


def _step(function: str, nn: Any, layer: Any, where: str) -> Step:
    kind = type(layer)
    if kind is nn.Linear:
        return Linear(_array(layer.weight).T, _array(layer.bias), where)
    if kind is nn.LayerNorm:
        rule = f"{where} must normalise over the last axis"
        one = len(layer.normalized_shape) == 1
        checks.require(one, function, rule, tuple(layer.normalized_shape))
        check_epsilon(function, where, layer.eps)
        return Norm(_array(layer.weight), _array(layer.bias), where)
    if kind is nn.BatchNorm1d:
        rule = f"{where} must be in evaluation mode (module.eval()), with means it has learnt"
        learnt = layer.running_mean is not None and not layer.training
        checks.require(learnt, function, rule, "training" if layer.training else "none")
        tensors = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        return batch_norm(where, *map(_wide, tensors), epsilon=layer.eps)
    if kind is nn.Dropout:
        return Dropout(layer.p, where)
    if kind.__module__ == "fnn.interop.torch_scaling":
        return affine(*map(_wide, (layer.centre, layer.factor, layer.offset)), where=where)
    return Function(_sigma(function, nn, layer, where), where)


def _sigma(function: str, nn: Any, layer: Any, where: str) -> Any:
    kind = type(layer)
    name = kind.__name__ if kind is getattr(nn, kind.__name__, None) else None
    if name in _NAMES:
        for option, value in _PLAIN.get(name, {}).items():
            rule = f"{where} must have {option}={value:g}"
            checks.require(getattr(layer, option) == value, function, rule, getattr(layer, option))
        return ACTIVATIONS[_NAMES[name]]
    if name in ("Softmax", "LogSoftmax"):
        rule = f"{where} must be over the last axis, dim=-1 or dim=1"
        checks.require(layer.dim in (-1, 1), function, rule, f"dim={layer.dim}")
        return ACTIVATIONS["softmax" if name == "Softmax" else "log_softmax"]
    if name == "GELU":
        return ACTIVATIONS["gelu"] if layer.approximate == "tanh" else EXACT_GELU
    if name in ("ELU", "CELU"):
        return with_option(name.lower(), layer.alpha)
    if name == "LeakyReLU":
        return with_option("leaky_relu", layer.negative_slope)
    raise unknown(function, where)


def _array(tensor: Any) -> Any:
    """The numbers in NumPy, in their dtype."""
    if tensor is None or isinstance(tensor, np.ndarray):
        return tensor
    dtype = str(tensor.dtype).removeprefix("torch.")
    return _wide(tensor).astype(np.dtype(dtype))


def _wide(tensor: Any) -> Any:
    return None if tensor is None else tensor.detach().cpu().double().numpy()
