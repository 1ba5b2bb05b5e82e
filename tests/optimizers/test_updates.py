"""Optimizers: one table of them crossed with what must hold for each.

Every optimizer travels 500 steps down a noisy bowl, with the gradient
curvature * w + noise_t, and is held against the papers' loops in float64 NumPy.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optimizer_formulas import (
    SHAPES,
    adam_algorithm_1,
    clipping,
    one_after_the_other,
    penalty,
    sgd_of_the_textbook,
)
from small_updates import ONLY_WEIGHTS, close, ones, updated

from fnn.optimizers import (
    AdamState,
    SgdState,
    adam,
    adamw,
    add_decayed_weights,
    apply_updates,
    chain,
    clip_by_global_norm,
    sgd,
)
from fnn.schedules import warmup_cosine_decay

RANDOM = np.random.default_rng(0)
PARAMS = {name: RANDOM.normal(size=shape) for name, shape in SHAPES.items()}
CURVATURE = {name: RANDOM.uniform(0.1, 1, size=shape) for name, shape in SHAPES.items()}
NOISE = {name: RANDOM.normal(size=(500, *shape)) for name, shape in SHAPES.items()}

# the papers' updates, w <- w + u, in float64 NumPy


def warmup_cosine(t):
    """From 0.01 up to 0.1 at step 20, down to 0.005 at step 400."""
    if t < 20:
        return 0.01 + (0.1 - 0.01) * t / 20
    return 0.005 + (0.1 - 0.005) * (1 + math.cos(math.pi * min((t - 20) / 380, 1))) / 2


# the table


class Case(NamedTuple):
    """An optimizer as a function of its learning rate: ours, NumPy's, Optax's."""

    ours: Callable[[Any], Any]
    papers: Callable[[Any], Any]
    optax: Callable[[Any], Any]
    is_other: bool = False
    """Whether it has the formula of the case before, with other numbers."""
    decays: bool = False
    """Whether weights move where the gradient is 0."""


OTHERS = {"b1": 0.8, "b2": 0.95, "eps": 1e-3}
ONLY_BIASES = {"weight": False, "bias": True}

TABLE = {
    "sgd": Case(sgd, sgd_of_the_textbook, optax.sgd),
    "sgd with momentum": Case(
        lambda rate: sgd(rate, momentum=0.9),
        lambda rate: sgd_of_the_textbook(rate, 0.9),
        lambda rate: optax.sgd(rate, 0.9),
    ),
    "sgd with nesterov": Case(
        lambda rate: sgd(rate, momentum=0.8, nesterov=True),
        lambda rate: sgd_of_the_textbook(rate, 0.8, nesterov=True),
        lambda rate: optax.sgd(rate, 0.8, nesterov=True),
    ),
    "adam": Case(adam, adam_algorithm_1, optax.adam),
    "adam with other numbers": Case(
        lambda rate: adam(rate, **OTHERS),
        lambda rate: adam_algorithm_1(rate, **OTHERS),
        lambda rate: optax.adam(rate, **OTHERS),
        is_other=True,
    ),
    "adamw": Case(
        lambda rate: adamw(rate, weight_decay=0.1),
        lambda rate: adam_algorithm_1(rate, decay=0.1),
        lambda rate: optax.adamw(rate, weight_decay=0.1, mask=ONLY_WEIGHTS),
        decays=True,
    ),
    "adamw with a mask": Case(
        lambda rate: adamw(rate, **OTHERS, weight_decay=0.3, mask=ONLY_BIASES),
        lambda rate: adam_algorithm_1(rate, **OTHERS, decay=0.3, decaying=("bias",)),
        lambda rate: optax.adamw(rate, **OTHERS, weight_decay=0.3, mask=ONLY_BIASES),
        is_other=True,
        decays=True,
    ),
    "clip_by_global_norm before adam": Case(
        lambda rate: chain(clip_by_global_norm(2.0), adam(rate)),
        lambda rate: one_after_the_other(clipping(2.0), adam_algorithm_1(rate)),
        lambda rate: optax.chain(optax.clip_by_global_norm(2.0), optax.adam(rate)),
    ),
    "add_decayed_weights before sgd": Case(
        lambda rate: chain(add_decayed_weights(0.1), sgd(rate, momentum=0.5)),
        lambda rate: one_after_the_other(penalty(0.1), sgd_of_the_textbook(rate, 0.5)),
        lambda rate: optax.chain(
            optax.add_decayed_weights(0.1, mask=ONLY_WEIGHTS), optax.sgd(rate, 0.5)
        ),
        decays=True,
    ),
}
RATES = {  # ours, the papers', Optax's
    "constant": (0.05, lambda t: 0.05, 0.05),
    "schedule": (
        warmup_cosine_decay(0.01, 0.1, 20, 400, end_value=0.005),
        warmup_cosine,
        optax.warmup_cosine_decay_schedule(0.01, 0.1, 20, 400, 0.005),
    ),
}
EACH = pytest.mark.parametrize("name", TABLE)
EACH_FORMULA = pytest.mark.parametrize(
    "name", [name for name, case in TABLE.items() if name != "sgd" and not case.is_other]
)
EACH_RATE = pytest.mark.parametrize("rate", RATES)


def made(name, rate="constant"):
    return TABLE[name].ours(RATES[rate][0])


@functools.cache
def expected_path(name, rate):
    """Where the paper's loop is after each step."""
    update = TABLE[name].papers(RATES[rate][1])
    w, path = PARAMS, []
    for t in range(500):
        g = {leaf: CURVATURE[leaf] * w[leaf] + NOISE[leaf][t] for leaf in w}
        u = update(t, w, g)
        w = {leaf: w[leaf] + u[leaf] for leaf in w}
        path.append(w)
    return {leaf: np.stack([w[leaf] for w in path]) for leaf in SHAPES}


def travelled(opt, params, noise):
    """Where an optimizer is after each step."""

    def step(carry, noise):
        params, state = carry
        curvature = {name: CURVATURE[name].astype(leaf.dtype) for name, leaf in params.items()}
        grads = jax.tree.map(lambda c, w, n: c * w + n, curvature, params, noise)
        updates, state = opt.update(grads, state, params)
        params = apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, opt.init(params)), noise)[1]


TRACES = []


@jax.jit
def travel(opt, params, noise):
    TRACES.append(1)
    return travelled(opt, params, noise)


travel_lanes = jax.jit(jax.vmap(travelled, in_axes=(0, None, None)))


def single(tree):
    return jax.tree.map(lambda leaf: leaf.astype(np.float32), tree)


# values


@EACH_RATE
@EACH
def test_an_optimizer_equals_the_papers_loop_over_500_steps(name, rate, x64):
    path = travel(made(name, rate), PARAMS, NOISE)
    assert all(leaf.dtype == np.float64 for leaf in path.values())
    close(path, expected_path(name, rate), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "rate"),
    [*((name, "schedule") for name in TABLE), ("sgd", "constant"), ("adamw", "constant")],
)
def test_an_optimizer_equals_the_one_of_optax_in_float32(name, rate):
    path = travel(made(name, rate), single(PARAMS), single(NOISE))
    with jax.numpy_dtype_promotion("standard"):
        theirs = TABLE[name].optax(RATES[rate][2])
        expected = jax.jit(functools.partial(travelled, theirs))(single(PARAMS), single(NOISE))
    close(path, expected, rtol=1e-5, atol=1e-5)
    close(path, expected_path(name, rate), rtol=1e-5, atol=1e-5)


def test_nesterov_equals_the_form_of_sutskever_that_looks_ahead(x64):
    # theta and v of Sutskever et al. 2013, eq. 3 and 4; our w is where their gradient is taken
    path = travel(made("sgd with nesterov"), PARAMS, NOISE)
    theta, v = dict(PARAMS), dict.fromkeys(SHAPES, 0.0)
    for t in range(500):
        for name in SHAPES:
            ahead = theta[name] + 0.8 * v[name]
            v[name] = 0.8 * v[name] - 0.05 * (CURVATURE[name] * ahead + NOISE[name][t])
            theta[name] = theta[name] + v[name]
    for name in SHAPES:
        np.testing.assert_allclose(path[name][-1], theta[name] + 0.8 * v[name], rtol=1e-12)


def test_a_function_of_ones_own_serves_as_the_learning_rate_and_counts_from_zero():
    opt = sgd(lambda step: 1.0 / (1.0 + step.astype(np.float32)))
    state = opt.init(ones())
    for step in range(3):
        updates, state = opt.update(ones(), state)
        np.testing.assert_allclose(updates["bias"], -1 / (1 + step), rtol=1e-6)


@pytest.mark.parametrize("factory", [adam, adamw])
def test_the_defaults_are_those_of_the_paper_and_of_optax(factory):
    ours = {name: p.default for name, p in inspect.signature(factory).parameters.items()}
    theirs = inspect.signature(getattr(optax, factory.__name__)).parameters
    for name, default in ours.items():
        assert name == "learning_rate" or default == theirs[name].default


# what is traced


def one_leaf_changed_per_lane(opt):
    """The optimizer and its neighbours, each of which differs from it in one number."""
    leaves, treedef = jax.tree.flatten(opt)

    def changed(leaf):
        if leaf.dtype == bool:
            return ~leaf
        if leaf.dtype == np.int32:
            return leaf + np.int32(7)
        return leaf * 0.7 if leaf > 1e-3 else leaf + 0.01

    lanes = [leaves]
    for index, leaf in enumerate(leaves):
        lanes.append([*leaves[:index], changed(leaf), *leaves[index + 1 :]])
    return [jax.tree.unflatten(treedef, lane) for lane in lanes]


@pytest.mark.parametrize(
    ("name", "rate"),
    [*((name, "constant") for name in TABLE), ("sgd", "schedule"), ("adamw", "schedule")],
)
def test_vmapped_over_every_number_equals_single_runs_and_no_number_retraces(name, rate):
    lanes = one_leaf_changed_per_lane(made(name, rate))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)
    paths = travel_lanes(stacked, single(PARAMS), single(NOISE))
    before = len(TRACES)
    singles = [travel(lane, single(PARAMS), single(NOISE)) for lane in lanes]
    assert len(TRACES) <= before + 1, "a new number must not retrace"
    close(paths, jax.tree.map(lambda *leaves: np.stack(leaves), *singles), rtol=1e-5, atol=1e-6)
    for index, lane in enumerate(singles[1:]):
        differs = any(not np.allclose(lane[k], singles[0][k], rtol=1e-4) for k in SHAPES)
        assert differs, f"number {index} of {lanes[0]} does nothing"


@EACH
def test_a_number_given_as_a_jax_scalar_shares_the_trace(name):
    opt = made(name)
    travel(opt, single(PARAMS), single(NOISE))
    before = len(TRACES)
    travel(jax.tree.map(jnp.asarray, opt), single(PARAMS), single(NOISE))
    assert len(TRACES) == before


@EACH_FORMULA
def test_the_gradient_through_updates_with_respect_to_every_number_is_right(name, x64):
    leaves, treedef = jax.tree.flatten(made(name))
    logs = np.log([leaf for leaf in leaves if leaf.dtype != bool])
    params, noise = {"weight": PARAMS["weight"]}, {"weight": NOISE["weight"][:5]}

    def loss(logs):
        numbers = iter(jnp.exp(logs))
        opt = [leaf if leaf.dtype == bool else next(numbers) for leaf in leaves]
        path = travelled(jax.tree.unflatten(treedef, opt), params, noise)
        return jnp.sum(jnp.sin(path["weight"][-1]))

    compiled = jax.jit(jax.value_and_grad(loss))
    _, slopes = compiled(logs)
    for index, slope in enumerate(slopes):
        step = np.where(np.arange(len(logs)) == index, 1e-5, 0)
        difference = (compiled(logs + step)[0] - compiled(logs - step)[0]) / 2e-5
        np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-8)
    assert np.abs(slopes).max() > 1e-3


# the state


@EACH
def test_the_state_holds_only_arrays_and_keeps_its_structure(name):
    opt, params = made(name, "schedule"), ones()
    state = opt.init(params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))

    def kinds(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)

    updates, after = jax.eval_shape(opt.update, params, state, params)
    assert kinds(after) == kinds(jax.eval_shape(opt.init, params)) == kinds(state)
    assert kinds(updates) == kinds(jax.eval_shape(lambda tree: tree, params))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@EACH
def test_narrow_parameters_have_float32_statistics_and_stay_narrow(name, dtype):
    opt, params = made(name), ones(dtype)
    state = jax.eval_shape(opt.init, params)
    updates, after = jax.eval_shape(opt.update, params, state, params)
    for tree in (state, updates, after):
        assert {leaf.dtype.name for leaf in jax.tree.leaves(tree)} <= {"float32", "int32"}
    moved = jax.eval_shape(apply_updates, params, updates)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(moved))


def test_squares_that_a_narrow_float_cannot_hold_are_kept():
    grads = {"w": jnp.full(3, 1e-4, np.float16)}  # its square is 0 in float16
    np.testing.assert_allclose(updated(adam(0.1), grads)["w"], -0.1, rtol=1e-3)
    grads = {"w": jnp.full(3, 6e4, np.float16)}  # its square is infinite in float16
    np.testing.assert_allclose(updated(adam(0.1), grads)["w"], -0.1, rtol=1e-3)


def test_the_states_are_what_their_docstrings_say():
    params = ones()
    plain = sgd(0.1).init(params)
    assert isinstance(plain, SgdState)
    assert plain.velocity is None
    for state in (plain, sgd(0.1, momentum=0.0).init(params), adam(0.1).init(params)):
        assert state.step.dtype == np.int32
        assert state.step == 0
    close(sgd(0.1, momentum=0.0).init(params).velocity, jax.tree.map(jnp.zeros_like, params))
    state = adam(0.1).init(params)
    assert isinstance(state, AdamState)
    assert isinstance(adamw(0.1).init(params), AdamState)
    _, after = adam(0.1).update(params, state)
    assert after.step == 1
    close(after.mu, jax.tree.map(lambda leaf: 0.1 * leaf, params), rtol=1e-6)
    close(after.nu, jax.tree.map(lambda leaf: 0.001 * leaf, params), rtol=1e-4)
    assert clip_by_global_norm(1.0).init(params) == ()
    assert chain(add_decayed_weights(0.1), sgd(0.1)).init(params) == ((), plain)


# zero gradients


@EACH_FORMULA
def test_zero_gradients_give_finite_updates_and_finite_gradients_of_first_and_second_order(name):
    opt, params = made(name), {"weight": jnp.ones((2, 3))}

    @jax.jit
    def slopes(grads):
        def moved(grads):
            """After two updates, so that the roots of a state are differentiated too."""
            updates, state = opt.update(grads, opt.init(params), params)
            after = apply_updates(params, updates)
            return jnp.sum(opt.update(grads, state, after)[0]["weight"]), updates

        def slope(grads):
            return jax.grad(moved, has_aux=True)(grads)

        return jax.jvp(slope, (grads,), (params,))

    some = {"weight": np.array([[0, 0, 0], [0, 1, 2]], np.float32)}
    for grads in (jax.tree.map(jnp.zeros_like, params), some):
        (first, updates), (second, _) = slopes(grads)
        for tree in (updates, first, second):
            assert np.isfinite(tree["weight"]).all()
        if not TABLE[name].decays:
            np.testing.assert_array_equal(updates["weight"] == 0, grads["weight"] == 0)
