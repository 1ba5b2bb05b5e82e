"""An `mlp` in the layout that suits many networks at once."""

from typing import Any

import jax

from fnn._core.config import config, number, static
from fnn.networks.embeddings import Embedding
from fnn.networks.mlp import MLP, Layer
from fnn.networks.units import Scaling, raw_outputs
from fnn.scalers import Scaler
from fnn.types import Params


@config
class Transposed(Scaling):
    """An `mlp` whose layers pass `(units, rows)` to one another, for many networks at once.

    Parameters, inputs and outputs are those of the `mlp`. Under `vmap`, whose axis comes first,
    its matrix products need no copies; one network alone is faster without. Inputs with more
    axes than `(rows, in)` are computed as in the `mlp`.
    """

    net: MLP = number()
    unroll: bool = static()
    """Whether small products of those other inputs are unrolled, see `fnn.networks.dense`."""

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
        options = {"transposed": True, "unroll": self.unroll}
        return tuple(self.net._propagate("mlp.apply", params, x, key, every=True, **options)[1])

    def _scaled_outputs(self, params: Params, x: Any, *, key: jax.Array | None = None) -> jax.Array:
        return self.net._scaled_outputs(params, x, key=key, transposed=True, unroll=self.unroll)
