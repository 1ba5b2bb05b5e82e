"""The layout of a run's state over the mesh that its data lie on.

Parameters are whole on every device, so that gradients are all that devices exchange. Where the
mesh has an axis "model", large matrices are divided along it: one layer's by outputs, the next
one's by inputs, so that two layers exchange values once. The statistics of an optimizer about large
arrays are divided along the axes of the rows too, as each device then updates a part only.
"""

import functools
from typing import Any

import jax
from jax.sharding import PartitionSpec

from fnn._core.dataset import Data, Sharded
from fnn._core.shards import MODEL, Shards
from fnn.training.packing import UNPACKED, Packing, packing_of, wherever
from fnn.training.problem import Problem
from fnn.training.state import FitState
from fnn.training.step import TrainState
from fnn.types import Params

# numbers in an array; smaller ones are not divided, as messages would cost more than they save
_LARGE = 2**16
_LARGE_STATISTIC = 2**20


def packing_for(
    problem: Problem, params: Params, *, stack: bool = True, largest_summed: int = 0
) -> Packing:
    """The packing of parameters, none where they are divided between devices.

    Layers of one shape are stacked, if they are to be. For `largest_summed` see `packing_of`.
    """
    data = problem.data
    if isinstance(data, Sharded) and data.shards.models > 1:
        return UNPACKED
    net = problem.net if stack else None
    return packing_of(problem.optimizer, params, net, largest_summed=largest_summed)


def laid_out(data: Data, params: Params) -> Params:
    """Parameters or gradients, packed or not, in a compiled program, laid out over the mesh."""
    if not isinstance(data, Sharded):
        return params
    return jax.tree.map(data.shards.constrained, params, _specs(data.shards, params))


def placed(data: Data, state: FitState) -> FitState:
    """The state, in a compiled program, laid out over the mesh; packed or not."""
    train = steps_placed(data, state.train)
    return state._replace(train=train, best_params=laid_out(data, state.best_params))


def steps_placed(data: Data, train: TrainState) -> TrainState:
    """`placed`, of the state of steps."""
    if not isinstance(data, Sharded):
        return train
    shards, params = data.shards, train.params

    def divided(statistics: Params) -> Params:
        specs = jax.tree.map(
            functools.partial(_by_rows_too, shards), statistics, _specs(shards, params)
        )
        return jax.tree.map(shards.constrained, statistics, specs)

    opt_state = wherever(params, divided)(train.opt_state)
    return train._replace(params=laid_out(data, params), opt_state=opt_state)


def _specs(shards: Shards, params: Params) -> Any:
    """How each array of the parameters is laid out."""
    leaves, structure = jax.tree.flatten(params)
    specs, matrices = [], 0
    for leaf in leaves:
        spec = PartitionSpec()
        if leaf.ndim >= 2 and shards.models > 1:  # one matrix, or those of many layers
            rows, columns = leaf.ndim - 2, leaf.ndim - 1
            for axis in (columns, rows) if matrices % 2 == 0 else (rows, columns):
                if leaf.size >= _LARGE and leaf.shape[axis] % shards.models == 0:
                    spec = PartitionSpec(*(MODEL if i == axis else None for i in range(leaf.ndim)))
                    break
            matrices += 1
        specs.append(spec)
    return jax.tree.unflatten(structure, specs)


def _by_rows_too(shards: Shards, leaf: jax.Array, spec: PartitionSpec) -> PartitionSpec:
    """The layout divided along the axes of the rows as well, where it is not small."""
    axes = [*spec, *[None] * (leaf.ndim - len(spec))]
    for axis, size in enumerate(leaf.shape):
        if leaf.size >= _LARGE_STATISTIC and axes[axis] is None and size % shards.devices == 0:
            axes[axis] = shards.axes
            return PartitionSpec(*axes)
    return spec
