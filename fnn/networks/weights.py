"""The first weights of a network."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.activations import RELU_FAMILY
from fnn.initializers import INITIALIZERS, Scaled
from fnn.types import Activation, Initializer


def default_initializers(sigmas: Sequence[Activation]) -> tuple[Initializer, ...]:
    """Per layer, He's uniform before activations of the ReLU family, Glorot's before others."""
    return tuple(
        INITIALIZERS["he_uniform" if sigma in RELU_FAMILY else "glorot_uniform"] for sigma in sigmas
    )


def first_weights(
    sizes: Sequence[int],
    initializers: Sequence[Initializer],
    runs: Sequence[range],
    key: jax.Array,
    dtype: Any,
) -> list[jax.Array]:
    """The weights of each run of layers: a matrix `(in, out)`, or many stacked ones.

    All layers share one random draw where their initializers allow it, which compiles faster.

    Raises:
      ValueError: An initializer returns another shape than it is given.
    """
    shapes = list(itertools.pairwise(sizes))
    scaled = [i for i in initializers if isinstance(i, Scaled)]
    if len(scaled) < len(shapes) or len({i.draw for i in scaled}) > 1:
        keys = [jax.random.fold_in(key, index) for index in range(len(shapes))]
        weights = [
            jnp.asarray(make(key, shape, dtype), dtype)
            for make, key, shape in zip(initializers, keys, shapes, strict=True)
        ]
        for weight, shape in zip(weights, shapes, strict=True):
            rule = f"the initializer must return the shape it is given, {shape}"
            checks.require(weight.shape == shape, "mlp.init", rule, weight.shape)
        return [
            jnp.stack(weights[run.start : run.stop]) if len(run) > 1 else weights[run.start]
            for run in runs
        ]
    counts = [len(run) * math.prod(shapes[run.start]) for run in runs]
    entries = scaled[0].draw(key, (sum(counts),), dtype)
    pieces = jnp.split(entries, np.cumsum(counts)[:-1])
    # drawn as (out, in), the layout in which training keeps them
    found = []
    for run, piece in zip(runs, pieces, strict=True):
        shape, many = shapes[run.start], [len(run)] if len(run) > 1 else []
        deviation = np.asarray(scaled[run.start].deviation(shape), dtype)
        found.append(jnp.swapaxes(piece.reshape(*many, *shape[::-1]), -1, -2) * deviation)
    return found


def between_active(
    weights: Sequence[jax.Array],
    initializers: Sequence[Initializer],
    widths: Sequence[Any],
    units: Sequence[jax.Array],
) -> list[jax.Array]:
    """The weights between active neurons, scaled to the active widths.

    The weights of the other neurons are 0, so that no penalty and no gradient norm includes them.

    Args:
      weights: From `first_weights`.
      initializers: Those that made them.
      widths: Active neurons per layer, the input's features first.
      units: Per layer, which neurons are active: bools `(size,)`.
    """
    narrowed = []
    for index, (make, weight) in enumerate(zip(initializers, weights, strict=True)):
        if isinstance(make, Scaled):
            fans = [jnp.asarray(fan).astype(weight.dtype) for fan in widths[index : index + 2]]
            weight = weight * jnp.sqrt(make.variance(*fans) / make.variance(*weight.shape))
        active = units[index][:, None] & units[index + 1][None]
        narrowed.append(jnp.where(active, weight, 0))
    return narrowed
