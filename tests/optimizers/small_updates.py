"""What the tests of optimizers share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from optimizer_formulas import SHAPES

ONLY_WEIGHTS = {"weight": True, "bias": False}


def close(got, expected, **tolerance):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), got, expected)


def ones(dtype=np.float32):
    return {name: jnp.ones(shape, dtype) for name, shape in SHAPES.items()}


def first_updates(opt, grads, params=None):
    params = jax.tree.map(jnp.ones_like, grads) if params is None else params
    return opt.update(grads, opt.init(params), params)[0]


updated = jax.jit(first_updates)
