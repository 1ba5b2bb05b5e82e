"""A trained network with all that it takes to predict from a table, in one file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import fnn
from fnn import export
from fnn._core import checks
from fnn.types import Params

# what the metadata of such a file begin with
_KIND = "python -m fnn train"


class Export(NamedTuple):
    """A form in which a network leaves."""

    write: Callable[..., Any]
    name: str
    """Of the file."""
    needs: list[str]
    """Packages."""


EXPORTS = {
    "onnx": Export(export.to_onnx, "network.onnx", ["onnx"]),
    "stablehlo": Export(export.to_stablehlo, "network.stablehlo", ["flatbuffers"]),
    "numpy": Export(export.to_numpy, "network.py", []),
    "c": Export(export.to_c, "network.h", []),
}


class TableModel(NamedTuple):
    """A network, and the encoder of the tables it was trained on."""

    net: fnn.MLP
    """With scalers of its inputs, and in a regression of its output."""
    params: Params
    encoder: fnn.Encoder

    def outputs(self, x: Any) -> np.ndarray:
        """Of encoded rows: probabilities `(rows, classes)`, or values `(rows,)`."""
        outputs = self.net.apply(self.params, x)
        if self.encoder.classes is None:
            return np.asarray(outputs[:, 0])
        return np.asarray(fnn.softmax(outputs))

    def predictions(self, table: Any) -> Iterator[list[Any]]:
        """Lines of a file of predictions, the names of its columns first."""
        outputs = self.outputs(self.encoder(table))
        classes = self.encoder.classes
        if classes is None:
            yield [self.encoder.target]
            yield from ([f"{value:.9g}"] for value in outputs)
            return
        yield [self.encoder.target, *(f"probability of {name}" for name in classes)]
        for name, row in zip(self.encoder.decode(outputs), outputs, strict=True):
            yield [name, *(f"{share:.9g}" for share in row)]


def save_model(path: Path, model: TableModel) -> None:
    """Writes the file, with `fnn.save`."""
    metadata = {
        "made_by": _KIND,
        "version": fnn.__version__,
        "sizes": list(model.net.sizes),
        "encoder": model.encoder.to_dict(),
    }
    fnn.save(path, _arrays(model.net, model.params), metadata)


def export_model(folder: Path, model: TableModel, form: str) -> None:
    """Writes the network for where no JAX is: from encoded rows to what `outputs` returns."""
    final = None if model.encoder.classes is None else "softmax"
    path = folder / EXPORTS[form].name
    EXPORTS[form].write(model.net, model.params, path, final=final)


def load_model(path: Path) -> TableModel:
    """The model of a file that `save_model` wrote.

    Raises:
      CheckpointError: It is damaged, or is another file.
      OSError: It cannot be read.
    """
    metadata = fnn.load_metadata(path)
    ours = isinstance(metadata, dict) and metadata.get("made_by") == _KIND
    rule = f"it must be a model that {_KIND} has saved"
    checks.require(ours, str(path), rule, "another file of fnn.save", fnn.CheckpointError)
    encoder, sizes = fnn.Encoder.from_dict(metadata["encoder"]), metadata["sizes"]
    outputs = None if encoder.classes is not None else _scaler(1)
    net = fnn.mlp(sizes, inputs=_scaler(sizes[0]), outputs=outputs)
    params = jax.eval_shape(net.init, jax.random.key(0))
    arrays = fnn.load(path, like=_arrays(net, params))
    net = fnn.mlp(sizes, inputs=arrays["inputs"], outputs=arrays["outputs"])
    return TableModel(net, arrays["params"], encoder)


def _arrays(net: fnn.MLP, params: Params) -> dict[str, Any]:
    """What the file holds beside the metadata."""
    return {"inputs": net.inputs, "outputs": net.outputs, "params": params}


def _scaler(features: int) -> fnn.StandardScaler:
    """Any one of so many features, of which `load` takes the structure."""
    return fnn.standard_scaler(np.zeros((1, features)))
