"""No peer, but run like one: many networks of one hidden layer, their step written out by hand.

What `fnn.sweep` would take for small networks if it knew nothing else: lanes along the last
axis, every sum in sight, the gradient by formula, all parameters in one array, one order of the
rows for all, which is not even drawn here. There are no checks, no best weights and nothing is
undone; rows that fill up the last batch count like others.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.products_and_adam import adam
from bench.tasks import Task

TAKES_ORDERS = False

_MOST_LANES = 144


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as told in `bench.peers`; the task has one hidden layer."""
    params = task.params() if params is None else params
    cores = len(os.sched_getaffinity(0))
    chunks = -(-task.lanes // (_MOST_LANES * cores)) * cores
    arrays = [array.reshape(task.lanes, -1).T for layer in params for array in layer]
    packed = np.concatenate(arrays)
    starts = [jnp.asarray(part) for part in np.array_split(packed, chunks, axis=1)]
    steps = len(task.batch_rows)
    random = np.random.default_rng(0)
    drawn = [random.permutation(len(x)) for _ in range(task.epochs)]
    filled = [np.resize(order, (steps, task.batch_size)) for order in drawn]
    orders = jnp.asarray(np.stack(filled), np.int32)
    train = functools.partial(
        trained, x=jnp.asarray(x.T), y=jnp.asarray(y), orders=orders, rate=task.learning_rate,
        one=1, sizes=task.sizes,
    )  # fmt: skip

    def run() -> np.ndarray:
        with ThreadPoolExecutor(cores) as pool:
            losses = list(pool.map(lambda start: np.asarray(train(start)), starts))
        return np.concatenate(losses, axis=1).T

    return run


@functools.partial(
    jax.jit, static_argnames="sizes", compiler_options={"xla_cpu_multi_thread_eigen": False}
)
def trained(start, *, x, y, orders, rate, one, sizes) -> jax.Array:
    """The mean loss of each epoch, `(epochs, lanes)`.

    Args:
      start: `(parameters, lanes)`, layer by layer weight and bias.
      x: `(in, rows)`.
      y: Labels `(rows,)`.
      orders: `(epochs, steps, batch)`.
      rate: The learning rate.
      one: 1, though the compiler cannot know: what is divided by it is stored, not computed
        again in every term of a sum.
      sizes: Neurons per layer.
    """
    features, hidden, classes = sizes
    ends = np.cumsum([features * hidden, hidden, hidden * classes])
    one, lanes, batch = jnp.asarray(one, jnp.float32), start.shape[1], orders.shape[-1]

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

    def step(carry, rows):
        *moments, count = carry
        loss, grad = gradient(moments[0], rows)
        return (*adam(rate, count + 1, *moments, grad), count + 1), loss

    def epoch(carry, rows):
        carry, losses = jax.lax.scan(step, carry, rows)
        return carry, losses.mean(axis=0)

    zeros = jnp.zeros_like(start)
    return jax.lax.scan(epoch, (start, zeros, zeros, jnp.float32(0)), orders)[1]
