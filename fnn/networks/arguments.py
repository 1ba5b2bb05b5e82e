"""The arguments of an `mlp`, checked."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn.activations import ACTIVATIONS, JOINING, sigmoid
from fnn.initializers import INITIALIZERS
from fnn.networks.weights import default_initializers
from fnn.scalers import for_features
from fnn.types import Activation, Initializer


def checked_activations(activation: Any, output: Any, hidden: int) -> tuple[Activation, ...]:
    """One per layer, the output's last."""
    one = isinstance(activation, str) or not isinstance(activation, Sequence)
    given: Any = [activation] if one else activation
    chosen = [checks.choice("mlp", "activation", sigma, ACTIVATIONS) for sigma in given]
    rule = f"activation must be one, or one per hidden layer ({hidden})"
    checks.require(one or len(chosen) == hidden, "mlp", rule, len(chosen))
    last = checks.choice("mlp", "output", output, ACTIVATIONS)
    return (*(chosen * hidden if one else chosen), last)


def checked_outputs(outputs: Any, features: int, last: Activation) -> Any:
    """A scaler of the outputs, or None."""
    outputs = for_features("mlp", "outputs", outputs, features)
    probable = last in (sigmoid, jax.nn.sigmoid) or last in JOINING
    rule = "with a scaler of outputs, which are values, the mlp must not end in sigmoid or softmax"
    got = f"output={getattr(last, '__name__', last)!r}"
    checks.require(outputs is None or not probable, "mlp", rule, got)
    return outputs


def checked_initializers(
    initializer: Any, sigmas: tuple[Activation, ...]
) -> tuple[Initializer, ...]:
    """One per layer."""
    if initializer is None:
        return default_initializers(sigmas)
    return (checks.choice("mlp", "initializer", initializer, INITIALIZERS),) * len(sigmas)


def checked_sizes(sizes: Any) -> tuple[int, ...]:
    """Neurons per layer, at least two layers."""
    rule = "sizes must be neurons per layer, inputs first, at least two layers"
    is_sequence = isinstance(sizes, (Sequence, np.ndarray)) and not isinstance(sizes, (str, bytes))
    checks.require(is_sequence, "mlp", rule, repr(sizes), TypeError)
    checks.require(len(sizes) >= 2, "mlp", rule, repr(sizes))
    return tuple(checks.count("mlp", "each of sizes", size, at_most=checks.INT32) for size in sizes)


def checked_active(active: Any, sizes: tuple[int, ...], sigmas: tuple[Activation, ...]) -> Any:
    """How many neurons of each hidden layer are active; maybe one row per lane."""
    active = checks.integer("mlp", "active", active, rank=1, at_least=1)
    hidden = sizes[1:-1]
    rule = f"active must have one number per hidden layer ({len(hidden)})"
    checks.require(active.shape[-1] == len(hidden), "mlp", rule, f"shape {active.shape}")
    known = checks.concrete(active)
    if known is not None:
        rule = f"active must be at most the sizes of the hidden layers, {hidden}"
        checks.require((known <= np.asarray(hidden, int)).all(), "mlp", rule, known.tolist())
    rule = "with active, no hidden activation may join the neurons of a layer"
    joining = [sigma.__name__ for sigma in sigmas[:-1] if sigma in JOINING]
    checks.require(not joining, "mlp", rule, ", ".join(joining))
    return active
