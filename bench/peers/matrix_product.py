"""The rate at which this machine multiplies large matrices, in float32, by JAX."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bench.tasks import Task

TAKES_ORDERS = False

_SIDE = 2048
_TIMES = 8

OPERATIONS = _TIMES * 2 * _SIDE**3
"""Floating point operations of a run."""


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """A run multiplies matrices of its own; it looks at no task and has no losses."""
    del task, x, y, params
    matrix = jnp.full((_SIDE, _SIDE), 1 / _SIDE)

    @jax.jit
    def products(matrix: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, _TIMES, lambda _, product: product @ matrix, matrix)

    def run() -> np.ndarray:
        jax.block_until_ready(products(matrix))
        return np.zeros(0)

    return run
