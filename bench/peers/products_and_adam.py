"""No peer, but run like one: of every step only the matrix products and Adam's update.

No biases, activations, losses, gathering of rows or random numbers, and gradients that mean
nothing. Weights lie as the products read them, so nothing is turned or copied. Chunks are laid
out as ours. A sweep takes longer than this, unless it has faster products or a faster Adam than
XLA makes here.

Products of small networks are unrolled sums, the networks along the last axis; then all
weights lie in one array.
"""

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from bench.tasks import Task
from fnn.sweeps.lanes_last.steps import is_small
from fnn.sweeps.layout import layout_of
from fnn.sweeps.program import compiler_options
from fnn.training.control import materialized

TAKES_ORDERS = False

OPTIONS = compiler_options(own_memory=False, one_core=True)
_B1, _B2, _EPS = 0.9, 0.999, 1e-8


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it, from the task's weights; it has no losses."""
    del y, params
    small, lanes, threads = chunks_of(task)
    # the last batch is as large as the others, as in a sweep
    rows = np.arange(task.batch_size * -(-len(x) // task.batch_size)) % len(x)
    batches = x[rows].reshape(-1, task.batch_size, x.shape[1])
    if small:
        weights = [weight.reshape(task.lanes, -1).T for weight, _ in task.params()]
        starts = [jnp.concatenate([weight[:, chosen] for weight in weights]) for chosen in lanes]
        batches = np.swapaxes(batches, 1, 2)
        train = functools.partial(trained_last, sizes=task.sizes)
    else:
        weights = [np.swapaxes(weight, 1, 2) for weight, _ in task.params()]
        starts = [[jnp.asarray(weight[chosen]) for weight in weights] for chosen in lanes]
        train = trained_first
    batches = jnp.asarray(batches)

    def chunk(start: Any) -> None:
        jax.block_until_ready(train(start, batches, rate=task.learning_rate, epochs=task.epochs))

    def run() -> np.ndarray:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(chunk, starts))
        return np.zeros((task.lanes, task.epochs))

    return run


def chunks_of(task: Task) -> tuple[bool, list[np.ndarray], int]:
    """Whether lanes lie along vectors, those of each chunk, and how many are at work at once.

    Chunks are of one size; after the last lane the first ones are repeated.
    """
    small = is_small(fnn.mlp(task.sizes), task.batch_size)
    state_bytes = 16 * sum(a * b for a, b in itertools.pairwise(task.sizes))
    layout = layout_of(task.lanes, state_bytes, along_vectors=small, lanes_end=False, at_once=None)
    firsts = range(0, task.lanes, layout.chunk)
    chunks = [np.arange(first, first + layout.chunk) % task.lanes for first in firsts]
    return small, chunks, layout.threads


@functools.partial(jax.jit, static_argnames="epochs", compiler_options=OPTIONS)
def trained_first(start: list[jax.Array], batches: jax.Array, *, rate: float, epochs: int):
    """The weights `(lanes, out, in)` of each layer after so many epochs of batches."""

    def gradients(weights: list[jax.Array], x: jax.Array) -> list[jax.Array]:
        inputs = [jnp.einsum("loi,ri->lor", weights[0], x)]
        for weight in weights[1:]:
            inputs.append(jnp.einsum("loi,lir->lor", weight, inputs[-1]))
        errors, grads = inputs.pop(), []
        for weight, value in zip(weights[:0:-1], inputs[::-1], strict=True):
            grads.append(jnp.einsum("lor,lir->loi", errors, value))
            errors = jnp.einsum("loi,lor->lir", weight, errors)
        grads.append(jnp.einsum("lor,ri->loi", errors, x))
        return grads[::-1]

    return _by_adam(gradients, start, batches, rate, epochs)


@functools.partial(jax.jit, static_argnames=("sizes", "epochs"), compiler_options=OPTIONS)
def trained_last(
    start: jax.Array,
    batches: jax.Array,
    *,
    sizes: tuple[int, ...],
    rate: float,
    epochs: int,
):
    """The weights of all layers, `(weights, lanes)`, after so many epochs of batches.

    Batches are `(batches, in, rows)`.
    """
    shapes = list(itertools.pairwise(sizes))
    ends = np.cumsum([a * b for a, b in shapes])[:-1]

    def gradients(weights: list[jax.Array], x: jax.Array) -> list[jax.Array]:
        parts = jnp.split(weights[0], ends)
        layers = [part.reshape(*shape, -1) for part, shape in zip(parts, shapes, strict=True)]
        values = [x[..., None]]  # (in, rows, lanes)
        for layer in layers:
            terms = zip(layer, values[-1], strict=True)
            values.append(
                materialized(sum(weight[:, None] * value[None] for weight, value in terms))
            )
        errors, grads = values.pop(), []
        for layer, value in zip(layers[::-1], values[::-1], strict=True):
            rows = range(value.shape[1])
            grads.append(sum(value[:, None, r] * errors[None, :, r] for r in rows))
            if layer is not layers[0]:
                columns = range(layer.shape[1])
                errors = materialized(sum(layer[:, o, None] * errors[None, o] for o in columns))
        lanes = weights[0].shape[-1]
        return [jnp.concatenate([grad.reshape(-1, lanes) for grad in grads[::-1]])]

    return _by_adam(gradients, [start], batches, rate, epochs)


def _by_adam(gradients: Callable, start: list, batches: jax.Array, rate: float, epochs: int):
    def step(carry: tuple, x: jax.Array):
        weights, means, squares, count = carry
        moved = map(
            functools.partial(adam, rate, count + 1), weights, means, squares, gradients(weights, x)
        )
        return (*map(list, zip(*moved, strict=True)), count + 1), None

    zeros = [jnp.zeros_like(weight) for weight in start]
    (weights, *_), _ = jax.lax.scan(
        lambda carry, _: jax.lax.scan(step, carry, batches),
        (start, zeros, zeros, jnp.float32(0)),
        length=epochs,
    )
    return weights


def adam(rate, count, weight, mean, square, grad):
    """The weight, mean and mean square after this step, counted from 1."""
    mean, square = _B1 * mean + (1 - _B1) * grad, _B2 * square + (1 - _B2) * grad**2
    root = jnp.sqrt(square / (1 - _B2**count)) + _EPS
    return weight - rate * (mean / (1 - _B1**count)) / root, mean, square
