"""Equinox and Optax, the whole run one jitted program written by hand."""

import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bench.peers._optax import scan_training
from bench.tasks import Task

TAKES_ORDERS = True


class Net(eqx.Module):
    """A multilayer perceptron of any widths; Equinox's own has one width."""

    layers: list[eqx.nn.Linear]

    def __init__(self, sizes: tuple[int, ...], key: jax.Array):
        keys = jax.random.split(key, len(sizes) - 1)
        shapes = itertools.pairwise(sizes)
        self.layers = [
            eqx.nn.Linear(*shape, key=key) for shape, key in zip(shapes, keys, strict=True)
        ]

    def __call__(self, x: jax.Array) -> jax.Array:
        """The logits of one row."""
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, orders=None
) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""

    def init(key: jax.Array) -> Net:
        net = Net(task.sizes, key)
        if params is None:
            return net
        given = [jnp.asarray(array) for weight, bias in params for array in (weight.T, bias)]
        return eqx.tree_at(jax.tree.leaves, net, given)

    def apply(net: Net, x: jax.Array) -> jax.Array:
        return jax.vmap(net)(x)

    train = eqx.filter_jit(scan_training(init, apply, task, orders))
    key, x, y = jax.random.key(0), jnp.asarray(x), jnp.asarray(y)

    def run() -> np.ndarray:
        _, losses = jax.block_until_ready(train(key, x, y))
        return task.epoch_losses(losses)

    return run
