"""The steps of an epoch with the lanes on the last axis."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn._core.dataset import take
from fnn._core.partition import merge, split
from fnn.networks.dense import Products
from fnn.networks.mlp import MLP
from fnn.networks.rewritten import Rewritten
from fnn.sweeps.lanes_last.interpreter import of_lanes_last, repeated
from fnn.training.batches import EpochBatches
from fnn.training.epochs import summary
from fnn.training.packing import Packing
from fnn.training.problem import Problem
from fnn.training.step import TrainState, advance
from fnn.types import Network

# multiplications in the largest product of a step; beyond, matrix products are faster
_SMALL = 4096


def is_small(net: Network, batch_size: int) -> bool:
    """Whether lanes of this network are faster on the last axis than on the first."""
    if type(net) is not MLP or any(len(run) > 1 for run in net._runs):
        return False  # a loop over layers is not for the interpreter
    weights = max(a * b for a, b in itertools.pairwise(net.sizes))
    return weights * batch_size <= _SMALL


def scanned_lanes_last(
    problem: Problem, packing: Packing, train: TrainState, batches: EpochBatches
) -> tuple[TrainState, tuple]:
    """The steps of an epoch, as `epochs.scanned`, whose `vmap` puts the lanes on the last axis.

    It cannot be differentiated.
    """
    traced, structure = split("sweep", (*problem[:3], problem.data))

    def step(traced: list, train: TrainState, batch: tuple) -> tuple[TrainState, jax.Array]:
        rows, weights = batch
        net, loss, optimizer, data = merge(structure, traced)
        # products are unrolled below, and sums over rows then read numbers that are adjacent
        net = Rewritten(net, Products(transposed=True, unrolled=False))
        return advance(net, loss, optimizer, train, *take(data, rows), weights, packing.unpack)

    @jax.custom_batching.custom_vmap
    def scanned(traced: list, train: TrainState, batches: EpochBatches) -> tuple[TrainState, tuple]:
        train, losses = lax.scan(functools.partial(step, traced), train, batches[:2])
        return train, summary(losses, batches.totals, train.params)

    @scanned.def_vmap
    def scanned_by_lanes(
        size: int, has_lanes: list, traced: list, train: Any, batches: EpochBatches
    ):
        args = jax.tree.map(
            lambda leaf, moved: jnp.moveaxis(leaf, 0, -1) if moved else leaf,
            [traced, train, batches],
            has_lanes,
        )
        traced, train, batches = args
        of_traced, of_train, of_batches = has_lanes
        train = jax.tree.map(
            lambda leaf, there: leaf if there else repeated(leaf, size), train, of_train
        )
        marks = of_traced, jax.tree.map(lambda _: True, of_train), of_batches[:2]

        def all_lanes(train: Any, batch: Any) -> tuple[Any, Any]:
            return of_lanes_last(step, size, marks, traced, train, batch)

        train, losses = lax.scan(all_lanes, train, batches[:2])
        marks = True, of_batches.totals, jax.tree.map(lambda _: True, train.params)
        of_epoch = of_lanes_last(summary, size, marks, losses, batches.totals, train.params)
        results = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), (train, of_epoch))
        return results, jax.tree.map(lambda _: True, results)

    after, of_epoch = scanned(traced, train, batches)
    # the same key object, so that it is not written back
    return after._replace(key=train.key), of_epoch
