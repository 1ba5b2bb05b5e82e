"""Stochastic gradient descent."""

from typing import NamedTuple

import jax

from fnn._core import checks
from fnn._core.config import config, makes, number, static
from fnn.optimizers.common import (
    accumulated,
    check_state,
    descend,
    like_dtype,
    statistics,
    step_zero,
)
from fnn.schedules import learning_rate as checked_learning_rate
from fnn.schedules import rate_at
from fnn.types import Numbers, Params, Schedule


class SgdState(NamedTuple):
    """The state of `sgd`."""

    step: jax.Array
    """int32, `()`: updates made."""
    velocity: Params
    """As the parameters, in at least float32; None without momentum."""


@config
class Sgd:
    """The optimizer that `sgd` makes."""

    learning_rate: Numbers | Schedule = number()
    momentum: Numbers | None = number()
    nesterov: bool = static()

    elementwise = True
    ignores_rank = True

    def init(self, params: Params) -> SgdState:
        """The state before the first step.

        Args:
          params: A pytree of floating arrays.
        Returns:
          An `SgdState` of step 0, its velocity zeros of the shapes of `params`, or None without
          momentum.
        Raises:
          TypeError: A leaf does not hold floating numbers.
        """
        velocity = statistics("sgd", params)
        return SgdState(step_zero(), None if self.momentum is None else velocity)

    def update(self, grads: Params, state: SgdState, params: Params | None = None):
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
        check_state("sgd", SgdState, state)
        rule = "state must hold a velocity where there is momentum, and nowhere else"
        fits = (state.velocity is None) == (self.momentum is None)
        checks.require(fits, "sgd", rule, "a velocity" if self.momentum is None else "none")
        grads = accumulated("sgd", grads, state.velocity)
        direction, velocity = grads, None
        if self.momentum is not None:
            velocity = jax.tree.map(
                lambda g, v: like_dtype(self.momentum, v) * v + g, grads, state.velocity
            )
            direction = velocity
            if self.nesterov:
                direction = jax.tree.map(
                    lambda g, v: g + like_dtype(self.momentum, v) * v, grads, velocity
                )
        updates = descend(rate_at("sgd", self.learning_rate, state.step), direction)
        return updates, SgdState(state.step + 1, velocity)


@makes(Sgd)
def sgd(
    learning_rate: Numbers | Schedule,
    *,
    momentum: Numbers | None = None,
    nesterov: bool = False,
) -> Sgd:
    """Stochastic gradient descent: a step against the gradient g.

        w <- w - learning_rate * g                    plain
        v <- momentum * v + g                         with momentum:
        w <- w - learning_rate * v                    heavy ball
        w <- w - learning_rate * (g + momentum * v)   Nesterov

    Args:
      learning_rate: Step size in units of the parameters per unit of gradient, >= 0; a
        number, or a schedule from the step count (starting at 0) to one. Traced.
      momentum: The share of the velocity kept per step, in [0, 1). Traced; None: no momentum, and
        no velocity in the state.
      nesterov: Look ahead along the velocity; needs momentum. Static.
    Returns:
      An optimizer. Its state is `SgdState(step, velocity)`.
    Raises:
      ValueError, TypeError: A concrete number is out of range (tracers go unchecked), or
        `nesterov` is set without momentum.
    Source: Polyak 1964 (heavy ball); Sutskever et al., ICML 2013 (Nesterov), in the
      form of Bengio et al. 2012, arXiv:1212.0901, eq. 7.

    >>> opt, params = sgd(0.1), jnp.array([1.0, -2.0])
    >>> updates, _ = opt.update(jnp.array([4.0, -0.5]), opt.init(params), params)
    >>> print(updates)
    [-0.4   0.05]
    """
    nesterov = checks.flag("sgd", "nesterov", nesterov)
    rule = "momentum must be given where nesterov is True"
    checks.require(momentum is not None or not nesterov, "sgd", rule, "momentum=None")
    if momentum is not None:
        momentum = checks.real("sgd", "momentum", momentum, at_least=0, below=1)
    return Sgd(checked_learning_rate("sgd", learning_rate), momentum, nesterov)
