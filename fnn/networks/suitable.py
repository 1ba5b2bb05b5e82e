"""Whether a loss or a metric suits the outputs of a network, by what it says of itself."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from fnn._core import checks
from fnn.activations import identity, sigmoid, softmax
from fnn.networks.mlp import MLP
from fnn.types import Loss, Metric, Network


def check_outputs_suit(function: str, net: Network, loss: Callable) -> None:
    """Raises where the loss is none, or an mlp's last activation is not what it takes."""
    rule = "loss must be a function of outputs and targets"
    checks.require(callable(loss), function, rule, repr(loss), TypeError)
    takes = getattr(unwrapped(loss), "takes", None)
    if not isinstance(net, MLP) or takes is None:
        return
    name = unwrapped(loss).__name__
    probable = ends_in(net, sigmoid, softmax)
    rule = f"{name} takes logits, so the mlp must end in 'identity' (it loses no digits)"
    got = f"output={getattr(net.output, '__name__', net.output)!r}"
    checks.require(takes != "logits" or not probable, function, rule, got)
    rule = f"{name} takes probabilities, so the mlp must end in 'softmax' or 'sigmoid'"
    checks.require(takes != "probabilities" or not ends_in(net, identity), function, rule, got)
    rule = f"{name} takes {takes}, so the mlp must have no scaler of its outputs"
    scaled = takes in ("logits", "probabilities") and net.outputs is not None
    checks.require(not scaled, function, rule, f"outputs={type(net.outputs).__name__}(...)")


def higher_is_better(metric: Loss | Metric) -> bool | None:
    """What a metric says of itself; None where it says nothing."""
    return getattr(unwrapped(metric), "higher_is_better", None)


def ends_in(net: Any, *activations: Callable) -> bool:
    """Whether it is an `mlp` whose last activation is one of these."""
    named = {getattr(jax.nn, sigma.__name__, sigma) for sigma in activations}
    return isinstance(net, MLP) and net.output in {*activations, *named}


def unwrapped(function: Callable) -> Any:
    """The function inside of partials."""
    while isinstance(function, functools.partial):
        function = function.func
    return function
