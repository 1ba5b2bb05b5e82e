"""Forward propagation through the layers of an `mlp`."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.activations import ELEMENTWISE, standardize
from fnn.networks.deep import Stack, looped
from fnn.networks.dense import Products, affine, affine_transposed, along_features, dropped
from fnn.types import Activation, Params

States = list[tuple[jax.Array, jax.Array]]


def propagated(
    net: Any,
    function: str,
    params: Params,
    a: jax.Array,
    key: jax.Array | None,
    *,
    every: bool,
    form: Products,
) -> tuple[jax.Array, States]:
    """The last a `(..., out)`; and z and a of `every` layer, or none.

    Args:
      net: The `mlp`.
      function: The name of the caller, for errors.
      params: Of its layers, `stacked` by its runs.
      a: What enters the first layer, in the dtype of the computation.
      key: Turns dropout on.
      every: Whether z and a are returned.
      form: Of their products. Inputs with other axes than `(rows, in)` are not transposed.
    """
    form = form._replace(transposed=form.transposed and a.ndim == 2)
    swap = jnp.transpose if form.transposed else lambda a: a
    remat = net.remat and not every
    widths = None if net.active is None else net._widths()
    a, dtype, states = swap(a), a.dtype, []
    for run, part in zip(net._runs, params, strict=True):
        layer = functools.partial(_layer, net, function, run.start, key, dtype, form)
        if isinstance(part, Stack):

            def body(a: jax.Array, inputs: tuple, layer: Any = layer) -> tuple[jax.Array, Any]:
                z, a = layer(a, *inputs)
                return a.astype(dtype), (z, a) if every else None

            numbers = np.arange(run.start, run.stop, dtype=np.int32)
            pairs = None if widths is None else (widths[numbers], widths[numbers + 1])
            a, found = looped(body, a.astype(dtype), (part.layers, numbers, pairs), remat=remat)
            states += zip(*found, strict=True) if every else []
            continue
        layer = jax.checkpoint(layer) if remat and run.start < len(net.activations) - 1 else layer
        pair = None if widths is None else (widths[run.start], widths[run.stop])
        z, a = layer(a, part, np.int32(run.start), pair)
        states += [(z, a)] if every else []
    return swap(a), [(swap(z), swap(a)) for z, a in states]


def _layer(
    net: Any,
    function: str,
    start: int,
    key: jax.Array | None,
    dtype: Any,
    form: Products,
    a: jax.Array,
    layer: Any,
    index: Any,
    widths: Any,
) -> tuple[jax.Array, jax.Array]:
    """The z and a of one layer: that of this index, in the run that starts at `start`."""
    before, hidden = a, start < len(net.activations) - 1
    sigma = net.activations[start]
    swap = jnp.transpose if form.transposed else lambda a: a
    units = None
    if widths is not None:
        active = jnp.arange(layer.weight.shape[1], dtype=np.int32) < widths[1]
        units = jnp.expand_dims(active, range(a.ndim - 1))
    weight = layer.weight.astype(dtype)
    if form.transposed:
        z = affine_transposed(a, weight, layer.bias)
    else:
        z = affine(a, weight, layer.bias, form)
    if layer.scale is not None:
        z = along_features(jnp.multiply, standardize(swap(z), units), layer.scale)
        z = swap(along_features(jnp.add, z, layer.shift))
    a = sigma(z) if sigma in ELEMENTWISE else swap(_activated(function, sigma, swap(z)))
    if net.dropout is not None and key is not None and hidden:
        a = swap(dropped(jax.random.fold_in(key, index), swap(a), net.dropout))
    if net.residual and hidden and start > 0 and before.shape == a.shape:
        # where the active widths differ, there is no connection
        a = a + (before if widths is None else jnp.where(widths[0] == widths[1], before, 0))
    if units is not None:
        z, a = (swap(jnp.where(units, swap(part), 0)) for part in (z, a))
    return z, a


def _activated(function: str, sigma: Activation, z: jax.Array) -> jax.Array:
    """The activation of z, checked, as it may be the user's own."""
    a = sigma(z)
    rule = f"an activation must return an array of the shape it is given, {z.shape}"
    got = getattr(a, "shape", type(a).__name__)
    checks.require(got == z.shape, function, rule, got)
    return a
