"""The network: neurons in layers, layers in a row, and forward propagation through them.

A layer of neurons with weights w (in, out) and biases b (out,) takes x (..., in) to

    z_j = sum_i w_ij x_i + b_j        a_j = sigma(z_j)

and hands its a to the next layer as x. Parameters are a tuple of `Layer`s; the network
itself is a config, so its dropout rate is traced and its structure static.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn import checks
from fnn.activations import ACTIVATIONS, ELEMENTWISE, JOINING, RELU_FAMILY, standardize
from fnn.config import config, number, static
from fnn.initializers import INITIALIZERS, Scaled
from fnn.matmul import along_features, received, received_features_first
from fnn.types import Activation, Initializer, Numbers, Params

__all__ = ["MLP", "Layer", "mlp"]


class Layer(NamedTuple):
    """The parameters of one layer. What the network does without is None."""

    weight: jax.Array
    """w, `(in, out)`."""
    bias: jax.Array | None = None
    """b, `(out,)`."""
    scale: jax.Array | None = None
    """The factor after layer normalisation, `(out,)`."""
    shift: jax.Array | None = None
    """What is added after that factor, `(out,)`."""


@config
class MLP:
    """A multilayer perceptron, made by `mlp`."""

    sizes: tuple[int, ...] = static()
    activations: tuple[Activation, ...] = static()
    """One per layer, the output's last."""
    initializers: tuple[Initializer, ...] = static()
    """One per layer."""
    bias: bool = static()
    norm: str | None = static()
    residual: bool = static()
    dtype: np.dtype | None = static()
    param_dtype: np.dtype | None = static()
    written_out: bool = static()
    """Whether small products are sums in sight, which one run likes. Lanes of small networks
    are faster if they are not: see `fnn.sweeps.lanes_last`."""
    features_first: bool = static()
    """Whether layers hand on `(units, rows)` among themselves. So the products of lanes, whose axis
    lies before both, need no copies: see `fnn.sweeps.program`. One run is faster without."""
    dropout: Numbers | None = number()
    active: Numbers | None = number(rank=1)

    @property
    def output(self) -> Activation:
        """The activation of the last layer."""
        return self.activations[-1]

    def init(self, key: jax.Array) -> tuple[Layer, ...]:
        """The first parameters: random weights, biases 0.

        Args:
          key: A PRNG key.
        Returns:
          A `Layer` per layer, weights `(in, out)` and biases `(out,)` in `param_dtype`.
        Raises:
          TypeError: The key is no key.

        >>> [layer.weight.shape for layer in mlp((2, 3, 1)).init(jax.random.key(0))]
        [(2, 3), (3, 1)]
        """
        key = checks.key("mlp.init", key)
        dtype = jax.dtypes.canonicalize_dtype(self.param_dtype or float)
        layers = []
        weights = self._weights(key, dtype)
        if self.active is not None:
            weights = self._narrowed(weights)
        for index, weight in enumerate(weights):
            out = weight.shape[1]
            normed = self.norm is not None and index < len(self.sizes) - 2
            layers.append(
                Layer(
                    weight=weight,
                    bias=jnp.zeros(out, dtype) if self.bias else None,
                    scale=jnp.ones(out, dtype) if normed else None,
                    shift=jnp.zeros(out, dtype) if normed else None,
                )
            )
        return tuple(layers)

    def apply(self, params: Params, x: Any, *, key: jax.Array | None = None) -> jax.Array:
        """Forward propagation: the outputs of the last layer.

        Args:
          params: As `init` makes them.
          x: `(..., in)`, numbers or bools, computed with in `dtype`.
          key: Turns dropout on, for training. Without it every neuron is there.
        Returns:
          y_hat, `(..., out)`, in `dtype` (that of the parameters, where it is None).
        Raises:
          ValueError: `x` has another number of features, or `params` are those of
            another network (both structures are shown).
          TypeError: The key is no key, or `x` does not hold numbers.

        >>> net = mlp((2, 3, 1))
        >>> net.apply(net.init(jax.random.key(0)), jnp.ones((5, 2))).shape
        (5, 1)
        """
        return self._propagate("mlp.apply", params, x, key)[-1][1]

    def forward(
        self, params: Params, x: Any, *, key: jax.Array | None = None
    ) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """Forward propagation shown: what every neuron receives and what it passes on.

        Args:
          params: As `init` makes them.
          x: `(..., in)`.
          key: Turns dropout on.
        Returns:
          A pair (z, a) per layer, each `(..., out)`: z is what enters the activation
          (normalised, where there is a norm), a what the layer passes on (after dropout,
          and with the layer's input added where it is residual). The last a is what
          `apply` returns.
        Raises:
          ValueError, TypeError: As `apply`.

        >>> net = mlp((2, 3, 1))
        >>> params = net.init(jax.random.key(0))
        >>> [(z.shape, a.shape) for z, a in net.forward(params, jnp.ones(2))]
        [((3,), (3,)), ((1,), (1,))]
        """
        return tuple(self._propagate("mlp.forward", params, x, key))

    def _propagate(self, function: str, params: Params, x: Any, key: jax.Array | None):
        params = self._checked_params(function, params)
        dtype = self.dtype or params[0].weight.dtype
        a = self._checked_x(function, x).astype(dtype)
        if key is not None:
            key = checks.key(function, key)
        states = []
        last = len(params) - 1
        active = None if self.active is None else self._active_units()
        turn, receive = (lambda a: a), functools.partial(received, written_out=self.written_out)
        if self.features_first and a.ndim == 2:
            turn, receive = jnp.transpose, received_features_first
        a = turn(a)
        for index, (layer, sigma) in enumerate(zip(params, self.activations, strict=True)):
            before, units = a, None
            if active is not None:
                units = jnp.expand_dims(active[index + 1], range(a.ndim - 1))
            z = receive(a, layer.weight.astype(dtype), layer.bias)
            if layer.scale is not None:
                z = along_features(jnp.multiply, standardize(turn(z), units), layer.scale)
                z = turn(along_features(jnp.add, z, layer.shift))
            a = sigma(z) if sigma in ELEMENTWISE else turn(_activated(function, sigma, turn(z)))
            if self.dropout is not None and key is not None and index < last:
                a = turn(_dropped(jax.random.fold_in(key, index), turn(a), self.dropout))
            if self.residual and 0 < index < last and before.shape == a.shape:
                a = a + self._skipped(index, before)
            if units is not None:
                z, a = (turn(jnp.where(units, turn(part), 0)) for part in (z, a))
            states.append((turn(z), turn(a)))
        return states

    def _widths(self) -> tuple[Any, ...]:
        """Neurons per layer that are there: numbers, traced for hidden layers with `active`."""
        if self.active is None:
            return self.sizes
        active = jnp.asarray(self.active).astype(np.int32)
        rule = "active must be that of one network here (jax.vmap gives each lane its own)"
        checks.require(active.ndim == 1, "mlp", rule, f"shape {active.shape}")
        return (self.sizes[0], *active, self.sizes[-1])

    def _active_units(self) -> list[jax.Array]:
        """Which neurons of each layer are there, bools `(size,)`."""
        widths = zip(self.sizes, self._widths(), strict=True)
        return [jnp.arange(size, dtype=np.int32) < width for size, width in widths]

    def _skipped(self, index: int, before: jax.Array) -> jax.Array:
        """What a residual layer adds: its input, but for layers of unequal active width."""
        if self.active is None:
            return before
        widths = self._widths()
        return jnp.where(widths[index] == widths[index + 1], before, 0)

    def _weights(self, key: jax.Array, dtype: np.dtype) -> list[jax.Array]:
        """The weight matrices; one draw serves all layers where it can: it compiles faster."""
        shapes = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        scaled = [i for i in self.initializers if isinstance(i, Scaled)]
        if len(scaled) < len(shapes) or len({i.draw for i in scaled}) > 1:
            keys = [jax.random.fold_in(key, index) for index in range(len(shapes))]
            weights = [
                jnp.asarray(make(key, shape, dtype), dtype)
                for make, key, shape in zip(self.initializers, keys, shapes, strict=True)
            ]
            for weight, shape in zip(weights, shapes, strict=True):
                rule = f"the initializer must return the shape it is given, {shape}"
                checks.require(weight.shape == shape, "mlp.init", rule, weight.shape)
            return weights
        sizes = [math.prod(shape) for shape in shapes]
        entries = scaled[0].draw(key, (sum(sizes),), dtype)
        pieces = jnp.split(entries, np.cumsum(sizes)[:-1])
        # laid out as (out, in), which is how training carries them
        return [
            piece.reshape(shape[::-1]).T * np.asarray(make.deviation(shape), dtype)
            for make, piece, shape in zip(scaled, pieces, shapes, strict=True)
        ]

    def _narrowed(self, weights: list[jax.Array]) -> list[jax.Array]:
        """The weights between active neurons, scaled to so many.

        Those of the others are 0, so that no penalty and no norm of gradients counts them.
        """
        widths, units = self._widths(), self._active_units()
        narrowed = []
        for index, (make, weight) in enumerate(zip(self.initializers, weights, strict=True)):
            if isinstance(make, Scaled):
                fans = [jnp.asarray(fan).astype(weight.dtype) for fan in widths[index : index + 2]]
                weight = weight * jnp.sqrt(make.variance(*fans) / make.variance(*weight.shape))
            there = units[index][:, None] & units[index + 1][None]
            narrowed.append(jnp.where(there, weight, 0))
        return narrowed

    def _checked_params(self, function: str, params: Params) -> Params:
        params = checks.floats(function, "params", params)
        if isinstance(params, tuple) and len(params) == len(self.sizes) - 1:
            given = [
                isinstance(layer, Layer) and [getattr(a, "shape", None) for a in layer]
                for layer in params
            ]
            if given == [self._layer_shapes(index) for index in range(len(params))]:
                return params
        expected = jax.eval_shape(self.init, jax.random.key(0))
        checks.same_structure(function, f"params of an mlp of {self.sizes}", expected, params)
        return params

    def _layer_shapes(self, index: int) -> list[tuple[int, ...] | None]:
        """The shapes of a layer's weight, bias, scale and shift."""
        out = self.sizes[index + 1]
        normed = (out,) if self.norm is not None and index < len(self.sizes) - 2 else None
        return [(self.sizes[index], out), (out,) if self.bias else None, normed, normed]

    def _checked_x(self, function: str, x: Any) -> jax.Array:
        check = checks.numbers if isinstance(x, jax.Array) else checks.array
        x = jnp.asarray(check(function, "x", x))
        features = self.sizes[0]
        rule = f"x must have shape (..., {features})"
        fits = x.ndim >= 1 and x.shape[-1] == features
        checks.require(fits, function, rule, x.shape)
        return x


def mlp(
    sizes: Sequence[int],
    *,
    activation: str | Activation | Sequence[str | Activation] = "relu",
    output: str | Activation = "identity",
    bias: bool = True,
    initializer: str | Initializer | None = None,
    dropout: Numbers | None = None,
    norm: str | None = None,
    residual: bool = False,
    dtype: Any = None,
    param_dtype: Any = None,
    active: Any = None,
) -> MLP:
    """A multilayer perceptron: fully connected layers in a row.

    Each hidden layer is z = W x + b, normalised if asked, a = sigma(z), then dropout.

    Args:
      sizes: Neurons per layer, the input's features first, the outputs last; at least
        two. Static, as is all else but `dropout` and `active`.
      activation: Of the hidden layers: a name (`relu`, `tanh`, `sigmoid`, ... as in
        `fnn.activations` and `jax.nn`) or a function; or one per hidden layer.
      output: The activation of the last layer: "identity" for regression and for losses
        on logits, "softmax" or "sigmoid" for losses on probabilities.
      bias: Whether neurons have a bias.
      initializer: Of the weights: a name (`he_uniform`, `he_normal`, `glorot_uniform`,
        `glorot_normal`, `lecun_uniform`, `lecun_normal`, `orthogonal`, `zeros`) or a
        function `(key, shape, dtype)`. None: He's uniform before activations of the ReLU
        family, Glorot's uniform before others.
      dropout: The probability, in [0, 1), with which a hidden neuron is left out while
        training; those that stay are scaled by 1 / (1 - dropout). Traced; None does
        without.
      norm: "layer" normalises each z of the hidden layers over its neurons to mean 0 and
        variance 1, then scales and shifts it by learnt numbers. None does without.
      residual: Adds a hidden layer's input to its a, where the widths are equal (the
        layers from the features and to the outputs excepted).
      dtype: Of the computation. None: the parameters' own.
      param_dtype: Of the parameters. None: float32 (float64 under x64).
      active: How many neurons of each hidden layer are there, `(hidden,)`, from 1 to its
        size: the first ones. The network is then what one of that width is, first weights
        scaled to it included (a function of one's own as the initializer sees the full
        size), so widths are swept like any number; the others cost time but do nothing.
        Their weights are and stay 0. Traced; None: all.
    Returns:
      A config with pure functions `init(key)`, `apply(params, x)`, `forward(params, x)`.
    Raises:
      ValueError, TypeError: An argument is not as said here.
    Source: Srivastava et al. 2014, JMLR 15 (dropout); Ba et al. 2016, arXiv:1607.06450
      (layer normalisation); He et al. 2016, arXiv:1512.03385 (residual connections).

    >>> net = mlp((64, 128, 10), activation="tanh", dropout=0.1)
    >>> params = net.init(jax.random.key(0))
    >>> net.apply(params, jnp.zeros((32, 64)), key=jax.random.key(1)).shape
    (32, 10)
    """
    name = "mlp"
    sizes = _checked_sizes(sizes)
    hidden = len(sizes) - 2
    one = isinstance(activation, str) or not isinstance(activation, Sequence)
    given: Any = [activation] if one else activation
    chosen = [checks.choice(name, "activation", sigma, ACTIVATIONS) for sigma in given]
    rule = f"activation must be one, or one per hidden layer ({hidden})"
    checks.require(one or len(chosen) == hidden, name, rule, len(chosen))
    last = checks.choice(name, "output", output, ACTIVATIONS)
    sigmas = (*(chosen * hidden if one else chosen), last)
    if initializer is None:
        initializers = tuple(
            INITIALIZERS["he_uniform" if sigma in RELU_FAMILY else "glorot_uniform"]
            for sigma in sigmas
        )
    else:
        make = checks.choice(name, "initializer", initializer, INITIALIZERS)
        initializers = (make,) * len(sigmas)
    checks.word(name, "norm", norm, None, "layer")
    if dropout is not None:
        dropout = checks.real(name, "dropout", dropout, at_least=0, below=1)
    if active is not None:
        active = _checked_active(active, sizes, sigmas)
    return MLP(
        sizes=sizes,
        activations=sigmas,
        initializers=initializers,
        bias=checks.flag(name, "bias", bias),
        norm=norm,
        residual=checks.flag(name, "residual", residual),
        dtype=checks.floating_dtype(name, "dtype", dtype),
        param_dtype=checks.floating_dtype(name, "param_dtype", param_dtype),
        written_out=True,
        features_first=False,
        dropout=dropout,
        active=active,
    )


def _checked_sizes(sizes: Any) -> tuple[int, ...]:
    rule = "sizes must be neurons per layer, inputs first, at least two layers"
    is_sequence = isinstance(sizes, (Sequence, np.ndarray)) and not isinstance(sizes, (str, bytes))
    checks.require(is_sequence, "mlp", rule, repr(sizes), TypeError)
    checks.require(len(sizes) >= 2, "mlp", rule, repr(sizes))
    return tuple(checks.count("mlp", "each of sizes", size, at_most=checks.INT32) for size in sizes)


def _checked_active(active: Any, sizes: tuple[int, ...], sigmas: tuple[Activation, ...]) -> Any:
    active = checks.integer("mlp", "active", active, rank=1, at_least=1)
    hidden = sizes[1:-1]
    rule = f"active must have one number per hidden layer ({len(hidden)})"
    checks.require(active.shape[-1] == len(hidden), "mlp", rule, f"shape {active.shape}")
    known = checks.concrete(active)
    if known is not None:
        rule = f"active must be at most the sizes of the hidden layers, {hidden}"
        checks.require((known <= np.asarray(hidden, int)).all(), "mlp", rule, known.tolist())
    rule = "with active, no hidden activation may join the neurons of a layer"
    joining = [sigma.__name__ for sigma in sigmas[:-1] if sigma in JOINING]
    checks.require(not joining, "mlp", rule, ", ".join(joining))
    return active


def _activated(function: str, sigma: Activation, z: jax.Array) -> jax.Array:
    """The a of an activation that may be anybody's."""
    a = sigma(z)
    rule = f"an activation must return an array of the shape it is given, {z.shape}"
    got = getattr(a, "shape", type(a).__name__)
    checks.require(got == z.shape, function, rule, got)
    return a


def _dropped(key: jax.Array, a: jax.Array, rate: Any) -> jax.Array:
    """The a (..., units), each entry 0 with probability `rate`, the others scaled up."""
    rate = jnp.asarray(rate).astype(np.float32)
    rule = "dropout must be one number here (jax.vmap over the network gives each lane its own)"
    checks.require(rate.ndim == 0, "mlp.apply", rule, f"shape {rate.shape}")
    # Drawn with the units first, so that a narrower layer draws the beginning of a wider one's.
    shape = (a.shape[-1], *a.shape[:-1])
    kept = jnp.moveaxis(jax.random.uniform(key, shape, np.float32) >= rate, 0, -1)
    return jnp.where(kept, a / (1 - rate).astype(a.dtype), 0)
