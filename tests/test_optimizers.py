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
SHAPES = {"weight": (2, 3), "bias": (3,)}
PARAMS = {name: RANDOM.normal(size=shape) for name, shape in SHAPES.items()}
CURVATURE = {name: RANDOM.uniform(0.1, 1, size=shape) for name, shape in SHAPES.items()}
NOISE = {name: RANDOM.normal(size=(500, *shape)) for name, shape in SHAPES.items()}

# the papers' updates, w <- w + u, in float64 NumPy


def sgd_of_the_textbook(rate, momentum=0.0, nesterov=False):
    velocity = dict.fromkeys(SHAPES, 0.0)

    def update(t, w, g):
        for name in g:
            velocity[name] = momentum * velocity[name] + g[name]
        ahead = {name: g[name] + momentum * velocity[name] for name in g}
        return {name: -rate(t) * (ahead if nesterov else velocity)[name] for name in g}

    return update


def adam_algorithm_1(rate, b1=0.9, b2=0.999, eps=1e-8, decay=0.0, decaying=("weight",)):
    """Kingma & Ba, Algorithm 1; with decay, Loshchilov & Hutter, Algorithm 2."""
    m, v = dict.fromkeys(SHAPES, 0.0), dict.fromkeys(SHAPES, 0.0)

    def update(t, w, g):
        t = t + 1
        updates = {}
        for name in g:
            m[name] = b1 * m[name] + (1 - b1) * g[name]
            v[name] = b2 * v[name] + (1 - b2) * g[name] ** 2
            m_hat, v_hat = m[name] / (1 - b1**t), v[name] / (1 - b2**t)
            direction = m_hat / (np.sqrt(v_hat) + eps)
            if name in decaying:
                direction = direction + decay * w[name]
            updates[name] = -rate(t - 1) * direction
        return updates

    return update


def penalty(decay):
    return lambda t, w, g: {**g, "weight": g["weight"] + decay * w["weight"]}


def clipping(max_norm):
    def update(t, w, g):
        norm = math.sqrt(sum((leaf**2).sum() for leaf in g.values()))
        return {name: leaf * min(1, max_norm / norm) for name, leaf in g.items()}

    return update


def one_after_the_other(*members):
    def update(t, w, g):
        for member in members:
            g = member(t, w, g)
        return g

    return update


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


OTHERS = {"b1": 0.8, "b2": 0.95, "eps": 1e-3}
ONLY_WEIGHTS = {"weight": True, "bias": False}
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
    ),
    "adamw": Case(
        lambda rate: adamw(rate, weight_decay=0.1),
        lambda rate: adam_algorithm_1(rate, decay=0.1),
        lambda rate: optax.adamw(rate, weight_decay=0.1, mask=ONLY_WEIGHTS),
    ),
    "adamw with a mask": Case(
        lambda rate: adamw(rate, **OTHERS, weight_decay=0.3, mask=ONLY_BIASES),
        lambda rate: adam_algorithm_1(rate, **OTHERS, decay=0.3, decaying=("bias",)),
        lambda rate: optax.adamw(rate, **OTHERS, weight_decay=0.3, mask=ONLY_BIASES),
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
    "name", [name for name in TABLE if name != "sgd" and "other" not in name and "mask" not in name]
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


def close(got, expected, **tolerance):
    jax.tree.map(functools.partial(np.testing.assert_allclose, **tolerance), got, expected)


def ones(dtype=np.float32):
    return {name: jnp.ones(shape, dtype) for name, shape in SHAPES.items()}


def first_updates(opt, grads, params=None):
    params = jax.tree.map(jnp.ones_like, grads) if params is None else params
    return opt.update(grads, opt.init(params), params)[0]


updated = jax.jit(first_updates)


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
        if "decay" not in name and "adamw" not in name:
            np.testing.assert_array_equal(updates["weight"] == 0, grads["weight"] == 0)


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


# what is refused

NOT_RATES = [(-1e-3, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("1", TypeError)]
NOT_DECAYS = [(-0.1, ValueError), (1.0, ValueError), (1.5, ValueError), (np.nan, ValueError)]
NOT_POSITIVE = [(0.0, ValueError), (-1.0, ValueError), (np.nan, ValueError), (None, TypeError)]
FACTORIES = {
    "sgd": (sgd, {"learning_rate": 0.1}),
    "adam": (adam, {"learning_rate": 0.1}),
    "adamw": (adamw, {"learning_rate": 0.1}),
    "add_decayed_weights": (add_decayed_weights, {"weight_decay": 0.1}),
    "clip_by_global_norm": (clip_by_global_norm, {"max_norm": 1.0}),
}
BAD = [
    (function, name, value, error)
    for functions, names, values in [
        (["sgd", "adam", "adamw"], ["learning_rate"], [*NOT_RATES, (None, TypeError)]),
        (["sgd"], ["momentum"], NOT_DECAYS),
        (["adam", "adamw"], ["b1", "b2"], NOT_DECAYS),
        (["adam", "adamw"], ["eps"], NOT_POSITIVE),
        (["adamw", "add_decayed_weights"], ["weight_decay"], [*NOT_RATES, (None, TypeError)]),
        (["clip_by_global_norm"], ["max_norm"], NOT_POSITIVE),
        (["sgd"], ["nesterov"], [(1, TypeError), ("yes", TypeError), (None, TypeError)]),
        (
            ["adamw", "add_decayed_weights"],
            ["mask"],
            [("bias", TypeError), (1, TypeError), ({"a": 1.0}, TypeError), ([abs], TypeError)],
        ),
    ]
    for function in functions
    for name in names
    for value, error in values
]


@pytest.mark.parametrize(("function", "name", "value", "error"), BAD)
def test_a_number_out_of_range_raises_and_names_the_argument(function, name, value, error):
    factory, numbers = FACTORIES[function]
    with pytest.raises(error, match=rf"^{function}: {name} must .*; got "):
        factory(**numbers | {name: value})


def test_one_bad_lane_is_enough():
    with pytest.raises(ValueError, match=r"^adam: b1 must be .* >= 0 and < 1; got \[0.9, 1.0\]"):
        adam(1e-3, b1=[0.9, 1.0])
    with pytest.raises(ValueError, match=r"^adam: learning_rate must have rank 0 \(or 1, "):
        adam(np.ones((2, 2)))


def test_tracers_go_unchecked():
    assert jax.jit(lambda rate: adam(rate).learning_rate)(-1.0) == -1


def test_nesterov_needs_momentum():
    rule = "^sgd: momentum must be given where nesterov is True; got momentum=None$"
    with pytest.raises(ValueError, match=rule):
        sgd(0.1, nesterov=True)
    assert sgd(0.1, momentum=0.0, nesterov=True).nesterov is True


def test_a_chain_has_members_and_all_are_optimizers():
    with pytest.raises(
        ValueError, match=r"^chain: there must be at least one optimizer; got none$"
    ):
        chain()
    for member in (0.1, None, sgd, [sgd(0.1)], type(adam(0.1)), warmup_cosine_decay(0, 1, 1, 2)):
        with pytest.raises(
            TypeError, match=r"^chain: every member must have pure functions init and update; got "
        ):
            chain(sgd(0.1), member)


@pytest.mark.parametrize("opt", [adamw(0.1), add_decayed_weights(0.1)], ids=["adamw", "penalty"])
def test_decay_needs_the_parameters(opt):
    rule = r"^(adamw|add_decayed_weights): update must be given the parameters: .*; got params=None"
    with pytest.raises(ValueError, match=rule):
        opt.update(ones(), opt.init(ones()))


WRONG = {
    "another shape": {"weight": np.ones((2, 3), np.float32), "bias": np.ones(4, np.float32)},
    "a shape that broadcasts": {
        "weight": np.ones((2, 3), np.float32),
        "bias": np.ones(1, np.float32),
    },
    "a rank that broadcasts": {
        "weight": np.ones((2, 3), np.float32),
        "bias": np.ones((2, 3), np.float32),
    },
    "a missing leaf": {"weight": np.ones((2, 3), np.float32)},
    "another container": [np.ones(3, np.float32), np.ones((2, 3), np.float32)],
}
EACH_WRONG = pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)


@EACH_WRONG
def test_trees_that_differ_are_refused_and_both_are_shown(wrong):
    params = ones()
    shown = r"must have the structure\n(.|\n)*float32\(2, 3\)\n; got\n(.|\n)*float32\("
    with pytest.raises(ValueError, match=rf"^apply_updates: updates {shown}"):
        apply_updates(params, wrong)
    for opt in (sgd(0.1, momentum=0.9), adam(0.1), adamw(0.1)):
        function = type(opt).__name__.lower()
        with pytest.raises(ValueError, match=rf"^{function}: grads {shown}"):
            opt.update(wrong, opt.init(params), params)
    with pytest.raises(ValueError, match=rf"^add_decayed_weights: grads {shown}"):
        add_decayed_weights(0.1).update(wrong, (), params)
    with pytest.raises(ValueError, match=rf"^adamw: params {shown}"):
        adamw(0.1).update(params, adamw(0.1).init(params), wrong)


@pytest.mark.parametrize(
    "mask", [{"weight": True}, {"weight": True, "other": False}, [True, False], (True,)]
)
def test_a_mask_of_another_structure_is_refused(mask):
    rule = r"mask must have the structure of the parameters or its beginning; got PyTreeDef"
    for given in (mask, lambda params: mask):
        with pytest.raises(ValueError, match=f"^add_decayed_weights: {rule}"):
            updated(add_decayed_weights(0.1, mask=given), ones(), ones())
        with pytest.raises(ValueError, match=f"^adamw: {rule}"):
            updated(adamw(0.1, mask=given), ones(), ones())


def test_a_mask_that_broadcasting_would_reconcile_is_refused():
    mask = {"weight": np.array([True, False, True]), "bias": True}
    rule = r"each bool of mask must have shape \(\) or that of its leaf, \(2, 3\); got \(3,\)"
    with pytest.raises(ValueError, match=f"^adamw: {rule}"):
        updated(adamw(0.1, mask=mask), ones(), ones())


def test_a_function_as_a_mask_must_give_bools():
    with pytest.raises(TypeError, match=r"^adamw: mask must be a function or a pytree of bools; "):
        updated(adamw(0.1, mask=lambda params: 1.0), ones(), ones())


def test_the_state_of_another_optimizer_is_refused():
    params = ones()
    states = [opt.init(params) for opt in (sgd(0.1), sgd(0.1, momentum=0.9), adam(0.1))]
    plain, moving, moments = states
    with pytest.raises(TypeError, match=r"^adam: state must be the AdamState .*; got SgdState$"):
        adam(0.1).update(params, moving, params)
    with pytest.raises(TypeError, match=r"^adamw: state must be the AdamState .*; got tuple$"):
        adamw(0.1).update(params, (), params)
    with pytest.raises(TypeError, match=r"^sgd: state must be the SgdState .*; got AdamState$"):
        sgd(0.1).update(params, moments)
    rule = "sgd: state must hold a velocity where there is momentum, and nowhere else; got"
    with pytest.raises(ValueError, match=f"^{rule} none$"):
        sgd(0.1, momentum=0.9).update(params, plain)
    with pytest.raises(ValueError, match=f"^{rule} a velocity$"):
        sgd(0.1).update(params, moving)
    for state, got in [((plain,), "1 states"), ([plain, plain], "list")]:
        with pytest.raises(ValueError, match=rf"^chain: state must be a tuple of 2 .*; got {got}$"):
            chain(sgd(0.1), sgd(0.1)).update(params, state)
