"""PyTorch: an ensemble by `torch.func`, as in its tutorial, and `torch.optim.Adam` over all of it.

The order of the rows is shared by all lanes.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional as F  # noqa: N812

from bench.peers._torch import DEVICE, adam, network, on_device, train
from bench.tasks import Task

TAKES_ORDERS = False


def prepare(task: Task, x: np.ndarray, y: np.ndarray, *, params=None) -> Callable[[], np.ndarray]:
    """The run, as `bench.peers` describes it."""
    x, y = on_device(x, y)
    one = dataclasses.replace(task, lanes=1)
    base = network(one, None)
    if params is None:
        stacked, _ = stack_module_state([network(one, None) for _ in range(task.lanes)])
        first = {name: value.detach() for name, value in stacked.items()}
    else:
        arrays = [a for weight, bias in params for a in (weight.swapaxes(1, 2), bias)]
        names = [name for name, _ in base.named_parameters()]
        tensors = [torch.from_numpy(array).contiguous().to(DEVICE) for array in arrays]
        first = dict(zip(names, tensors, strict=True))

    def loss_of(weights: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(base, weights, (x,)), y)

    gradients = vmap(grad_and_value(loss_of), in_dims=(0, None, None))

    def run() -> np.ndarray:
        weights = {name: value.clone() for name, value in first.items()}
        optimizer = adam(weights.values(), task)

        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            grads, losses = gradients(weights, x, y)
            for name, value in weights.items():
                value.grad = grads[name]
            optimizer.step()
            return losses

        return train(task, step, x, y, None)

    return run
