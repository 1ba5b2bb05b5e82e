"""The network and the loop in PyTorch."""

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn

from bench.tasks import Task

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
"""What all of it runs on."""

if DEVICE.type == "cuda":
    torch.set_float32_matmul_precision("high")  # in TF32, as XLA multiplies there

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def network(task: Task, params: list | None) -> nn.Sequential:
    """A new network on the device, from `params` where they are given."""
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
    return net.to(DEVICE)


def on_device(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and labels as PyTorch takes them."""
    return torch.from_numpy(x).to(DEVICE), torch.from_numpy(y).long().to(DEVICE)


def adam(parameters: Iterable[torch.Tensor], task: Task) -> torch.optim.Adam:
    """Adam, on a GPU as the one kernel that PyTorch has for it."""
    fused = True if DEVICE.type == "cuda" else None
    return torch.optim.Adam(parameters, lr=task.learning_rate, fused=fused)


def order_of(epoch: int, task: Task, orders: np.ndarray | None) -> torch.Tensor:
    """The order of the rows in this epoch, drawn on the device where none are given."""
    if orders is None:
        return torch.randperm(task.rows, device=DEVICE)
    return torch.from_numpy(orders[epoch]).to(DEVICE)


def train(
    task: Task, step: Step, x: torch.Tensor, y: torch.Tensor, orders: np.ndarray | None
) -> np.ndarray:
    """Calls `step(x, y)`, which returns the loss or those of all lanes, on all batches."""
    losses = []
    for epoch in range(task.epochs):
        for rows in order_of(epoch, task, orders).split(task.batch_size):
            losses.append(step(x[rows], y[rows]).detach())
    steps = torch.stack(losses).cpu().numpy()
    if steps.ndim == 1:
        return task.epoch_losses(steps)
    return np.stack([task.epoch_losses(lane) for lane in steps.T])
