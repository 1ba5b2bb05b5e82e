"""Adam, and Adam with weight decay."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn._core import checks
from fnn._core.config import config, makes, number
from fnn.optimizers.common import (
    accumulated,
    check_state,
    descend,
    like_dtype,
    root,
    same_shapes,
    statistics,
    step_zero,
)
from fnn.optimizers.decay import checked_mask, decayed_direction
from fnn.schedules import learning_rate as checked_learning_rate
from fnn.schedules import rate_at
from fnn.types import Numbers, Params, Schedule


class AdamState(NamedTuple):
    """The state of `adam` and `adamw`."""

    step: jax.Array
    """int32, `()`: updates made."""
    mu: Params
    """Running mean of g, as the parameters, in at least float32."""
    nu: Params
    """Running mean of g^2, as `mu`."""


@config
class Adam:
    """The optimizer that `adam` makes."""

    learning_rate: Numbers | Schedule = number()
    b1: Numbers = number()
    b2: Numbers = number()
    eps: Numbers = number()

    elementwise = True
    ignores_rank = True

    def init(self, params: Params) -> AdamState:
        """The state before the first step.

        Args:
          params: A pytree of floating arrays.
        Returns:
          An `AdamState` of step 0, its statistics zeros of the shapes of `params`.
        Raises:
          TypeError: A leaf does not hold floating numbers.
        """
        return AdamState(step_zero(), statistics("adam", params), statistics("adam", params))

    def update(self, grads: Params, state: AdamState, params: Params | None = None):
        """Updates for `grads`, and the next state.

        Args:
          grads: The gradients, shaped as the parameters.
          state: From `init` or the last update.
          params: Not used.
        Returns:
          The updates, which `apply_updates` adds to the parameters, of their shapes and in at least
          float32, and the next state.
        Raises:
          ValueError, TypeError: Shapes or structures differ, or a leaf is not floating.
        """
        del params
        direction, state = _adam_direction("adam", self, grads, state)
        return descend(rate_at("adam", self.learning_rate, state.step - 1), direction), state


@makes(Adam)
def adam(
    learning_rate: Numbers | Schedule,
    *,
    b1: Numbers = 0.9,
    b2: Numbers = 0.999,
    eps: Numbers = 1e-8,
) -> Adam:
    """Adam: gradient steps scaled by running moments of the gradient.

    For gradient g at step t = 1, 2, ...

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        w <- w - learning_rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    A w whose g^2 overflows (in float32 |g| > 1.8e19) no longer changes, as v stays
    infinite; `clip_by_global_norm` before it prevents that.

    Args:
      learning_rate: Step size in units of the parameters, >= 0; a number, or a schedule
        from the step count (starting at 0) to one. Traced.
      b1: Decay of m per step, in [0, 1). Traced.
      b2: Decay of v per step, in [0, 1). Traced.
      eps: Added to the root, > 0, in units of the gradient. Traced.
    Returns:
      An optimizer. Its state is `AdamState(step, mu, nu)`.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Kingma & Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1.

    >>> opt, params = adam(0.1), jnp.array([1.0, -2.0])
    >>> updates, _ = opt.update(jnp.array([4.0, -0.5]), opt.init(params), params)
    >>> print(updates)
    [-0.1  0.1]
    """
    return Adam(*_adam_numbers("adam", learning_rate, b1, b2, eps))


@config
class AdamW:
    """The optimizer that `adamw` makes."""

    learning_rate: Numbers | Schedule = number()
    b1: Numbers = number()
    b2: Numbers = number()
    eps: Numbers = number()
    weight_decay: Numbers = number()
    mask: Any = number()

    @property
    def elementwise(self) -> bool:
        """Whether it treats the numbers of a leaf alike: only without a mask."""
        return self.mask is None

    def init(self, params: Params) -> AdamState:
        """The state before the first step.

        Args:
          params: A pytree of floating arrays.
        Returns:
          An `AdamState` of step 0, its statistics zeros of the shapes of `params`.
        Raises:
          TypeError: A leaf does not hold floating numbers.
        """
        return AdamState(step_zero(), statistics("adamw", params), statistics("adamw", params))

    def update(self, grads: Params, state: AdamState, params: Params | None = None):
        """Updates for `grads`, and the next state.

        Args:
          grads: The gradients, shaped as the parameters.
          state: From `init` or the last update.
          params: The parameters, which decay.
        Returns:
          The updates, which `apply_updates` adds to the parameters, of their shapes and in at least
          float32, and the next state.
        Raises:
          ValueError, TypeError: Shapes or structures differ, or a leaf is not floating.
        """
        direction, state = _adam_direction("adamw", self, grads, state)
        direction = decayed_direction("adamw", direction, params, self.weight_decay, self.mask)
        return descend(rate_at("adamw", self.learning_rate, state.step - 1), direction), state


@makes(AdamW)
def adamw(
    learning_rate: Numbers | Schedule,
    *,
    b1: Numbers = 0.9,
    b2: Numbers = 0.999,
    eps: Numbers = 1e-8,
    weight_decay: Numbers = 1e-4,
    mask: Any = None,
) -> AdamW:
    """Adam with weight decay apart from the gradient, so that Adam does not rescale it.

        w <- w - learning_rate * (Adam's direction + weight_decay * w)

    Args:
      learning_rate: Step size in units of the parameters, >= 0; a number, or a schedule
        from the step count (starting at 0) to one. Traced.
      b1: Decay of the mean per step, in [0, 1). Traced.
      b2: Decay of the mean square per step, in [0, 1). Traced.
      eps: Added to the root, > 0, in units of the gradient. Traced.
      weight_decay: The share of w subtracted per unit of learning rate, >= 0. Traced.
      mask: Which leaves decay: a pytree of bools with the structure of the parameters or
        its beginning, or a function from parameters to one. A bool may be an array of the
        leaf's shape. None: leaves of rank 2 and more, so biases do not.
    Returns:
      An optimizer. Its state is `AdamState(step, mu, nu)`; its `update` needs `params`.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101, Algorithm 2.

    >>> opt, params = adamw(0.1, weight_decay=1.0), jnp.full((1, 2), 2.0)
    >>> updates, _ = opt.update(jnp.array([[4.0, -0.5]]), opt.init(params), params)
    >>> print(updates)
    [[-0.3 -0.1]]
    """
    numbers = _adam_numbers("adamw", learning_rate, b1, b2, eps)
    weight_decay = checks.real("adamw", "weight_decay", weight_decay, at_least=0)
    return AdamW(*numbers, weight_decay, checked_mask("adamw", mask))


def _adam_numbers(
    function: str, rate: Any, b1: Any, b2: Any, eps: Any
) -> tuple[Any, Any, Any, Any]:
    return (
        checked_learning_rate(function, rate),
        checks.real(function, "b1", b1, at_least=0, below=1),
        checks.real(function, "b2", b2, at_least=0, below=1),
        checks.real(function, "eps", eps, above=0),
    )


def _adam_direction(
    function: str, numbers: Adam | AdamW, grads: Params, state: AdamState
) -> tuple[Params, AdamState]:
    """Adam's step before the learning rate, and the next state."""
    check_state(function, AdamState, state)
    same_shapes(function, "nu of state", state.mu, state.nu)
    step = state.step + 1
    grads = accumulated(function, grads, state.mu)

    def moment(decay, old, new):
        decay = like_dtype(decay, old)
        return decay * old + (1 - decay) * new

    def unbiased(decay, value):
        decay = like_dtype(decay, value)
        return value / (1 - decay ** step.astype(value.dtype))

    def direction(m, v):
        return unbiased(numbers.b1, m) / (
            root(unbiased(numbers.b2, v)) + like_dtype(numbers.eps, v)
        )

    mu = jax.tree.map(lambda m, g: moment(numbers.b1, m, g), state.mu, grads)
    nu = jax.tree.map(lambda v, g: moment(numbers.b2, v, jnp.square(g)), state.nu, grads)
    return jax.tree.map(direction, mu, nu), AdamState(step, mu, nu)
