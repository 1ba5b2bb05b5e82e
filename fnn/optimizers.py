"""Optimizers: from gradients to updates, as pure functions with Optax's contract.

    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    params = apply_updates(params, updates)

Every number is traced and cast to the dtype of the running statistics first, so that
`1 - b2` is the same number whether b2 is a constant, an argument or one of many lanes.
Statistics and updates are kept in at least float32, also where parameters are not.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import checks
from fnn.config import config, number, static
from fnn.dtypes import at_least_float32, wider
from fnn.schedules import learning_rate as checked_learning_rate
from fnn.schedules import rate_at
from fnn.types import Numbers, Optimizer, Params, Schedule

__all__ = [
    "Adam",
    "AdamState",
    "AdamW",
    "AddDecayedWeights",
    "Chain",
    "ClipByGlobalNorm",
    "Sgd",
    "SgdState",
    "adam",
    "adamw",
    "add_decayed_weights",
    "apply_updates",
    "chain",
    "clip_by_global_norm",
    "sgd",
]


def apply_updates(params: Params, updates: Params) -> Params:
    """The parameters moved by the updates: w + u, leaf by leaf.

    Args:
      params: Any pytree of arrays.
      updates: The same structure and shapes.
    Returns:
      As `params`, dtypes included; the sum is formed in the wider of the two dtypes.
    Raises:
      ValueError: The structures or shapes differ; both are shown.

    >>> print(apply_updates({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([0.5, -0.5])}))
    {'w': Array([1.5, 1.5], dtype=float32)}
    """
    _same_shapes("apply_updates", "updates", params, updates)

    def move(param, update):
        wide = wider(param.dtype, update.dtype)
        return (param.astype(wide) + update.astype(wide)).astype(param.dtype)

    return jax.tree.map(move, params, updates)


class SgdState(NamedTuple):
    """The state of `sgd`."""

    step: jax.Array
    """int32, `()`: updates made."""
    velocity: Params
    """As the parameters, in at least float32; None without momentum."""


@config
class Sgd:
    """Made by `sgd`."""

    learning_rate: Numbers | Schedule = number()
    momentum: Numbers | None = number()
    nesterov: bool = static()

    def init(self, params: Params) -> SgdState:
        """The state before the first step."""
        velocity = None if self.momentum is None else _zeros(params)
        return SgdState(_step_zero(), velocity)

    def update(self, grads: Params, state: SgdState, params: Params | None = None):
        """Updates for `grads`, and the next state."""
        del params
        _check_state("sgd", SgdState, state)
        rule = "state must hold a velocity where there is momentum, and nowhere else"
        fits = (state.velocity is None) == (self.momentum is None)
        checks.require(fits, "sgd", rule, "a velocity" if self.momentum is None else "none")
        grads = _accumulated("sgd", grads, state.velocity)
        direction, velocity = grads, None
        if self.momentum is not None:
            velocity = jax.tree.map(
                lambda g, v: _like(self.momentum, v) * v + g, grads, state.velocity
            )
            direction = velocity
            if self.nesterov:
                direction = jax.tree.map(
                    lambda g, v: g + _like(self.momentum, v) * v, grads, velocity
                )
        updates = _descend(rate_at(self.learning_rate, state.step), direction)
        return updates, SgdState(state.step + 1, velocity)


def sgd(
    learning_rate: Numbers | Schedule,
    *,
    momentum: Numbers | None = None,
    nesterov: bool = False,
) -> Sgd:
    """Stochastic gradient descent: a step against the gradient g.

        w <- w - learning_rate * g                    plain
        v <- momentum * v + g                         with momentum:
        w <- w - learning_rate * v                    heavy ball
        w <- w - learning_rate * (g + momentum * v)   Nesterov

    Args:
      learning_rate: Step size in units of the parameters per unit of gradient, >= 0; a
        number, or a schedule from the step count (starting at 0) to one. Traced.
      momentum: The share of the velocity kept per step, in [0, 1). Traced; None does
        without, and keeps no velocity.
      nesterov: Look ahead along the velocity; needs momentum. Static.
    Returns:
      An optimizer. Its state is `SgdState(step, velocity)`.
    Raises:
      ValueError, TypeError: A concrete number is out of range (tracers go unchecked), or
        `nesterov` is set without momentum.
    Source: Polyak 1964 (heavy ball); Sutskever et al., ICML 2013 (Nesterov), in the
      form of Bengio et al. 2012, arXiv:1212.0901, eq. 7.

    >>> opt, params = sgd(0.1), jnp.array([1.0, -2.0])
    >>> updates, _ = opt.update(jnp.array([4.0, -0.5]), opt.init(params), params)
    >>> print(updates)
    [-0.4   0.05]
    """
    nesterov = checks.flag("sgd", "nesterov", nesterov)
    rule = "momentum must be given where nesterov is True"
    checks.require(momentum is not None or not nesterov, "sgd", rule, "momentum=None")
    if momentum is not None:
        momentum = checks.real("sgd", "momentum", momentum, at_least=0, below=1)
    return Sgd(checked_learning_rate("sgd", learning_rate), momentum, nesterov)


class AdamState(NamedTuple):
    """The state of `adam` and `adamw`."""

    step: jax.Array
    """int32, `()`: updates made."""
    mu: Params
    """Running mean of g, as the parameters, in at least float32."""
    nu: Params
    """Running mean of g^2, as `mu`."""


@config
class Adam:
    """Made by `adam`."""

    learning_rate: Numbers | Schedule = number()
    b1: Numbers = number()
    b2: Numbers = number()
    eps: Numbers = number()

    def init(self, params: Params) -> AdamState:
        """The state before the first step."""
        return AdamState(_step_zero(), _zeros(params), _zeros(params))

    def update(self, grads: Params, state: AdamState, params: Params | None = None):
        """Updates for `grads`, and the next state."""
        del params
        direction, state = _adam_direction("adam", self, grads, state)
        return _descend(rate_at(self.learning_rate, state.step - 1), direction), state


def adam(
    learning_rate: Numbers | Schedule,
    *,
    b1: Numbers = 0.9,
    b2: Numbers = 0.999,
    eps: Numbers = 1e-8,
) -> Adam:
    """Adam: gradient steps scaled by running moments of the gradient.

    For gradient g at step t = 1, 2, ...

        m <- b1 m + (1 - b1) g
        v <- b2 v + (1 - b2) g^2
        w <- w - learning_rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    Args:
      learning_rate: Step size in units of the parameters, >= 0; a number, or a schedule
        from the step count (starting at 0) to one. Traced.
      b1: Decay of m per step, in [0, 1). Traced.
      b2: Decay of v per step, in [0, 1). Traced.
      eps: Added to the root, > 0, in units of the gradient. Traced.
    Returns:
      An optimizer. Its state is `AdamState(step, mu, nu)`.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Kingma & Ba, ICLR 2015, arXiv:1412.6980, Algorithm 1.

    >>> opt, params = adam(0.1), jnp.array([1.0, -2.0])
    >>> updates, _ = opt.update(jnp.array([4.0, -0.5]), opt.init(params), params)
    >>> print(updates)
    [-0.1  0.1]
    """
    return Adam(*_adam_numbers("adam", learning_rate, b1, b2, eps))


@config
class AdamW:
    """Made by `adamw`."""

    learning_rate: Numbers | Schedule = number()
    b1: Numbers = number()
    b2: Numbers = number()
    eps: Numbers = number()
    weight_decay: Numbers = number()
    mask: Any = number()

    def init(self, params: Params) -> AdamState:
        """The state before the first step."""
        return AdamState(_step_zero(), _zeros(params), _zeros(params))

    def update(self, grads: Params, state: AdamState, params: Params | None = None):
        """Updates for `grads`, and the next state."""
        direction, state = _adam_direction("adamw", self, grads, state)
        direction = _decayed("adamw", direction, params, self.weight_decay, self.mask)
        return _descend(rate_at(self.learning_rate, state.step - 1), direction), state


def adamw(
    learning_rate: Numbers | Schedule,
    *,
    b1: Numbers = 0.9,
    b2: Numbers = 0.999,
    eps: Numbers = 1e-8,
    weight_decay: Numbers = 1e-4,
    mask: Any = None,
) -> AdamW:
    """Adam with weight decay apart from the gradient, so that Adam does not rescale it.

        w <- w - learning_rate * (Adam's direction + weight_decay * w)

    Args:
      learning_rate: Step size in units of the parameters, >= 0; a number, or a schedule
        from the step count (starting at 0) to one. Traced.
      b1: Decay of the mean per step, in [0, 1). Traced.
      b2: Decay of the mean square per step, in [0, 1). Traced.
      eps: Added to the root, > 0, in units of the gradient. Traced.
      weight_decay: The share of w taken off per unit of learning rate, >= 0. Traced.
      mask: Which leaves decay: a pytree of bools with the structure of the parameters or
        its beginning, or a function from parameters to one. A bool may be an array of the
        leaf's shape. None: leaves of rank 2 and more, so biases do not.
    Returns:
      An optimizer. Its state is `AdamState(step, mu, nu)`; its `update` needs `params`.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101, Algorithm 2.

    >>> opt, params = adamw(0.1, weight_decay=1.0), jnp.full((1, 2), 2.0)
    >>> updates, _ = opt.update(jnp.array([[4.0, -0.5]]), opt.init(params), params)
    >>> print(updates)
    [[-0.3 -0.1]]
    """
    numbers = _adam_numbers("adamw", learning_rate, b1, b2, eps)
    weight_decay = checks.real("adamw", "weight_decay", weight_decay, at_least=0)
    return AdamW(*numbers, weight_decay, _checked_mask("adamw", mask))


@config
class AddDecayedWeights:
    """Made by `add_decayed_weights`."""

    weight_decay: Numbers = number()
    mask: Any = number()

    def init(self, params: Params) -> tuple[()]:
        """Nothing is kept."""
        del params
        return ()

    def update(self, grads: Params, state: tuple[()], params: Params | None = None):
        """The gradients with the decay added, and the same state."""
        name = "add_decayed_weights"
        grads = _accumulated(name, grads, params)
        return _decayed(name, grads, params, self.weight_decay, self.mask), state


def add_decayed_weights(weight_decay: Numbers, *, mask: Any = None) -> AddDecayedWeights:
    """Adds `weight_decay * w` to the gradient; before `sgd` in a chain, the L2 penalty.

    Args:
      weight_decay: The slope of the penalty weight_decay / 2 * |w|^2, >= 0. Traced.
      mask: Which leaves decay: a pytree of bools with the structure of the parameters or
        its beginning, or a function from parameters to one. A bool may be an array of the
        leaf's shape. None: leaves of rank 2 and more, so biases do not.
    Returns:
      An optimizer for `chain`, without state; its `update` needs `params`.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.

    >>> opt = chain(add_decayed_weights(0.5), sgd(1.0))
    >>> params = {"weight": jnp.ones((1, 1)), "bias": jnp.ones(1)}
    >>> updates, _ = opt.update(jax.tree.map(jnp.zeros_like, params), opt.init(params), params)
    >>> print(updates["weight"], updates["bias"])
    [[-0.5]] [-0.]
    """
    name = "add_decayed_weights"
    weight_decay = checks.real(name, "weight_decay", weight_decay, at_least=0)
    return AddDecayedWeights(weight_decay, _checked_mask(name, mask))


@config
class ClipByGlobalNorm:
    """Made by `clip_by_global_norm`."""

    max_norm: Numbers = number()

    def init(self, params: Params) -> tuple[()]:
        """Nothing is kept."""
        del params
        return ()

    def update(self, grads: Params, state: tuple[()], params: Params | None = None):
        """The gradients, no longer than `max_norm`, and the same state."""
        del params
        grads = _accumulated("clip_by_global_norm", grads)
        unit, length = _global_norm(grads)
        max_norm = _like(self.max_norm, length)
        too_long = length > max_norm / unit
        shortened = max_norm / jnp.where(length > 0, length, 1)

        def clipped(g):
            return jnp.where(too_long, g / _like(unit, g) * _like(shortened, g), g)

        return jax.tree.map(clipped, grads), state


def clip_by_global_norm(max_norm: Numbers) -> ClipByGlobalNorm:
    """Shortens the gradient of all parameters together to at most `max_norm`.

        g <- g * min(1, max_norm / |g|)

    Args:
      max_norm: The longest Euclidean norm let through, > 0. Traced.
    Returns:
      An optimizer for `chain`, without state.
    Raises:
      ValueError, TypeError: A concrete number is out of range; tracers go unchecked.
    Source: Pascanu et al., ICML 2013, arXiv:1211.5063, Algorithm 1.

    >>> opt = chain(clip_by_global_norm(1.0), sgd(1.0))
    >>> updates, _ = opt.update(jnp.array([3.0, 4.0]), opt.init(jnp.zeros(2)))
    >>> print(updates)
    [-0.6 -0.8]
    """
    return ClipByGlobalNorm(checks.real("clip_by_global_norm", "max_norm", max_norm, above=0))


@config
class Chain:
    """Made by `chain`."""

    optimizers: tuple[Optimizer, ...] = number()

    def init(self, params: Params) -> tuple:
        """The states of the members, in their order."""
        return tuple(optimizer.init(params) for optimizer in self.optimizers)

    def update(self, grads: Params, state: tuple, params: Params | None = None):
        """What the last member makes of what those before it made, and their states."""
        rule = f"state must be a tuple of {len(self.optimizers)} states"
        fits = isinstance(state, tuple) and len(state) == len(self.optimizers)
        got = f"{len(state)} states" if isinstance(state, tuple) else type(state).__name__
        checks.require(fits, "chain", rule, got)
        states = []
        for optimizer, member in zip(self.optimizers, state, strict=True):
            grads, member = optimizer.update(grads, member, params)
            states.append(member)
        return grads, tuple(states)


def chain(*optimizers: Optimizer) -> Chain:
    """Optimizers one after the other: each takes the updates of the one before it.

    Args:
      *optimizers: Anything with `init` and `update`, ours or Optax's.
    Returns:
      An optimizer. Its state is the tuple of theirs.
    Raises:
      TypeError: A member is no optimizer.
      ValueError: There are none.

    >>> opt = chain(clip_by_global_norm(1.0), adam(1e-3))
    """
    checks.require(bool(optimizers), "chain", "there must be at least one optimizer", "none")
    for optimizer in optimizers:
        is_one = isinstance(optimizer, Optimizer) and not isinstance(optimizer, type)
        rule = "every member must have init and update"
        checks.require(is_one, "chain", rule, repr(optimizer), TypeError)
    return Chain(optimizers)


def _adam_numbers(
    function: str, rate: Any, b1: Any, b2: Any, eps: Any
) -> tuple[Any, Any, Any, Any]:
    return (
        checked_learning_rate(function, rate),
        checks.real(function, "b1", b1, at_least=0, below=1),
        checks.real(function, "b2", b2, at_least=0, below=1),
        checks.real(function, "eps", eps, above=0),
    )


def _adam_direction(
    function: str, numbers: Adam | AdamW, grads: Params, state: AdamState
) -> tuple[Params, AdamState]:
    """Adam's step before the learning rate, and the next state."""
    _check_state(function, AdamState, state)
    step = state.step + 1
    grads = _accumulated(function, grads, state.mu)

    def moment(decay, old, new):
        decay = _like(decay, old)
        return decay * old + (1 - decay) * new

    def unbiased(decay, value):
        decay = _like(decay, value)
        return value / (1 - decay ** step.astype(value.dtype))

    def direction(m, v):
        return unbiased(numbers.b1, m) / (_root(unbiased(numbers.b2, v)) + _like(numbers.eps, v))

    mu = jax.tree.map(lambda m, g: moment(numbers.b1, m, g), state.mu, grads)
    nu = jax.tree.map(lambda v, g: moment(numbers.b2, v, jnp.square(g)), state.nu, grads)
    return jax.tree.map(direction, mu, nu), AdamState(step, mu, nu)


def _descend(rate: jax.Array, direction: Params) -> Params:
    return jax.tree.map(lambda d: -_like(rate, d) * d, direction)


def _root(v: jax.Array) -> jax.Array:
    """The square root, with slope 0 at 0 instead of infinity."""
    positive = v > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, v, 1)), v)


def _decayed(function: str, direction: Params, params: Params, decay: Any, mask: Any) -> Params:
    rule = "update must be given the parameters: update(grads, state, params)"
    checks.require(params is not None, function, rule, "params=None")
    _same_shapes(function, "params", direction, params)
    if callable(mask):
        mask = mask(params)
        _check_mask(function, mask)
    elif mask is None:
        mask = jax.tree.map(lambda p: p.ndim >= 2, params)

    try:
        mask = jax.tree.broadcast(mask, direction)
    except ValueError:
        rule = "mask must have the structure of the parameters or its beginning"
        raise ValueError(f"{function}: {rule}; got {jax.tree.structure(mask)}") from None

    def decayed(chosen, d, p):
        if chosen is False:
            return d
        shape = jnp.shape(chosen)
        rule = f"each bool of mask must have shape () or that of its leaf, {d.shape}"
        checks.require(shape in ((), d.shape), function, rule, shape)
        added = _like(decay, d) * p.astype(d.dtype)
        return d + (added if chosen is True else jnp.where(chosen, added, 0))

    return jax.tree.map(decayed, mask, direction, params)


def _checked_mask(function: str, mask: Any) -> Any:
    if mask is None or callable(mask):
        return mask
    _check_mask(function, mask)
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.bool_(leaf), mask)


def _check_mask(function: str, mask: Any) -> None:
    for leaf in jax.tree.leaves(mask):
        is_bool = isinstance(leaf, bool) or getattr(leaf, "dtype", None) == np.bool_
        rule = "mask must be a function or a pytree of bools"
        checks.require(is_bool, function, rule, repr(leaf), TypeError)


def _global_norm(grads: Params) -> tuple[jax.Array, jax.Array]:
    """The Euclidean norm over all leaves, as a unit and a length in it.

    The unit is about the largest entry, so that no square and no sum overflows.
    """
    leaves = jax.tree.leaves(grads)
    if not leaves:
        return jnp.ones((), np.float32), jnp.zeros((), np.float32)
    wide = functools.reduce(wider, (g.dtype for g in leaves))
    largest = jnp.stack([jnp.max(jnp.abs(g), initial=0).astype(wide) for g in leaves]).max()
    # an eighth of the largest float is the largest whose reciprocal is not flushed to 0
    unit = jnp.minimum(jnp.where(largest > 0, largest, 1), jnp.finfo(wide).max / 8)
    unit = jax.lax.stop_gradient(unit)
    return unit, _root(
        jnp.stack([jnp.sum(jnp.square(g.astype(wide) / unit)) for g in leaves]).sum()
    )


def _check_state(function: str, expected: type, state: Any) -> None:
    rule = f"state must be the {expected.__name__} that init made"
    checks.require(isinstance(state, expected), function, rule, type(state).__name__, TypeError)


def _step_zero() -> jax.Array:
    return jnp.zeros((), np.int32)


def _zeros(params: Params) -> Params:
    return jax.tree.map(lambda p: jnp.zeros(p.shape, at_least_float32(p.dtype)), params)


def _accumulated(function: str, grads: Params, like: Params | None = None) -> Params:
    """The gradients in at least float32, shaped as `like` where there is such a tree."""
    if like is not None:
        _same_shapes(function, "grads", like, grads)
    return jax.tree.map(
        lambda g: jnp.asarray(g).astype(at_least_float32(jnp.asarray(g).dtype)), grads
    )


def _same_shapes(function: str, name: str, expected: Params, given: Params) -> None:
    """Broadcasting would hide a wrong shape; `tree.map` would explain a wrong tree badly."""
    same = jax.tree.structure(expected) == jax.tree.structure(given) and all(
        jnp.shape(a) == jnp.shape(b)
        for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(given), strict=True)
    )
    if not same:
        checks.same_structure(function, name, expected, given)


def _like(value: Any, array: jax.Array) -> jax.Array:
    return jnp.asarray(value).astype(array.dtype)
