"""Initializers: how large the first weights are.

For a weight matrix of shape (in, out) the entries have mean 0 and variance

    He      2 / in             (He et al. 2015, arXiv:1502.01852, eq. 10)
    Glorot  2 / (in + out)     (Glorot & Bengio 2010, eq. 16)
    LeCun   1 / in             (LeCun et al. 1998, "Efficient BackProp", eq. 16)

and are drawn uniformly from +-sqrt(3 * variance), or from a normal distribution
truncated at two standard deviations and widened to have that variance. Any function
`(key, shape, dtype)` serves as an initializer, those of `jax.nn.initializers` among them.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core.dtypes import at_least_float32
from fnn.types import Initializer

__all__ = ["INITIALIZERS", "Scaled"]


class Scaled(NamedTuple):
    """An initializer that draws entries of variance 1 and scales them to the layer.

    Compares by value. The two steps are apart so that a network can draw the entries of
    all its layers at once.
    """

    draw: Initializer
    gain: float
    fan: str

    def variance(self, fan_in: Any, fan_out: Any) -> Any:
        """The variance of the entries of a matrix between so many neurons; they may be traced."""
        return self.gain / (fan_in if self.fan == "in" else (fan_in + fan_out) / 2)

    def deviation(self, shape: tuple[int, int]) -> float:
        """The standard deviation of entries of a matrix of shape `(in, out)`."""
        return math.sqrt(self.variance(*shape))

    def __call__(self, key: jax.Array, shape: tuple[int, int], dtype=np.float32) -> jax.Array:
        """Entries of shape `(in, out)`."""
        return self.draw(key, shape, dtype) * np.asarray(self.deviation(shape), dtype)


def _uniform(key: jax.Array, shape: tuple[int, ...], dtype) -> jax.Array:
    edge = math.sqrt(3.0)
    return jax.random.uniform(key, shape, dtype, -edge, edge)


# the standard deviation of a normal variable truncated at two
_TRUNCATED = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def _normal(key: jax.Array, shape: tuple[int, ...], dtype) -> jax.Array:
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) / np.asarray(_TRUNCATED, dtype)


def _orthogonal(key: jax.Array, shape: tuple[int, ...], dtype) -> jax.Array:
    # in at least float32, as there is no QR decomposition of narrower floats
    make = jax.nn.initializers.orthogonal()
    return make(key, shape, at_least_float32(dtype)).astype(dtype)


def _zeros(key: jax.Array, shape: tuple[int, ...], dtype) -> jax.Array:
    del key
    return jnp.zeros(shape, dtype)


INITIALIZERS = {
    "he_uniform": Scaled(_uniform, 2.0, "in"),
    "he_normal": Scaled(_normal, 2.0, "in"),
    "glorot_uniform": Scaled(_uniform, 1.0, "average"),
    "glorot_normal": Scaled(_normal, 1.0, "average"),
    "lecun_uniform": Scaled(_uniform, 1.0, "in"),
    "lecun_normal": Scaled(_normal, 1.0, "in"),
    "orthogonal": _orthogonal,
    "zeros": _zeros,
}
"""The initializers that `mlp` takes by name."""
