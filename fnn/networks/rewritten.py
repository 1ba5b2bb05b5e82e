"""An `mlp` whose products are computed in another form than by `MLP.apply`."""

from typing import Any

import jax

from fnn._core.config import config, number, static
from fnn.networks.dense import Products
from fnn.networks.embeddings import Embedding
from fnn.networks.mlp import MLP, Layer
from fnn.networks.units import Scaling, raw_outputs
from fnn.scalers import Scaler
from fnn.types import Params


@config
class Rewritten(Scaling):
    """An `mlp` whose products are computed in a form that is faster on a platform or in lanes.

    Parameters, inputs and outputs are those of the `mlp`. Transposed layers suit many networks at
    once: under `vmap`, whose axis comes first, their matrix products need no copies; one network
    alone is faster without. Sums suit a GPU.
    """

    net: MLP = number()
    form: Products = static()

    @property
    def inputs(self) -> Scaler | None:
        """Of the `mlp`."""
        return self.net.inputs

    @property
    def outputs(self) -> Scaler | None:
        """Of the `mlp`."""
        return self.net.outputs

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        """Of the `mlp`."""
        return self.net.embeddings

    def init(self, key: jax.Array) -> tuple[Layer, ...]:
        """As `MLP.init`."""
        return self.net.init(key)

    def apply(self, params: Params, x: Any, *, key: jax.Array | None = None) -> jax.Array:
        """As `MLP.apply`."""
        return raw_outputs(self, self._scaled_outputs(params, x, key=key))

    def forward(
        self, params: Params, x: Any, *, key: jax.Array | None = None
    ) -> tuple[tuple[jax.Array, jax.Array], ...]:
        """As `MLP.forward`."""
        states = self.net._propagate("mlp.apply", params, x, key, every=True, form=self.form)[1]
        return tuple(states)

    def _scaled_outputs(self, params: Params, x: Any, *, key: jax.Array | None = None) -> jax.Array:
        return self.net._scaled_outputs(params, x, key=key, form=self.form)
