"""A trained network for where no JAX is: ONNX, StableHLO, plain NumPy, and C.

    from fnn import export

    export.to_onnx(net, run.best_params, "net.onnx")

Each takes a network and its parameters, writes one file if it is given a path, whole or not at
all, and returns what is in it. Scalers and activations are inside. All but `to_stablehlo`, which
takes any network, are made from one list of steps, and refuse by its name what has no
counterpart.
"""

from fnn.export.c_header import to_c
from fnn.export.numpy_source import to_numpy
from fnn.export.onnx_graph import to_onnx
from fnn.export.stablehlo import to_stablehlo

__all__ = ["to_c", "to_numpy", "to_onnx", "to_stablehlo"]
