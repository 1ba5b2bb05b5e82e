"""Chains, company of Optax, and `apply_updates`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from small_updates import close, first_updates, ones, updated

from fnn.optimizers import (
    adam,
    add_decayed_weights,
    apply_updates,
    chain,
    clip_by_global_norm,
    sgd,
)

# together with others


def test_a_chain_of_one_is_that_one_and_chains_nest():
    params, grads = ones(), ones()
    expected = updated(chain(clip_by_global_norm(1.0), add_decayed_weights(0.1), sgd(0.1)), grads)
    nested = chain(chain(clip_by_global_norm(1.0), add_decayed_weights(0.1)), chain(sgd(0.1)))
    close(updated(nested, grads, params), expected, rtol=0)
    close(updated(chain(adam(0.1)), grads), updated(adam(0.1), grads), rtol=0)


def test_the_order_of_a_chain_matters():
    grads = ones()
    before = updated(chain(clip_by_global_norm(1.0), sgd(10.0)), grads)
    after = updated(chain(sgd(10.0), clip_by_global_norm(1.0)), grads)
    np.testing.assert_allclose(before["bias"], -10 / 3, rtol=1e-6)
    np.testing.assert_allclose(after["bias"], -1 / 3, rtol=1e-6)


def test_ours_serve_where_optax_expects_its_own_and_the_other_way_round():
    params, grads = ones(), ones()
    expected = updated(sgd(0.05, momentum=0.5), grads)
    with jax.numpy_dtype_promotion("standard"):
        for opt in (
            chain(optax.scale(0.5), sgd(0.1, momentum=0.5)),
            optax.chain(optax.scale(0.5), sgd(0.1, momentum=0.5)),
            optax.apply_if_finite(sgd(0.05, momentum=0.5), 3),
        ):
            # functions are no arguments of a compiled function
            updates = jax.jit(functools.partial(first_updates, opt))(grads)
            close(updates, expected, rtol=1e-6)
        theirs = optax.apply_updates(params, expected)
    close(theirs, apply_updates(params, expected), rtol=0)


# apply_updates


def test_apply_updates_adds_in_the_wider_dtype_and_returns_the_parameters_dtype():
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, np.float16), "c": jnp.ones(2)}
    updates = {"a": jnp.full(2, 0.3), "b": jnp.full(2, 1e-4), "c": jnp.full(2, 0.5, np.float16)}
    moved = apply_updates(params, updates)
    assert jax.tree.map(lambda leaf: leaf.dtype, moved) == jax.tree.map(lambda p: p.dtype, params)
    np.testing.assert_array_equal(moved["a"], jnp.full(2, 1.3, jnp.bfloat16))
    np.testing.assert_array_equal(moved["c"], 1.5)
    half = apply_updates(jnp.ones(1, jnp.bfloat16), jnp.ones(1, np.float16))
    assert half.dtype == jnp.bfloat16
    assert half == 2


def test_apply_updates_knows_any_pytree_and_leaves_none_alone():
    params = (jnp.ones(2), {"a": None, "b": [jnp.zeros(())]})
    moved = apply_updates(params, jax.tree.map(jnp.ones_like, params))
    assert jax.tree.structure(moved) == jax.tree.structure(params)
    close(moved[1]["b"], [1.0])
