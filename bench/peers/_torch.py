"""The network and the loop in PyTorch."""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from bench.tasks import Task

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def network(task: Task, params: list | None) -> nn.Sequential:
    """A new network, from `params` where they are given."""
    torch.manual_seed(0)
    layers = []
    for shape in itertools.pairwise(task.sizes):
        layers += [nn.Linear(*shape), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    if params is not None:
        arrays = [array for weight, bias in params for array in (weight.T, bias)]
        with torch.no_grad():
            for parameter, array in zip(net.parameters(), arrays, strict=True):
                parameter.copy_(torch.from_numpy(array))
    return net


def train(
    task: Task, step: Step, x: torch.Tensor, y: torch.Tensor, orders: np.ndarray | None
) -> np.ndarray:
    """Calls `step(x, y)`, which returns the loss or those of all lanes, on all batches."""
    losses = []
    for epoch in range(task.epochs):
        order = torch.randperm(task.rows) if orders is None else torch.from_numpy(orders[epoch])
        for rows in order.split(task.batch_size):
            losses.append(step(x[rows], y[rows]).detach())
    steps = torch.stack(losses).numpy()
    if steps.ndim == 1:
        return task.epoch_losses(steps)
    return np.stack([task.epoch_losses(lane) for lane in steps.T])
