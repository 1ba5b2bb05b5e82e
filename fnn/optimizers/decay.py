"""Weight decay, and which leaves decay."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.config import config, makes, number
from fnn.optimizers.common import accumulated, like_dtype, same_shapes
from fnn.types import Numbers, Params


@config
class AddDecayedWeights:
    """The optimizer that `add_decayed_weights` makes."""

    weight_decay: Numbers = number()
    mask: Any = number()

    @property
    def elementwise(self) -> bool:
        """Whether it treats the numbers of a leaf alike: only without a mask."""
        return self.mask is None

    def init(self, params: Params) -> tuple[()]:
        """The empty state, `()`, whatever the parameters."""
        del params
        return ()

    def update(self, grads: Params, state: tuple[()], params: Params | None = None):
        """The gradients with the decay added, and the same state.

        Args:
          grads: The gradients, shaped as the parameters.
          state: From `init` or the last update.
          params: The parameters, which decay.
        Returns:
          The sums, shaped as `grads`, in at least float32, and `()`.
        Raises:
          ValueError, TypeError: Shapes or structures differ, or a leaf is not floating.
        """
        name = "add_decayed_weights"
        grads = accumulated(name, grads, checks.floats(name, "params", params))
        return decayed_direction(name, grads, params, self.weight_decay, self.mask), state


@makes(AddDecayedWeights)
def add_decayed_weights(weight_decay: Numbers, *, mask: Any = None) -> AddDecayedWeights:
    """Adds `weight_decay * w` to the gradient; before `sgd` in a chain, the L2 penalty.

    Args:
      weight_decay: The slope of the penalty weight_decay / 2 * |w|^2, >= 0. Traced.
      mask: Which leaves decay: a pytree of bools with the structure of the parameters or
        its beginning, or a function from parameters to one. A bool may be an array of the
        leaf's shape. None: leaves of rank 2 and more, so biases do not.
    Returns:
      An optimizer for `chain`, without state; its `update` needs `params`.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.

    >>> opt = chain(add_decayed_weights(0.5), sgd(1.0))
    >>> params = {"weight": jnp.ones((1, 1)), "bias": jnp.ones(1)}
    >>> updates, _ = opt.update(jax.tree.map(jnp.zeros_like, params), opt.init(params), params)
    >>> print(updates["weight"], updates["bias"])
    [[-0.5]] [-0.]
    """
    name = "add_decayed_weights"
    weight_decay = checks.real(name, "weight_decay", weight_decay, at_least=0)
    return AddDecayedWeights(weight_decay, checked_mask(name, mask))


def decayed_direction(
    function: str, direction: Params, params: Params, decay: Any, mask: Any
) -> Params:
    """The direction with `decay * w` added for the leaves that the mask chooses."""
    rule = "update must be given the parameters: update(grads, state, params)"
    checks.require(params is not None, function, rule, "params=None")
    params = checks.floats(function, "params", params)
    same_shapes(function, "params", direction, params)
    if callable(mask):
        mask = mask(params)
        _check_mask(function, mask)
    elif mask is None:
        mask = jax.tree.map(lambda p: p.ndim >= 2, params)

    try:
        mask = jax.tree.broadcast(mask, direction)
    except ValueError:
        rule = "mask must have the structure of the parameters or its beginning"
        raise ValueError(f"{function}: {rule}; got {jax.tree.structure(mask)}") from None

    def decayed(chosen, d, p):
        if chosen is False:
            return d
        shape = jnp.shape(chosen)
        rule = f"each bool of mask must have shape () or that of its leaf, {d.shape}"
        checks.require(shape in ((), d.shape), function, rule, shape)
        added = like_dtype(decay, d) * p.astype(d.dtype)
        return d + (added if chosen is True else jnp.where(chosen, added, 0))

    return jax.tree.map(decayed, mask, direction, params)


def checked_mask(function: str, mask: Any) -> Any:
    """A mask as a config stores it: bools as NumPy's, so that they are traced."""
    if mask is None or callable(mask):
        return mask
    _check_mask(function, mask)
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.bool_(leaf), mask)


def _check_mask(function: str, mask: Any) -> None:
    for leaf in jax.tree.leaves(mask):
        is_bool = isinstance(leaf, bool) or getattr(leaf, "dtype", None) == np.bool_
        rule = "mask must be a function or a pytree of bools"
        checks.require(is_bool, function, rule, repr(leaf), TypeError)
