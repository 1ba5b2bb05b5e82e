"""The form of a run's steps that is fast on the platform that it is compiled for.

On a GPU a kernel takes some 2 microseconds however little it does, so small networks take as long
as they have kernels. Matrix products are kernels by themselves, and those of small matrices use
little of the GPU. Where they are written as multiplications and sums, the compiler fuses them with
all around them, and reads the weights from the one array that holds all parameters: a step then
takes half the kernels. Elsewhere matrix products are faster.
"""

import itertools
from typing import Any

from fnn._core.dataset import Sharded
from fnn._core.devices import on_gpu
from fnn.networks.dense import Products
from fnn.networks.mlp import MLP
from fnn.networks.rewritten import Rewritten
from fnn.training.problem import Problem

# Multiplications in a product, of all lanes together. With more, matrix products are faster, as
# they read each number fewer times.
_MULTIPLICATIONS = 2**19
# With more lanes, and where some of their products are matrix products, the compiler fuses less
# than it does around matrix products.
_LANES = 32


def summed_weights(problem: Problem, lanes: int = 1) -> int:
    """Of how many numbers weights may be for their products to be sums; 0: none are."""
    net = problem.net
    if not isinstance(net, MLP) or isinstance(problem.data, Sharded) or not on_gpu():
        return 0
    rows = problem.plan.batch_size // problem.plan.accumulate
    most = _MULTIPLICATIONS // (rows * lanes)
    largest = max(a * b for a, b in itertools.pairwise(net._sizes))
    return most if lanes == 1 or (lanes <= _LANES and largest <= most) else 0


def in_sums(problem: Problem, summed: int) -> Problem:
    """The problem, whose network computes products with weights of so many numbers as sums."""
    if summed == 0:
        return problem
    net: Any = problem.net
    return problem._replace(net=Rewritten(net, Products(summed=summed)))
