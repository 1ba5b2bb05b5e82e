"""Losses of logits and their slopes at extreme logits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from loss_formulas import (
    log_sigmoid_64,
    one_hot,
    sigmoid_cross_entropy_64,
    softmax_cross_entropy_64,
    softmax_sums,
)
from slopes import INF, as_64, at_least_32_bits, compare, losses_and_slope

from fnn.losses import (
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)

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
