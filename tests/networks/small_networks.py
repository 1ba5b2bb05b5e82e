"""Networks with random parameters, and what they compute, compiled."""

import jax
import jax.numpy as jnp
import numpy as np


def random_params(net, seed=0):
    """Parameters of which none is 0 or 1, biases included."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)


@jax.jit
def compiled(net, params, x, key=None):
    return net.apply(params, x, key=key), net.forward(params, x, key=key)


def apply(*arguments):
    return compiled(*arguments)[0]


def forward(*arguments):
    return compiled(*arguments)[1]


X = np.random.default_rng(1).normal(size=(4, 3))
