"""Losses, each against its closed form in float64 NumPy; at extremes; and bad inputs."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.activations import sigmoid, softmax
from fnn.losses import (
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    huber,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
)

INF, NAN = np.inf, np.nan


# ---- the closed forms: losses (...) from float64 outputs and targets (..., out) ----


def times_log(share, logarithm):
    """share * logarithm, where 0 log 0 = 0."""
    return np.where(share == 0, 0, share * np.where(share == 0, 0, logarithm))


def log(p):
    with np.errstate(divide="ignore"):
        return np.log(p)


def log_softmax_64(z):
    with np.errstate(divide="ignore"):
        return z - z.max(-1, keepdims=True) - log(softmax_sums(z))


def softmax_sums(z):
    return np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)


def log_sigmoid_64(z):
    return -np.logaddexp(0, -z)


def one_hot(labels, classes):
    return np.eye(classes)[np.asarray(labels)]


def squared_error_64(y_hat, y):
    return ((y_hat - y) ** 2).mean(-1)


def absolute_error_64(y_hat, y):
    return abs(y_hat - y).mean(-1)


def huber_64(y_hat, y, delta=1.0):
    error = abs(y_hat - y)
    return np.where(error <= delta, error**2 / 2, delta * (error - delta / 2)).mean(-1)


def cross_entropy_64(p, y):
    return -times_log(y, log(p)).sum(-1)


def binary_cross_entropy_64(p, y):
    return -(times_log(y, log(p)) + times_log(1 - y, log(1 - p))).mean(-1)


def softmax_cross_entropy_64(z, y, label_smoothing=0.0):
    y = (1 - label_smoothing) * y + label_smoothing / y.shape[-1]
    return -times_log(y, log_softmax_64(z)).sum(-1)


def sigmoid_cross_entropy_64(z, y, label_smoothing=0.0):
    y = (1 - label_smoothing) * y + label_smoothing / 2
    return -(times_log(y, log_sigmoid_64(z)) + times_log(1 - y, log_sigmoid_64(-z))).mean(-1)


# ---- every loss with every kind of target: (loss, closed form, outputs, targets, options) ----

rng = np.random.default_rng(0)
REAL, OTHER_REAL = rng.normal(size=(2, 5, 3)) * 1.5
DISTRIBUTIONS = rng.dirichlet(np.ones(3), size=5)
PROBABILITIES = rng.uniform(0.05, 0.95, size=(5, 3))
ROWS = rng.dirichlet(np.ones(3), size=5)
LABELS = np.array([2, 0, 1, 1, 0])
SOFT = rng.uniform(size=(5, 3))
HARD = (SOFT > 0.5).astype(int)

CASES = {
    "squared_error": (squared_error, squared_error_64, REAL, OTHER_REAL, {}),
    "absolute_error": (absolute_error, absolute_error_64, REAL, OTHER_REAL, {}),
    "huber": (huber, huber_64, REAL, OTHER_REAL, {}),
    "huber, delta": (huber, huber_64, REAL, OTHER_REAL, {"delta": 2.5}),
    "cross_entropy, labels": (cross_entropy, cross_entropy_64, ROWS, LABELS, {}),
    "cross_entropy, distributions": (cross_entropy, cross_entropy_64, ROWS, DISTRIBUTIONS, {}),
    "binary, labels": (binary_cross_entropy, binary_cross_entropy_64, PROBABILITIES, HARD, {}),
    "binary, probabilities": (
        binary_cross_entropy, binary_cross_entropy_64, PROBABILITIES, SOFT, {},
    ),
    "softmax, labels": (softmax_cross_entropy, softmax_cross_entropy_64, REAL, LABELS, {}),
    "softmax, distributions": (
        softmax_cross_entropy, softmax_cross_entropy_64, REAL, DISTRIBUTIONS, {},
    ),
    "softmax, labels smoothed": (
        softmax_cross_entropy, softmax_cross_entropy_64, REAL, LABELS, {"label_smoothing": 0.1},
    ),
    "softmax, distributions smoothed": (
        softmax_cross_entropy, softmax_cross_entropy_64, REAL, DISTRIBUTIONS,
        {"label_smoothing": 0.3},
    ),
    "sigmoid, labels": (sigmoid_cross_entropy, sigmoid_cross_entropy_64, REAL, HARD, {}),
    "sigmoid, probabilities": (sigmoid_cross_entropy, sigmoid_cross_entropy_64, REAL, SOFT, {}),
    "sigmoid, labels smoothed": (
        sigmoid_cross_entropy, sigmoid_cross_entropy_64, REAL, HARD, {"label_smoothing": 0.2},
    ),
}  # fmt: skip
LOSSES = {case[0].__name__: case for case in CASES.values()}  # one case each
TAKES = {
    squared_error: "values",
    absolute_error: "values",
    huber: "values",
    cross_entropy: "probabilities",
    binary_cross_entropy: "probabilities",
    softmax_cross_entropy: "logits",
    sigmoid_cross_entropy: "logits",
}


def as_64(array):
    return np.asarray(array, np.float64)


def at_least_32_bits(dtype):
    return np.float64 if dtype == np.float64 else np.float32


def full(outputs, targets):
    """Targets with the shape of outputs: labels as distributions."""
    is_label = np.ndim(targets) < np.ndim(outputs)
    return one_hot(targets, outputs.shape[-1]) if is_label else as_64(targets)


@functools.cache
def compiled(loss, *names):
    """The loss jitted, with its losses and the slopes of their sum, options by position."""

    @jax.jit
    def losses_and_slope(outputs, targets, *numbers):
        def total(outputs):
            losses = loss(outputs, targets, **dict(zip(names, numbers, strict=True)))
            return jnp.sum(losses), losses

        (_, losses), slope = jax.value_and_grad(total, has_aux=True)(outputs)
        return losses, slope

    return losses_and_slope


def losses_and_slope(loss, outputs, targets, options):
    return compiled(loss, *options)(outputs, targets, *options.values())


@pytest.fixture(params=["float16", "bfloat16", "float32", "float64"])
def dtype(request):
    if request.param == "float64":
        request.getfixturevalue("x64")
    return jnp.dtype(request.param)


def test_every_loss_is_tested_here():
    assert set(LOSSES) == {loss.__name__ for loss in TAKES}
    assert {case[0] for case in CASES.values()} == set(TAKES)


@functools.cache
def all_cases(dtype_name):
    """Outputs in a dtype, and the losses and slopes of all cases there, from one program."""

    @jax.jit
    def everything(outputs):
        return {
            name: losses_and_slope(loss, outputs[name], targets, options)
            for name, (loss, _, _, targets, options) in CASES.items()
        }

    outputs = {name: jnp.asarray(case[2], dtype_name) for name, case in CASES.items()}
    return outputs, everything(outputs)


@pytest.mark.parametrize("name", CASES)
def test_a_loss_equals_its_closed_form_per_example_in_at_least_float32(dtype, name):
    _, closed_form, _, targets, options = CASES[name]
    all_outputs, all_results = all_cases(dtype.name)
    outputs, (losses, slope) = all_outputs[name], all_results[name]
    assert losses.dtype == at_least_32_bits(dtype)
    assert slope.dtype == dtype
    expected = closed_form(as_64(outputs), full(outputs, targets), **options)
    assert losses.shape == expected.shape == (5,)
    np.testing.assert_allclose(losses, expected, rtol=1e-13 if dtype == np.float64 else 1e-5)


@functools.cache
def other_ways():
    """Each loss under jit, under vmap and over more axes, from one program."""
    given = {
        name: (np.float32(outputs), np.asarray(jnp.asarray(targets)), options)
        for name, (_, _, outputs, targets, options) in LOSSES.items()
    }

    def three_ways(loss, outputs, targets, options):
        bound = functools.partial(loss, **options)
        nested = outputs.reshape(1, 5, 1, 3), targets.reshape(1, 5, 1, *targets.shape[1:])
        return bound(outputs, targets), jax.vmap(bound)(outputs, targets), bound(*nested)

    @jax.jit
    def everything(given):
        return {name: three_ways(LOSSES[name][0], *arrays) for name, arrays in given.items()}

    return everything(given)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_agrees_with_itself_under_jit_under_vmap_and_over_more_axes(name):
    loss, _, outputs, targets, options = LOSSES[name]
    expected = loss(np.float32(outputs), targets, **options)
    whole, mapped, nested = other_ways()[name]
    np.testing.assert_allclose(whole, expected, rtol=1e-6)
    np.testing.assert_allclose(mapped, expected, rtol=1e-6)
    assert nested.shape == (1, 5, 1)
    np.testing.assert_allclose(nested.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_batch_has_no_losses(name):
    loss, _, outputs, targets, _ = LOSSES[name]
    empty = jax.eval_shape(lambda: loss(jnp.asarray(outputs[:0], np.float32), targets[:0]))
    assert empty.shape == (0,)


COLUMN_LOSSES = [
    squared_error, absolute_error, huber, binary_cross_entropy, sigmoid_cross_entropy,
]  # fmt: skip


@pytest.mark.parametrize("loss", COLUMN_LOSSES)
def test_one_column_of_outputs_takes_targets_with_or_without_their_last_axis(loss):
    targets = np.array([0, 1, 1])
    forms = [
        targets[:, None], targets, targets.astype(bool), targets.astype(np.float32),
        targets.tolist(), targets[:, None].tolist(),
    ]  # fmt: skip

    @jax.jit
    def each_form(outputs):
        return jnp.stack([loss(outputs, form) for form in forms])

    wide, *others = each_form(np.float32([[0.25], [0.5], [0.875]])).tolist()
    assert len(set(wide)) == 3, "or the rows could have been mixed up"
    assert others == [wide] * 5


@pytest.mark.parametrize("loss", [cross_entropy, softmax_cross_entropy])
def test_labels_of_any_integer_type_are_understood(loss):
    types = ["uint8", "int8", "int32", "bool"]
    forms = [one_hot([1, 0], 2), [1, 0], *(np.array([1, 0], name) for name in types)]

    @jax.jit
    def each_form(outputs):
        return jnp.stack([loss(outputs, form) for form in forms])

    distribution, *others = each_form(np.float32([[0.25, 0.75], [0.5, 0.5]])).tolist()
    assert others == [distribution] * 5


def test_a_type_of_labels_may_be_too_small_to_count_the_classes():
    outputs, labels = jnp.zeros((2, 300)), np.array([0, 255], np.uint8)
    losses, _ = losses_and_slope(softmax_cross_entropy, outputs, labels, {})
    np.testing.assert_allclose(losses, math.log(300), rtol=1e-6)


# ---- huber around delta ----


@pytest.mark.parametrize("delta", [0.5, 1.0, 4.0])
def test_huber_goes_over_from_parabola_to_line_smoothly_at_delta(x64, delta):
    error = np.array([0, 0.5, 1 - 1e-9, 1, 1 + 1e-9, 1.5, 1e6]) * delta
    for sign in (1, -1):
        outputs = jnp.asarray(sign * error)[:, None]
        losses, slope = losses_and_slope(huber, outputs, np.zeros(7), {"delta": delta})
        np.testing.assert_allclose(losses, huber_64(error[:, None], 0, delta), rtol=1e-14)
        np.testing.assert_allclose(slope[:, 0], sign * np.minimum(error, delta), rtol=1e-12)


def test_huber_with_a_delta_beyond_all_errors_is_half_the_squared_error():
    losses, _ = losses_and_slope(huber, np.float32(REAL), OTHER_REAL, {"delta": 100})
    np.testing.assert_allclose(losses, squared_error_64(REAL, OTHER_REAL) / 2, rtol=1e-5)


# ---- extreme logits ----

LOGITS = {  # with a label that is not masked
    "zeros": ([0, 0, 0], 1),
    "ordinary": ([-1.5, 0.25, 2], 0),
    "large, right": ([1e4, 0, -1e4], 0),
    "large, wrong": ([1e4, 0, -1e4], 2),
    "large, in the middle": ([1e4, 0, -1e4], 1),
    "two equal and largest": ([1e4, 1e4, -1e4], 1),
    "all equal and large": ([1e4, 1e4, 1e4], 2),
    "all equal and small": ([-1e4, -1e4, -1e4], 0),
    "one masked": ([-INF, 0.5, -1], 1),
    "masked beside large": ([-INF, 1e4, -1e4], 2),
    "masked beside equal": ([-INF, -1e4, -1e4], 2),
    "all but one masked": ([-INF, 1e4, -INF], 1),
}
EXTREME_LOGITS = np.array([logits for logits, _ in LOGITS.values()], np.float64)
EXTREME_LABELS = np.array([label for _, label in LOGITS.values()])
UNMASKED = np.isfinite(EXTREME_LOGITS)
UNIFORM = UNMASKED / UNMASKED.sum(-1, keepdims=True)


def softmax_64(z):
    return np.exp(z - z.max(-1, keepdims=True)) / softmax_sums(z)


def compare(actual, expected, dtype, scale=4):
    precision = scale * max(float(jnp.finfo(dtype).eps), 1e-14)
    np.testing.assert_allclose(as_64(actual), expected, rtol=precision, atol=precision)


SHARES = {"no": None, "zero": 0.0, "some": 0.1}  # of smoothing
SOFTMAX_TARGETS = {
    "labels": (EXTREME_LABELS, one_hot(EXTREME_LABELS, 3)),
    "one-hot": (one_hot(EXTREME_LABELS, 3),) * 2,
    "uniform": (UNIFORM,) * 2,
}
BINARY_LOGITS = np.array([[0, 1e4, -1e4], [1e4, -1e4, 3], [-1e4, 1e4, -30], [0, 0, 0]])
BINARY_TARGETS = np.array([[0, 1, 0], [0, 1, 1], [0.25, 0.75, 0], [1, 0, 0.5]])


@functools.cache
def extremes(dtype_name):
    """Losses and slopes of all cases of extreme logits in a dtype, from one program."""

    @jax.jit
    def everything(z, binary_z, share):
        def both(loss, z, y, smoothing):
            options = {} if smoothing is None else {"label_smoothing": share * smoothing}
            return losses_and_slope(loss, z, y, options)

        softmaxes = {
            (kind, amount): both(softmax_cross_entropy, z, y, SHARES[amount])
            for kind, (y, _) in SOFTMAX_TARGETS.items()
            for amount in SHARES
        }
        sigmoids = {
            amount: both(sigmoid_cross_entropy, binary_z, BINARY_TARGETS, SHARES[amount])
            for amount in SHARES
        }
        return softmaxes, sigmoids

    z, binary_z = (jnp.asarray(array, dtype_name) for array in (EXTREME_LOGITS, BINARY_LOGITS))
    softmaxes, sigmoids = everything(z, binary_z, 1.0)
    return as_64(z), as_64(binary_z), softmaxes, sigmoids


@pytest.mark.parametrize("amount", SHARES)
@pytest.mark.parametrize("kind", SOFTMAX_TARGETS)
def test_softmax_cross_entropy_and_its_gradient_are_right_at_extreme_logits(dtype, kind, amount):
    z, _, results, _ = extremes(dtype.name)
    losses, slope = results[kind, amount]
    assert slope.dtype == dtype
    assert (losses >= 0).all()
    _, y = SOFTMAX_TARGETS[kind]
    share = SHARES[amount] or 0.0
    if share:  # smoothing names masked classes too: an impossible class costs infinitely much
        masked = ~UNMASKED.all(-1)
        assert np.isposinf(losses[masked]).all()
        losses, slope, z, y = losses[~masked], slope[~masked], z[~masked], y[~masked]
    compare(losses, softmax_cross_entropy_64(z, y, share), at_least_32_bits(dtype))
    compare(slope, softmax_64(z) - ((1 - share) * y + share / 3), dtype)
    assert not as_64(slope)[~np.isfinite(z)].any(), "a masked logit has no slope"


@pytest.mark.parametrize("amount", SHARES)
def test_sigmoid_cross_entropy_and_its_gradient_are_right_at_extreme_logits(dtype, amount):
    _, z, _, results = extremes(dtype.name)
    losses, slope = results[amount]
    assert slope.dtype == dtype
    assert (losses >= 0).all()
    share, y = SHARES[amount] or 0.0, BINARY_TARGETS
    compare(losses, sigmoid_cross_entropy_64(z, y, share), at_least_32_bits(dtype))
    smooth = (1 - share) * y + share / 2
    compare(slope, (np.exp(log_sigmoid_64(z)) - smooth) / 3, dtype)


def test_sigmoid_cross_entropy_of_an_infinite_logit_that_is_right_is_zero_with_slope_zero(dtype):
    z, y = jnp.asarray([[-INF], [INF]], dtype), np.array([0, 1])
    losses, slope = losses_and_slope(sigmoid_cross_entropy, z, y, {})
    assert losses.tolist() == [0, 0]
    assert slope.tolist() == [[0], [0]]


# ---- losses on probabilities ----


@pytest.mark.parametrize("targets", [LABELS, DISTRIBUTIONS], ids=["labels", "distributions"])
def test_cross_entropy_of_a_softmax_equals_softmax_cross_entropy(x64, targets):
    z = jnp.asarray(REAL)
    expected, expected_slope = losses_and_slope(softmax_cross_entropy, z, targets, {})

    def of_softmax(z, targets):
        return cross_entropy(softmax(z), targets)

    losses, slope = losses_and_slope(of_softmax, z, targets, {})
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("targets", [HARD, SOFT], ids=["labels", "probabilities"])
def test_binary_cross_entropy_of_a_sigmoid_equals_sigmoid_cross_entropy(x64, targets):
    z = jnp.asarray(REAL).at[0].set(0)  # a sigmoid of 0 is where most networks begin
    expected, expected_slope = losses_and_slope(sigmoid_cross_entropy, z, targets, {})

    def of_sigmoid(z, targets):
        return binary_cross_entropy(sigmoid(z), targets)

    losses, slope = losses_and_slope(of_sigmoid, z, targets, {})
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    np.testing.assert_allclose(slope, expected_slope, rtol=1e-10, atol=1e-13)


CERTAIN = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]])


def test_cross_entropy_has_no_nan_in_value_or_slope_where_probabilities_are_0(dtype):
    p, labels = jnp.asarray(CERTAIN, dtype), np.array([0, 0, 1])
    losses, slope = losses_and_slope(cross_entropy, p, labels, {})
    wide = at_least_32_bits(dtype)
    floor = -math.log(float(jnp.finfo(wide).tiny))
    compare(losses, [0, floor, math.log(2)], wide)
    # the slope of -y log(p) is -y / p; where p = 0 the loss is at its cap, and level
    compare(slope, [[-1, 0, 0], [0, 0, 0], [0, -2, 0]], dtype)


def test_cross_entropy_of_a_certain_distribution_with_itself_is_zero(dtype):
    losses, slope = losses_and_slope(cross_entropy, jnp.asarray(CERTAIN, dtype), CERTAIN, {})
    compare(losses, [0, 0, math.log(2)], jnp.float32)
    compare(slope, [[-1, 0, 0], [0, -1, 0], [-1, -1, 0]], dtype)


def test_binary_cross_entropy_has_no_nan_in_value_or_slope_at_0_and_1(dtype):
    p = jnp.asarray([[0], [1], [0], [1]], dtype)
    losses, slope = losses_and_slope(binary_cross_entropy, p, np.array([0, 1, 1, 0]), {})
    wide = at_least_32_bits(dtype)
    floor = -math.log(float(jnp.finfo(wide).tiny))
    compare(losses, [0, 0, floor, floor], wide)
    compare(slope, [[1], [-1], [0], [0]], dtype)


@pytest.mark.parametrize("y", [0, 1, 0.25])
def test_the_slope_of_binary_cross_entropy_is_right_everywhere_between_0_and_1(dtype, y):
    p = jnp.asarray([2.0**-10, 0.125, 0.25, 0.5, 0.625, 0.75, 1 - 2.0**-7], dtype)[:, None]
    losses, slope = losses_and_slope(binary_cross_entropy, p, np.full(7, y, np.float32), {})
    wide = as_64(p)
    compare(losses, binary_cross_entropy_64(wide, y), jnp.float32)
    compare(slope, (wide - y) / (wide * (1 - wide)), dtype)


def test_binary_cross_entropy_keeps_its_digits_near_0_and_1():
    p, y = np.float32([[1e-20], [1e-20], [1 - 2.0**-20], [1 - 2.0**-20]]), np.array([1, 0, 0, 1])
    losses, _ = losses_and_slope(binary_cross_entropy, p, y, {})
    expected = [-math.log(1e-20), 1e-20, -math.log(2.0**-20), -math.log1p(-(2.0**-20))]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


# ---- targets, options and the losses' own marks ----


def test_the_slope_with_respect_to_distributions_is_minus_the_logarithm(x64):
    @jax.jit
    def slopes(z, p, y):
        return (
            jax.grad(lambda y: softmax_cross_entropy(z, y).sum())(y),
            jax.grad(lambda y: cross_entropy(p, y).sum())(y),
            jax.grad(lambda y: sigmoid_cross_entropy(z, y).sum())(y),
        )

    of_softmax, of_probabilities, of_sigmoid = slopes(REAL, ROWS, one_hot(LABELS, 3))
    np.testing.assert_allclose(of_softmax, -log_softmax_64(REAL), rtol=1e-12)
    np.testing.assert_allclose(of_probabilities, -np.log(ROWS), rtol=1e-12)
    np.testing.assert_allclose(of_sigmoid, -REAL / 3, rtol=1e-12)


OPTIONS = {
    "delta": (huber, huber_64, OTHER_REAL, [0.25, 0.5, 1.0, 2.0]),
    "label_smoothing, softmax": (
        softmax_cross_entropy, softmax_cross_entropy_64, LABELS, [0.0, 0.1, 0.5, 1.0],
    ),
    "label_smoothing, sigmoid": (
        sigmoid_cross_entropy, sigmoid_cross_entropy_64, HARD, [0.0, 0.1, 0.5, 1.0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS.values(), ids=OPTIONS)
def test_the_number_of_a_loss_is_traced_vmapped_and_differentiated(x64, request, case):
    loss, closed_form, targets, numbers = case
    option = request.node.callspec.id.split(",")[0]
    traces = []

    @jax.jit
    def mean(number):
        traces.append(number)
        return jnp.mean(loss(jnp.asarray(REAL), targets, **{option: number}))

    def oracle(number):
        return closed_form(REAL, full(REAL, targets), number).mean()

    expected = [oracle(number) for number in numbers]
    np.testing.assert_allclose([mean(number) for number in numbers], expected, rtol=1e-12)
    assert len(traces) == 1, "a new value must not retrace"
    lanes = jax.jit(jax.vmap(mean))(jnp.asarray(numbers))
    np.testing.assert_allclose(lanes, expected, rtol=1e-12)
    step = 1e-6
    slopes = [(oracle(number + step) - oracle(number - step)) / (2 * step) for number in numbers]
    np.testing.assert_allclose(
        jax.jit(jax.vmap(jax.grad(mean)))(jnp.asarray(numbers)), slopes, rtol=1e-7, atol=1e-8
    )


def test_label_smoothing_of_zero_changes_nothing_and_of_one_forgets_the_label():
    def losses(labels, **options):
        return losses_and_slope(softmax_cross_entropy, np.float32(REAL), labels, options)[0]

    assert losses(LABELS, label_smoothing=0.0).tolist() == losses(LABELS).tolist()
    forgotten = losses(LABELS, label_smoothing=1.0)
    others = losses((LABELS + 1) % 3, label_smoothing=1.0)
    np.testing.assert_allclose(forgotten, others, rtol=1e-6)


@pytest.mark.parametrize("loss", TAKES)
def test_a_loss_says_what_it_takes_and_that_lower_is_better(loss):
    assert loss.takes == TAKES[loss]
    assert loss.higher_is_better is False


@pytest.mark.parametrize("name", LOSSES)
def test_a_nan_in_the_outputs_shows_in_that_rows_loss_only(name):
    loss, _, outputs, targets, options = LOSSES[name]
    outputs = np.float32(outputs)
    outputs[1, 2] = NAN  # LABELS[1] names another class
    losses, _ = losses_and_slope(loss, outputs, targets, options)
    assert np.isnan(losses).tolist() == [False, True, False, False, False]


# ---- what is no target ----


@pytest.mark.parametrize("loss", [cross_entropy, softmax_cross_entropy])
def test_a_label_out_of_range_raises_when_concrete_and_gives_nan_when_compiled(loss):
    outputs = jnp.full((4, 3), 1 / 3)
    labels = np.array([0, 3, -1, 2])
    with pytest.raises(ValueError, match=f"{loss.__name__}: labels must be from 0 to 2; got -1"):
        loss(outputs, labels)
    with pytest.raises(ValueError, match=f"{loss.__name__}: labels must be from 0 to 2; got 3"):
        loss(outputs, labels.clip(0))
    losses, _ = losses_and_slope(loss, outputs, labels, {})
    assert np.isnan(losses).tolist() == [False, True, True, False]
    lanes = jax.jit(jax.vmap(loss))(outputs, labels)
    assert np.isnan(lanes).tolist() == [False, True, True, False]


def test_a_compiled_label_beyond_32_bits_does_not_wrap_into_range(x64):
    labels = np.array([1, 2**32 + 1])
    losses, _ = losses_and_slope(softmax_cross_entropy, jnp.zeros((2, 3)), labels, {})
    assert np.isnan(losses).tolist() == [False, True]


THREE = jnp.full((4, 3), 0.5)
ONE = jnp.full((4, 1), 0.5)
BAD = {  # loss, outputs, targets, options, error, what it says
    "float labels": (
        softmax_cross_entropy, THREE, np.zeros(4), {},
        TypeError, r"labels must be integers; got float\d\d\(4,\)",
    ),
    "float labels of probabilities": (
        cross_entropy, THREE, np.ones(4), {},
        TypeError, "cross_entropy: labels must be integers",
    ),
    "string labels": (
        softmax_cross_entropy, THREE, np.array(["cat", "dog", "cat", "cow"]), {},
        TypeError, "must hold numbers .*return_inverse=True.*'cat'",
    ),
    "string values": (
        squared_error, THREE, [["a", "b", "c"]] * 4, {},
        TypeError, "squared_error: targets must hold numbers",
    ),
    "objects": (
        squared_error, ONE, np.array([None] * 4), {}, TypeError, "targets must hold numbers",
    ),
    "complex targets": (
        squared_error, ONE, np.ones(4, complex), {}, TypeError, "targets must hold real numbers",
    ),
    "ragged targets": (
        squared_error, THREE, [[1.0], [1.0, 2.0]], {}, ValueError, "targets must be an array",
    ),
    "a negative label": (
        softmax_cross_entropy, THREE, [0, 1, -1, 2], {}, ValueError, "from 0 to 2; got -1",
    ),
    "a label that is no class": (
        softmax_cross_entropy, THREE, [0, 1, 3, 2], {}, ValueError, "from 0 to 2; got 3",
    ),
    "labels in a column": (
        softmax_cross_entropy, THREE, np.zeros((4, 1), int), {},
        ValueError, r"targets must be labels \(4,\) or distributions \(4, 3\).*got \(4, 1\)",
    ),
    "fewer labels than outputs": (
        softmax_cross_entropy, THREE, [0, 1], {}, ValueError, r"labels \(4,\).*got \(2,\)",
    ),
    "one label for all": (
        cross_entropy, THREE, 1, {}, ValueError, r"labels \(4,\).*got \(\)",
    ),
    "distributions over fewer classes": (
        cross_entropy, THREE, np.full((4, 2), 0.5), {},
        ValueError, r"distributions \(4, 3\).*got \(4, 2\)",
    ),
    "one distribution for all": (
        cross_entropy, THREE, np.full((1, 3), 0.3), {}, ValueError, r"got \(1, 3\)",
    ),
    "a share above one": (
        cross_entropy, THREE, np.full((4, 3), 1.5), {},
        ValueError, r"targets \(..., classes\) must be probabilities; got 1.5",
    ),
    "a negative share": (
        softmax_cross_entropy, THREE, np.full((4, 3), -0.5), {}, ValueError, "got -0.5",
    ),
    "one class only": (
        softmax_cross_entropy, ONE, np.zeros(4, int), {},
        ValueError, "at least two .one column: sigmoid_cross_entropy.; got",
    ),
    "a row of values for all": (
        squared_error, THREE, np.zeros((1, 3)), {},
        ValueError, r"targets must have the shape of outputs, \(4, 3\).*; got \(1, 3\)",
    ),
    "a column of values for all": (
        huber, THREE, np.zeros((4, 1)), {}, ValueError, r"huber: .*got \(4, 1\)",
    ),
    "values without their axis": (
        absolute_error, THREE, np.zeros(4), {}, ValueError, r"absolute_error: .*got \(4,\)",
    ),
    "a row where a column is due": (
        squared_error, ONE, np.zeros((1, 4)), {}, ValueError, r"got \(1, 4\)",
    ),
    "outputs without the last axis": (
        squared_error, jnp.zeros(4), np.zeros((4, 1)), {}, ValueError, r"got \(4, 1\)",
    ),
    "labels where there are columns": (
        sigmoid_cross_entropy, THREE, np.zeros(4, int), {}, ValueError, r"got \(4,\)",
    ),
    "a scalar of outputs": (
        squared_error, jnp.array(1.0), 1.0, {},
        ValueError, r"outputs must have shape \(..., out\); got \(\)",
    ),
    "outputs and labels swapped": (
        softmax_cross_entropy, np.zeros(4, int), THREE, {},
        TypeError, r"outputs, which come before targets, must be floating; got int\d\d\(4,\)",
    ),
    "outputs and distributions swapped": (
        cross_entropy, np.ones((4, 3), bool), THREE, {}, TypeError, "come before targets.*bool",
    ),
    "outputs and values swapped": (
        squared_error, np.zeros((4, 3), int), THREE, {}, TypeError, "come before targets",
    ),
    "NaN among values": (
        squared_error, ONE, [1.0, NAN, 0.0, 1.0], {},
        ValueError, r"targets must be finite everywhere; got nan at index \(1,\)",
    ),
    "infinity among values": (
        absolute_error, ONE, [1.0, 0.0, -INF, 1.0], {}, ValueError, r"got -inf at index \(2,\)",
    ),
    "NaN among distributions": (
        cross_entropy, THREE, np.full((4, 3), NAN), {}, ValueError, "must be finite everywhere",
    ),
    "a binary target above one": (
        binary_cross_entropy, ONE, [0, 1, 2, 1], {},
        ValueError, "targets must be 0, 1 or a probability between; got 2",
    ),
    "a binary target of minus one": (
        sigmoid_cross_entropy, ONE, [-1, 1, -1, 1], {}, ValueError, "probability between; got -1",
    ),
    "a negative label_smoothing": (
        softmax_cross_entropy, THREE, [0, 0, 0, 0], {"label_smoothing": -0.1},
        ValueError, "label_smoothing must be a finite number >= 0 and <= 1; got -0.1",
    ),
    "a label_smoothing above one": (
        sigmoid_cross_entropy, ONE, [0, 0, 0, 0], {"label_smoothing": 1.1},
        ValueError, "sigmoid_cross_entropy: label_smoothing must be .*<= 1; got 1.1",
    ),
    "a label_smoothing of NaN": (
        softmax_cross_entropy, THREE, [0, 0, 0, 0], {"label_smoothing": NAN},
        ValueError, "label_smoothing must be a finite number",
    ),
    "a label_smoothing that is no number": (
        softmax_cross_entropy, THREE, [0, 0, 0, 0], {"label_smoothing": "0.1"},
        TypeError, "label_smoothing must be a finite number",
    ),
    "a delta of zero": (
        huber, ONE, [0, 0, 0, 0], {"delta": 0}, ValueError, "delta must be .*> 0; got 0",
    ),
    "a delta of infinity": (
        huber, ONE, [0, 0, 0, 0], {"delta": INF}, ValueError, "delta must be a finite number",
    ),
    "a delta that is True": (
        huber, ONE, [0, 0, 0, 0], {"delta": True}, TypeError, "delta must be a finite number",
    ),
    "a delta per row": (
        huber, ONE, [0, 0, 0, 0], {"delta": np.ones(4)},
        ValueError, r"delta must be one number; got shape \(4,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input_is_told_what_must_hold(case):
    loss, outputs, targets, options, error, match = case
    with pytest.raises(error, match=match) as raised:
        loss(outputs, targets, **options)
    assert str(raised.value).startswith(f"{loss.__name__}: ")


SHAPES_AND_TYPES = [name for name, case in BAD.items() if "got (" in case[-1].replace("\\", "")]


@pytest.mark.parametrize("name", [*SHAPES_AND_TYPES, "float labels"])
def test_bad_shapes_and_dtypes_are_told_while_tracing_too(name):
    loss, outputs, targets, _, error, match = BAD[name]
    with pytest.raises(error, match=match):
        jax.eval_shape(loss, outputs, np.asarray(targets))
