"""The operations of a layer: z = W x + b in the forms that are fast, and dropout."""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from fnn._core import checks
from fnn._core.dtypes import at_least_float32

# A call of a matrix product takes about as long as this many multiplications.
_SMALL = 1024


class Products(NamedTuple):
    """The form in which layers compute their products. Results agree but for rounding."""

    transposed: bool = False
    """Whether layers pass `(units, rows)` to one another, by matrix products. Where inputs have
    other axes than `(rows, in)` they do not, and the form is that of the other fields."""
    unrolled: bool = True
    """Whether small products are unrolled, see `matmul`."""
    largest_summed: int = 0
    """Other products are sums where the weight has at most this many numbers, see `matmul`."""


UNROLLED = Products()
"""The form of `MLP.apply`."""


def affine(a: jax.Array, weight: jax.Array, bias: Any, form: Products) -> jax.Array:
    """From a `(..., in)` to z `(..., out)`, by `matmul`."""
    z = matmul(a, weight, form)
    return z if bias is None else along_features(jnp.add, z, bias)


def affine_transposed(a: jax.Array, weight: jax.Array, bias: Any) -> jax.Array:
    """From a `(in, rows)` to z `(out, rows)`."""
    z = jax.lax.dot_general(weight, a, (((0,), (0,)), ((), ())))
    return z if bias is None else z + bias.astype(z.dtype)[:, None]


def along_features(operation: Callable, z: jax.Array, vector: jax.Array) -> jax.Array:
    """The operation on z `(..., out)` and a vector `(out,)`, whose leading axes are explicit."""
    return operation(z, jnp.expand_dims(vector.astype(z.dtype), range(z.ndim - 1)))


def dropped(key: jax.Array, a: jax.Array, rate: Any) -> jax.Array:
    """The a `(..., units)`, each entry 0 with probability `rate`, the others scaled up."""
    rate = jnp.asarray(rate).astype(np.float32)
    rule = "dropout must be one number here (jax.vmap over the network gives each lane its own)"
    checks.require(rate.ndim == 0, "mlp.apply", rule, f"shape {rate.shape}")
    # Drawn with the units first: the numbers of a narrow layer are the first of a wider one's.
    shape = (a.shape[-1], *a.shape[:-1])
    kept = jnp.moveaxis(jax.random.uniform(key, shape, np.float32) >= rate, 0, -1)
    return jnp.where(kept, a / (1 - rate).astype(a.dtype), 0)


def matmul(a: jax.Array, weight: jax.Array, form: Products = UNROLLED) -> jax.Array:
    """The product of a `(..., in)` and weight `(in, out)`, `(..., out)`.

    A product of few numbers is unrolled into a sum, which the compiler fuses with the operations
    before and after it: several times faster than a call of a matrix product. Larger ones can be
    multiplications and a sum, which a GPU's compiler fuses too. Narrow floats always use
    the matrix product, which accumulates in float32.

    Args:
      a: `(..., in)`, floating.
      weight: `(in, out)`, of the same dtype.
      form: Which products are unrolled or summed. All others are matrix products.
    """
    if a.dtype != at_least_float32(a.dtype):
        return a @ weight
    known = isinstance(a.size, (int, np.integer))  # not where jax.export has symbols for rows
    if form.unrolled and known and a.size * weight.shape[1] <= _SMALL:
        return _sum_of_terms(a, weight)
    return _summed(a, weight) if weight.size <= form.largest_summed else a @ weight


# Through a gradient, what is saved are a and the weight, not their many products.
@functools.partial(jax.checkpoint, prevent_cse=False)
def _summed(a: jax.Array, weight: jax.Array) -> jax.Array:
    """Multiplications and a sum over the inputs. Gradients are sums, too, over rows and outputs."""
    axis = a.ndim - 1
    return jnp.sum(jnp.expand_dims(a, axis) * jnp.expand_dims(weight.T, range(axis)), axis=-1)


@jax.custom_jvp
def _sum_of_terms(a: jax.Array, weight: jax.Array) -> jax.Array:
    """The unrolled sum. Rows are along the last axis, so that it vectorises."""
    columns, factors = jnp.moveaxis(a, -1, 0), _over_rows(weight, a)
    terms = [factors[k] * columns[k][None] for k in range(len(columns))]
    while len(terms) > 1:  # in pairs, so that few additions depend on one another
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
    """The same product as one reduction. Its transpose is one too: gradients sum over rows."""
    terms = _over_rows(weight, a) * jnp.moveaxis(a, -1, 0)[:, None]
    return jnp.moveaxis(jnp.sum(terms, axis=0), 0, -1)


def _over_rows(weight: jax.Array, a: jax.Array) -> jax.Array:
    """The weights as `(in, out, 1, ...)`, ready to be multiplied with columns of a."""
    return weight.reshape(*weight.shape, *[1] * (a.ndim - 1))
