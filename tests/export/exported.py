"""Small networks, and how each export of one is run."""

import ctypes
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import export
from fnn.activations import ACTIVATIONS, JOINING

RANDOM = np.random.default_rng(0)
X = (3 * RANDOM.normal(size=(7, 4)) + 1).astype(np.float32)
Y = 5 * RANDOM.normal(size=(7, 3)) + 100

HIDDEN = [name for name, sigma in ACTIVATIONS.items() if sigma not in JOINING]

# of each option, and of several at once
OPTIONS = {
    "one layer": lambda: fnn.mlp((4, 3)),
    "deep": lambda: fnn.mlp((4, 6, 5, 7, 3), activation=("relu", "tanh", "gelu")),
    "no bias": lambda: fnn.mlp((4, 6, 3), bias=False),
    "dropout": lambda: fnn.mlp((4, 6, 3), dropout=0.5),
    "norm": lambda: fnn.mlp((4, 6, 5, 3), norm="layer"),
    "residual": lambda: fnn.mlp((4, 4, 4, 5, 5, 3), residual=True, activation="tanh"),
    "active": lambda: fnn.mlp((4, 6, 8, 3), active=(2, 5)),
    "active norm residual": lambda: fnn.mlp(
        (4, 6, 6, 7, 7, 3), active=(5, 5, 5, 4), norm="layer", residual=True
    ),
    "standard scalers": lambda: fnn.mlp(
        (4, 6, 3), inputs=fnn.standard_scaler(X), outputs=fnn.standard_scaler(Y)
    ),
    "min max scalers": lambda: fnn.mlp(
        (4, 6, 3),
        inputs=fnn.min_max_scaler(X, feature_range=(-1, 2)),
        outputs=fnn.min_max_scaler(Y, feature_range=(-1, 2)),
    ),
    "robust scalers": lambda: fnn.mlp(
        (4, 6, 3), inputs=fnn.robust_scaler(X), outputs=fnn.robust_scaler(Y)
    ),
    "quantile scalers": lambda: fnn.mlp(
        (4, 6, 3), inputs=fnn.quantile_scaler(X), outputs=fnn.quantile_scaler(Y, quantiles=3)
    ),
    "scaler and one layer": lambda: fnn.mlp((4, 3), inputs=fnn.min_max_scaler(X)),
    "all": lambda: fnn.mlp(
        (4, 6, 6, 3),
        activation="silu",
        output="softmax",
        norm="layer",
        residual=True,
        dropout=0.1,
        inputs=fnn.standard_scaler(X),
        active=(5, 5),
    ),
}


def of_all_activations(**options):
    """A layer of each activation."""
    sizes = (4, *[6] * len(ACTIVATIONS), 3)
    return fnn.mlp(sizes, activation=tuple(ACTIVATIONS), **options)


def params_of(net):
    """Parameters of which none is 0, of about the size of first ones."""
    random = np.random.default_rng(1)
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    return jax.tree.map(
        lambda a: jnp.asarray(random.normal(0.1, len(a.shape) / np.sqrt(8), a.shape), a.dtype),
        shapes,
    )


def outputs_of(net, params, x):
    """What the network itself gives, compiled."""
    return np.asarray(APPLY(net, params, x))


APPLY = jax.jit(lambda net, params, x: net.apply(params, x))


def by_onnx(net, params, x, folder, **options):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = export.to_onnx(net, params, **options)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def by_numpy(net, params, x, folder, **options):
    names = {}
    exec(export.to_numpy(net, params, **options), names)
    return names["apply"](x)


def by_stablehlo(net, params, x, folder, **options):
    pytest.importorskip("flatbuffers")
    data = export.to_stablehlo(net, params, **options)
    return np.asarray(jax.export.deserialize(data).call(x))


ROWS = """
#include "net.h"
void rows(const {real} *x, {real} *y, int count);
void rows(const {real} *x, {real} *y, int count)
{{
    for (int row = 0; row < count; ++row) {{
        net(x + row * NET_INPUTS, y + row * NET_OUTPUTS);
    }}
}}
"""


def by_c(net, params, x, folder, **options):
    export.to_c(net, params, folder / "net.h", name="net", **options)
    real = {"float32": "float", "float64": "double"}[str(x.dtype)]
    (folder / "rows.c").write_text(ROWS.format(real=real))
    compiled(folder, "rows.c", "-shared", "-fPIC", "-o", "rows.so")
    function = ctypes.CDLL(str(folder / "rows.so")).rows
    y = np.zeros((len(x), net.sizes[-1]), x.dtype)
    function(x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), len(x))
    return y


def compiled(folder, *arguments):
    """Runs the system's C compiler, to which a warning is an error."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [compiler, *strict, *arguments, "-lm"], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


FORMS = {"onnx": by_onnx, "numpy": by_numpy, "c": by_c}
EVERY = FORMS | {"stablehlo": by_stablehlo}
FUNCTIONS = {
    "onnx": export.to_onnx,
    "numpy": export.to_numpy,
    "c": export.to_c,
    "stablehlo": export.to_stablehlo,
}
