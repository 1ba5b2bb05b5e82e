"""PyTorch: the loop of its tutorials."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from bench.peers._torch import network, train
from bench.tasks import Task

TAKES_ORDERS = True


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, orders=None
) -> Callable[[], np.ndarray]:
    """The run, as told in `bench.peers`."""
    x, y = torch.from_numpy(x), torch.from_numpy(y).long()

    def run() -> np.ndarray:
        net = network(task, params)
        optimizer = torch.optim.Adam(net.parameters(), lr=task.learning_rate)

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return train(task, step, x, y, orders)

    return run
