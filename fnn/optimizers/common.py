"""What the optimizers share: applying updates, and the care for shapes and dtypes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dtypes import at_least_float32, wider
from fnn.types import Optimizer, Params


def apply_updates(params: Params, updates: Params) -> Params:
    """The parameters moved by the updates: w + u, leaf by leaf.

    Args:
      params: Any pytree of arrays.
      updates: The same structure and shapes.
    Returns:
      As `params`, dtypes included; the sum is formed in the wider of the two dtypes.
    Raises:
      ValueError: The structures or shapes differ; both are shown.
      TypeError: A leaf does not hold floating numbers.

    >>> print(apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, -0.5])}))
    {'w': Array([1.5, 1.5], dtype=float32)}
    """
    name = "apply_updates"
    params, updates = checks.floats(name, "params", params), checks.floats(name, "updates", updates)
    same_shapes(name, "updates", params, updates)

    def move(param, update):
        wide = wider(param.dtype, update.dtype)
        return (param.astype(wide) + update.astype(wide)).astype(param.dtype)

    return jax.tree.map(move, params, updates)


def is_elementwise(optimizer: Optimizer) -> bool:
    """Whether it says that it treats the numbers of matrices all alike, and those of vectors."""
    return getattr(optimizer, "elementwise", False)


def ignores_rank(optimizer: Optimizer) -> bool:
    """Whether it says that it treats the numbers of matrices as those of vectors."""
    return getattr(optimizer, "ignores_rank", False)


def descend(rate: jax.Array, direction: Params) -> Params:
    """Updates: a step of that length against the direction."""
    return jax.tree.map(lambda d: -like_dtype(rate, d) * d, direction)


def root(v: jax.Array) -> jax.Array:
    """The square root, with slope 0 at 0 instead of infinity."""
    positive = v > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, v, 1)), v)


def like_dtype(value: Any, array: jax.Array) -> jax.Array:
    """A hyperparameter in the dtype that it is computed with in."""
    rule = "numbers of an optimizer must be those of one run (jax.vmap gives each lane its own)"
    checks.require(jnp.ndim(value) == 0, "update", rule, f"shape {jnp.shape(value)}")
    return jnp.asarray(value).astype(array.dtype)


def step_zero() -> jax.Array:
    """No updates yet: int32, `()`."""
    return jnp.zeros((), np.int32)


def statistics(function: str, params: Params) -> Params:
    """Zeros shaped as the parameters, in at least float32."""
    params = checks.floats(function, "params", params)
    return jax.tree.map(lambda p: jnp.zeros(p.shape, at_least_float32(p.dtype)), params)


def accumulated(function: str, grads: Params, like: Params | None = None) -> Params:
    """The gradients in at least float32, shaped as `like` where there is such a tree."""
    grads = checks.floats(function, "grads", grads)
    if like is not None:
        same_shapes(function, "grads", like, grads)
    return jax.tree.map(lambda g: jnp.asarray(g).astype(at_least_float32(g.dtype)), grads)


def same_shapes(function: str, name: str, expected: Params, given: Params) -> None:
    """Broadcasting would hide a wrong shape; `tree.map` would explain a wrong tree badly."""
    same = jax.tree.structure(expected) == jax.tree.structure(given) and all(
        jnp.shape(a) == jnp.shape(b)
        for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(given), strict=True)
    )
    if not same:
        checks.same_structure(function, name, expected, given)


def check_state(function: str, expected: type, state: Any) -> None:
    """Raises TypeError where the state is no state, or that of another optimizer."""
    rule = f"state must be the {expected.__name__} that init made"
    checks.require(isinstance(state, expected), function, rule, type(state).__name__, TypeError)
    rule = "step of state must be an integer array"
    is_whole = jnp.issubdtype(getattr(state.step, "dtype", object), np.integer)
    checks.require(is_whole, function, rule, repr(state.step), TypeError)
