"""Networks of other libraries, to and from an `mlp`, with the extra `interop` (PyTorch: `torch`).

    from fnn import interop

A function of each pair takes `(net, params)`, the other returns it, and what goes in gives the same
outputs as what comes out:

    to_torch, from_torch               a `torch.nn.Sequential`; a state dict
    to_sklearn, from_sklearn           a fitted `MLPClassifier` or `MLPRegressor`
    to_keras, from_keras               a Keras 3 model of `Dense` layers
    to_flax, from_flax                 a `Sequential` of Flax Linen, with its variables
    to_nnx, from_nnx                   a `Sequential` of Flax NNX
    to_equinox, from_equinox           an Equinox `Sequential`; an `MLP`
    to_safetensors, from_safetensors   a file, from which `from_safetensors` makes the network again

- Layer normalisation, activations, dropout and scalers of inputs and outputs are converted. A
  scaler stays a layer of its own; what comes in so is a `StandardScaler`, whichever scaler it was.
- Layers for which there is no counterpart are refused by name.
- Arrays are copied; training one network does not change the other.
- A library is imported when one of its functions is called.
"""

from fnn.interop.equinox import from_equinox, to_equinox
from fnn.interop.flax import from_flax, from_nnx, to_flax, to_nnx
from fnn.interop.keras import from_keras, to_keras
from fnn.interop.safetensors import from_safetensors, to_safetensors
from fnn.interop.sklearn import from_sklearn, to_sklearn
from fnn.interop.torch import from_torch, to_torch

__all__ = [
    "from_equinox",
    "from_flax",
    "from_keras",
    "from_nnx",
    "from_safetensors",
    "from_sklearn",
    "from_torch",
    "to_equinox",
    "to_flax",
    "to_keras",
    "to_nnx",
    "to_safetensors",
    "to_sklearn",
    "to_torch",
]
