"""The multilayer perceptron: layers of neurons, and forward propagation through them.

A layer of neurons with weights w (in, out) and biases b (out,) takes x (..., in) to

    z_j = sum_i w_ij x_i + b_j        a_j = sigma(z_j)

and passes its a to the next layer as x. Parameters are a tuple of `Layer`s. The network
itself is a config: its dropout rate is traced, its structure is static.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.config import config, makes, number, static
from fnn._core.display import text_of
from fnn._core.table import Table
from fnn.activations import ACTIVATIONS
from fnn.initializers import INITIALIZERS
from fnn.networks.arguments import (
    checked_activations,
    checked_active,
    checked_initializers,
    checked_outputs,
    checked_sizes,
)
from fnn.networks.deep import Stack, is_stacked, runs_of, stacked, unstacked
from fnn.networks.dense import UNROLLED, Products
from fnn.networks.embeddings import (
    Embedding,
    check_codes,
    checked_embeddings,
    embedded,
    first_tables,
    width_of_inputs,
)
from fnn.networks.propagation import States, propagated
from fnn.networks.summary import table_of_layers
from fnn.networks.units import Scaling, raw_outputs
from fnn.networks.weights import between_active, default_initializers, first_weights
from fnn.scalers import Scaler, for_features, scaled
from fnn.types import Activation, Initializer, Numbers, Params

__all__ = ["MLP", "Layer", "mlp"]


class Layer(NamedTuple):
    """The parameters of one layer. Those that the network does not have are None."""

    weight: jax.Array
    """w, `(in, out)`."""
    bias: jax.Array | None = None
    """b, `(out,)`."""
    scale: jax.Array | None = None
    """The factor after layer normalisation, `(out,)`."""
    shift: jax.Array | None = None
    """The summand after that factor, `(out,)`."""
    tables: tuple[jax.Array, ...] | None = None
    """Of the first layer, the embeddings `(categories, width)`, in the order of their columns."""


@config
class MLP(Scaling):
    """A multilayer perceptron, made by `mlp`."""

    sizes: tuple[int, ...] = static()
    activations: tuple[Activation, ...] = static()
    """One per layer, the output's last."""
    initializers: tuple[Initializer, ...] = static()
    """One per layer."""
    bias: bool = static()
    embeddings: tuple[Embedding, ...] = static()
    norm: str | None = static()
    residual: bool = static()
    remat: bool = static()
    dtype: np.dtype | None = static()
    param_dtype: np.dtype | None = static()
    dropout: Numbers | None = number()
    active: Numbers | None = number(rank=1)
    inputs: Scaler | None = number()
    outputs: Scaler | None = number()

    def _arguments(self) -> dict[str, Any]:
        """Those of `mlp` that are no fields, for the `repr`."""
        *hidden, output = [_name_in(ACTIVATIONS, sigma) for sigma in self.activations]
        one = not hidden or all(name == hidden[0] for name in hidden)
        first = _name_in(INITIALIZERS, self.initializers[0])
        of_activations = self.initializers == default_initializers(self.activations)
        return {
            "activation": [*hidden, "relu"][0] if one else hidden,
            "output": output,
            "initializer": None if of_activations else first,
            "embeddings": {one.column: tuple(one[1:]) for one in self.embeddings} or None,
        }

    @property
    def output(self) -> Activation:
        """The activation of the last layer."""
        return self.activations[-1]

    def init(self, key: jax.Array) -> tuple[Layer, ...]:
        """The first parameters: random weights, and biases of 0.

        Args:
          key: A PRNG key.
        Returns:
          A `Layer` per layer, weights `(in, out)` and biases `(out,)` in `param_dtype`.
        Raises:
          TypeError: `key` is not a PRNG key.

        >>> [layer.weight.shape for layer in mlp((2, 3, 1)).init(jax.random.key(0))]
        [(2, 3), (3, 1)]
        """
        return unstacked(self._stacked_init(key))

    def _stacked_init(self, key: jax.Array) -> tuple:
        """The parameters of `init`, those of each run of many layers stacked."""
        key = checks.key("mlp.init", key)
        dtype = jax.dtypes.canonicalize_dtype(self.param_dtype or float)
        alone = self.active is not None  # whose weights are scaled layer by layer
        runs = runs_of(range(len(self.activations))) if alone else self._runs
        weights = first_weights(self._sizes, self.initializers, runs, key, dtype)
        if alone:
            widths, units = self._widths(), self._active_units()
            weights = between_active(weights, self.initializers, widths, units)
        params = []
        for run, weight in zip(runs, weights, strict=True):
            shape = *weight.shape[:-2], weight.shape[-1]
            normed = self.norm is not None and run.start < len(self.sizes) - 2
            layer = Layer(
                weight=weight,
                bias=jnp.zeros(shape, dtype) if self.bias else None,
                scale=jnp.ones(shape, dtype) if normed else None,
                shift=jnp.zeros(shape, dtype) if normed else None,
                tables=first_tables(self.embeddings, key, dtype) if run.start == 0 else None,
            )
            params.append(layer if len(run) == 1 else Stack(layer))
        return stacked(self._runs, params) if alone else tuple(params)

    def apply(self, params: Params, x: Any, *, key: jax.Array | None = None) -> jax.Array:
        """Forward propagation: the outputs of the last layer.

        Args:
          params: As `init` makes them.
          x: `(..., in)`, numbers or bools, computed with in `dtype`; where there are `inputs`,
            in raw units, of which NumPy's float64 and int64 are scaled in float64 first.
          key: Turns dropout on, for training. Without it no neuron is dropped.
        Returns:
          y_hat, `(..., out)`, in `dtype` (that of the parameters, where it is None); where there
            are `outputs`, in raw units, and at least float32.
        Raises:
          ValueError: `x` has another number of features, or `params` are those of
            another network (both structures are shown).
          TypeError: `key` is not a PRNG key, or `x` does not hold numbers.

        >>> net = mlp((2, 3, 1))
        >>> net.apply(net.init(jax.random.key(0)), jnp.ones((5, 2))).shape
        (5, 1)
        """
        return raw_outputs(self, self._scaled_outputs(params, x, key=key))

    def forward(
        self, params: Params, x: Any, *, key: jax.Array | None = None
    ) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """Forward propagation with the z and the a of every layer.

        Args:
          params: As `init` makes them.
          x: `(..., in)`.
          key: Turns dropout on.
        Returns:
          A pair (z, a) per layer, each `(..., out)`: z enters the activation (normalised, if
          there is a norm), a is passed on (after dropout, and with the layer's input added
          if the layer is residual). The last a is the result of `apply`, in scaled units where
          there are `outputs`.
        Raises:
          ValueError, TypeError: As `apply`.

        >>> net = mlp((2, 3, 1))
        >>> params = net.init(jax.random.key(0))
        >>> [(z.shape, a.shape) for z, a in net.forward(params, jnp.ones(2))]
        [((3,), (3,)), ((1,), (1,))]
        """
        return tuple(self._propagate("mlp.forward", params, x, key, every=True)[1])

    def summary(self) -> Table:
        """The layers in numbers.

        Returns:
          A row per layer: `layer`, as in `params[layer]`; the shape `(in, out)` of its `weight`;
          `activation`; `parameters` and their `bytes`; `multiplications` of its matrix product,
          for one row of data. `note` has the totals. Neurons that are not `active` count.

        >>> print(mlp((64, 128, 10)).summary())
        layer     weight  activation  parameters  bytes  multiplications
            0  (64, 128)        relu        8320  33280             8192
            1  (128, 10)    identity        1290   5160             1280
        9,610 parameters in 38,440 bytes, 9,472 multiplications per row
        """
        dtype = np.dtype(jax.dtypes.canonicalize_dtype(self.param_dtype or float))
        shapes = [self._layer_shapes(index) for index in range(len(self.activations))]
        names = [text_of(_name_in(ACTIVATIONS, sigma)).strip('"') for sigma in self.activations]
        table = table_of_layers(self._sizes, shapes, names, dtype)
        for what, scaler in (("inputs", self.inputs), ("outputs", self.outputs)):
            if scaler is not None:
                table.note += f"; {what} are scaled by a {type(scaler).__name__}"
        return table

    def _scaled_outputs(
        self,
        params: Params,
        x: Any,
        *,
        key: jax.Array | None = None,
        form: Products = UNROLLED,
    ) -> jax.Array:
        """The last a, by products of that form."""
        return self._propagate("mlp.apply", params, x, key, form=form)[0]

    def _propagate(
        self,
        function: str,
        params: Params,
        x: Any,
        key: jax.Array | None,
        *,
        every: bool = False,
        form: Products = UNROLLED,
    ) -> tuple[jax.Array, States]:
        """The last a `(..., out)`; and z and a of `every` layer, by products of that form.

        The parameters are those of `init`, or `stacked` by the network's runs.
        """
        if not is_stacked(params):
            params = stacked(self._runs, self._checked_params(function, params))
        dtype = self.dtype or params[0].weight.dtype
        a = self._first_inputs(function, params[0].tables, x, dtype)
        if key is not None:
            key = checks.key(function, key)
        return propagated(self, function, params, a, key, every=every, form=form)

    @property
    def _runs(self) -> tuple[range, ...]:
        """The layers, by number: many hidden ones of one kind in one run, others each alone.

        >>> mlp((2, *[4] * 40, 1))._runs
        (range(0, 1), range(1, 40), range(40, 41))
        """
        sigmas, last = self.activations, len(self.activations) - 1
        kinds = [
            (self.sizes[index : index + 2], sigmas[index]) if 0 < index < last else index
            for index in range(len(sigmas))
        ]
        return runs_of(kinds, remat=self.remat)

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Neurons per layer, the columns first that enter the first layer."""
        return (width_of_inputs(self.sizes[0], self.embeddings), *self.sizes[1:])

    def _widths(self) -> Any:
        """Active neurons per layer, the input's features first; traced if there is `active`."""
        if self.active is None:
            return self._sizes
        active = jnp.asarray(self.active).astype(np.int32)
        rule = "active must be that of one network here (jax.vmap gives each lane its own)"
        checks.require(active.ndim == 1, "mlp", rule, f"shape {active.shape}")
        first, last = (np.array([size], np.int32) for size in (self._sizes[0], self._sizes[-1]))
        return jnp.concatenate([first, active, last])

    def _active_units(self) -> list[jax.Array]:
        """Which neurons of each layer are active, bools `(size,)`."""
        widths = zip(self._sizes, self._widths(), strict=True)
        return [jnp.arange(size, dtype=np.int32) < width for size, width in widths]

    def _checked_params(self, function: str, params: Params) -> Params:
        params = checks.floats(function, "params", params)
        if isinstance(params, tuple) and len(params) == len(self.sizes) - 1:
            given = [
                isinstance(layer, Layer)
                and [getattr(a, "shape", None) for a in (*layer[:4], *(layer.tables or ()))]
                for layer in params
            ]
            if given == [self._layer_shapes(index) for index in range(len(params))]:
                return params
        expected = jax.eval_shape(self.init, jax.random.key(0))
        checks.same_structure(function, f"params of an mlp of {self.sizes}", expected, params)
        return params

    def _layer_shapes(self, index: int) -> list[tuple[int, ...] | None]:
        """The shapes of a layer's weight, bias, scale, shift and tables."""
        out = self.sizes[index + 1]
        normed = (out,) if self.norm is not None and index < len(self.sizes) - 2 else None
        tables = [one[1:] for one in self.embeddings] if index == 0 else []
        return [(self._sizes[index], out), (out,) if self.bias else None, normed, normed, *tables]

    def _first_inputs(self, function: str, tables: Any, x: Any, dtype: Any) -> jax.Array:
        """What enters the first layer: x, scaled and embedded."""
        # with a scaler, numbers of 64 bits on the host are not rounded before they are scaled
        check = checks.numbers if self.inputs is None else checks.real_numbers
        x = check(function, "x", x)
        if not isinstance(x, jax.Array):
            checks.finite(function, "x", x)
        features = self.sizes[0]
        rule = f"x must have shape (..., {features})"
        fits = x.ndim >= 1 and x.shape[-1] == features
        checks.require(fits, function, rule, x.shape)
        check_codes(self.embeddings, x)
        a = (jnp.asarray(x) if self.inputs is None else scaled(self.inputs, x)).astype(dtype)
        return embedded(self.embeddings, tables, jnp.asarray(x), a) if self.embeddings else a


@makes(MLP)
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
    remat: bool = False,
    dtype: Any = None,
    param_dtype: Any = None,
    active: Any = None,
    inputs: Any = None,
    outputs: Any = None,
    embeddings: Mapping[int, tuple[int, int]] | None = None,
) -> MLP:
    """A multilayer perceptron: fully connected layers, one after the other.

    Each hidden layer computes z = W x + b, normalises z if there is a norm, then a = sigma(z),
    then dropout.

    Args:
      sizes: Neurons per layer, the input's features first, the outputs last; at least
        two. Static, as are all options except `dropout`, `active` and the numbers of scalers.
      activation: Of the hidden layers: a name (`relu`, `tanh`, `sigmoid`, ... as in
        `fnn.activations` and `jax.nn`) or a function; or one per hidden layer.
      output: The activation of the last layer: "identity" for regression and for losses
        on logits, "softmax" or "sigmoid" for losses on probabilities.
      bias: Whether neurons have a bias.
      initializer: Of the weights: a name (`he_uniform`, `he_normal`, `glorot_uniform`,
        `glorot_normal`, `lecun_uniform`, `lecun_normal`, `orthogonal`, `zeros`) or a
        function `(key, shape, dtype)`. None: He's uniform before activations of the ReLU
        family, Glorot's uniform before others.
      dropout: The probability, in [0, 1), with which a hidden neuron is dropped in
        training; the a of the others are scaled by 1 / (1 - dropout). Traced; None: no
        dropout.
      norm: "layer" normalises the z of each hidden layer over its neurons to mean 0 and
        variance 1, then scales and shifts them by learnt numbers. None: no norm.
      residual: Whether a hidden layer's input is added to its a: where both have one width, and
        never in the first and the last layer.
      remat: Whether gradients compute each hidden layer again instead of keeping what it computed
        (gradient checkpointing): the same numbers for less memory and about a third more time.
        Of four or more layers of one shape in a row, only what enters each of about sqrt(layers)
        blocks is kept. Other layers keep what enters them, but on a CPU everything.
      dtype: Of the computation. None: that of the parameters.
      param_dtype: Of the parameters. None: float32 (float64 under x64).
      active: How many neurons of each hidden layer are active, `(hidden,)`, from 1 to its
        size: the first ones. The network equals one of these widths, and its first weights
        are scaled to them (but an initializer that is a function sees the full size). So
        widths can be swept like any number. The other neurons cost time and do nothing;
        their weights are 0 and stay 0. Traced; None: all.
      inputs: A scaler of `in` features, such as `standard_scaler(x)`: the first step, so that the
        network takes x in raw units. Its numbers are traced and are not trained. `fit` and its
        like subtract a constant from x and from the scaler, in float64 on the host, where
        rounding to float32 would change x. None: x is taken as it is.
      outputs: For regression, a scaler of `out` targets, such as `standard_scaler(y)`: `apply`
        returns raw units, by its `inverse`. Losses are of scaled ones, so of the last layer's
        outputs and of scaled targets, wherever one is measured ("validation_loss", a loss as a
        metric); metrics see raw units. Targets are given raw everywhere, and where float32 would
        lose digits of their spread, `fit` and its like subtract a constant as from x. Traced as
        `inputs`; None: outputs are those of the last layer.
      embeddings: Of columns that hold codes of categories, `{column: (categories, width)}`: code
        c, from 0 to categories - 1, becomes row c of a table `(categories, width)` of parameters,
        standard normal at first. These vectors follow the other columns; a scaler of `inputs`
        is fitted to all columns, but leaves codes alone. Other codes are refused in NumPy's
        arrays; in JAX's they give NaN. None: no column holds codes.
    Returns:
      A config with pure functions `init(key)`, `apply(params, x)`, `forward(params, x)`.
    Raises:
      ValueError, TypeError: An argument is not as described here.
    Source: Srivastava et al. 2014, JMLR 15 (dropout); Ba et al. 2016, arXiv:1607.06450
      (layer normalisation); He et al. 2016, arXiv:1512.03385 (residual connections); Chen et al.
      2016, arXiv:1604.06174 (gradient checkpointing).

    >>> net = mlp((64, 128, 10), activation="tanh", dropout=0.1)
    >>> params = net.init(jax.random.key(0))
    >>> net.apply(params, jnp.zeros((32, 64)), key=jax.random.key(1)).shape
    (32, 10)
    """
    name = "mlp"
    sizes = checked_sizes(sizes)
    sigmas = checked_activations(activation, output, len(sizes) - 2)
    initializers = checked_initializers(initializer, sigmas)
    checks.word(name, "norm", norm, None, "layer")
    if dropout is not None:
        dropout = checks.real(name, "dropout", dropout, at_least=0, below=1)
    if active is not None:
        active = checked_active(active, sizes, sigmas)
    return MLP(
        sizes=sizes,
        activations=sigmas,
        initializers=initializers,
        bias=checks.flag(name, "bias", bias),
        norm=norm,
        residual=checks.flag(name, "residual", residual),
        remat=checks.flag(name, "remat", remat),
        dtype=checks.floating_dtype(name, "dtype", dtype),
        param_dtype=checks.floating_dtype(name, "param_dtype", param_dtype),
        dropout=dropout,
        active=active,
        inputs=for_features(name, "inputs", inputs, sizes[0]),
        outputs=checked_outputs(outputs, sizes[-1], sigmas[-1]),
        embeddings=checked_embeddings(embeddings, sizes[0]),
    )


def _name_in(named: Mapping[str, Any], value: Any) -> Any:
    """The name of a value, or the value itself if it has none."""
    return next((name for name, known in named.items() if known == value), value)
