"""The `gelu` of fnn for Keras, whose own is the exact one. Importing this file registers it, as
`keras.saving.load_model` needs. Other files import it when Keras is asked for.
"""

from typing import Any

import keras  # pyright: ignore[reportMissingImports]


@keras.saving.register_keras_serializable(package="fnn")
def gelu_tanh(z: Any) -> Any:
    """`keras.activations.gelu(z, approximate=True)`."""
    return keras.activations.gelu(z, approximate=True)
