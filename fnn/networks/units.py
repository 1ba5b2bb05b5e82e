"""The units of a network's inputs and outputs, where it has scalers of them.

`apply` takes and returns raw units. Losses are of scaled ones: of the last layer's outputs, as they
are, and of scaled targets.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn._core import checks
from fnn._core.dtypes import at_least_float32
from fnn.networks.embeddings import check_codes
from fnn.networks.model import outputs_of
from fnn.scalers import Scaler, scaled, unscaled
from fnn.types import Loss, Network, Params


class Scaling:
    """A network with scalers of its own, or None, of inputs and outputs, and with `forward`."""

    inputs: Any
    outputs: Any
    embeddings: Any
    """Of columns of x, which hold codes."""


def scaled_outputs_of(
    net: Network, params: Params, x: Any, key: jax.Array | None = None
) -> jax.Array:
    """The outputs in the units of losses: those of `net.apply`, but for a scaler's `inverse`."""
    if _output_scaler(net) is None:
        return outputs_of(net, params, x, key)
    scaling: Any = net
    return scaling._scaled_outputs(params, x, key=key)


def raw_outputs(net: Network, outputs: jax.Array) -> jax.Array:
    """The outputs of `net.apply`, from those of `scaled_outputs_of`."""
    scaler = _output_scaler(net)
    if scaler is None:
        return outputs
    return unscaled(scaler, outputs).astype(at_least_float32(outputs.dtype))


def losses_of(net: Network, loss: Loss, outputs: jax.Array, y: Any) -> jax.Array:
    """The loss per example, of outputs from `scaled_outputs_of` and of raw targets."""
    scaler = _output_scaler(net)
    if scaler is None:
        return loss(outputs, y)
    # targets (rows,) are understood where there is one output
    column = scaler.shape == (1,) and y.ndim == outputs.ndim - 1
    rule = f"targets must have shape {outputs.shape}, as the network scales them"
    fits = column or y.shape[-1:] == scaler.shape
    checks.require(fits, "mlp", rule, y.shape)
    scaled_y = scaled(scaler, y[..., None] if column else y)
    return loss(outputs, scaled_y[..., 0] if column else scaled_y)


def _output_scaler(net: Network) -> Scaler | None:
    return net.outputs if isinstance(net, Scaling) else None


def centred(net: Network, *given: Any) -> tuple[Any, tuple[Any, ...], np.ndarray | None]:
    """A network that scales its inputs, and data for it, both shifted towards zero.

    Far from zero float32 has too few digits. So where x is on the host in 64 bits and float32 would
    change it, x - c is formed in float64, and the scaler is made that of x - c. Codes of embeddings
    are checked, and not shifted.

    Args:
      net: Any network; one with a scaler per lane is shifted by a number of the first lane's.
      *given: Data as users give them, `(x, y)` or `(x, y, weights)`. Anything else stays as it is.
    Returns:
      The network, the data, and c, `(features,)`; all as they were and None where nothing is to be
      shifted, or something is traced.
    """
    unchanged = net, given, None
    if not isinstance(net, Scaling):
        return unchanged
    scaling: Any = net
    scaler = scaling.inputs
    places = [index for index, data in enumerate(given) if is_pair(data)]
    for index in places:
        x = _array(given[index][0])
        check_codes(scaling.embeddings, x if isinstance(x, jax.Array) else _numbers(x))
    if scaler is None or not any(_loses_digits(given[i][0]) for i in places):
        return unchanged
    by = scaler.centre
    if by is None or any(isinstance(_array(given[index][0]), Tracer) for index in places):
        return unchanged
    by[[embedding.column for embedding in scaling.embeddings]] = 0  # codes stay as they are
    shifted = list(given)
    for index in places:
        x, *rest = given[index]
        is_marked = dataclasses.is_dataclass(x)
        shift = functools.partial(_shifted, by=by)
        shifted[index] = (jax.tree.map(shift, x) if is_marked else shift(x), *rest)
    return dataclasses.replace(net, inputs=scaler.shifted(by)), tuple(shifted), by  # pyright: ignore[reportArgumentType]


def centring(net: Network, *dtypes: Any) -> tuple[Any, Callable[[Any], Any] | None]:
    """A network that scales its inputs, and what is done to x before: `centred` for blocks of x.

    Args:
      net: Any network of one lane.
      *dtypes: Of all x that it is to get.
    Returns:
      The network, and a function of x; None where nothing is done to it. All x of 64 bits or none
      are shifted, as what the blocks to come will hold is not known.
    """
    scaling: Any = net
    if not isinstance(net, Scaling) or (scaling.inputs is None and not scaling.embeddings):
        return net, None
    scaler, embeddings = scaling.inputs, scaling.embeddings
    by = None
    if any(jax.dtypes.canonicalize_dtype(dtype) != dtype for dtype in dtypes):
        by = None if scaler is None else scaler.centre
    if scaler is not None and by is not None:
        by[[embedding.column for embedding in embeddings]] = 0
        net = dataclasses.replace(net, inputs=scaler.shifted(by))  # pyright: ignore[reportArgumentType]

    def change(x: Any) -> Any:
        check_codes(embeddings, _numbers(x))
        return x if by is None else _shifted(x, by)

    return net, change


def is_pair(data: Any) -> bool:
    """Whether data may be `(x, y)` or `(x, y, weights)`."""
    return isinstance(data, (tuple, list)) and len(data) in (2, 3)


def _array(x: Any) -> Any:
    """x, or the array that `lanes` marks."""
    return jax.tree.leaves(x)[0] if dataclasses.is_dataclass(x) else x


def _loses_digits(x: Any) -> bool:
    """Whether x is on the host and changes where JAX rounds it."""
    x = _array(x)
    wide = None if isinstance(x, jax.Array) else _numbers(x)
    if wide is None or wide.dtype.itemsize < 8:
        return False
    with np.errstate(over="ignore"):
        return bool((wide.astype(jax.dtypes.canonicalize_dtype(float)) != wide).any())


def _numbers(x: Any) -> np.ndarray | None:
    """The numbers on the host; None where there are none, which is refused elsewhere."""
    try:
        array = np.asarray(checks.rectangular("x", "x", x))
    except (ValueError, TypeError):
        return None
    numeric = array.dtype.kind in "biuf" or jnp.issubdtype(array.dtype, np.floating)
    return array if numeric else None


def _shifted(x: Any, by: np.ndarray) -> Any:
    """X - by, rounded after."""
    array = _numbers(x)
    if array is None or array.shape[-1:] != by.shape:
        return x
    with np.errstate(over="ignore"):
        return (array.astype(np.float64) - by).astype(jax.dtypes.canonicalize_dtype(float))
