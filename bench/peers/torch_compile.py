"""PyTorch with `torch.compile` of the network and its loss."""

import copy
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
    # what is compiled belongs to this network, so every run uses it again
    net = network(task, params)
    begin = copy.deepcopy(net.state_dict())

    # by shape: one program for whole batches, one for the last
    @torch.compile(dynamic=False)
    def objective(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(net(x), y)

    def run() -> np.ndarray:
        torch.manual_seed(0)
        net.load_state_dict(begin)
        optimizer = adam(net.parameters(), task)

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            optimizer.zero_grad()
            loss = objective(x, y)
            loss.backward()
            optimizer.step()
            return loss

        return train(task, step, x, y, orders)

    return run
