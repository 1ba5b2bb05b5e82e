"""The units of a network's inputs and outputs, where it has scalers of them.

`apply` takes and returns raw units. Losses are of scaled ones: of the last layer's outputs, as they
are, and of scaled targets. Where raw units are far from zero, a network and its data are shifted
towards it before training and measuring, see `centred`.
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
from fnn._core.config import config, number
from fnn._core.dtypes import at_least_float32
from fnn.networks.embeddings import check_codes
from fnn.networks.model import outputs_of
from fnn.scalers import Scaler, scaled, unscaled
from fnn.types import Loss, Network, Numbers, Params


class Scaling:
    """A network with scalers of its own, or None, of inputs and outputs, and with `forward`."""

    inputs: Any
    outputs: Any
    embeddings: Any
    """Of columns of x, which hold codes."""


@config
class Shifted:
    """The scaler of y - origin, in a network whose targets are shifted by `centred`."""

    scaler: Scaler = number()
    origin: Numbers = number(rank=1)


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
    return _with_origin(net, near_outputs(net, outputs))


def near_outputs(net: Network, outputs: jax.Array) -> jax.Array:
    """`raw_outputs` less the origin, as the targets of a network that `centred` has shifted."""
    scaler = _output_scaler(net)
    if scaler is None:
        return outputs
    return unscaled(scaler, outputs).astype(at_least_float32(outputs.dtype))


def raw_targets(net: Network, y: Any) -> Any:
    """The targets as they were before `centred`, but for rounding."""
    return y if origin_of(net) is None else _with_origin(net, jnp.asarray(y))


def origin_of(net: Network) -> Any:
    """What was subtracted from targets, `(out,)`; None: nothing."""
    own = net.outputs if isinstance(net, Scaling) else None
    return own.origin if isinstance(own, Shifted) else None


def with_outputs_from(origin: Any, scaler: Scaler) -> Scaler | Shifted:
    """The scaler for targets less an origin, if there is one."""
    return scaler if origin is None else Shifted(scaler.shifted(origin), origin)


def _with_origin(net: Network, values: jax.Array) -> jax.Array:
    """Values `(..., out)`, or `(...)` of one output, and the origin."""
    origin = origin_of(net)
    if origin is None:
        return values
    origin = jnp.asarray(origin).astype(values.dtype)
    if values.shape[-1:] != origin.shape:  # targets (rows,) of one output
        return values + origin[0]
    return values + jnp.expand_dims(origin, range(values.ndim - 1))


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
    own = net.outputs if isinstance(net, Scaling) else None
    return own.scaler if isinstance(own, Shifted) else own


def centred(net: Network, *given: Any) -> tuple[Any, tuple[Any, ...], np.ndarray | None]:
    """A network that scales its inputs or outputs, and data for it, both shifted towards zero.

    Far from zero float32 has too few digits. So where x is on the host in 64 bits and float32
    would change it, or y where that would be felt beside its spread, the difference to a constant
    is formed in float64, and the scaler is made that of the difference. Codes of embeddings are
    checked, and not shifted.

    Args:
      net: Any network; one with a scaler per lane is shifted by a number of the first lane's.
      *given: Data as users give them, `(x, y)` or `(x, y, weights)`. Anything else stays as it is.
    Returns:
      The network, the data, and what was subtracted from x, `(features,)`; as they were and None
      where nothing is to be shifted, or something is traced. For y see `origin_of`.
    """
    if not isinstance(net, Scaling):
        return net, given, None
    scaling: Any = net
    places = [index for index, data in enumerate(given) if is_pair(data)]
    for index in places:
        x = _array(given[index][0])
        check_codes(scaling.embeddings, x if isinstance(x, jax.Array) else _numbers(x))
    by = _origin(scaling.inputs, [given[index][0] for index in places], _is_rounded)
    origin = _origin(scaling.outputs, [given[index][1] for index in places], _is_far)
    changed = {}
    if by is not None:
        by[[embedding.column for embedding in scaling.embeddings]] = 0  # codes stay as they are
        changed["inputs"] = scaling.inputs.shifted(by)
    if origin is not None:
        changed["outputs"] = with_outputs_from(origin, scaling.outputs)
    shifted = list(given)
    for index in places:
        x, y, *weights = given[index]
        shifted[index] = (_shifted(x, by), _shifted(y, origin), *weights)
    return (dataclasses.replace(net, **changed) if changed else net), tuple(shifted), by  # pyright: ignore[reportArgumentType]


def _origin(scaler: Scaler | None, arrays: list[Any], is_far: Callable) -> np.ndarray | None:
    """What to subtract from arrays so that float32 holds them; None: nothing."""
    if scaler is None or not any(map(is_far, arrays)):
        return None
    return None if any(isinstance(_array(one), Tracer) for one in arrays) else scaler.centre


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


def _is_rounded(x: Any) -> bool:
    """Whether x is on the host and changes where JAX rounds it."""
    wide = _wide(x)
    return wide is not None and bool((_rounding(wide) != 0).any())


def _is_far(y: Any) -> bool:
    """Whether y is on the host and JAX rounds a column of it by more than 1e-7 of its spread."""
    wide = _wide(y)
    if wide is None:
        return False
    axes = tuple(range(max(1, wide.ndim - 1)))
    spread = wide.max(axes) - wide.min(axes)
    return bool((_rounding(wide).max(axes) > 1e-7 * spread).any())


def _wide(x: Any) -> np.ndarray | None:
    """X in float64, if it is on the host in 64 bits."""
    x = _array(x)
    wide = None if isinstance(x, jax.Array) else _numbers(x)
    if wide is None or wide.dtype.itemsize < 8 or wide.size == 0 or wide.ndim == 0:
        return None
    return wide.astype(np.float64) if np.isfinite(wide).all() else None


def _rounding(wide: np.ndarray) -> np.ndarray:
    """By how much JAX rounds each number."""
    with np.errstate(over="ignore"):
        return np.abs(wide.astype(jax.dtypes.canonicalize_dtype(float)) - wide)


def _numbers(x: Any) -> np.ndarray | None:
    """The numbers on the host; None where there are none, which is refused elsewhere."""
    try:
        array = np.asarray(checks.rectangular("x", "x", x))
    except (ValueError, TypeError):
        return None
    numeric = array.dtype.kind in "biuf" or jnp.issubdtype(array.dtype, np.floating)
    return array if numeric else None


def _shifted(given: Any, by: np.ndarray | None) -> Any:
    """The array less by, or one that `lanes` marks, rounded after."""
    if by is None:
        return given
    if dataclasses.is_dataclass(given):
        return jax.tree.map(functools.partial(_shifted, by=by), given)
    array = _numbers(given)
    # one number goes with any axes, as those of targets (rows,)
    if array is None or by.shape not in ((1,), array.shape[-1:]):
        return given
    with np.errstate(over="ignore"):
        near = array.astype(np.float64) - (by if array.shape[-1:] == by.shape else by[0])
        return near.astype(jax.dtypes.canonicalize_dtype(float))
