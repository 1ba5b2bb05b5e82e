"""No peer, but run like one: many networks at once, their step written out by hand.

What `fnn.sweep` would take if it knew nothing but these networks: the gradient by formula, one
order of the rows for all, drawn anew in every epoch, best weights, and broken epochs rolled back.
Chunks are laid out as ours. There are no checks of arguments, and rows that fill up the last
batch count like others.

Small networks, of one hidden layer, have their lanes along the last axis, every sum unrolled and
all parameters in one array. Larger ones have lanes first, and weights as the products read them.
"""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from bench.peers.products_and_adam import OPTIONS, adam, chunks_of
from bench.tasks import Task
from fnn.training.batches import epoch_order
from fnn.training.control import materialized

TAKES_ORDERS = False


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    params = task.params() if params is None else params
    small, chunks, threads = chunks_of(task)
    if small:
        arrays = [array.reshape(task.lanes, -1) for layer in params for array in layer]
        lanes = [np.concatenate(arrays, axis=1)]
    else:
        lanes = [[np.swapaxes(weight, 1, 2), bias] for weight, bias in params]

    def start(rows: np.ndarray) -> list:
        chosen = jax.tree.map(lambda array: array[rows], lanes)
        return jax.tree.map(jnp.asarray, [chosen[0].T] if small else chosen)

    starts = [start(rows) for rows in chunks]
    train = functools.partial(
        trained_last if small else trained_first,
        x=jnp.asarray(x.T if small else x), y=jnp.asarray(y), key=jax.random.key(0),
        rate=task.learning_rate, batch=task.batch_size, epochs=task.epochs,
        sizes=task.sizes,
    )  # fmt: skip

    def run() -> np.ndarray:
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda start: jax.device_get(train(start)), starts))
        losses, _ = zip(*found, strict=True)
        return np.concatenate(losses, axis=1)[:, : task.lanes].T

    return run


_jit = functools.partial(
    jax.jit,
    static_argnames=("batch", "epochs", "sizes"),
    compiler_options=OPTIONS,
)


@_jit
def trained_first(start, *, x, y, key, rate, batch, epochs, sizes):
    """The mean loss of each epoch, `(epochs, lanes)`, and the best parameters.

    Args:
      start: For each layer its weights `(lanes, out, in)` and biases `(lanes, out)`.
      x: `(rows, in)`.
      y: Labels `(rows,)`.
      key: Of the order of the rows.
      rate: The learning rate.
      batch: Rows in a batch.
      epochs: How many.
      sizes: Neurons per layer.
    """

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

    return _by_adam(gradient, start, key, rate, len(x), batch, epochs, lanes_first=True)


@_jit
def trained_last(  # noqa: D417, the others are as above
    start, *, x, y, key, rate, batch, epochs, sizes
):
    """The same of lanes along the last axis, in networks of one hidden layer.

    Args:
      start: One array `(parameters, lanes)`, layer by layer weight and bias.
      x: `(in, rows)`.
    """
    features, hidden, classes = sizes
    ends = np.cumsum([features * hidden, hidden, hidden * classes])
    lanes = start[0].shape[1]

    def gradient(parameters, rows):
        w1, b1, w2, b2 = jnp.split(parameters[0], ends)
        w1, w2 = w1.reshape(features, hidden, lanes), w2.reshape(hidden, classes, lanes)
        inputs = x[:, rows, None]
        hot = y[rows][None] == jnp.arange(classes, dtype=np.int32)[:, None]
        # forward: (neurons, batch, lanes)
        z = sum(w1[i][:, None] * inputs[i][None] for i in range(features)) + b1[:, None]
        a = materialized(jnp.maximum(z, 0))
        logits = materialized(sum(w2[j][:, None] * a[j][None] for j in range(hidden)) + b2[:, None])
        highest = functools.reduce(jnp.maximum, logits)
        powers = jnp.exp(logits - highest[None])
        total = sum(powers)
        chosen = sum(jnp.where(hot[k][:, None], logits[k], 0) for k in range(classes))
        loss = sum(jnp.log(total) + highest - chosen) / batch
        # backward
        d2 = materialized((powers / total[None] - hot[..., None].astype(jnp.float32)) / batch)
        d1 = sum(w2[:, k, None] * d2[k][None] for k in range(classes))
        d1 = materialized(jnp.where(a > 0, d1, 0))
        grads = [
            sum(inputs[:, r, None] * d1[None, :, r] for r in range(batch)),
            sum(d1[:, r] for r in range(batch)),
            sum(a[:, r, None] * d2[None, :, r] for r in range(batch)),
            sum(d2[:, r] for r in range(batch)),
        ]
        return loss, [jnp.concatenate([grad.reshape(-1, lanes) for grad in grads])]

    return _by_adam(gradient, start, key, rate, x.shape[1], batch, epochs, lanes_first=False)


def _by_adam(gradient, start, key, rate, rows, batch, epochs, *, lanes_first):
    """The losses of epochs, each in an order of its own, by steps of Adam; the best parameters."""

    def step(state, numbers):
        *trees, count = state
        loss, grads = gradient(trees[0], numbers)
        leaves = zip(*map(jax.tree.leaves, [*trees, grads]), strict=True)
        moved = [adam(rate, count + 1, *leaf) for leaf in leaves]
        structure = jax.tree.structure(start)
        trees = [jax.tree.unflatten(structure, part) for part in zip(*moved, strict=True)]
        return (*trees, count + 1), loss

    def chosen(mask, trees, others):
        """Of the lanes in the mask these, of the rest the others."""

        def select(array, other):
            shape = (-1, *[1] * (array.ndim - 1)) if lanes_first else (*[1] * (array.ndim - 1), -1)
            return jnp.where(mask.reshape(shape), array, other)

        return jax.tree.map(select, trees, others)

    def finite(params):
        axes = [range(1, p.ndim) if lanes_first else range(p.ndim - 1) for p in params]
        sums = [jnp.sum(0 * p, tuple(a)) for p, a in zip(params, axes, strict=True)]
        return functools.reduce(jnp.logical_and, map(jnp.isfinite, sums))

    def epoch(carry, number):
        before, best, lowest = carry
        order = epoch_order(jax.random.fold_in(key, number), rows)
        steps = -(-rows // batch)
        batches = jnp.concatenate([order, order[: steps * batch - rows]]).reshape(steps, batch)
        after, losses = jax.lax.scan(step, before, batches)
        loss = losses.mean(axis=0)
        good = jnp.isfinite(losses).all(axis=0) & finite(jax.tree.leaves(after[0]))
        better = good & (loss < lowest)
        best = chosen(better, after[0], best)
        state = (*chosen(good, after[:3], before[:3]), after[3])
        return (state, best, jnp.where(better, loss, lowest)), loss

    zeros = jax.tree.map(jnp.zeros_like, start)
    first = jax.tree.leaves(start)[0]
    lowest = jnp.full(first.shape[0 if lanes_first else -1], jnp.inf)
    carry = ((start, zeros, zeros, jnp.float32(0)), start, lowest)
    (_, best, _), losses = jax.lax.scan(epoch, carry, jnp.arange(epochs, dtype=np.uint32))
    return losses, best
