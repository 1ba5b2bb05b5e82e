"""Schedules: each against its formula in Python, against Optax, and as a traced config."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fnn.schedules import (
    cosine_decay,
    exponential_decay,
    learning_rate,
    linear_decay,
    piecewise_constant,
    rate_at,
    warmup_cosine_decay,
)

# the formulas, in Python's float64


def linear(step, init, length, end):
    return init + (end - init) * min(step / length, 1)


def exponential(step, init, length, factor):
    return init * factor ** (step / length)


def cosine(step, init, length, alpha):
    half = (1 + math.cos(math.pi * min(step / length, 1))) / 2
    return init * ((1 - alpha) * half + alpha)


def warmup_cosine(step, init, peak, warmup, length, end):
    if step < warmup:
        return init + (peak - init) * step / warmup
    progress = min((step - warmup) / (length - warmup), 1)
    return end + (peak - end) * (1 + math.cos(math.pi * progress)) / 2


def piecewise(step, boundaries, values):
    return values[sum(step >= boundary for boundary in boundaries)]


def optax_piecewise(boundaries, values):
    scales = {b: values[i + 1] / values[i] for i, b in enumerate(boundaries)}
    return optax.piecewise_constant_schedule(values[0], scales)


# name: (ours in the order of arguments of the formula, the formula, Optax's, numbers)
TABLE = {
    "linear_decay": (
        lambda init, length, end: linear_decay(init, length, end_value=end),
        linear,
        lambda init, length, end: optax.linear_schedule(init, end, length),
        [(0.3, 7, 0.05), (1e-3, 1, 0.0), (0.0, 20, 2.0), (0.5, 5, 0.5)],
    ),
    "exponential_decay": (
        exponential_decay,
        exponential,
        optax.exponential_decay,
        [(0.3, 7, 0.5), (1e-3, 1, 0.9), (0.1, 20, 1.3), (0.0, 5, 0.1)],
    ),
    "cosine_decay": (
        lambda init, length, alpha: cosine_decay(init, length, alpha=alpha),
        cosine,
        optax.cosine_decay_schedule,
        [(0.3, 7, 0.1), (1e-3, 1, 0.0), (0.1, 20, 1.0), (0.0, 5, 0.5)],
    ),
    "warmup_cosine_decay": (
        lambda init, peak, warmup, length, end: warmup_cosine_decay(
            init, peak, warmup, length, end_value=end
        ),
        warmup_cosine,
        optax.warmup_cosine_decay_schedule,
        [(0.01, 0.3, 4, 12, 0.05), (0.0, 1.0, 0, 10, 0.0), (0.0, 1e-3, 1, 2, 0.0)],
    ),
    "piecewise_constant": (
        piecewise_constant,
        piecewise,
        optax_piecewise,
        [((2, 5), (1.0, 0.5, 0.1)), ((1, 30), (0.3, 0.2, 3.0))],
    ),
}
EACH = pytest.mark.parametrize("name", TABLE)
STEPS = np.arange(30, dtype=np.int32)  # from the first to beyond every end above


def stacked(configs):
    """One config whose every number has a row per config."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *configs)


def over_steps(schedule):
    return jax.vmap(schedule)(STEPS)


RATES = jax.jit(over_steps)
RATE = jax.jit(lambda schedule, step: schedule(step))


# values


@EACH
def test_a_schedule_equals_its_formula_at_every_step_in_float64(name, x64):
    make, formula, _, cases = TABLE[name]
    for numbers in cases:
        expected = [formula(int(step), *numbers) for step in STEPS]
        got = RATES(make(*numbers))
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


@EACH
def test_a_schedule_equals_its_formula_at_every_step_in_float32(name):
    make, formula, _, cases = TABLE[name]
    for numbers in cases:
        expected = [formula(int(step), *numbers) for step in STEPS]
        got = np.asarray(RATES(make(*numbers)))
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7 * max(expected))
        assert (got >= 0).all(), "rounding must not turn a rate negative"


@EACH
def test_a_schedule_equals_the_one_of_optax(name):
    make, _, theirs, cases = TABLE[name]
    for numbers in cases[:2]:
        with jax.numpy_dtype_promotion("standard"):
            expected = jax.jit(jax.vmap(theirs(*numbers)))(STEPS)
        got = RATES(make(*numbers))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6 * float(max(expected)))


@EACH
def test_a_rate_is_a_scalar_for_a_step_of_any_integer_type(name):
    make, formula, _, cases = TABLE[name]
    for step in (3, np.int64(3), jnp.uint8(3)):
        got = RATE(make(*cases[0]), step)
        assert got.shape == ()
        assert got.dtype == np.float32
        assert float(got) == pytest.approx(formula(3, *cases[0]), rel=1e-6)


@EACH
def test_a_schedule_takes_an_array_of_steps_for_a_plot(name):
    make, _, _, cases = TABLE[name]
    schedule = make(*cases[0])
    rates = RATES(schedule)
    for steps in (STEPS[3:5], STEPS.reshape(5, 6)):  # two steps, and the two boundaries above
        got = RATE(schedule, steps)
        assert got.shape == steps.shape
        np.testing.assert_allclose(got, np.asarray(rates)[steps], rtol=1e-6)


# edges


@pytest.mark.parametrize("ends", [(1.0, 1e-9), (1e-9, 1.0)])
def test_a_line_keeps_the_digits_of_both_of_its_ends(ends):
    schedule = linear_decay(ends[0], 100, end_value=ends[1])
    for step, share in ((0, 0.0), (50, 0.5), (100, 1.0), (101, 1.0)):
        expected = ends[0] * (1 - share) + ends[1] * share
        np.testing.assert_allclose(RATE(schedule, np.int32(step)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (linear_decay(0.5, 4, end_value=0.25), {0: 0.5, 2: 0.375, 4: 0.25, 5: 0.25, 10**9: 0.25}),
        (linear_decay(0.5, 1), {0: 0.5, 1: 0.0, 2: 0.0}),
        (exponential_decay(0.5, 4, 0.25), {0: 0.5, 2: 0.25, 4: 0.125, 8: 0.03125, 10**9: 0.0}),
        (cosine_decay(0.5, 4, alpha=0.5), {0: 0.5, 2: 0.375, 4: 0.25, 5: 0.25, 10**9: 0.25}),
        (cosine_decay(0.5, 4), {0: 0.5, 4: 0.0, 5: 0.0}),
        (
            warmup_cosine_decay(0.25, 0.5, 2, 6, end_value=0.25),
            {0: 0.25, 1: 0.375, 2: 0.5, 4: 0.375, 6: 0.25, 7: 0.25, 10**9: 0.25},
        ),
        (warmup_cosine_decay(0.25, 0.5, 0, 4), {0: 0.5, 2: 0.25, 4: 0.0, 9: 0.0}),
        (warmup_cosine_decay(0.0, 0.5, 1, 2), {0: 0.0, 1: 0.5, 2: 0.0, 3: 0.0}),
        (piecewise_constant([1, 3], [4.0, 2.0, 1.0]), {0: 4, 1: 2, 2: 2, 3: 1, 10**9: 1}),
    ],
)
def test_a_schedule_meets_its_values_at_the_start_at_each_boundary_and_beyond(schedule, points):
    for step, expected in points.items():
        assert float(RATE(schedule, np.int32(step))) == pytest.approx(expected, abs=1e-7)


# what is traced


@EACH
def test_no_new_number_of_a_schedule_retraces_and_lengths_are_numbers(name):
    make, formula, _, cases = TABLE[name]
    traces = []

    @jax.jit
    def rate(schedule, step):
        traces.append(1)
        return schedule(step)

    for numbers in cases:
        schedule = make(*numbers)
        assert float(rate(schedule, 3)) == pytest.approx(formula(3, *numbers), rel=1e-5, abs=1e-7)
    arrays = jax.tree.map(jnp.asarray, schedule)
    assert rate(arrays, 3) == rate(schedule, 3)
    assert len(traces) == 1, "a new number must not retrace, be it NumPy's or JAX's"


@EACH
def test_a_schedule_made_inside_a_compiled_function_has_traced_numbers(name):
    make, formula, _, cases = TABLE[name]
    traces = []

    @jax.jit
    def rate(numbers):
        traces.append(1)
        return make(*numbers)(np.int32(3))

    for numbers in cases:
        given = [np.asarray(part) for part in numbers]
        assert float(rate(given)) == pytest.approx(formula(3, *numbers), rel=1e-5, abs=1e-7)
    assert len(traces) == 1


@EACH
def test_schedules_vmapped_over_every_number_equal_single_ones(name):
    make, _, _, cases = TABLE[name]
    singles = [make(*numbers) for numbers in cases]
    got = jax.jit(jax.vmap(over_steps))(stacked(singles))
    expected = [RATES(single) for single in singles]
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


@EACH
def test_each_number_of_a_schedule_moves_the_rate(name):
    make, _, _, cases = TABLE[name]
    schedule = make(*cases[0])
    leaves, treedef = jax.tree.flatten(schedule)
    before = RATES(schedule)
    for index, leaf in enumerate(leaves):
        changed = [*leaves[:index], leaf + leaf.dtype.type(1), *leaves[index + 1 :]]
        after = RATES(jax.tree.unflatten(treedef, changed))
        assert not np.allclose(before, after, rtol=1e-3), jax.tree.structure(schedule)


def test_the_rate_is_differentiable_with_respect_to_the_numbers(x64):
    schedule = linear_decay(0.3, 7, end_value=0.05)
    schedule = dataclasses.replace(schedule, decay_steps=np.float64(7))
    slopes = jax.grad(RATE)(schedule, 3)
    np.testing.assert_allclose(slopes.init_value, 1 - 3 / 7, rtol=1e-12)
    np.testing.assert_allclose(slopes.end_value, 3 / 7, rtol=1e-12)
    np.testing.assert_allclose(slopes.decay_steps, (0.3 - 0.05) * 3 / 7**2, rtol=1e-12)


# what a learning rate may be


def test_a_learning_rate_is_a_checked_number_or_any_function_of_the_step():
    assert learning_rate("sgd", 0.1) == np.float64(0.1)
    schedule = cosine_decay(0.1, 50)
    assert learning_rate("sgd", schedule) is schedule
    assert learning_rate("sgd", abs) is abs
    assert rate_at("sgd", np.float64(0.25), jnp.int32(3)) == 0.25
    assert rate_at("sgd", linear_decay(1.0, 4), jnp.int32(3)) == 0.25
    assert rate_at("sgd", lambda step: 0.5 * step, 3) == 1.5


# what is refused

GOOD = {
    linear_decay: {"init_value": 0.1, "decay_steps": 5, "end_value": 0.0},
    exponential_decay: {"init_value": 0.1, "decay_steps": 5, "decay_rate": 0.5},
    cosine_decay: {"init_value": 0.1, "decay_steps": 5, "alpha": 0.0},
    warmup_cosine_decay: {
        "init_value": 0.1,
        "peak_value": 0.2,
        "warmup_steps": 2,
        "decay_steps": 5,
        "end_value": 0.0,
    },
    piecewise_constant: {"boundaries": [2, 4], "values": [1.0, 0.5, 0.1]},
}
BAD_RATES = [(-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("0.1", TypeError)]
BAD_LENGTHS = [
    (0, ValueError),
    (-1, ValueError),
    (2.5, TypeError),
    (np.nan, TypeError),
    (True, TypeError),
    (None, TypeError),
    (2**31, ValueError),
]
BAD = [
    (factory, name, value, error)
    for factory, numbers in GOOD.items()
    for name in numbers
    if name not in ("boundaries", "values", "warmup_steps")
    for value, error in (BAD_LENGTHS if name.endswith("steps") else BAD_RATES)
]
BAD += [
    (exponential_decay, "decay_rate", 0.0, ValueError),
    (cosine_decay, "alpha", 1.1, ValueError),
    (warmup_cosine_decay, "warmup_steps", -1, ValueError),
    (warmup_cosine_decay, "warmup_steps", 1.5, TypeError),
    (warmup_cosine_decay, "warmup_steps", 5, ValueError),
    (warmup_cosine_decay, "warmup_steps", 6, ValueError),
    (piecewise_constant, "boundaries", [0, 4], ValueError),
    (piecewise_constant, "boundaries", [4, 2], ValueError),
    (piecewise_constant, "boundaries", [2, 2], ValueError),
    (piecewise_constant, "boundaries", [2.5, 4.5], TypeError),
    (piecewise_constant, "boundaries", [2], ValueError),
    (piecewise_constant, "boundaries", 2, ValueError),
    (piecewise_constant, "values", [1.0, 0.5], ValueError),
    (piecewise_constant, "values", [1.0, 0.5, -0.1], ValueError),
    (piecewise_constant, "values", [1.0, 0.5, np.nan], ValueError),
    (piecewise_constant, "values", 1.0, ValueError),
    (piecewise_constant, "values", ["a", "b", "c"], TypeError),
]


@pytest.mark.parametrize(("factory", "name", "value", "error"), BAD)
def test_a_number_out_of_range_raises_and_names_the_argument(factory, name, value, error):
    factory(**GOOD[factory])
    with pytest.raises(error, match=rf"^{factory.__name__}: .* must .*; got ") as raised:
        factory(**GOOD[factory] | {name: value})
    assert name in str(raised.value)


def test_a_learning_rate_out_of_range_raises():
    for value in (-0.1, np.nan, np.inf, [0.1, -0.1], jnp.float32(-1)):
        with pytest.raises(ValueError, match=r"^sgd: learning_rate must be a finite number >= 0; "):
            learning_rate("sgd", value)
    for value in ("fast", None, True, 1j):
        with pytest.raises(TypeError, match=r"^sgd: learning_rate must be a finite number >= 0; "):
            learning_rate("sgd", value)


def test_each_lane_of_a_swept_schedule_is_checked():
    with pytest.raises(ValueError, match="decay_steps must be greater than warmup_steps; got "):
        warmup_cosine_decay(0.0, 1.0, [2, 5], [5, 5])
    with pytest.raises(ValueError, match="boundaries must rise; got "):
        piecewise_constant([[2, 4], [4, 2]], [1.0, 0.5, 0.1])
    swept = piecewise_constant([[2, 4], [3, 5]], [[1.0, 0.5, 0.1], [2.0, 1.0, 0.2]])
    np.testing.assert_allclose(jax.vmap(lambda schedule: schedule(4))(swept), [0.1, 1.0])
