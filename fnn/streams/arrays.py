"""Sources of arrays: in memory, mapped from files, or in a folder of `.npy` files."""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fnn._core import checks
from fnn.streams.source import Source, checked_buffer_rows

_BLOCK_BYTES = 2**22
# blocks of which a row is looked at, to know the arrays again
_LOOKED_AT = 64
_PARTS = ("x", "y", "weights")


def from_arrays(
    x: Any,
    y: Any,
    weights: Any = None,
    *,
    block_rows: int | None = None,
    buffer_rows: int | None = None,
) -> Source:
    """The source of arrays that are read a slice at a time, such as `np.load(..., mmap_mode="r")`.

    Args:
      x: `(rows, ...)`: NumPy's arrays and memory maps, or what has a shape, a dtype and slices as
        they have (arrays of h5py or Zarr).
      y: `(rows, ...)`, as the loss takes it.
      weights: `(rows,)`, >= 0; None where all rows weigh the same.
      block_rows: Rows that are read together, >= 1. Blocks are read in random order, so larger ones
        are read faster, and smaller ones mix the rows better. None: as many as make 4 MiB.
      buffer_rows: Rows that are shuffled together on the device, >= 1; rounded down to whole
        batches. Some four such buffers are in memory. None: as many as make 64 MiB.
    Returns:
      A `Source`. A checkpoint knows it by shapes, dtypes and a few of the rows.
    Raises:
      ValueError, TypeError: Lengths differ, there are no rows, or an argument is not as described
        here. Values are looked at when they are read.

    >>> x = np.linspace(-1, 1, 640)[:, None]
    >>> source = from_arrays(x, 3 * x + 1, block_rows=32, buffer_rows=256)
    >>> run = fnn.train(fnn.mlp((1, 1)), fnn.squared_error, fnn.sgd(0.1), source,
    ...                 key=jax.random.key(0), epochs=5, progress=False)
    >>> print(run.params[0].weight.round(2))
    [[3.]]
    """
    name = "from_arrays"
    given = (x, y) if weights is None else (x, y, weights)
    arrays = [_sliceable(name, part, value) for part, value in zip(_PARTS, given, strict=False)]
    rows = _rows(name, arrays)
    if block_rows is None:
        block_rows = max(1, _BLOCK_BYTES * rows // max(1, sum(map(_bytes, arrays))))
    block_rows = checks.count(name, "block_rows", block_rows)
    starts = range(0, rows, block_rows)
    lengths = [min(block_rows, rows - start) for start in starts]
    blocks = _Slices([arrays], [0] * len(lengths), starts, lengths)
    kinds = {part: f"{a.dtype}{a.shape}" for part, a in zip(_PARTS, arrays, strict=False)}
    facts = {"of": "arrays", **kinds, "block_rows": block_rows, "digest": _digest(blocks)}
    return Source(
        blocks, facts=facts,
        lengths=lengths, buffer_rows=checked_buffer_rows(name, buffer_rows),
    )  # fmt: skip


def from_npy(
    folder: str | os.PathLike, *, block_rows: int | None = None, buffer_rows: int | None = None
) -> Source:
    """The source of a folder of `.npy` files, which are mapped, so that a file may be large.

    Args:
      folder: Where the files are: those whose names begin with x, as `x_000.npy`, and in the same
        number and order those that begin with y, and with weights, if there are any. The rows of
        x, y and weights of one place are as many.
      block_rows: As in `from_arrays`; a block has rows of one file.
      buffer_rows: As in `from_arrays`.
    Returns:
      A `Source`.
    Raises:
      ValueError, TypeError: There are no such files, or they do not fit one another.
      OSError: A file cannot be read.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for part in range(3):
    ...     np.save(f"{folder}/x_{part}.npy", np.ones((10, 2), np.float32))
    ...     np.save(f"{folder}/y_{part}.npy", np.ones(10, np.float32))
    >>> from_npy(folder).rows
    30
    """
    name = "from_npy"
    place = checks.path(name, "folder", folder)
    found = {part: sorted(place.glob(f"{part}*.npy")) for part in _PARTS}
    counts = {part: len(paths) for part, paths in found.items()}
    rule = f"{place} must hold as many files x*.npy as y*.npy (and weights*.npy, if any)"
    shown = ", ".join(f"{count} {part}*.npy" for part, count in counts.items())
    good = counts["x"] == counts["y"] > 0 and counts["weights"] in (0, counts["x"])
    checks.require(good, name, rule, shown)
    shards = _Shards([found[part] for part in _PARTS if found[part]])
    rows = [_rows(f"{name}: {shards.named(index)}", shards[index]) for index in range(len(shards))]
    if block_rows is None:
        row_bytes = max(1, sum(map(_bytes, shards[0])) // rows[0])
        block_rows = max(1, _BLOCK_BYTES // row_bytes)
    block_rows = checks.count(name, "block_rows", block_rows)
    cuts = [
        (index, start, min(block_rows, count - start))
        for index, count in enumerate(rows)
        for start in range(0, count, block_rows)
    ]
    owners, starts, lengths = (list(column) for column in zip(*cuts, strict=True))
    blocks = _Slices(shards, owners, starts, lengths)
    return Source(
        blocks, facts={"of": "files", "rows_of_files": rows, "block_rows": block_rows,
                       "digest": _digest(blocks)},
        lengths=lengths, buffer_rows=checked_buffer_rows(name, buffer_rows),
    )  # fmt: skip


class _Shards:
    """The arrays of each place of a folder, mapped when they are needed."""

    def __init__(self, files: list[list[Path]]):
        self._files = list(zip(*files, strict=True))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> list[Any]:
        return [np.load(path, mmap_mode="r", allow_pickle=False) for path in self._files[index]]

    def named(self, index: int) -> str:
        """The names of the files, for errors."""
        return ", ".join(path.name for path in self._files[index])


class _Slices:
    """A sequence of blocks: slices of arrays."""

    def __init__(
        self, arrays: Any, owners: Sequence[int], starts: Sequence[int], lengths: Sequence[int]
    ):
        """Block i is `lengths[i]` rows from `starts[i]` of the arrays `arrays[owners[i]]`."""
        self._arrays, self._owners, self._starts, self._lengths = arrays, owners, starts, lengths

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        start = self._starts[number]
        rows = slice(start, start + self._lengths[number])
        return tuple(array[rows] for array in self._arrays[self._owners[number]])


def _sliceable(function: str, part: str, value: Any) -> Any:
    """Itself, if it can be sliced without being read, else an array of it."""
    if all(hasattr(value, name) for name in ("shape", "dtype", "__getitem__")):
        return value
    return checks.real_numbers(function, part, value)


def _rows(function: str, arrays: list[Any]) -> int:
    shapes = [tuple(array.shape) for array in arrays]
    rule = "x, y and weights must have rows, of one number and at least one"
    lengths = {shape[:1] for shape in shapes}
    shown = ", ".join(map(str, shapes))
    good = len(lengths) == 1 and lengths != {()} and lengths != {(0,)}
    checks.require(good, function, rule, f"shapes {shown}")
    return shapes[0][0]


def _bytes(array: Any) -> int:
    return int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize


def _digest(blocks: _Slices) -> str:
    """Of the first rows of blocks at even distances."""
    digest = 0
    for number in np.unique(np.linspace(0, len(blocks) - 1, _LOOKED_AT).astype(int)):
        for array in blocks[number]:
            digest = zlib.crc32(np.asarray(array[:1]).tobytes(), digest)
    return f"{digest:08x}"
