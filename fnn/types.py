"""Aliases and protocols: the shapes of things that functions here take and return."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import numpy as np

Array: TypeAlias = jax.Array
Numbers: TypeAlias = float | int | np.generic | np.ndarray | jax.Array
"""A number, or an array of numbers of which each is the number of one lane."""

Params: TypeAlias = Any
"""A pytree of arrays, as made by `init`."""

Activation: TypeAlias = Callable[[jax.Array], jax.Array]
"""From z to a, of the same shape."""

Initializer: TypeAlias = Callable[..., jax.Array]
"""`(key, shape, dtype)` to an array, as in `jax.nn.initializers`."""

Loss: TypeAlias = Callable[..., jax.Array]
"""Outputs `(..., out)` and targets to one loss per example, `(...)`."""

Metric: TypeAlias = Callable[..., jax.Array]
"""Outputs `(rows, out)`, targets and `weights=None` to one value."""

Schedule: TypeAlias = Callable[[Any], jax.Array]
"""A step count (from 0) to a learning rate."""


@runtime_checkable
class Network(Protocol):
    """Anything with a pure `init(key)` and a pure `apply(params, x)`."""

    @property
    def init(self) -> Callable[[jax.Array], Params]: ...

    @property
    def apply(self) -> Callable[..., jax.Array]: ...


@runtime_checkable
class Optimizer(Protocol):
    """Optax's contract: `init(params)` and `update(grads, state, params)`.

    One that treats all numbers alike but for whether they are in a matrix or in a vector
    may say so by an attribute `elementwise = True`, and by `ignores_rank = True` if not even that
    matters. `fit` then hands it the parameters in fewer arrays, which is faster.
    """

    @property
    def init(self) -> Callable[[Params], Any]: ...

    @property
    def update(self) -> Callable[..., tuple[Params, Any]]: ...
