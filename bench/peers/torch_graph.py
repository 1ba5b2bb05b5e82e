"""PyTorch: the step of its tutorials, captured in a CUDA graph."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from bench.peers._torch import network, on_device
from bench.peers._torch_graph import Captured, training
from bench.tasks import Task

TAKES_ORDERS = True


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, orders=None, record=Captured
) -> Callable[[], np.ndarray]:
    """The run that `bench.peers` describes; `record` makes of a step what repeats it."""
    x, y = on_device(x, y)
    net = network(task, params)

    def losses_of(rows: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(x[rows]), y[rows])[None]

    run = training(task, list(net.parameters()), losses_of, orders, record)
    return lambda: run()[0]
