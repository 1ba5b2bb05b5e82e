"""No peer, but run like one: many networks at once, their step written out by hand.

What `fnn.sweep` would take if it knew nothing else: the gradient by formula, one order of the
rows for all, drawn anew in every epoch. There are no checks, no best weights and nothing is
undone; rows that fill up the last batch count like others.

Small networks, of one hidden layer, have their lanes along the last axis, every sum in sight and
all parameters in one array. Larger ones have lanes first, and weights as the products read them.
"""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.products_and_adam import MOST, NEAR_BYTES, SMALL, adam
from bench.tasks import Task
from fnn.batches import epoch_order

TAKES_ORDERS = False


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as told in `bench.peers`."""
    params = task.params() if params is None else params
    cores = len(os.sched_getaffinity(0))
    weights = [a * b for a, b in itertools.pairwise(task.sizes)]
    is_small = max(weights) * task.batch_size <= SMALL
    most = MOST if is_small else max(1, NEAR_BYTES // (12 * sum(weights)))
    chunks = min(task.lanes, -(-task.lanes // (most * cores)) * cores)
    if is_small:
        arrays = [array.reshape(task.lanes, -1).T for layer in params for array in layer]
        packed = np.concatenate(arrays)
        starts: list[Any] = [jnp.asarray(part) for part in np.array_split(packed, chunks, axis=1)]
    else:
        turned = [[np.swapaxes(weight, 1, 2), bias] for weight, bias in params]
        starts = [
            jax.tree.map(lambda array, lanes=lanes: jnp.asarray(array[lanes]), turned)
            for lanes in np.array_split(np.arange(task.lanes), chunks)
        ]
    train = functools.partial(
        trained_last if is_small else trained_first,
        x=jnp.asarray(x.T if is_small else x), y=jnp.asarray(y), key=jax.random.key(0),
        rate=task.learning_rate, one=1, batch=task.batch_size, epochs=task.epochs,
        sizes=task.sizes,
    )  # fmt: skip

    def run() -> np.ndarray:
        with ThreadPoolExecutor(cores) as pool:
            losses = list(pool.map(lambda start: np.asarray(train(start)), starts))
        return np.concatenate(losses, axis=1).T

    return run


_jit = functools.partial(
    jax.jit,
    static_argnames=("batch", "epochs", "sizes"),
    compiler_options={"xla_cpu_multi_thread_eigen": False},
)


@_jit
def trained_first(start, *, x, y, key, rate, one, batch, epochs, sizes) -> jax.Array:
    """The mean loss of each epoch, `(epochs, lanes)`.

    Args:
      start: For each layer its weights `(lanes, out, in)` and biases `(lanes, out)`.
      x: `(rows, in)`.
      y: Labels `(rows,)`.
      key: Of the order of the rows.
      rate: The learning rate.
      one: Not used here.
      batch: Rows in a batch.
      epochs: How many.
      sizes: Neurons per layer.
    """
    del one

    def gradient(layers, rows):
        inputs = x[rows].T
        hot = (y[rows][None] == jnp.arange(sizes[-1], dtype=np.int32)[:, None]).astype(np.float32)
        # forward: (lanes, neurons, batch)
        values = [inputs]
        for weight, bias in layers:
            form = "loi,ir->lor" if len(values) == 1 else "loi,lir->lor"
            z = jnp.einsum(form, weight, values[-1]) + bias[..., None]
            values.append(jnp.maximum(z, 0))
        logs = jax.nn.log_softmax(z, axis=1)
        loss = -jnp.sum(logs * hot[None], axis=(1, 2)) / batch
        # backward
        errors, grads = (jnp.exp(logs) - hot[None]) / batch, []
        for i in reversed(range(len(layers))):
            form = "lor,lir->loi" if i else "lor,ir->loi"
            grads.append([jnp.einsum(form, errors, values[i]), errors.sum(axis=2)])
            if i:
                back = jnp.einsum("loi,lor->lir", layers[i][0], errors)
                errors = jnp.where(values[i] > 0, back, 0)
        return loss, grads[::-1]

    return _by_adam(gradient, start, key, rate, len(x), batch, epochs)


@_jit
def trained_last(  # noqa: D417, the others are as above
    start, *, x, y, key, rate, one, batch, epochs, sizes
) -> jax.Array:
    """The same of lanes along the last axis, in networks of one hidden layer.

    Args:
      start: `(parameters, lanes)`, layer by layer weight and bias.
      x: `(in, rows)`.
      one: 1, though the compiler cannot know: what is divided by it is stored, not computed
        again in every term of a sum.
    """
    features, hidden, classes = sizes
    ends = np.cumsum([features * hidden, hidden, hidden * classes])
    one, lanes = jnp.asarray(one, jnp.float32), start.shape[1]

    def gradient(parameters, rows):
        w1, b1, w2, b2 = jnp.split(parameters, ends)
        w1, w2 = w1.reshape(features, hidden, lanes), w2.reshape(hidden, classes, lanes)
        inputs = x[:, rows, None]
        hot = y[rows][None] == jnp.arange(classes, dtype=np.int32)[:, None]
        # forward: (neurons, batch, lanes)
        z = sum(w1[i][:, None] * inputs[i][None] for i in range(features)) + b1[:, None]
        z = z / one
        a = jnp.maximum(z, 0)
        logits = sum(w2[j][:, None] * a[j][None] for j in range(hidden)) + b2[:, None]
        logits = logits / one
        highest = functools.reduce(jnp.maximum, logits)
        powers = jnp.exp(logits - highest[None])
        total = sum(powers)
        chosen = sum(jnp.where(hot[k][:, None], logits[k], 0) for k in range(classes))
        loss = sum(jnp.log(total) + highest - chosen) / batch
        # backward
        d2 = (powers / total[None] - hot[..., None].astype(jnp.float32)) / batch / one
        d1 = sum(w2[:, k, None] * d2[k][None] for k in range(classes))
        d1 = jnp.where(z > 0, d1, 0) / one
        grads = [
            sum(inputs[:, r, None] * d1[None, :, r] for r in range(batch)),
            sum(d1[:, r] for r in range(batch)),
            sum(a[:, r, None] * d2[None, :, r] for r in range(batch)),
            sum(d2[:, r] for r in range(batch)),
        ]
        return loss, jnp.concatenate([grad.reshape(-1, lanes) for grad in grads])

    return _by_adam(gradient, start, key, rate, x.shape[1], batch, epochs)


def _by_adam(gradient: Callable, start, key, rate, rows: int, batch: int, epochs: int):
    """The losses of epochs, each in an order of its own, by steps of Adam."""

    def step(carry, numbers):
        *trees, count = carry
        loss, grads = gradient(trees[0], numbers)
        leaves = zip(*map(jax.tree.leaves, [*trees, grads]), strict=True)
        moved = [adam(rate, count + 1, *leaf) for leaf in leaves]
        structure = jax.tree.structure(start)
        trees = [jax.tree.unflatten(structure, part) for part in zip(*moved, strict=True)]
        return (*trees, count + 1), loss

    def epoch(carry, number):
        order = epoch_order(jax.random.fold_in(key, number), rows)
        steps = -(-rows // batch)
        dealt = jnp.concatenate([order, order[: steps * batch - rows]]).reshape(steps, batch)
        carry, losses = jax.lax.scan(step, carry, dealt)
        return carry, losses.mean(axis=0)

    zeros = jax.tree.map(jnp.zeros_like, start)
    carry = (start, zeros, zeros, jnp.float32(0))
    return jax.lax.scan(epoch, carry, jnp.arange(epochs, dtype=np.uint32))[1]
