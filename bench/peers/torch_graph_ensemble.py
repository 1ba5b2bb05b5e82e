"""PyTorch: an ensemble of stacked weights, each step of all its networks one CUDA graph.

The order of the rows is shared by all lanes.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from bench.peers._torch import DEVICE, on_device
from bench.peers._torch_graph import Captured, training
from bench.tasks import Task

TAKES_ORDERS = True


def prepare(
    task: Task, x: np.ndarray, y: np.ndarray, *, params=None, orders=None, record=Captured
) -> Callable[[], np.ndarray]:
    """The run that `bench.peers` describes; `record` makes of a step what repeats it."""
    x, y = on_device(x, y)
    if params is None:
        first = _drawn(task)
    else:
        first = [torch.from_numpy(array) for weight, bias in params for array in (weight, bias)]
    parameters = [value.to(DEVICE, copy=True).requires_grad_() for value in first]
    *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)

    def losses_of(rows: torch.Tensor) -> torch.Tensor:
        values = x[rows].expand(task.lanes, -1, -1)
        for weight, bias in hidden:
            values = F.relu(torch.baddbmm(bias[:, None], values, weight))
        weight, bias = last
        logits = torch.baddbmm(bias[:, None], values, weight)
        labels = y[rows].repeat(task.lanes)
        losses = F.cross_entropy(logits.flatten(0, 1), labels, reduction="none")
        return losses.view(task.lanes, -1).mean(1)

    return training(task, parameters, losses_of, orders, record)


def _drawn(task: Task) -> list[torch.Tensor]:
    """Weights `(lanes, in, out)` and biases `(lanes, out)` as `torch.nn.Linear` draws them."""
    torch.manual_seed(0)
    drawn = []
    for fan_in, out in itertools.pairwise(task.sizes):
        for shape in [(task.lanes, fan_in, out), (task.lanes, out)]:
            drawn.append(torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5))
    return drawn
