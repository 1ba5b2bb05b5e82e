"""Whatever the numbers: activations and losses in every dtype."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from drawn_numbers import OUT, ROWS, arrays, as_64, compare, eps, prop, signed, subnormal, wide
from hypothesis import given
from hypothesis import strategies as st
from loss_formulas import (
    absolute_error_64,
    binary_cross_entropy_64,
    huber_64,
    sigmoid_cross_entropy_64,
    softmax_cross_entropy_64,
    squared_error_64,
    times_log,
)
from test_activations import FORMULAS, SELU_ALPHA, SELU_SCALE, log_softmax, sigmoid, softmax

import fnn
from fnn.activations import ACTIVATIONS, JOINING

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
