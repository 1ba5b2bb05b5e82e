"""A network as a serialised StableHLO program."""

import os
from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax
import numpy as np

from fnn._core import checks
from fnn._core.dtypes import wider
from fnn.activations import sigmoid, softmax
from fnn.export.files import checked_path, write
from fnn.export.steps import checked_final, checked_params
from fnn.networks.mlp import MLP
from fnn.networks.model import outputs_of
from fnn.types import Network, Params

__all__ = ["to_stablehlo"]

_PLATFORMS = ("cpu", "cuda", "tpu")


def to_stablehlo(
    net: Network,
    params: Params,
    path: str | os.PathLike | None = None,
    *,
    final: str | None = None,
    platforms: Sequence[str] = _PLATFORMS,
    shape: Sequence[int] | None = None,
) -> bytes:
    """A network as a StableHLO program, serialised by `jax.export`.

    `jax.export.deserialize(data).call(x)` runs it in a process that has JAX and not `fnn`; its
    `mlir_module()` is StableHLO for XLA, IREE and others. It takes x `(rows, in)`, for any number
    of rows, to `(rows, out)`. JAX promises to read what it wrote six months ago.

    Args:
      net: Any network: an `mlp` with all of its options, or a model of one's own.
      params: Its parameters, finite.
      path: The file to write, whole or not at all; replaced if it is there. None: none.
      final: "softmax" or "sigmoid" makes probabilities of the outputs of a network that ends in
        logits. None: outputs are those of `net.apply`.
      platforms: What it may run on, of "cpu", "cuda", "rocm" and "tpu".
      shape: Of one row of x. None: `(in,)` of an `mlp`; other networks need one.
    Returns:
      The bytes.
    Raises:
      ValueError, TypeError: An argument is not as described here, or `net.apply` cannot be traced
        for an unknown number of rows.
      ImportError: flatbuffers is not installed.
      OSError: As `open`; what was at `path` is as it was.

    >>> net = fnn.mlp((2, 3, 1))
    >>> data = to_stablehlo(net, net.init(jax.random.key(0)))
    >>> jax.export.deserialize(data).call(jnp.ones((5, 2))).shape
    (5, 1)
    """
    name = "to_stablehlo"
    try:
        import flatbuffers  # noqa: F401
    except ImportError:
        rule = "StableHLO needs flatbuffers, to be had with: pip install 'fnn[export]'"
        raise ImportError(f"{name}: {rule}") from None
    from jax import export

    where = checked_path(name, path)
    params = checked_params(name, net, params)
    checked_final(name, net, final)
    last = {None: lambda outputs: outputs, "softmax": softmax, "sigmoid": sigmoid}[final]
    leaves = [net.dtype] if isinstance(net, MLP) and net.dtype else jax.tree.leaves(params)
    dtype = reduce(wider, [getattr(leaf, "dtype", leaf) for leaf in leaves], np.dtype(np.float32))
    (rows,) = export.symbolic_shape("rows")
    x = jax.ShapeDtypeStruct((rows, *_shape_of_row(name, net, shape)), dtype)
    program = jax.jit(lambda x: last(outputs_of(net, params, x)))
    exported = export.export(program, platforms=_checked_platforms(name, platforms))(x)
    data = bytes(exported.serialize())
    write(where, data)
    return data


def _checked_platforms(function: str, platforms: Any) -> tuple[str, ...]:
    known = (*_PLATFORMS, "rocm")
    rule = f"platforms must be some of {', '.join(known)}"
    listed = isinstance(platforms, Sequence) and not isinstance(platforms, str)
    checks.require(listed, function, rule, repr(platforms), TypeError)
    right = len(platforms) > 0 and all(platform in known for platform in platforms)
    checks.require(right, function, rule, repr(platforms))
    return tuple(platforms)


def _shape_of_row(function: str, net: Network, shape: Any) -> tuple[int, ...]:
    if shape is None:
        rule = "shape, of one row of x, must be given for a network that is no mlp"
        checks.require(isinstance(net, MLP), function, rule, "None")
        return net.sizes[:1]  # pyright: ignore[reportAttributeAccessIssue]
    rule = "shape must be the sizes of one row of x"
    listed = isinstance(shape, Sequence) and not isinstance(shape, (str, bytes))
    checks.require(listed, function, rule, repr(shape), TypeError)
    sizes = tuple(checks.count(function, "each of shape", size) for size in shape)
    if isinstance(net, MLP):
        rule = f"shape must be ({net.sizes[0]},) or None"
        checks.require(sizes == net.sizes[:1], function, rule, sizes)
    return sizes
