"""No peer, but run like one: of every step only the matrix products and Adam's update.

No biases, activations, losses, gathering of rows or random numbers, and gradients that mean
nothing. Weights lie as the products read them, so nothing is turned or copied. Chunks of
networks run on all cores, one each. A sweep that trains by matrix products takes longer than
this, unless it has faster products or a faster Adam than XLA makes here.
"""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from bench.tasks import Task

TAKES_ORDERS = False

# weights and statistics of a chunk, which a core is to keep near itself
_NEAR_BYTES = 2**20
_B1, _B2, _EPS = 0.9, 0.999, 1e-8


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as told in `bench.peers`; it has no losses, and starts from the task's weights."""
    del y, params
    cores = len(os.sched_getaffinity(0))
    most = max(1, _NEAR_BYTES // (12 * sum(a * b for a, b in itertools.pairwise(task.sizes))))
    chunks = min(task.lanes, -(-task.lanes // (most * cores)) * cores)
    weights = [np.swapaxes(weight, 1, 2) for weight, _ in task.params()]
    starts = [
        [jnp.asarray(weight[lanes]) for weight in weights]
        for lanes in np.array_split(np.arange(task.lanes), chunks)
    ]
    # the last batch is as large as the others, as in a sweep
    rows = np.arange(task.batch_size * -(-len(x) // task.batch_size)) % len(x)
    batches = jnp.asarray(x[rows].reshape(-1, task.batch_size, x.shape[1]))

    def chunk(start: list[jax.Array]) -> None:
        jax.block_until_ready(trained(start, batches, task.learning_rate, task.epochs))

    def run() -> np.ndarray:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(chunk, starts))
        return np.zeros((task.lanes, task.epochs))

    return run


@functools.partial(
    jax.jit,
    static_argnames="epochs",
    compiler_options={"xla_cpu_multi_thread_eigen": False},
)
def trained(start: list[jax.Array], batches: jax.Array, rate: float, epochs: int):
    """The weights `(lanes, out, in)` of each layer after so many epochs of batches."""

    def step(carry: tuple, x: jax.Array):
        weights, means, squares, count = carry
        inputs = [jnp.einsum("loi,ri->lor", weights[0], x)]
        for weight in weights[1:]:
            inputs.append(jnp.einsum("loi,lir->lor", weight, inputs[-1]))
        errors, grads = inputs.pop(), []
        for weight, value in zip(weights[:0:-1], inputs[::-1], strict=True):
            grads.append(jnp.einsum("lor,lir->loi", errors, value))
            errors = jnp.einsum("loi,lor->lir", weight, errors)
        grads.append(jnp.einsum("lor,ri->loi", errors, x))
        adam = functools.partial(_adam, rate, count + 1)
        moved = map(adam, weights, means, squares, grads[::-1])
        return (*map(list, zip(*moved, strict=True)), count + 1), None

    zeros = [jnp.zeros_like(weight) for weight in start]
    (weights, *_), _ = jax.lax.scan(
        lambda carry, _: jax.lax.scan(step, carry, batches),
        (start, zeros, zeros, jnp.float32(0)),
        length=epochs,
    )
    return weights


def _adam(rate, count, weight, mean, square, grad):
    mean, square = _B1 * mean + (1 - _B1) * grad, _B2 * square + (1 - _B2) * grad**2
    root = jnp.sqrt(square / (1 - _B2**count)) + _EPS
    return weight - rate * (mean / (1 - _B1**count)) / root, mean, square
