"""What is read from a source: blocks, checked, and gathered into buffers of one length."""

import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dataset import Dataset
from fnn.streams.source import Block, Source, blocks_of

_BUFFER_BYTES = 2**26
_ALIGNED = 64  # bytes; JAX on a CPU then uses the array where it is


class Buffer(NamedTuple):
    """Rows that are on the device together."""

    epoch: int
    number: int
    """From 0 in each epoch."""
    last: bool
    """Whether it is the last one of its epoch."""
    data: Dataset
    weight: float
    """The sum of the rows' weights."""

    @property
    def mark(self) -> int:
        """A digest of its first row, to see that a source gives the same rows again."""
        return zlib.crc32(self.data.y[:1].tobytes(), zlib.crc32(self.data.x[:1].tobytes()))


class Reader:
    """Reads a source for one caller, and checks that it stays as it was."""

    def __init__(
        self, function: str, name: str, source: Source, change: Callable[[Any], Any] | None = None
    ):
        """Takes the caller's name and what it calls the source, for errors, and a change of x."""
        self._function, self._name, self.source = function, name, source
        self._change = change
        self._kinds: list[tuple[tuple, np.dtype]] | None = None
        self.rows = source.rows
        """Of each epoch; None before the first one is over, if the source does not know."""

    def changed(self, change: Callable[[Any], Any]) -> "Reader":
        """The reader of the same source with a change of x."""
        return Reader(self._function, self._name, self.source, change)

    @property
    def x_dtype(self) -> np.dtype:
        """The dtype of x as the source gives it, known after the first block."""
        return (self._kinds or [((), np.dtype(float))])[0][1]

    def example(self, rows: int) -> Dataset:
        """The first rows of the source, at most so many, to check other arguments by."""
        buffers = self.buffers(rows)
        data = next(buffers).data
        buffers.close()
        weights = data.weights
        if weights is not None and not weights.any():  # the rest may weigh something
            weights = np.ones_like(weights)
        return data._replace(weights=weights)

    def buffer_rows(self, batch_size: int = 1) -> int:
        """The rows of a buffer: whole batches."""
        rows = self.source._buffer_rows
        if rows is None:
            data = self.example(1)
            rows = _BUFFER_BYTES // max(1, data.x.nbytes + data.y.nbytes)
        return max(1, rows // batch_size) * batch_size

    def inputs(self) -> Iterator[np.ndarray]:
        """The x of each block, in the order of the source, in float64."""
        for block in self._counted(0, None):
            names, arrays = self._read(block)
            _check_finite(self._function, names[0], arrays[0])
            yield arrays[0].astype(np.float64)

    def buffers(
        self, size: int, epoch: int = 0, seed: Sequence[int] | None = None, first: int = 0
    ) -> Generator[Buffer]:
        """The rows of an epoch in buffers of `size` rows, of which the last one may have fewer.

        Which blocks a buffer has is drawn by the seed. Its rows are in the order of the source,
        so if there is one buffer, it is the whole of the data as they are.

        Args:
          size: Rows of a buffer.
          epoch: Its number.
          seed: Whole numbers; None for the order of the source.
          first: The number of the first buffer that is wanted. Those before are read only if the
            lengths of the blocks are not known.
        """
        held: list[_Part] = []
        have, number = 0, 0
        for block in self._counted(epoch, seed):
            held.append(_Part(_Held(block, self._checked), 0, block.rows))
            have += block.rows
            while have > size:  # so that the last buffer is known to be the last
                taken, held = _split(held, size)
                have -= size
                if number >= first:
                    yield self._buffer(epoch, number, False, taken)
                number += 1
        yield self._buffer(epoch, number, True, held)

    def _counted(self, epoch: int, seed: Sequence[int] | None) -> Iterator[Block]:
        """The blocks of an epoch that have rows; raises where these are not as many as before."""
        rows = 0
        rule = f"{self._name} must have {self.rows} rows in every epoch"
        for block in blocks_of(self.source, epoch, seed):
            rows += block.rows
            if self.rows is not None:
                fits = rows <= self.rows
                checks.require(fits, self._function, rule, f"{rows} or more in epoch {epoch}")
            if block.rows:
                yield block
        one = f"{self._name} must have at least one row"
        checks.require(rows > 0, self._function, one, "none")
        if self.rows is None:
            self.rows = rows
        got = f"{rows} in epoch {epoch}, after which it ended"
        checks.require(rows == self.rows, self._function, rule, got)

    def _buffer(self, epoch: int, number: int, last: bool, parts: list["_Part"]) -> Buffer:
        in_order = sorted(parts, key=lambda part: (part.held.block.number, part.start))
        columns = zip(*[part.arrays() for part in in_order], strict=True)
        data = Dataset(*[_joined(list(column)) for column in columns])
        parts.clear()  # of which a generator that waits would keep the blocks
        weight = len(data.x) if data.weights is None else float(np.sum(data.weights, dtype=float))
        return Buffer(epoch, number, last, data, weight)

    def _read(self, block: Block) -> tuple[list[str], list[Any]]:
        """What the arrays of a block are called in errors, and these, of the kinds of the first."""
        function, given = self._function, block.read()
        place = f"block {block.number}"
        if block.first is not None:
            place += f" (rows {block.first} to {block.first + block.rows - 1})"
        rule = f"{self._name}, {place}, must be a tuple (x, y) or (x, y, weights)"
        is_tuple = isinstance(given, (tuple, list)) and len(given) in (2, 3)
        checks.require(is_tuple, function, rule, type(given).__name__, TypeError)
        names = [f"{part} of {self._name}, {place}," for part in ("x", "y", "weights")]
        arrays: list[Any] = [
            np.asarray(checks.real_numbers(function, name, part))
            for name, part in zip(names, given, strict=False)
        ]
        self._check_kinds(block, names, arrays)
        return names, arrays

    def _checked(self, block: Block) -> list[np.ndarray]:
        """The arrays of a block at JAX's precision, once it is seen to be a good one."""
        function = self._function
        names, arrays = self._read(block)
        if self._change is not None:
            arrays[0] = self._change(arrays[0])
        for index, (name, array) in enumerate(zip(names, arrays, strict=False)):
            arrays[index] = np.asarray(checks.numbers(function, name, array))
            _check_finite(function, name, arrays[index])
        if len(arrays) == 3:
            is_floating = jnp.issubdtype(arrays[2].dtype, jnp.floating)
            arrays[2] = arrays[2] if is_floating else arrays[2].astype(np.float32)
            good = bool((arrays[2] >= 0).all())
            checks.require(good, function, f"{names[2]} must be >= 0", arrays[2].min())
        return arrays

    def _check_kinds(self, block: Block, names: list[str], arrays: list[Any]) -> None:
        """Raises where a block is of another kind than the first one."""
        function = self._function
        for name, array in zip(names, arrays, strict=False):
            is_right = array.ndim == 1 if name.startswith("weights") else array.ndim >= 1
            is_right = is_right and len(array) == block.rows
            rule = f"{name} must have {block.rows} rows"
            checks.require(is_right, function, rule, f"shape {array.shape}")
        kinds = [(array.shape[1:], array.dtype) for array in arrays]
        if self._kinds is None:
            self._kinds = kinds
        both = len(kinds), len(self._kinds)
        rule = f"{self._name}, block {block.number}, must have as many arrays as the first block"
        checks.require(both[0] == both[1], function, rule, f"{both[0]}, not {both[1]}")
        for name, kind, wanted in zip(names, kinds, self._kinds, strict=False):
            rule = f"{name} must be {wanted[1]} of shape {_shape(wanted)}, as in the first block"
            checks.require(kind == wanted, function, rule, f"{kind[1]} of shape {_shape(kind)}")


class _Held:
    """A block that is read when its arrays are first needed."""

    def __init__(self, block: Block, read: Callable[[Block], list[np.ndarray]]):
        self.block, self._read = block, read
        self._arrays: list[np.ndarray] | None = None

    def arrays(self) -> list[np.ndarray]:
        if self._arrays is None:
            self._arrays = self._read(self.block)
        return self._arrays


class _Part(NamedTuple):
    """Rows of a block."""

    held: _Held
    start: int
    stop: int

    def arrays(self) -> list[np.ndarray]:
        return [array[self.start : self.stop] for array in self.held.arrays()]


def _split(parts: list[_Part], rows: int) -> tuple[list[_Part], list[_Part]]:
    """The first rows, and the rest; there are more than so many."""
    for index, (held, start, stop) in enumerate(parts):
        if rows < stop - start:
            middle = start + rows
            taken = [*parts[:index], _Part(held, start, middle)] if rows else parts[:index]
            return taken, [_Part(held, middle, stop), *parts[index + 1 :]]
        rows -= stop - start
    return parts, []


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    """A new array of all rows, at an address that JAX can use."""
    first = arrays[0]
    shape = sum(map(len, arrays)), *first.shape[1:]
    size = first.dtype.itemsize * int(np.prod(shape))
    memory = np.empty(size + _ALIGNED, np.uint8)
    start = -memory.ctypes.data % _ALIGNED
    joined = memory[start : start + size].view(first.dtype).reshape(shape)
    return np.concatenate(arrays, out=joined)


def _check_finite(function: str, name: str, array: np.ndarray) -> None:
    """`checks.finite`, after a look that is quick: the least is NaN if one number is."""
    if array.dtype.kind == "f" and array.size:
        with np.errstate(invalid="ignore"):
            if np.isfinite(array.min()) and np.isfinite(array.max()):
                return
    checks.finite(function, name, array)


def _shape(kind: tuple[tuple, np.dtype]) -> str:
    return f"({', '.join(map(str, ('rows', *kind[0])))})"
