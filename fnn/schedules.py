"""Schedules: the learning rate as a function of the step.

A schedule is a config called with the step count (an integer, from 0), so each of its
numbers, lengths included, is traced. A learning rate is a number, a schedule, or any other
function of the step.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.config import config, makes, number
from fnn.types import Numbers

__all__ = [
    "CosineDecay",
    "ExponentialDecay",
    "LinearDecay",
    "PiecewiseConstant",
    "WarmupCosineDecay",
    "cosine_decay",
    "exponential_decay",
    "learning_rate",
    "linear_decay",
    "piecewise_constant",
    "rate_at",
    "warmup_cosine_decay",
]


@config
class LinearDecay:
    """The schedule that `linear_decay` makes."""

    init_value: Numbers = number()
    decay_steps: Numbers = number()
    end_value: Numbers = number()

    def __call__(self, step: Any) -> jax.Array:
        """The rate at this step, of shape `()`."""
        step, init, end, length = _floats(
            "linear_decay", step, self.init_value, self.end_value, self.decay_steps
        )
        progress = _progress(step, length)
        # not init + (end - init) * progress, which loses the digits of an end far below init
        return init * (1 - progress) + end * progress


@config
class ExponentialDecay:
    """The schedule that `exponential_decay` makes."""

    init_value: Numbers = number()
    decay_steps: Numbers = number()
    decay_rate: Numbers = number()

    def __call__(self, step: Any) -> jax.Array:
        """The rate at this step, of shape `()`."""
        step, init, length, rate = _floats(
            "exponential_decay", step, self.init_value, self.decay_steps, self.decay_rate
        )
        return init * rate ** (step / length)


@config
class CosineDecay:
    """The schedule that `cosine_decay` makes."""

    init_value: Numbers = number()
    decay_steps: Numbers = number()
    alpha: Numbers = number()

    def __call__(self, step: Any) -> jax.Array:
        """The rate at this step, of shape `()`."""
        step, init, length, alpha = _floats(
            "cosine_decay", step, self.init_value, self.decay_steps, self.alpha
        )
        return init * ((1 - alpha) * _half_cosine(_progress(step, length)) + alpha)


@config
class WarmupCosineDecay:
    """The schedule that `warmup_cosine_decay` makes."""

    init_value: Numbers = number()
    peak_value: Numbers = number()
    warmup_steps: Numbers = number()
    decay_steps: Numbers = number()
    end_value: Numbers = number()

    def __call__(self, step: Any) -> jax.Array:
        """The rate at this step, of shape `()`."""
        step, init, peak, end = _floats(
            "warmup_cosine_decay", step, self.init_value, self.peak_value, self.end_value
        )
        warmup, length = (jnp.asarray(v, float) for v in (self.warmup_steps, self.decay_steps))
        warm = init + (peak - init) * _progress(step, jnp.maximum(warmup, 1))
        cool = end + (peak - end) * _half_cosine(
            _progress(step - warmup, jnp.maximum(length - warmup, 1))
        )
        return jnp.where(step < warmup, warm, cool)


@config
class PiecewiseConstant:
    """The schedule that `piecewise_constant` makes."""

    boundaries: Numbers = number(rank=1)
    values: Numbers = number(rank=1)

    def __call__(self, step: Any) -> jax.Array:
        """The rate at this step, of shape `()`."""
        step = _checked_step("piecewise_constant", step)
        values = jnp.asarray(self.values, float)
        boundaries, step = (jnp.asarray(v, np.int32) for v in (self.boundaries, step))
        return values[jnp.searchsorted(boundaries, step, side="right", method="compare_all")]


@makes(LinearDecay)
def linear_decay(init_value: Numbers, decay_steps: Numbers, *, end_value: Numbers = 0.0):
    """A straight line from `init_value` to `end_value`, then constant.

        rate(t) = init + (end - init) * min(t / decay_steps, 1)

    Args:
      init_value: The rate at step 0, >= 0. Traced, as are all below.
      decay_steps: Steps until `end_value` is reached, an integer >= 1.
      end_value: The last rate, >= 0.
    Returns:
      A schedule: a config called with the step.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.

    >>> rate = linear_decay(1.0, decay_steps=4)
    >>> print([float(rate(step)) for step in (0, 1, 4, 9)])
    [1.0, 0.75, 0.0, 0.0]
    """
    name = "linear_decay"
    return LinearDecay(
        init_value=checks.real(name, "init_value", init_value, at_least=0),
        decay_steps=checks.integer(name, "decay_steps", decay_steps, at_least=1),
        end_value=checks.real(name, "end_value", end_value, at_least=0),
    )


@makes(ExponentialDecay)
def exponential_decay(init_value: Numbers, decay_steps: Numbers, decay_rate: Numbers):
    """A rate multiplied by `decay_rate` every `decay_steps` steps, smoothly.

        rate(t) = init * decay_rate^(t / decay_steps)

    Args:
      init_value: The rate at step 0, >= 0. Traced, as are all below.
      decay_steps: Steps per factor, an integer >= 1.
      decay_rate: The factor, > 0.
    Returns:
      A schedule: a config called with the step.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.

    >>> rate = exponential_decay(1.0, decay_steps=2, decay_rate=0.25)
    >>> print([float(rate(step)) for step in (0, 1, 2)])
    [1.0, 0.5, 0.25]
    """
    name = "exponential_decay"
    return ExponentialDecay(
        init_value=checks.real(name, "init_value", init_value, at_least=0),
        decay_steps=checks.integer(name, "decay_steps", decay_steps, at_least=1),
        decay_rate=checks.real(name, "decay_rate", decay_rate, above=0),
    )


@makes(CosineDecay)
def cosine_decay(init_value: Numbers, decay_steps: Numbers, *, alpha: Numbers = 0.0):
    """Half a cosine from `init_value` down to `alpha * init_value`, then constant.

        rate(t) = init * ((1 - alpha) * (1 + cos(pi * min(t / decay_steps, 1))) / 2 + alpha)

    Args:
      init_value: The rate at step 0, >= 0. Traced, as are all below.
      decay_steps: Steps until the lowest rate is reached, an integer >= 1.
      alpha: The lowest rate as a fraction of the first, in [0, 1].
    Returns:
      A schedule: a config called with the step.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Loshchilov & Hutter, ICLR 2017, arXiv:1608.03983, eq. 5, one cycle.

    >>> rate = cosine_decay(1.0, decay_steps=4)
    >>> print([round(float(rate(step)), 3) for step in (0, 2, 4, 9)])
    [1.0, 0.5, 0.0, 0.0]
    """
    name = "cosine_decay"
    return CosineDecay(
        init_value=checks.real(name, "init_value", init_value, at_least=0),
        decay_steps=checks.integer(name, "decay_steps", decay_steps, at_least=1),
        alpha=checks.real(name, "alpha", alpha, at_least=0, at_most=1),
    )


@makes(WarmupCosineDecay)
def warmup_cosine_decay(
    init_value: Numbers,
    peak_value: Numbers,
    warmup_steps: Numbers,
    decay_steps: Numbers,
    *,
    end_value: Numbers = 0.0,
):
    """A straight line up to `peak_value`, then half a cosine down to `end_value`.

    Args:
      init_value: The rate at step 0, >= 0. Traced, as are all below.
      peak_value: The rate at step `warmup_steps`, >= 0.
      warmup_steps: Steps of the rise, an integer >= 0.
      decay_steps: Steps until `end_value` is reached, the rise included: an integer
        greater than `warmup_steps`.
      end_value: The last rate, >= 0.
    Returns:
      A schedule: a config called with the step.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.2 (the rise), and `cosine_decay`.

    >>> rate = warmup_cosine_decay(0.0, 1.0, warmup_steps=2, decay_steps=6)
    >>> print([round(float(rate(step)), 3) for step in (0, 1, 2, 4, 6)])
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    name = "warmup_cosine_decay"
    warmup_steps = checks.integer(name, "warmup_steps", warmup_steps)
    decay_steps = checks.integer(name, "decay_steps", decay_steps, at_least=1)
    warmup, total = checks.concrete(warmup_steps), checks.concrete(decay_steps)
    if warmup is not None and total is not None:
        rule = "decay_steps must be greater than warmup_steps"
        got = f"decay_steps {total}, warmup_steps {warmup}"
        checks.require(bool(np.all(total > warmup)), name, rule, got)
    return WarmupCosineDecay(
        init_value=checks.real(name, "init_value", init_value, at_least=0),
        peak_value=checks.real(name, "peak_value", peak_value, at_least=0),
        warmup_steps=warmup_steps,
        decay_steps=decay_steps,
        end_value=checks.real(name, "end_value", end_value, at_least=0),
    )


@makes(PiecewiseConstant)
def piecewise_constant(boundaries: Any, values: Any):
    """A rate that jumps: `values[i]` from step `boundaries[i - 1]` on.

    Args:
      boundaries: `(n,)`, rising integer steps >= 1 at which the next value takes over.
        Traced; their number is static.
      values: `(n + 1,)`, the rates, >= 0. Traced.
    Returns:
      A schedule: a config called with the step.
    Raises:
      ValueError, TypeError: A concrete number is out of range, the boundaries do not
        rise, or `values` is not one longer than `boundaries`.

    >>> rate = piecewise_constant([2, 4], [1.0, 0.5, 0.25])
    >>> print([float(rate(step)) for step in range(5)])
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    name = "piecewise_constant"
    boundaries = checks.integer(name, "boundaries", boundaries, rank=1, at_least=1)
    values = checks.real(name, "values", values, rank=1, at_least=0)
    sizes = boundaries.shape[-1], values.shape[-1]
    rule = "values must be one more than boundaries"
    checks.require(
        sizes[1] == sizes[0] + 1, name, rule, f"{sizes[1]} values, {sizes[0]} boundaries"
    )
    known = checks.concrete(boundaries)
    rising = known is None or bool((np.diff(known, axis=-1) > 0).all())
    checks.require(rising, name, "boundaries must rise", known)
    return PiecewiseConstant(boundaries=boundaries, values=values)


def learning_rate(function: str, value: Any) -> Any:
    """A learning rate as a config stores it: a schedule as it is, or a checked number."""
    if callable(value):
        return value
    return checks.real(function, "learning_rate", value, at_least=0)


def rate_at(function: str, rate: Any, step: jax.Array) -> jax.Array:
    """The learning rate at a step, whichever of the two it is."""
    if callable(rate):
        rate = checks.numbers(function, "what the learning_rate returns", rate(step))
    return jnp.asarray(rate)


def _floats(function: str, step: Any, *values: Any) -> list[jax.Array]:
    """Step and values at JAX's precision: float64 under x64, so that steps lose nothing."""
    return [jnp.asarray(value, float) for value in (_checked_step(function, step), *values)]


def _checked_step(function: str, step: Any) -> Any:
    step = checks.array(function, "step", step)
    rule = f"step must be an integer from 0 to {checks.INT32}"
    checks.require(step.dtype.kind in "iu", function, rule, step.dtype, TypeError)
    known = checks.concrete(step)
    fits = known is None or bool(((known >= 0) & (known <= checks.INT32)).all())
    checks.require(fits, function, rule, known)
    return step


def _progress(step: jax.Array, length: jax.Array) -> jax.Array:
    return jnp.clip(step / length, 0.0, 1.0)


def _half_cosine(progress: jax.Array) -> jax.Array:
    return (1 + jnp.cos(jnp.pi * progress)) / 2
