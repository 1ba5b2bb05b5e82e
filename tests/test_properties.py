"""Whatever the numbers: losses, activations, metrics, optimizers and schedules in every dtype.

Values are drawn with a liking for extremes, ties and zeros of either sign. What must hold is
the closed form in float64 NumPy. Tolerances are counts of roundings, half an eps each: a sum
of positive terms keeps its relative precision, a difference that of its larger side.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_activations import FORMULAS, SELU_ALPHA, SELU_SCALE, log_softmax, sigmoid, softmax
from test_losses import (
    absolute_error_64,
    binary_cross_entropy_64,
    huber_64,
    sigmoid_cross_entropy_64,
    softmax_cross_entropy_64,
    squared_error_64,
    times_log,
)
from test_optimizers import (
    SHAPES,
    adam_algorithm_1,
    clipping,
    one_after_the_other,
    penalty,
    sgd_of_the_textbook,
)
from test_schedules import cosine, exponential, linear, piecewise, warmup_cosine

import fnn
from fnn.activations import ACTIVATIONS, JOINING

ROWS, OUT = 6, 3

# One shape each and few examples: each shape would be compiled anew. Examples are the same in
# every run, and nothing is kept between runs.
prop = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(params=["float16", "bfloat16", "float32", "float64"])
def dtype(request):
    if request.param == "float64":
        request.getfixturevalue("x64")
    return jnp.dtype(request.param)


def wide(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def eps(dtype):
    return float(jnp.finfo(dtype).eps)


def as_64(values):
    return np.asarray(values, np.float64)


def arrays(data, shape, *special):
    """An array in float64: ordinary numbers, in binary, or special ones; rows with ties too."""
    ordinary = st.integers(-640, 640).map(lambda n: n / 64)
    entries = st.one_of(ordinary, st.sampled_from([0.0, -0.0, 1.0, -1.0, *special]))
    size = int(np.prod(shape))
    drawn = st.lists(entries, min_size=size, max_size=size)
    tied = entries.map(lambda entry: [entry] * size)
    return np.array(data.draw(st.one_of(drawn, drawn, drawn, tied))).reshape(shape)


def signed(*values):
    return [sign * value for value in values for sign in (1, -1)]


def subnormal(dtype):
    return float(jnp.finfo(dtype).tiny) / 4


def compare(actual, expected, dtype, rtol, atol, what=""):
    """Equal within the tolerances, infinities in the same places: beyond the dtype's largest."""
    with np.errstate(over="ignore"):
        expected = as_64(np.asarray(expected, np.float64).astype(dtype))
    # processors may take subnormal numbers for 0
    atol = atol + float(jnp.finfo(dtype).tiny)
    actual = as_64(actual)
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(actual[infinite], expected[infinite], err_msg=what)
    bound = np.where(infinite, 0, rtol * abs(expected) + atol)
    near = abs(np.where(infinite, 0, actual) - np.where(infinite, 0, expected)) <= bound
    assert near.all(), f"{what}: {actual.tolist()} where {expected.tolist()} is right"


# ---- activations ----


def inside(low, high, slope):
    return lambda z: np.where((z > low) & (z < high), slope(z), 0.0)


def elu_slope(z, alpha=1.0):
    return np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0)))


def silu_slope(z):
    return sigmoid(z) + z * sigmoid(z) * sigmoid(-z)


def hard_silu_slope(z):
    return np.where(z >= 3, 1, inside(-3, 3, lambda z: (2 * z + 3) / 6)(z))


def gelu_slope(z):
    near = np.clip(z, -30, 30)  # beyond, the sigmoid is 0 or 1
    scale = np.sqrt(8 / np.pi)
    v = scale * (near + 0.044715 * near**3)
    steepness = scale * (1 + 3 * 0.044715 * near**2)
    return sigmoid(v) + near * sigmoid(v) * sigmoid(-v) * steepness


def mish_slope(z):
    gate = np.tanh(FORMULAS["softplus"](z))
    return gate + z * (1 - gate**2) * sigmoid(z)


SLOPES = {
    "identity": np.ones_like,
    "sigmoid": lambda z: sigmoid(z) * sigmoid(-z),
    "tanh": lambda z: 4 * sigmoid(2 * z) * sigmoid(-2 * z),
    "relu": lambda z: np.where(z > 0, 1, 0),
    "celu": elu_slope,
    "elu": elu_slope,
    "gelu": gelu_slope,
    "hard_sigmoid": inside(-3, 3, lambda z: 1 / 6),
    "hard_silu": hard_silu_slope,
    "hard_swish": hard_silu_slope,
    "hard_tanh": inside(-1, 1, np.ones_like),
    "leaky_relu": lambda z: np.where(z > 0, 1, 0.01),
    "log_sigmoid": lambda z: sigmoid(-z),
    "mish": mish_slope,
    "relu6": inside(0, 6, np.ones_like),
    "selu": lambda z: SELU_SCALE * elu_slope(z, SELU_ALPHA),
    "silu": silu_slope,
    "soft_sign": lambda z: 1 / (1 + np.abs(z)) ** 2,
    "softplus": sigmoid,
    "sparse_plus": lambda z: np.clip(z / 2 + 0.5, 0, 1),
    "sparse_sigmoid": inside(-1, 1, lambda z: 0.5),
    "squareplus": lambda z: FORMULAS["squareplus"](z) / np.hypot(z, 2),
    "swish": silu_slope,
}
# where a slope jumps, either side will do
KINKS = {
    "relu": [0], "relu6": [0, 6], "leaky_relu": [0], "selu": [0], "hard_tanh": [-1, 1],
    "sparse_sigmoid": [-1, 1], "hard_sigmoid": [-3, 3], "hard_silu": [-3, 3],
    "hard_swish": [-3, 3],
}  # fmt: skip


@jax.jit
def activated(z):
    """Of each activation the values, and the slopes of their sum."""
    pulled = {name: jax.vjp(ACTIVATIONS[name], z) for name in SLOPES}
    return {name: (a, pull(jnp.ones_like(z))[0]) for name, (a, pull) in pulled.items()}


def test_every_activation_that_works_by_element_is_tried():
    assert set(SLOPES) == {
        name for name, function in ACTIVATIONS.items() if function not in JOINING
    }


@prop
@given(data=st.data())
def test_an_activation_and_its_slope_are_the_formula_at_every_number(dtype, data):
    largest = float(jnp.finfo(dtype).max)
    special = signed(largest, largest / 2, largest**0.5, 20, 90, 800, 1e4, subnormal(dtype))
    z = jnp.asarray(arrays(data, (ROWS, OUT), *special), dtype)
    # the longest, mish, rounds a dozen times, in an exponential that doubles it and a tanh
    precision = 16 * eps(dtype)
    with np.errstate(all="ignore"):
        for name, (a, slope) in activated(z).items():
            assert a.dtype == slope.dtype == dtype
            compare(a, FORMULAS[name](as_64(z)), dtype, precision, precision, name)
            kinks = np.array(KINKS.get(name, [np.inf]))
            smooth = (abs(as_64(z)[..., None] - kinks) > precision).all(-1)
            expected = np.where(smooth, SLOPES[name](as_64(z)), as_64(slope))
            # in gelu's, the rounded 1 - sigmoid is multiplied by up to 128
            atol = precision + (128 * eps(wide(dtype)) if name == "gelu" else 0)
            compare(slope, expected, dtype, precision, atol, name)


@jax.jit
def joined(z, cotangent):
    pulled = [jax.vjp(ACTIVATIONS[name], z) for name in ("softmax", "log_softmax")]
    return [(a, pull(cotangent)[0]) for a, pull in pulled]


@prop
@given(data=st.data())
def test_softmax_and_its_logarithm_and_their_slopes_are_the_formula_at_all_logits(dtype, data):
    largest = float(jnp.finfo(dtype).max) / 8  # so that differences are finite
    special = *signed(largest, 1e4, subnormal(dtype)), -np.inf, -np.inf
    z = arrays(data, (ROWS, OUT), *special)
    z[:, 0] = np.where(np.isinf(z).all(-1), 0, z[:, 0])  # one class is left
    z = jnp.asarray(z, dtype)
    cotangent = jnp.asarray([0.5, -1.0, 2.0], dtype)
    c = as_64(cotangent)
    (a, slope), (log_a, log_slope) = joined(z, jnp.broadcast_to(cotangent, z.shape))
    with np.errstate(all="ignore"):
        p, log_p = softmax(as_64(z)), log_softmax(as_64(z))
    precision = 8 * eps(dtype)
    compare(a, p, dtype, precision, precision)
    compare(log_a, log_p, dtype, precision, precision)
    compare(slope, p * (c - (p * c).sum(-1, keepdims=True)), dtype, precision, 2 * precision)
    compare(log_slope, c - p * c.sum(), dtype, precision, 2 * precision)


# ---- losses ----


@functools.cache
def losses_of(*names):
    """The losses of the same outputs and targets, and the slopes of their sums."""

    def both(loss, outputs, targets, options):
        def total(outputs):
            losses = loss(outputs, targets, **options)
            return jnp.sum(losses), losses

        (_, losses), slope = jax.value_and_grad(total, has_aux=True)(outputs)
        return losses, slope

    @jax.jit
    def all_of_them(outputs, targets, options):
        return [both(getattr(fnn, n), outputs, targets, options.get(n, {})) for n in names]

    return all_of_them


def check_losses(dtype, found, expected, slopes, slope_scale):
    """Losses of positive terms: eight roundings of the wide dtype; slopes end in the narrow one."""
    precision = 8 * eps(wide(dtype))
    for (losses, slope), right, right_slope in zip(found, expected, slopes, strict=True):
        assert losses.dtype == wide(dtype)
        assert slope.dtype == dtype
        compare(losses, right, wide(dtype), precision, precision)
        compare(slope, right_slope, dtype, precision + eps(dtype), precision * slope_scale)


@prop
@given(data=st.data())
def test_losses_of_values_and_their_slopes_are_the_formula(dtype, data):
    # squares, and their sum over the outputs, are to be finite in what they are summed in
    largest = min(float(jnp.finfo(dtype).max), float(jnp.finfo(wide(dtype)).max) ** 0.5 / 4)
    special = signed(largest, 300.0)  # nothing subnormal, of which some see no sign
    outputs = jnp.asarray(arrays(data, (ROWS, OUT), *special), dtype)
    targets = jnp.asarray(arrays(data, (ROWS, OUT), *special), dtype)
    hit = np.array(data.draw(st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)))[:, None]
    targets = jnp.where(hit, outputs, targets)
    delta = data.draw(st.sampled_from([0.25, 1.0, 100.0]))
    names = "squared_error", "absolute_error", "huber"
    found = losses_of(*names)(outputs, targets.astype(wide(dtype)), {"huber": {"delta": delta}})
    y_hat, y = as_64(outputs), as_64(targets)
    error = y_hat - y
    check_losses(
        dtype,
        found,
        [squared_error_64(y_hat, y), absolute_error_64(y_hat, y), huber_64(y_hat, y, delta)],
        [2 * error / OUT, np.sign(error) / OUT, np.clip(error, -delta, delta) / OUT],
        0,
    )


@prop
@given(data=st.data())
def test_losses_of_probabilities_and_their_slopes_are_the_formula(dtype, data):
    certain = st.sampled_from([0.0, 1.0, 1e-3, 1 - eps(dtype) / 2])
    entries = st.one_of(certain, st.integers(0, 64).map(lambda n: n / 64))
    both = st.lists(st.tuples(entries, entries), min_size=ROWS * OUT, max_size=ROWS * OUT)
    p, y = np.array(data.draw(both)).T.reshape(2, ROWS, OUT)
    p = jnp.asarray(p, dtype)
    y = jnp.asarray(y, wide(dtype))
    found = losses_of("cross_entropy", "binary_cross_entropy")(p, y, {})
    p, y = as_64(p), as_64(y)
    # a probability of 0 counts as the smallest normal number, and the loss is level there
    smallest = float(jnp.finfo(wide(dtype)).tiny)
    low, high = p == 0, p == 1
    with np.errstate(all="ignore"):
        terms = np.where(low, -y * np.log(smallest), -times_log(y, np.log(p)))
        others = np.where(high, -(1 - y) * np.log(smallest), -times_log(1 - y, np.log1p(-p)))
        if not (low | high).any():
            np.testing.assert_allclose((terms + others).mean(-1), binary_cross_entropy_64(p, y))
        slope = np.where(low, 0, -y / p)
        other_slope = np.where(high, 0, (1 - y) / (1 - p))
    check_losses(
        dtype,
        found,
        [terms.sum(-1), (terms + others).mean(-1)],
        [slope, (slope + other_slope) / OUT],
        abs(slope) + abs(other_slope),  # which may cancel
    )


@prop
@given(data=st.data())
def test_losses_of_logits_and_their_slopes_are_the_formula(dtype, data):
    largest = float(jnp.finfo(dtype).max) / 8  # so that differences and sums are finite
    z = arrays(data, (ROWS, OUT), *signed(largest, 20, 90, 800, 1e4, subnormal(dtype)))
    share = data.draw(st.sampled_from([0.0, 0.1, 1.0]))
    labels = np.array(data.draw(st.lists(st.integers(0, OUT - 1), min_size=ROWS, max_size=ROWS)))
    hot = np.eye(OUT)[labels]
    if share == 0 and data.draw(st.booleans()):  # mask what is not named
        z = np.where((hot == 0) & (arrays(data, (ROWS, OUT)) > 0), -np.inf, z)
    z = jnp.asarray(z, dtype)
    share = float(np.asarray(share, wide(dtype)))
    options = {"softmax_cross_entropy": {"label_smoothing": share}}
    ((losses, slope),) = losses_of("softmax_cross_entropy")(z, labels, options)
    with np.errstate(all="ignore"):
        expected = softmax_cross_entropy_64(as_64(z), hot, share)
        slopes = softmax(as_64(z)) - ((1 - share) * hot + share / OUT)
    check_losses(dtype, [(losses, slope)], [expected], [slopes], 1)

    z = jnp.where(jnp.isinf(z), 0, z)
    options = {"sigmoid_cross_entropy": {"label_smoothing": share}}
    ((losses, slope),) = losses_of("sigmoid_cross_entropy")(z, hot, options)
    with np.errstate(all="ignore"):
        expected = sigmoid_cross_entropy_64(as_64(z), hot, share)
        slopes = (sigmoid(as_64(z)) - ((1 - share) * hot + share / 2)) / OUT
    check_losses(dtype, [(losses, slope)], [expected], [slopes], 1)


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
