"""Files in the format safetensors: the arrays as tensors, the network in the metadata."""

import dataclasses
import hashlib
import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn.activations import ACTIVATIONS, name_of
from fnn.files.archive import CheckpointError, saved_whole
from fnn.interop.functions import Variant, shown
from fnn.interop.steps import library
from fnn.networks.mlp import MLP, Layer, mlp
from fnn.scalers import MinMaxScaler, QuantileScaler, RobustScaler, Scaler, StandardScaler
from fnn.types import Params

VERSION = 1
# the names of dtypes in such files
_DTYPES = {
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(jnp.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I32": np.dtype(np.int32),
}
_SCALERS = {kind.__name__: kind for kind in
            (MinMaxScaler, QuantileScaler, RobustScaler, StandardScaler)}  # fmt: skip
_OPTIONS = ("bias", "norm", "residual", "remat")


def to_safetensors(net: MLP, params: Params, path: str | os.PathLike) -> None:
    """Writes a network and its parameters to a safetensors file, whole or not at all.

    The arrays are tensors, `params.0.weight` `(in, out)` and so on; the numbers of the network,
    scalers included, are too, `net.inputs.mean` for example. The metadata have the network's
    structure as JSON, and a digest of everything. Other programs read the tensors.

    Args:
      net: An `mlp`, of any kind, with activations and an initializer that have names.
      params: Its parameters.
      path: The file, replaced if it is there. Its folder must exist.
    Returns:
      Nothing.
    Raises:
      ValueError, TypeError: The network is no `mlp`, or has functions of your own; or `params` are
        those of another one.
      CheckpointError: It could not be written; the old file is intact.
      ImportError: safetensors is not installed.

    >>> import tempfile
    >>> net = mlp((4, 8, 1), activation="tanh")
    >>> params = net.init(jax.random.key(0))
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     to_safetensors(net, params, file.name)
    ...     net, params = from_safetensors(file.name)
    >>> net
    mlp((4, 8, 1), activation="tanh")
    """
    name = "to_safetensors"
    theirs = _library(name)
    path = checks.path(name, "path", path)
    rule = "net must be an mlp"
    checks.require(isinstance(net, MLP), name, rule, type(net).__name__, TypeError)
    checks.no_tracers(name, (net, params))
    params = net._checked_params(name, params)
    arrays = {
        f"{kind}{jax.tree_util.keystr(keys, simple=True, separator='.')}": np.asarray(leaf)
        for kind, tree in (("params.", params), ("net.", net))
        for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
    structure = {"version": VERSION, "mlp": _structure(name, net)}
    structure["sha256"] = _digest(structure, arrays)
    tensors = {
        key: {"dtype": array.dtype.name, "shape": array.shape, "data": array.tobytes()}
        for key, array in arrays.items()
    }
    contents = theirs.serialize(tensors, metadata={"fnn": json.dumps(structure)})
    saved_whole(name, path, lambda file: file.write(contents))


def from_safetensors(path: str | os.PathLike) -> tuple[MLP, tuple[Layer, ...]]:
    """The network of a file that `to_safetensors` wrote, every byte of it checked.

    No code is read from it. A file of other programs is no network: hand what their library reads
    from it, a dict of arrays, to `from_torch(..., net=net)`.

    Args:
      path: The file.
    Returns:
      `(net, params)`, on JAX's default device, in the dtypes that were written.
    Raises:
      CheckpointError: The file is damaged, was not written by `to_safetensors`, or by a newer one.
      ValueError: It has float64 parameters, and `jax_enable_x64` is off.
      FileNotFoundError, PermissionError: As `open`.
      ImportError: safetensors is not installed.

    >>> import tempfile
    >>> net = mlp((4, 2), inputs=standard_scaler(np.arange(8.0).reshape(2, 4)))
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     to_safetensors(net, net.init(jax.random.key(0)), file.name)
    ...     print(from_safetensors(file.name)[0].inputs.mean)
    [2. 3. 4. 5.]
    """
    name = "from_safetensors"
    theirs = _library(name)
    path = checks.path(name, "path", path)
    where = f"{name}: {path}"
    with open(path, "rb") as file:
        contents = file.read()
    try:
        structure, arrays = _read(where, theirs, contents)
        version = structure["version"]
    except CheckpointError:
        raise
    except Exception as error:  # damage makes their module raise all sorts
        raise CheckpointError(f"{where} is damaged: {error!r}") from error
    rule = f"the format's version must be {VERSION}, which this fnn reads"
    checks.require(version == VERSION, where, rule, repr(version), CheckpointError)
    for key, array in arrays.items():
        rule = f"{key} is {array.dtype}, which must be enabled (jax_enable_x64)"
        enabled = jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
        checks.require(enabled or not key.startswith("params."), name, rule, "off")
    try:
        params = _params(arrays)
        net = _network(structure["mlp"], arrays)
        return net, net._checked_params(name, params)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{where} has no network that fits: {error!r}") from error


def _library(function: str) -> Any:
    module = library(function, "safetensors")
    version = getattr(module, "__version__", None)
    rule = "safetensors must be of another version than 0.8.0"
    checks.require(version != "0.8.0", function, rule, version, ImportError)
    return module


def _digest(structure: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Of the structure, and of names, dtypes, shapes and bytes of all arrays."""
    digest = hashlib.sha256(json.dumps(structure, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\0{name} {array.dtype.name} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


# Writing


def _structure(function: str, net: MLP) -> dict[str, Any]:
    """What of a network is no number, in what JSON can hold."""
    hidden, output = net.activations[:-1], net.activations[-1]
    initializer = net._arguments()["initializer"]
    rule = "the initializer must be one that mlp has a name for"
    has_name = initializer is None or isinstance(initializer, str)
    checks.require(has_name, function, rule, initializer)
    return {
        "sizes": list(net.sizes),
        "activation": [_text(function, sigma) for sigma in hidden],
        "output": _text(function, output),
        "initializer": initializer,
        "embeddings": [list(embedding) for embedding in net.embeddings],
        **{name: getattr(net, name) for name in _OPTIONS},
        "dtype": None if net.dtype is None else net.dtype.name,
        "param_dtype": None if net.param_dtype is None else net.param_dtype.name,
        "scalers": {
            name: _scaler_text(getattr(net, name))
            for name in ("inputs", "outputs")
            if getattr(net, name) is not None
        },
    }


def _text(function: str, sigma: Any) -> Any:
    if isinstance(sigma, Variant):
        return dataclasses.asdict(sigma)
    name = name_of(sigma)
    rule = "activations must be those that mlp has a name for"
    checks.require(name is not None, function, rule, shown(sigma))
    return name


def _scaler_text(scaler: Scaler) -> dict[str, Any]:
    """The class, and what is no number."""
    options = {
        field.name: getattr(scaler, field.name)
        for field in dataclasses.fields(scaler)  # pyright: ignore[reportArgumentType]
        if field.metadata.get("static")
    }
    return {"class": type(scaler).__name__, **options}


# Reading


def _read(where: str, theirs: Any, contents: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The structure and the arrays, once they are known to be as they were written."""
    tensors = theirs.deserialize(contents)  # which checks the header
    size = int.from_bytes(contents[:8], "little")
    metadata = json.loads(contents[8 : 8 + size]).get("__metadata__", {})
    rule = "it must be a file of fnn.interop.to_safetensors"
    names = ", ".join(metadata) or "none"
    checks.require("fnn" in metadata, where, rule, f"metadata {names}", CheckpointError)
    structure = json.loads(metadata["fnn"])
    digest = structure.pop("sha256")
    arrays = {}
    for name, tensor in tensors:
        dtype = _DTYPES[tensor["dtype"]]
        arrays[name] = np.frombuffer(bytes(tensor["data"]), dtype).reshape(tensor["shape"])
    rule = "its contents must have the digest that was stored with them"
    same = _digest(structure, arrays) == digest
    checks.require(same, where, rule, "another one", CheckpointError)
    return structure, arrays


def _params(arrays: dict[str, np.ndarray]) -> tuple[Layer, ...]:
    layers: dict[int, dict[str, Any]] = {}
    tables: dict[int, jax.Array] = {}
    for name, array in arrays.items():
        kind, *keys = name.split(".")
        if kind == "params" and keys[1] == "tables":
            tables[int(keys[2])] = jnp.asarray(array)
        elif kind == "params":
            layers.setdefault(int(keys[0]), {})[keys[1]] = jnp.asarray(array)
    params = [Layer(**layers[index]) for index in range(len(layers))]
    params[0] = params[0]._replace(tables=tuple(tables[index] for index in sorted(tables)) or None)
    return tuple(params)


def _network(structure: dict[str, Any], arrays: dict[str, np.ndarray]) -> MLP:
    structure = dict(structure)
    made = structure.pop("scalers")
    given = {}
    for name, options in made.items():
        options = {key: _hashable(value) for key, value in options.items()}
        kind = _SCALERS[options.pop("class")]
        prefix = f"net.{name}."
        numbers = {
            key.removeprefix(prefix): array
            for key, array in arrays.items()
            if key.startswith(prefix)
        }
        given[name] = kind(**numbers, **options)
    for name in ("dropout", "active"):
        given[name] = arrays.get(f"net.{name}")
    given["embeddings"] = {column: shape for column, *shape in structure.pop("embeddings")} or None
    hidden = [_sigma(text) for text in structure.pop("activation")]
    output = _sigma(structure.pop("output"))
    return mlp(structure.pop("sizes"), activation=hidden, output=output, **structure, **given)


def _sigma(text: Any) -> Any:
    """What `mlp` takes as an activation; nothing but activations can be named."""
    if isinstance(text, str):
        return ACTIVATIONS[text]
    rule = "an activation with an option must be known"
    checks.require(text["name"] in ACTIVATIONS, "from_safetensors", rule, text["name"])
    return Variant(**text)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
