"""PyTorch: the loop of its tutorials."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from bench.peers._torch import adam, network, on_device, train
from bench.tasks import Task

TAKES_ORDERS = True


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, orders=None
) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    x, y = on_device(x, y)

    def run() -> np.ndarray:
        net = network(task, params)
        optimizer = adam(net.parameters(), task)

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return train(task, step, x, y, orders)

    return run
