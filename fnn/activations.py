"""Activations: from a neuron's z to its a, element by element (softmax: by row).

    sigmoid(z) = 1 / (1 + e^-z)        tanh(z)
    relu(z)    = max(0, z)             softmax(z)_k = e^z_k / sum_j e^z_j

Those of `jax.nn` are beside them under the same names (but for `glu`, which halves the
width of a layer). Four of them are rewritten here, because those of `jax.nn` overflow or cancel
(`gelu`, `squareplus` and `sparse_plus` raise a large z to a power, `standardize` takes the
variance from raw squares): value and slope are finite for every finite z whose a is finite, those
of `standardize` while squares do not overflow. `mlp` takes any of them by name, or any function of
one's own.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from fnn._core import checks
from fnn._core.dtypes import at_least_float32
from fnn.types import Activation

__all__ = [
    "ACTIVATIONS",
    "JOINING",
    "RELU_FAMILY",
    "identity",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


def identity(z: jax.Array) -> jax.Array:
    """The z itself: a linear neuron, for regression and for logits.

    Args:
      z: Any shape, any dtype.
    Returns:
      `z`.

    >>> print(identity(jnp.array([-1.0, 2.0])))
    [-1.  2.]
    """
    return _checked("identity", z)


def sigmoid(z: jax.Array) -> jax.Array:
    """The logistic function 1 / (1 + e^-z), in (0, 1).

    Args:
      z: Any shape, floating.
    Returns:
      As `z`. At large |z| it is 0 or 1, and its slope 0, never NaN.

    >>> print(sigmoid(jnp.array([-1e4, 0.0, 1e4])))
    [0.  0.5 1. ]
    """
    return jax.nn.sigmoid(_checked("sigmoid", z))


def tanh(z: jax.Array) -> jax.Array:
    """The hyperbolic tangent (e^z - e^-z) / (e^z + e^-z), in (-1, 1).

    Args:
      z: Any shape, floating.
    Returns:
      As `z`.

    >>> print(tanh(jnp.array([-1e4, 0.0, 1e4])))
    [-1.  0.  1.]
    """
    return jnp.tanh(_checked("tanh", z))


def relu(z: jax.Array) -> jax.Array:
    """The rectified linear unit max(0, z), with slope 0 at z = 0.

    Args:
      z: Any shape.
    Returns:
      As `z`.

    >>> print(relu(jnp.array([-1.0, 0.0, 2.0])))
    [0. 0. 2.]
    """
    return _relu(_checked("relu", z))


@jax.custom_jvp
def _relu(z: jax.Array) -> jax.Array:
    return jnp.maximum(z, 0)


@_relu.defjvp
def _relu_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    """The slope by a, which is above 0 where z is, so that z need not be kept as well."""
    (z,), (dz,) = primals, tangents
    a = _relu(z)
    return a, jax.lax.select(a > 0, dz, jnp.zeros_like(dz))


def softmax(z: jax.Array) -> jax.Array:
    """Probabilities e^z_k / sum_j e^z_j over the last axis.

    Args:
      z: `(..., classes)`, floating. The largest is subtracted first, so no size of logit
        overflows; -inf masks a class (at least one must be left).
    Returns:
      As `z`; each row is in [0, 1] and sums to 1.

    >>> print(softmax(jnp.array([1e4, 1e4, -jnp.inf])))
    [0.5 0.5 0. ]
    """
    return jax.nn.softmax(_checked("softmax", z), axis=-1)


def gelu(z: jax.Array) -> jax.Array:
    """`jax.nn.gelu`, z times nearly the normal distribution's share below z.

        z sigmoid(2 sqrt(2 / pi) (z + 0.044715 z^3))

    Formed in at least float32. Unlike 1 + tanh, the sigmoid keeps its digits near 0.

    >>> print(jax.vmap(jax.grad(gelu))(jnp.array([-1e30, 0.0, 1e30])))
    [-0.   0.5  1. ]
    """
    wide = z.astype(at_least_float32(z.dtype))
    near = jnp.clip(wide, -30, 30)  # beyond, the sigmoid is 0 or 1 in every dtype
    cubic = near + 0.044715 * near**3
    return (wide * jax.nn.sigmoid(math.sqrt(8 / math.pi) * cubic)).astype(z.dtype)


def squareplus(z: jax.Array) -> jax.Array:
    """`jax.nn.squareplus`, a hyperbola beside the relu: (z + sqrt(z^2 + 4)) / 2.

    Formed in at least float32. At negative z, where that would cancel, it is 1 / a(-z).

    >>> print(squareplus(jnp.array([-1e6, 0.0, 1e30])))
    [1.e-06 1.e+00 1.e+30]
    """
    wide = z.astype(at_least_float32(z.dtype))
    size = jnp.where(wide < 0, -wide, wide)
    near = jnp.minimum(size, 1e10)  # beyond, the root is z in every dtype
    above = size + (jnp.sqrt(near**2 + 4) - near) / 2
    return jnp.where(wide < 0, 1 / above, above).astype(z.dtype)


def sparse_plus(z: jax.Array) -> jax.Array:
    """`jax.nn.sparse_plus`: 0 up to -1, z from 1, a parabola (z + 1)^2 / 4 between.

    >>> print(jax.vmap(jax.grad(sparse_plus))(jnp.array([-1e38, 0.0, 1e38])))
    [0.  0.5 1. ]
    """
    return jnp.where(z >= 1, z, jnp.square(jnp.clip(z, -1, 1) + 1) / 4)


def standardize(z: jax.Array, where: jax.Array | None = None) -> jax.Array:
    """The z with mean 0 and variance 1 over its last axis, formed in at least float32.

    With `where`, bools that broadcast against z, mean and variance are those of the entries
    that it chooses.

        (z - mean) / sqrt(mean((z - mean)^2) + 1e-5)

    Unlike `jax.nn.standardize` it holds far from zero, where mean(z^2) - mean(z)^2 loses
    all digits. The squares must not overflow: in float32, from |z| of about 1e19, it is 0, and its
    slope NaN.

    >>> print(standardize(jnp.array([9999.0, 10000.0, 10001.0])).round(3))
    [-1.225  0.     1.225]
    """
    wide = z.astype(at_least_float32(z.dtype))
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True, where=where)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True, where=where)
    return (centred * jax.lax.rsqrt(variance + 1e-5)).astype(z.dtype)


def _checked(function: str, z: Any) -> jax.Array:
    return jnp.asarray(checks.numbers(function, "z", z))


ACTIVATIONS = {
    "identity": identity,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "softmax": softmax,
    "celu": jax.nn.celu,
    "elu": jax.nn.elu,
    "gelu": gelu,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_silu": jax.nn.hard_silu,
    "hard_swish": jax.nn.hard_swish,
    "hard_tanh": jax.nn.hard_tanh,
    "leaky_relu": jax.nn.leaky_relu,
    "log_sigmoid": jax.nn.log_sigmoid,
    "log_softmax": jax.nn.log_softmax,
    "mish": jax.nn.mish,
    "relu6": jax.nn.relu6,
    "selu": jax.nn.selu,
    "silu": jax.nn.silu,
    "soft_sign": jax.nn.soft_sign,
    "softplus": jax.nn.softplus,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": jax.nn.sparse_sigmoid,
    "squareplus": squareplus,
    "standardize": standardize,
    "swish": jax.nn.swish,
}
"""The activations that `mlp` takes by name."""

RELU_FAMILY = frozenset(
    function
    for name in (
        *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "swish"),
        *("mish", "softplus", "squareplus", "hard_silu", "hard_swish", "sparse_plus"),
    )
    for function in (ACTIVATIONS[name], getattr(jax.nn, name))
)
"""Activations that pass large z on and hold small z back: He's initial scale suits them."""

JOINING = frozenset(
    function
    for name in ("softmax", "log_softmax", "standardize")
    for function in (ACTIVATIONS[name], getattr(jax.nn, name))
)
"""Activations of which each a depends on the z of all neurons of the layer."""

ELEMENTWISE = (
    frozenset(ACTIVATIONS.values())
    | frozenset(getattr(jax.nn, name) for name in ACTIVATIONS if hasattr(jax.nn, name))
) - JOINING
"""Activations of which each a depends on its own z alone, as far as we know them."""

# by function, those of jax.nn included
_NAMES: dict[Any, str] = {jnp.tanh: "tanh"}
for _name, _function in ACTIVATIONS.items():
    _NAMES.setdefault(_function, _name)  # the first of two names
    _NAMES.setdefault(getattr(jax.nn, _name, _function), _NAMES[_function])


def name_of(sigma: Activation) -> str | None:
    """The name of an activation of `mlp` or `jax.nn`; None for any other function."""
    return _NAMES.get(sigma)
