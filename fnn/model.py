"""Networks of one's own, and how any network is called."""

import inspect
from collections.abc import Callable

import jax

from fnn import checks
from fnn.config import config, static
from fnn.types import Network, Params

__all__ = ["Model"]


@config
class Model:
    """A network of one's own: two pure functions.

    Args:
      init: `(key)` to parameters, any pytree of arrays. Static, compared by identity.
      apply: `(params, x)` to outputs `(batch, out)` for x `(batch, ...)`. If it takes
        `key`, training gives it one for each step, and evaluation gives None.

    Raises:
      TypeError: One of them is no function.

    Any object with such an `init` and `apply` serves as well.

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


def outputs_of(net: Network, params: Params, x: jax.Array, key: jax.Array | None = None):
    """`net.apply`, given the key if and only if it takes one."""
    parameters = inspect.signature(net.apply).parameters.values()
    if any(p.name == "key" or p.kind is p.VAR_KEYWORD for p in parameters):
        return net.apply(params, x, key=key)
    return net.apply(params, x)
