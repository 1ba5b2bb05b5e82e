"""Networks defined by the user, and how any network is called."""

import inspect
from collections.abc import Callable

import jax

from fnn._core import checks
from fnn._core.config import config, static
from fnn._core.table import Table
from fnn.networks.summary import table_of_leaves
from fnn.types import Network, Params

__all__ = ["Model"]


@config
class Model:
    """A network defined by two pure functions.

    Args:
      init: `(key)` to parameters, any pytree of arrays. Static, compared by identity.
      apply: `(params, x)` to outputs `(batch, out)` for x `(batch, ...)`. If it has an argument
        `key`, it gets one for each training step, and None in evaluation.

    Raises:
      TypeError: `init` or `apply` is not a function.

    Any other object with such an `init` and `apply` is a network as well.

    >>> line = Model(lambda key: jnp.zeros((2, 1)), lambda params, x: x @ params)
    >>> print(line.apply(line.init(jax.random.key(0)), jnp.ones((3, 2))).shape)
    (3, 1)
    """

    init: Callable[[jax.Array], Params] = static()
    apply: Callable[..., jax.Array] = static()

    def __post_init__(self) -> None:
        for name in ("init", "apply"):
            value = getattr(self, name)
            checks.require(callable(value), "Model", f"{name} must be a function", repr(value),
                           TypeError)  # fmt: skip

    def summary(self) -> Table:
        """The parameters in numbers, without making them.

        Returns:
          A row per array: its path in the parameters as `leaf`, `shape`, `dtype`, `parameters`,
          `bytes`. `note` has the totals.

        >>> net = Model(lambda key: {"w": jnp.zeros((2, 1))}, lambda params, x: x @ params["w"])
        >>> print(net.summary())
         leaf   shape    dtype  parameters  bytes
        ['w']  (2, 1)  float32           2      8
        2 parameters in 8 bytes
        """
        return table_of_leaves(self.init)


def outputs_of(net: Network, params: Params, x: jax.Array, key: jax.Array | None = None):
    """`net.apply` of x, with the key if it has an argument for one."""
    parameters = inspect.signature(net.apply).parameters.values()
    if any(p.name == "key" or p.kind is p.VAR_KEYWORD for p in parameters):
        return net.apply(params, x, key=key)
    return net.apply(params, x)
