"""Whatever the numbers: metrics, optimizers and schedules in every dtype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn_numbers import OUT, ROWS, arrays, as_64, compare, eps, prop, signed, subnormal, wide
from hypothesis import given
from hypothesis import strategies as st
from optimizer_formulas import (
    SHAPES,
    adam_algorithm_1,
    clipping,
    one_after_the_other,
    penalty,
    sgd_of_the_textbook,
)
from test_schedules import cosine, exponential, linear, piecewise, warmup_cosine

import fnn

# ---- metrics ----


@jax.jit
def measured(outputs, scores, targets, values, weights):
    of_values = ("mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2")
    found = {name: getattr(fnn, name)(scores, values, weights) for name in of_values}
    found["accuracy"] = fnn.accuracy(outputs, targets, weights)
    found["confusion_matrix"] = fnn.confusion_matrix(outputs, targets, weights)
    return found | {"roc_auc": fnn.roc_auc(scores, targets > 0, weights)}


@prop
@given(data=st.data())
def test_metrics_are_their_definitions_whatever_the_ties_extremes_and_weights(dtype, data):
    largest = min(float(jnp.finfo(dtype).max), float(jnp.finfo(wide(dtype)).max) ** 0.5 / 8)
    special = signed(largest, 1e-3)  # nothing subnormal: processors differ in what they tie
    outputs = jnp.asarray(arrays(data, (ROWS, OUT), *special, -np.inf), dtype)
    scores = jnp.asarray(arrays(data, (ROWS, 1), *special), dtype)
    values = jnp.asarray(arrays(data, ROWS), dtype).astype(wide(dtype))
    whole = st.lists(st.integers(0, OUT - 1), min_size=ROWS, max_size=ROWS)
    true, w = (np.array(data.draw(whole)) for _ in range(2))
    w[0] = max(w[0], 1)
    found = measured(outputs, scores, true, values, w.astype(wide(dtype)))

    predicted = as_64(outputs).argmax(1)  # the first of those that tie
    matrix = np.zeros((OUT, OUT))
    np.add.at(matrix, (true, predicted), w)
    s, y = as_64(scores)[:, 0], as_64(values)
    squares = np.average((s - y) ** 2, weights=w)
    variance = np.average((y - np.average(y, weights=w)) ** 2, weights=w)
    ratio = squares / variance if variance else float(np.sign(squares))
    above = (s[:, None] > s) + (s[:, None] == s) / 2
    pairs = np.outer(w * (true > 0), w * (true == 0))
    precision = 16 * eps(wide(dtype))
    expected = {
        "accuracy": (np.average(predicted == true, weights=w), 0),
        "confusion_matrix": (matrix, 0),
        "mean_absolute_error": (np.average(abs(s - y), weights=w), 0),
        "mean_squared_error": (squares, 0),
        "root_mean_squared_error": (squares**0.5, 0),
        # less the mean, of which each of few rows makes a part
        "r2": (1 - ratio, ROWS * precision * (1 + ratio)),
        "roc_auc": ((above * pairs).sum() / pairs.sum() if pairs.any() else np.nan, precision),
    }
    for name, (right, atol) in expected.items():
        assert found[name].dtype == wide(dtype)
        if np.isnan(right).any():
            assert np.isnan(found[name])
        else:
            compare(found[name], right, wide(dtype), precision, atol, name)


# ---- optimizers ----

RATE = 0.25
OPTIMIZERS = {  # ours, the papers', from a share in [0, 1) and a length > 0
    "sgd": (lambda s, n: fnn.sgd(RATE), lambda s, n: sgd_of_the_textbook(lambda t: RATE)),
    "momentum": (
        lambda s, n: fnn.sgd(RATE, momentum=s),
        lambda s, n: sgd_of_the_textbook(lambda t: RATE, s),
    ),
    "nesterov": (
        lambda s, n: fnn.sgd(RATE, momentum=s, nesterov=True),
        lambda s, n: sgd_of_the_textbook(lambda t: RATE, s, nesterov=True),
    ),
    "adam": (
        lambda s, n: fnn.adam(RATE, b1=s, b2=0.96875, eps=n),
        lambda s, n: adam_algorithm_1(lambda t: RATE, s, 0.96875, n),
    ),
    "adamw": (
        lambda s, n: fnn.adamw(RATE, b1=0.5, b2=s, eps=n, weight_decay=s),
        lambda s, n: adam_algorithm_1(lambda t: RATE, 0.5, s, n, decay=s),
    ),
    "clip": (lambda s, n: fnn.clip_by_global_norm(n), lambda s, n: clipping(n)),
    "decay": (
        lambda s, n: fnn.chain(fnn.add_decayed_weights(s), fnn.sgd(RATE)),
        lambda s, n: one_after_the_other(penalty(s), sgd_of_the_textbook(lambda t: RATE)),
    ),
}
STEPS = 3


@jax.jit
def updates_of(optimizers, grads, params):
    """By optimizer, the updates of a few steps at the same parameters."""

    def of_one(opt):
        state, made = opt.init(params), []
        for step in range(STEPS):
            one = jax.tree.map(lambda g, step=step: g[step], grads)
            updates, state = opt.update(one, state, params)
            made.append(updates)
        return made

    return {name: of_one(opt) for name, opt in optimizers.items()}


@prop
@given(data=st.data())
def test_updates_are_those_of_the_papers_whatever_the_gradients(dtype, data):
    # squares and their sum are to be finite, as Adam and the papers' norm take them
    largest = min(float(jnp.finfo(dtype).max), float(jnp.finfo(wide(dtype)).max) ** 0.5 / 4)
    special = signed(largest, 1e-4, subnormal(dtype))
    grads, params = ({
        name: jnp.asarray(arrays(data, (*lead, *shape), *special), dtype)
        for name, shape in SHAPES.items()
    } for lead in ((STEPS,), ()))  # fmt: skip
    share = data.draw(st.sampled_from([0.0, 0.5, 0.9375]))
    length = data.draw(st.sampled_from([2.0**-20, 1.0, 64.0]))
    ours = {name: made(share, length) for name, (made, _) in OPTIMIZERS.items()}
    found = updates_of(ours, grads, params)
    w = jax.tree.map(as_64, params)
    # of what is added up, the largest; Adam divides by its roots
    sizes = jax.tree.map(lambda g, p: abs(as_64(g)).max() + abs(as_64(p)).max(), grads, w)
    for name, (_, papers) in OPTIMIZERS.items():
        update = papers(share, length)
        is_adam = name in ("adam", "adamw")
        # 1 - b^t loses what 1 / (1 - b) says, 32 times at most
        precision = 8 * eps(wide(dtype)) * (32 if is_adam else 1)
        for t in range(STEPS):
            if name == "clip":
                g = jax.tree.map(lambda g, t=t: as_64(g)[t], grads)
                norm = np.sqrt(sum((leaf**2).sum() for leaf in g.values()))
                expected = update(t, w, g) if norm > 0 else g
            else:
                expected = update(t, w, jax.tree.map(lambda g, t=t: as_64(g)[t], grads))
            for leaf, right in expected.items():
                made = found[name][t][leaf]
                assert made.dtype == wide(dtype)
                size = 1 + share * abs(w[leaf]).max() if is_adam else STEPS * sizes[leaf]
                atol = 0 if name == "clip" else precision * RATE * size
                compare(made, right, wide(dtype), precision, atol, name)


def test_adam_stands_still_where_a_squared_gradient_has_overflowed():
    opt, params = fnn.adam(0.1), jnp.zeros(2)
    updates, state = opt.update(jnp.array([2e19, 1e19]), opt.init(params))
    np.testing.assert_allclose(updates, [0, -0.1], rtol=1e-5)
    updates, _ = opt.update(jnp.ones(2), state)
    assert updates[0] == 0


# ---- schedules ----

of_schedules = jax.jit(lambda schedules, step: [schedule(step) for schedule in schedules])


@pytest.mark.parametrize("dtype", ["float32", "float64"], indirect=True)
@prop
@given(data=st.data())
def test_schedules_are_their_formulas_at_every_step_for_all_numbers(dtype, data):
    rates = st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 1e20])
    first, last, peak = (data.draw(rates) for _ in range(3))
    length = data.draw(st.sampled_from([2, 3, 1000, 2**24]))
    step = data.draw(st.one_of(st.integers(0, 8), st.integers(0, 2**24), st.just(2**31 - 1)))
    warmup = data.draw(st.integers(0, length - 1))
    share = data.draw(st.sampled_from([0.0, 0.125, 1.0]))
    factor = data.draw(st.sampled_from([0.5, 1.0, 2.0]))
    short = min(step, 32 * length)  # for what goes on for ever
    found = of_schedules(
        [
            fnn.linear_decay(first, length, end_value=last),
            fnn.cosine_decay(first, length, alpha=share),
            fnn.warmup_cosine_decay(first, peak, warmup, length, end_value=last),
            fnn.piecewise_constant([length, length + 1], [first, peak, last]),
        ],
        step,
    ) + of_schedules([fnn.exponential_decay(first, length, factor)], short)
    expected = [
        linear(step, first, length, last),
        cosine(step, first, length, share),
        warmup_cosine(step, first, peak, warmup, length, last),
        piecewise(step, [length, length + 1], [first, peak, last]),
        exponential(short, first, length, factor),
    ]
    # the exponent, at most 32, is rounded before it is raised to
    for rate, right, roundings in zip(found, expected, [8, 8, 8, 1, 64], strict=True):
        precision = roundings * eps(dtype)
        compare(rate, right, dtype, precision, precision * max(first, last, peak))
