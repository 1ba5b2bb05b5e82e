"""When training ends: early stopping, as numbers that can be traced and vmapped."""

import jax
import jax.numpy as jnp

from fnn._core import checks
from fnn._core.config import config, makes, number
from fnn.types import Numbers

__all__ = ["EarlyStopping", "early_stopping"]


@config
class EarlyStopping:
    """The stopping rule that `early_stopping` makes."""

    patience: Numbers | None = number()
    min_delta: Numbers = number()
    target: Numbers | None = number()
    max_epochs: Numbers | None = number()

    def improved(self, value: jax.Array, best: jax.Array) -> jax.Array:
        """Whether `value` is below `best` by more than `min_delta`."""
        return value < best - jnp.asarray(self.min_delta).astype(best.dtype)

    def reached(self, best: jax.Array, wait: jax.Array, epoch: jax.Array, sign: int) -> jax.Array:
        """Whether to stop.

        Args:
          best: The lowest `sign * monitor` so far, `()`.
          wait: Epochs since the last improvement, `()`.
          epoch: Epochs done, `()`.
          sign: 1 where lower is better, -1 where higher is.
        """
        stop = jnp.zeros((), bool)
        if self.patience is not None:
            stop |= wait >= jnp.asarray(self.patience).astype(wait.dtype)
        if self.target is not None:
            stop |= best <= sign * jnp.asarray(self.target).astype(best.dtype)
        if self.max_epochs is not None:
            stop |= epoch >= jnp.asarray(self.max_epochs).astype(epoch.dtype)
        return stop


@makes(EarlyStopping)
def early_stopping(
    *,
    patience: Numbers | None = None,
    min_delta: Numbers = 0.0,
    target: Numbers | None = None,
    max_epochs: Numbers | None = None,
) -> EarlyStopping:
    """A rule that ends training before its last epoch. It watches `fit`'s monitor.

    An epoch improves if the monitor beats the best value of all epochs before it by more
    than `min_delta` (scikit-learn's rule). Training ends after the first epoch at which any
    of what is given holds:

    Args:
      patience: This many epochs in a row, >= 1, have not improved.
      min_delta: What counts as improvement, >= 0, in units of the monitor.
      target: The monitor is this good or better.
      max_epochs: This many epochs, >= 1, are done, those before `state=` included.
        Unlike `epochs` of `fit`, it is traced.
    Returns:
      A config for `fit(stop=...)`. All of its numbers are traced; None is absent.
    Raises:
      ValueError, TypeError: A concrete number is out of range (tracers go unchecked), or
        nothing is given that could ever stop.

    >>> early_stopping(patience=5, target=0.01).patience
    np.int32(5)
    """
    name = "early_stopping"
    given = (patience, target, max_epochs)
    rule = "at least one of patience, target and max_epochs must be given"
    checks.require(any(value is not None for value in given), name, rule, "none of them")
    if patience is not None:
        patience = checks.integer(name, "patience", patience, at_least=1)
    if target is not None:
        target = checks.real(name, "target", target)
    if max_epochs is not None:
        max_epochs = checks.integer(name, "max_epochs", max_epochs, at_least=1)
    min_delta = checks.real(name, "min_delta", min_delta, at_least=0)
    return EarlyStopping(patience, min_delta, target, max_epochs)
