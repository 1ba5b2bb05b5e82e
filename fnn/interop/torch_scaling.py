"""The layer that scales, for PyTorch. Other files import this one when PyTorch is asked for."""

from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]


class Scaling(torch.nn.Module):
    """y = (x - centre) factor + offset, feature by feature, which training leaves alone."""

    def __init__(self, centre: Any, factor: Any, offset: Any):
        super().__init__()
        for name, values in {"centre": centre, "factor": factor, "offset": offset}.items():
            self.register_buffer(name, torch.from_numpy(np.array(values)))
        self.features = np.size(centre)

    def forward(self, x: Any) -> Any:
        """The scaled x, `(..., features)`."""
        return (x - self.centre) * self.factor + self.offset

    def extra_repr(self) -> str:
        """The number of features."""
        return str(self.features)
