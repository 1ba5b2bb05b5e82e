"""What neurons receive: inputs times weights, in the forms that are fast, and biases."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from fnn.dtypes import at_least_float32

# so many multiplications take about as long as the call of a matrix product
_SMALL = 1024


def received(a: jax.Array, weight: jax.Array, bias: Any, *, written_out: bool) -> jax.Array:
    """What a layer's neurons receive of a `(..., in)`: `(..., out)`; by `matmul`."""
    z = matmul(a, weight, written_out=written_out)
    return z if bias is None else along_features(jnp.add, z, bias)


def received_features_first(a: jax.Array, weight: jax.Array, bias: Any) -> jax.Array:
    """The same of a `(in, rows)`: `(out, rows)`."""
    z = jax.lax.dot_general(weight, a, (((0,), (0,)), ((), ())))
    return z if bias is None else z + bias.astype(z.dtype)[:, None]


def along_features(operation: Callable, z: jax.Array, vector: jax.Array) -> jax.Array:
    """Joins z `(..., out)` with a vector `(out,)`, the leading axes added in sight."""
    return operation(z, jnp.expand_dims(vector.astype(z.dtype), range(z.ndim - 1)))


def matmul(a: jax.Array, weight: jax.Array, *, written_out: bool = True) -> jax.Array:
    """The product of a `(..., in)` and weight `(in, out)`.

    A product of few numbers is written out as a sum, which the compiler joins with what
    stands beside it: several times faster than the calls of matrix products. Narrow floats
    go to the matrix product, which adds them up in float32. So do all, unless `written_out`.
    """
    small = a.size * weight.shape[1] <= _SMALL and a.dtype == at_least_float32(a.dtype)
    small &= written_out
    return _sum_of_terms(a, weight) if small else a @ weight


@jax.custom_jvp
def _sum_of_terms(a: jax.Array, weight: jax.Array) -> jax.Array:
    """Every term of the sum in sight, the rows along the last axis: so it vectorises."""
    columns, factors = jnp.moveaxis(a, -1, 0), _over_rows(weight, a)
    terms = [factors[k] * columns[k][None] for k in range(len(columns))]
    while len(terms) > 1:  # in pairs, so that few terms wait for one another
        terms = [functools.reduce(operator.add, terms[i : i + 2]) for i in range(0, len(terms), 2)]
    return jnp.moveaxis(terms[0], 0, -1)


@functools.partial(_sum_of_terms.defjvp, symbolic_zeros=True)
def _sum_of_terms_jvp(primals, tangents):
    (a, weight), (da, dweight) = primals, tangents
    parts = []
    if not isinstance(da, SymbolicZero):
        parts.append(_reduced(da, weight))
    if not isinstance(dweight, SymbolicZero):
        parts.append(_reduced(a, dweight))
    return _sum_of_terms(a, weight), functools.reduce(operator.add, parts)


def _reduced(a: jax.Array, weight: jax.Array) -> jax.Array:
    """The same as one reduction, whose transpose is one too: gradients are sums over rows."""
    terms = _over_rows(weight, a) * jnp.moveaxis(a, -1, 0)[:, None]
    return jnp.moveaxis(jnp.sum(terms, axis=0), 0, -1)


def _over_rows(weight: jax.Array, a: jax.Array) -> jax.Array:
    """The weights `(in, out, 1, ...)`, to be multiplied with columns of a."""
    return weight.reshape(*weight.shape, *[1] * (a.ndim - 1))
