"""Clipping of gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.config import config, makes, number
from fnn._core.dtypes import wider
from fnn.optimizers.common import accumulated, like_dtype, root
from fnn.types import Numbers, Params


@config
class ClipByGlobalNorm:
    """The optimizer that `clip_by_global_norm` makes."""

    max_norm: Numbers = number()

    elementwise = True
    ignores_rank = True

    def init(self, params: Params) -> tuple[()]:
        """The empty state, `()`, whatever the parameters."""
        del params
        return ()

    def update(self, grads: Params, state: tuple[()], params: Params | None = None):
        """The gradients, clipped to norm `max_norm`, and the same state.

        Args:
          grads: The gradients, shaped as the parameters.
          state: From `init` or the last update.
          params: Not used.
        Returns:
          The gradients of their shapes, in at least float32, and `()`.
        Raises:
          ValueError, TypeError: A leaf does not hold floating numbers.
        """
        del params
        grads = accumulated("clip_by_global_norm", grads)
        unit, length = _global_norm(grads)
        max_norm = like_dtype(self.max_norm, length)
        too_long = length > max_norm / unit
        shortened = max_norm / jnp.where(length > 0, length, 1)

        def clipped(g):
            return jnp.where(too_long, g / like_dtype(unit, g) * like_dtype(shortened, g), g)

        return jax.tree.map(clipped, grads), state


@makes(ClipByGlobalNorm)
def clip_by_global_norm(max_norm: Numbers) -> ClipByGlobalNorm:
    """Shortens the gradient of all parameters together to at most `max_norm`.

        g <- g * min(1, max_norm / |g|)

    Args:
      max_norm: The longest Euclidean norm let through, > 0. Traced.
    Returns:
      An optimizer for `chain`, without state.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Pascanu et al., ICML 2013, arXiv:1211.5063, Algorithm 1.

    >>> opt = chain(clip_by_global_norm(1.0), sgd(1.0))
    >>> updates, _ = opt.update(jnp.array([3.0, 4.0]), opt.init(jnp.zeros(2)))
    >>> print(updates)
    [-0.6 -0.8]
    """
    return ClipByGlobalNorm(checks.real("clip_by_global_norm", "max_norm", max_norm, above=0))


def _global_norm(grads: Params) -> tuple[jax.Array, jax.Array]:
    """The Euclidean norm over all leaves, as a unit and a length in it.

    The unit is about the largest entry, so that no square and no sum overflows.
    """
    leaves = jax.tree.leaves(grads)
    if not leaves:
        return jnp.ones((), np.float32), jnp.zeros((), np.float32)
    wide = functools.reduce(wider, (g.dtype for g in leaves))
    largest = jnp.stack([jnp.max(jnp.abs(g), initial=0).astype(wide) for g in leaves]).max()
    # an eighth of the largest float is the largest whose reciprocal is not flushed to 0
    unit = jnp.minimum(jnp.where(largest > 0, largest, 1), jnp.finfo(wide).max / 8)
    unit = jax.lax.stop_gradient(unit)
    return unit, root(jnp.stack([jnp.sum(jnp.square(g.astype(wide) / unit)) for g in leaves]).sum())
