"""Decay of some leaves and not of others, and clipping by the norm of all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_updates import ONLY_WEIGHTS, close, first_updates, ones, updated

from fnn.optimizers import (
    adam,
    adamw,
    add_decayed_weights,
    chain,
    clip_by_global_norm,
    sgd,
)

# decay


@pytest.mark.parametrize("factory", [adamw, add_decayed_weights])
@pytest.mark.parametrize(
    ("mask", "decaying"),
    [
        (None, {"weight", "kernel"}),
        (True, {"weight", "bias", "kernel", "scalar"}),
        (False, set()),
        ({"layer": {"weight": False, "bias": True}, "kernel": False, "scalar": True},
         {"bias", "scalar"}),
        ({"layer": True, "kernel": False, "scalar": False}, {"weight", "bias"}),
        (lambda params: jax.tree.map(lambda leaf: leaf.ndim == 1, params), {"bias"}),
        (lambda params: {"layer": False, "kernel": True, "scalar": jnp.array(True)},
         {"kernel", "scalar"}),
        ({"layer": np.bool_(False), "kernel": jnp.array(True), "scalar": False}, {"kernel"}),
    ],
    ids=["default", "all", "none", "tree", "prefix", "function", "function of a prefix", "arrays"],
)  # fmt: skip
def test_the_mask_says_which_leaves_decay_and_biases_do_not_by_default(factory, mask, decaying):
    params = {
        "layer": {"weight": jnp.full((1, 2), 2.0), "bias": jnp.full(2, 2.0)},
        "kernel": jnp.full((1, 1, 2), 2.0),
        "scalar": jnp.array(2.0),
    }
    numbers = {"weight_decay": 0.5, "mask": mask}
    opt = adamw(1.0, **numbers) if factory is adamw else chain(factory(**numbers), sgd(1.0))
    grads = jax.tree.map(jnp.zeros_like, params)
    updates = updated(opt, grads, params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(updates):
        np.testing.assert_array_equal(leaf, -1.0 if path[-1].key in decaying else 0.0)


def test_a_mask_may_choose_entries_of_a_leaf():
    mask = {"weight": np.array([[True, False, True], [False, False, False]]), "bias": False}
    opt = add_decayed_weights(0.5, mask=mask)
    updates = updated(opt, jax.tree.map(jnp.zeros_like, ones()), ones())
    np.testing.assert_array_equal(updates["weight"], [[0.5, 0, 0.5], [0, 0, 0]])
    np.testing.assert_array_equal(updates["bias"], 0)


def test_a_leaf_that_does_not_decay_may_be_anything():
    params = {"weight": jnp.ones((2, 3)), "bias": jnp.full(3, jnp.nan)}
    for mask in (None, ONLY_WEIGHTS):
        updates = updated(add_decayed_weights(0.5, mask=mask), ones(), params)
        np.testing.assert_array_equal(updates["bias"], 1)


def test_adam_does_not_rescale_the_decay_of_adamw():
    params, grads = ones(), jax.tree.map(lambda leaf: 1e-3 * leaf, ones())
    plain = updated(adam(0.1), grads, params)
    decayed = updated(adamw(0.1, weight_decay=0.5), grads, params)
    np.testing.assert_allclose(decayed["weight"] - plain["weight"], -0.1 * 0.5, rtol=1e-5)
    np.testing.assert_array_equal(decayed["bias"], plain["bias"])


# clipping


@pytest.mark.parametrize("scale", [1e30, 1.0, 1e-30])
def test_clipping_neither_overflows_nor_underflows(scale):
    grads = {"a": jnp.array([3.0 * scale]), "b": jnp.array([[0.0, -4.0 * scale]])}
    clipped = updated(clip_by_global_norm(scale), grads)
    close(clipped, {"a": [0.6 * scale], "b": [[0.0, -0.8 * scale]]}, rtol=1e-6)
    for max_norm in (5.001 * scale, 50 * scale):
        close(updated(clip_by_global_norm(max_norm), grads), grads, rtol=0)
    if scale > 1:
        close(updated(clip_by_global_norm(1.0), grads), {"a": [0.6], "b": [[0, -0.8]]}, rtol=1e-6)


def test_clipping_sees_all_leaves_whatever_their_dtypes():
    grads = {
        "a": jnp.full(4, 3e38, jnp.bfloat16),
        "b": jnp.full(4, 6e4, np.float16),
        "c": jnp.zeros((0, 2)),
    }
    for update in (first_updates, updated):  # compiled and not, division differs up there
        clipped = update(clip_by_global_norm(1.0), grads)
        close(clipped, {"a": np.full(4, 0.5), "b": np.zeros(4), "c": np.zeros((0, 2))}, atol=1e-6)
        assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(clipped))
    assert updated(clip_by_global_norm(1.0), {}) == {}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_clipping_passes_on_what_is_not_finite_so_that_it_is_noticed(bad):
    grads = {"a": jnp.array([1.0, bad]), "b": jnp.array([2.0])}
    clipped = updated(clip_by_global_norm(1.0), grads)
    assert not np.isfinite(clipped["a"][1])
    through = updated(chain(clip_by_global_norm(1.0), sgd(0.1)), grads)
    assert not np.isfinite(through["a"][1])


def test_the_gradient_through_clipping_is_right(x64):
    opt = clip_by_global_norm(0.5)

    def value(entries):
        clipped = updated(opt, {"a": entries[:2], "b": entries[2:]})
        return jnp.sum(jnp.sin(clipped["a"])) + jnp.sum(clipped["b"] ** 2)

    entries, step = np.array([1.0, -2.0, 0.5]), 1e-6 * np.eye(3)
    around = np.concatenate([[entries], entries + step, entries - step])
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(value)))(around)
    above, below = np.split(np.asarray(values[1:]), 2)
    np.testing.assert_allclose(slopes[0], (above - below) / 2e-6, rtol=1e-7)
