"""Training in PyTorch by a step that is captured in a CUDA graph and replayed."""

from collections.abc import Callable

import numpy as np
import torch

from bench.peers._torch import DEVICE, order_of
from bench.tasks import Task

Step = Callable[[], None]

# Steps before the capture, as PyTorch's documentation has it: what libraries and the optimizer
# make once would else be made by every replay.
_WARM_UP = 3


class Captured:
    """A step captured in a CUDA graph; a call replays it."""

    def __init__(self, step: Step):
        self._step = step  # holds the tensors that the graph reads and writes
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step()

    def __call__(self) -> None:
        self._graph.replay()


def training(
    task: Task,
    parameters: list[torch.Tensor],
    losses_of: Callable[[torch.Tensor], torch.Tensor],
    orders: np.ndarray | None,
    record: Callable[[Step], Step],
) -> Callable[[], np.ndarray]:
    """A run that returns the losses of all lanes, `(lanes, epochs)`.

    Each size of batch has a step of its own: one for the whole ones, one for the last.

    Args:
      task: What is trained.
      parameters: Of all lanes. Every run starts from what they are now.
      losses_of: The mean losses `(lanes,)` over the rows of these numbers.
      orders: In which the rows are taken; None to draw them.
      record: Makes of a step what repeats it.
    """
    first = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.Adam(parameters, lr=task.learning_rate, fused=True, capturable=True)
    total = torch.zeros(task.lanes, device=DEVICE)
    totals = torch.zeros(task.epochs, task.lanes, device=DEVICE)

    def step_on(rows: torch.Tensor) -> Step:
        def step() -> None:
            losses = losses_of(rows)
            losses.sum().backward()
            optimizer.step()
            # at the end, as a capture is to begin without gradients
            optimizer.zero_grad()
            total.add_(losses.detach(), alpha=len(rows))

        return step

    sizes = set(task.batch_rows.tolist())
    batches = {size: torch.zeros(size, dtype=torch.long, device=DEVICE) for size in sizes}
    steps = {size: record(step_on(rows)) for size, rows in batches.items()}

    @torch.no_grad()
    def begin() -> None:
        torch.manual_seed(0)
        for parameter, value in zip(parameters, first, strict=True):
            parameter.copy_(value)
        for statistics in optimizer.state.values():
            for value in statistics.values():
                value.zero_()

    def run() -> np.ndarray:
        begin()
        for epoch in range(task.epochs):
            total.zero_()
            for rows in order_of(epoch, task, orders).split(task.batch_size):
                batches[len(rows)].copy_(rows)
                steps[len(rows)]()
            totals[epoch] = total
        return (totals / task.rows).T.cpu().numpy()

    return run
