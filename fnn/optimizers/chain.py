"""Optimizers one after the other."""

from fnn._core import checks
from fnn._core.config import config, makes, number
from fnn.optimizers.common import ignores_rank, is_elementwise
from fnn.types import Optimizer, Params


@config
class Chain:
    """The optimizer that `chain` makes."""

    optimizers: tuple[Optimizer, ...] = number()

    @property
    def elementwise(self) -> bool:
        """Whether all members are elementwise."""
        return all(map(is_elementwise, self.optimizers))

    @property
    def ignores_rank(self) -> bool:
        """Whether all members ignore the rank of a leaf."""
        return all(map(ignores_rank, self.optimizers))

    def init(self, params: Params) -> tuple:
        """The states of the members, in their order.

        Args:
          params: A pytree of floating arrays.
        Returns:
          A tuple of what each member's `init` returns.
        """
        return tuple(optimizer.init(params) for optimizer in self.optimizers)

    def update(self, grads: Params, state: tuple, params: Params | None = None):
        """The updates of the last member, and the next states of all.

        Args:
          grads: The gradients, shaped as the parameters.
          state: From `init` or the last update.
          params: The parameters, where a member needs them.
        Returns:
          What the last member makes of what those before it made of `grads`, shaped as they are,
          and a tuple of the next states.
        Raises:
          ValueError, TypeError: As the members; or the state has not one entry for each.
        """
        rule = f"state must be a tuple of {len(self.optimizers)} states"
        fits = isinstance(state, tuple) and len(state) == len(self.optimizers)
        got = f"{len(state)} states" if isinstance(state, tuple) else type(state).__name__
        checks.require(fits, "chain", rule, got)
        states = []
        for optimizer, member in zip(self.optimizers, state, strict=True):
            grads, member = optimizer.update(grads, member, params)
            states.append(member)
        return grads, tuple(states)


@makes(Chain)
def chain(*optimizers: Optimizer) -> Chain:
    """Optimizers one after the other: each takes the updates of the one before it.

    Args:
      *optimizers: Anything with `init` and `update`, ours or Optax's.
    Returns:
      An optimizer. Its state is the tuple of theirs.
    Raises:
      TypeError: A member is no optimizer.
      ValueError: There are none.

    >>> opt = chain(clip_by_global_norm(1.0), adam(1e-3))
    """
    checks.require(bool(optimizers), "chain", "there must be at least one optimizer", "none")
    for optimizer in optimizers:
        checks.functions("chain", "every member", optimizer, "init", "update")
    return Chain(optimizers)
