"""The form of a run's steps that is fast on the platform of the default device.

On a GPU a kernel takes some 2 microseconds however little it does, so small networks take as long
as they have kernels. Matrix products are kernels by themselves, and those of small matrices use
little of the GPU. Where they are written as multiplications and sums, the compiler fuses them with
all around them, and reads the weights from the one array that holds all parameters: a step then
takes fewer kernels. Elsewhere matrix products are faster.
"""

import itertools
import math
from typing import Any

import jax

from fnn._core.dataset import Sharded
from fnn._core.devices import on_gpu
from fnn._core.dtypes import at_least_float32
from fnn.networks.dense import Products
from fnn.networks.mlp import MLP
from fnn.networks.rewritten import Rewritten
from fnn.training.problem import Problem

# Multiplications in a product, of all lanes together. With more, matrix products are faster, as
# they read each number fewer times.
_MULTIPLICATIONS = 2**19
# With more lanes the number of kernels varies, as the compiler estimates what to fuse.
_LANES = 32


def largest_summed_of(problem: Problem, lanes: int = 1) -> int:
    """The most numbers that a weight may have for its products to be sums; 0 if none are.

    Of several lanes, all products are sums or none are, as the compiler fuses few of both.
    """
    net = problem.net
    # a class derived from it may have an `apply` of its own
    if type(net) is not MLP or isinstance(problem.data, Sharded) or not on_gpu():
        return 0
    dtype = jax.dtypes.canonicalize_dtype(net.dtype or net.param_dtype or float)
    if dtype != at_least_float32(dtype):  # its products are matrix products, see `matmul`
        return 0
    rows = problem.plan.batch_size // problem.plan.accumulate
    rows *= math.prod(problem.data.x.shape[1:-1])
    most = _MULTIPLICATIONS // max(1, rows * lanes)
    largest = max(a * b for a, b in itertools.pairwise(net._sizes))
    return most if lanes == 1 or (lanes <= _LANES and largest <= most) else 0


def in_sums(problem: Problem, largest_summed: int) -> Problem:
    """The problem, whose network computes products with weights up to this size as sums."""
    if largest_summed == 0:
        return problem
    net: Any = problem.net
    return problem._replace(net=Rewritten(net, Products(largest_summed=largest_summed)))
