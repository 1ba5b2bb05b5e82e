"""Losses compiled with their slopes, and how they are compared."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

INF, NAN = np.inf, np.nan


def as_64(array):
    return np.asarray(array, np.float64)


def at_least_32_bits(dtype):
    return np.float64 if dtype == np.float64 else np.float32


@functools.cache
def compiled(loss, *names):
    """The loss jitted, with its losses and the slopes of their sum, options by position."""

    @jax.jit
    def losses_and_slope(outputs, targets, *numbers):
        def total(outputs):
            losses = loss(outputs, targets, **dict(zip(names, numbers, strict=True)))
            return jnp.sum(losses), losses

        (_, losses), slope = jax.value_and_grad(total, has_aux=True)(outputs)
        return losses, slope

    return losses_and_slope


def losses_and_slope(loss, outputs, targets, options):
    return compiled(loss, *options)(outputs, targets, *options.values())


def compare(actual, expected, dtype, scale=4):
    precision = scale * max(float(jnp.finfo(dtype).eps), 1e-14)
    np.testing.assert_allclose(as_64(actual), expected, rtol=precision, atol=precision)
