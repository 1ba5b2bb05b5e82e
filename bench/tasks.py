"""What is to be trained, the same for every peer.

Only NumPy and the standard library are imported here, as a cold start is measured with it.
"""

import dataclasses
import itertools
import json

import numpy as np

# The blobs vary in at most so many directions, as real data do. Noise in hundreds of them
# would be learnt by heart, and losses near 0 would say nothing about a peer.
_DIRECTIONS = 8
# How far apart two centres are, about, where the blobs have deviation 1.
_DISTANCE = 5


@dataclasses.dataclass(frozen=True)
class Task:
    """Work that every peer does alike: a net, data, batches, Adam, epochs.

    Hidden layers are ReLU, outputs are logits, the loss is softmax cross-entropy, Adam has
    b1 0.9, b2 0.999, eps 1e-8, and all is float32. An epoch sees every row once, in a new
    random order; its last batch has the rows that are left.
    """

    name: str
    sizes: tuple[int, ...]
    """Neurons per layer: features first, classes last."""
    rows: int
    batch_size: int
    epochs: int
    learning_rate: float = 1e-3
    lanes: int = 1
    """How many such networks, each with first weights of its own."""

    @property
    def batch_rows(self) -> np.ndarray:
        """How many rows each batch of an epoch has."""
        starts = np.arange(0, self.rows, self.batch_size)
        return np.minimum(self.batch_size, self.rows - starts)

    @property
    def steps(self) -> int:
        """Steps in the whole run."""
        return self.epochs * len(self.batch_rows)

    @property
    def operations(self) -> int:
        """Floating point operations of the run's matrix products, of true rows.

        Forward, weight gradient and input gradient take 2 each a weight and row; the first
        layer needs no input gradient.
        """
        weights = [a * b for a, b in itertools.pairwise(self.sizes)]
        return self.epochs * self.rows * (6 * sum(weights) - 2 * weights[0])

    def with_epochs(self, epochs: int) -> "Task":
        """The same for another number of epochs."""
        return dataclasses.replace(self, epochs=epochs)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """A Gaussian blob per class: x float32 `(rows, features)` and y int32 `(rows,)`."""
        random = np.random.default_rng(0)
        features, classes = self.sizes[0], self.sizes[-1]
        directions = min(features, _DIRECTIONS)
        y = random.integers(classes, size=self.rows, dtype=np.int32)
        centres = random.normal(size=(classes, directions)) * _DISTANCE / np.sqrt(2 * directions)
        points = centres[y] + random.normal(size=(self.rows, directions))
        x = points @ random.normal(size=(directions, features)) / np.sqrt(directions)
        return x.astype(np.float32), y

    def params(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """A weight `(in, out)`, He's uniform, and a bias `(out,)`, 0, of every layer.

        Of several networks `(lanes, in, out)` and `(lanes, out)`.
        """
        if self.lanes == 1:
            return self._params(1)
        lanes = [self._params((1, lane)) for lane in range(self.lanes)]
        layers = zip(*lanes, strict=True)
        return [tuple(map(np.stack, zip(*layer, strict=True))) for layer in layers]

    def _params(self, seed: int | tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
        random = np.random.default_rng(seed)
        params = []
        for fan_in, out in itertools.pairwise(self.sizes):
            bound = np.sqrt(6 / fan_in)
            weight = random.uniform(-bound, bound, size=(fan_in, out)).astype(np.float32)
            params.append((weight, np.zeros(out, np.float32)))
        return params

    def epoch_losses(self, losses: np.ndarray) -> np.ndarray:
        """The mean loss over each epoch's rows `(epochs,)`, from the loss of every step."""
        by_epoch = np.reshape(losses, (self.epochs, -1))
        return np.average(by_epoch, axis=1, weights=self.batch_rows)

    def to_json(self) -> str:
        """The task as one argument of a command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Task":
        """The task that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "sizes": tuple(fields["sizes"])})
