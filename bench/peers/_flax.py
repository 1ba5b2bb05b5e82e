"""The network in Flax."""

from collections.abc import Callable

import jax
from flax import linen as nn

from bench.tasks import Task


class Net(nn.Module):
    """A multilayer perceptron."""

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The logits."""
        for width in self.sizes[1:-1]:
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(self.sizes[-1])(x)


def network(task: Task, x: jax.Array, params: list | None) -> tuple[Callable, Callable]:
    """The network's `init(key)`, which returns `params` where they are given, and `apply`."""
    net = Net(task.sizes)

    def init(key: jax.Array) -> dict:
        if params is None:
            return net.init(key, x[:1])
        layers = enumerate(params)
        given = {f"Dense_{i}": {"kernel": weight, "bias": bias} for i, (weight, bias) in layers}
        return jax.tree.map(jax.numpy.asarray, {"params": given})

    return init, net.apply
