"""A source: blocks of rows that are read anew in each epoch and need not fit into memory."""

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fnn._core import checks
from fnn._core.shards import Shards


class Block(NamedTuple):
    """A block of a source that can be read."""

    number: int
    first: int | None
    """The number of its first row; None where that is known only by reading."""
    rows: int
    read: Callable[[], Any]
    """Gives `(x, y)` or `(x, y, weights)`, as they come."""


class Source:
    """Rows to train or to measure on that need not fit into memory: blocks `(x, y[, weights])`.

    Made by `from_arrays`, `from_npy`, `from_parquet` or `from_blocks`. `fnn.train` and
    `fnn.evaluate` take it in place of arrays, `fnn.standard_scaler` and `fnn.min_max_scaler` in
    place of x.
    """

    is_source = True

    def __init__(
        self,
        blocks: Any = (),
        *,
        begin: Callable[[int], Iterable[Any]] | None = None,
        facts: dict[str, Any],
        lengths: Sequence[int] | None = None,
        rows: int | None = None,
        buffer_rows: int | None = None,
    ):
        """Not to be called: the functions of `fnn.streams` do, with checked arguments.

        Args:
          blocks: A sequence of them.
          begin: In place of it, a function of the epoch that gives them one after the other.
          facts: What checkpoints know it by.
          lengths: The rows of each block, where they are known before reading.
          rows: All of them, where the number is known.
          buffer_rows: How many rows are gathered before they are shuffled; None: 64 MiB.
        """
        self._blocks, self._begin, self._lengths = blocks, begin, lengths
        self._facts, self._buffer_rows = facts, buffer_rows
        self._rows = rows if lengths is None else int(np.sum(lengths))
        self._of_targets = False
        self._shards: Shards | None = None

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self._facts.items())
        return f"Source({facts})"

    @property
    def rows(self) -> int | None:
        """The number of rows; None where that is known only by reading."""
        return self._rows

    @property
    def targets(self) -> "Source":
        """The source of `(y, y)`, for scalers of targets: `standard_scaler(source.targets)`."""
        made = copy.copy(self)
        made._of_targets, made._facts = True, self._facts | {"of": "targets"}
        return made

    def _read(self, number: int) -> Any:
        return self._given(self._blocks[number])

    def _given(self, block: Any) -> Any:
        return (block[1], block[1]) if self._of_targets and _is_block(block) else block


def blocks_of(source: Source, epoch: int, seed: Sequence[int] | None) -> Iterator[Block]:
    """The blocks of an epoch, in an order drawn by the seed where they can be read in any.

    Args:
      source: Where they are.
      epoch: Its number.
      seed: Whole numbers; None for the order of the source.
    """
    if source._begin is not None:
        # an iterator may fill the same arrays again
        given = (_copied(source._given(block)) for block in source._begin(epoch))
        yield from _known_by_reading(enumerate(given))
        return
    count, lengths = len(source._blocks), source._lengths
    order = range(count) if seed is None else _shuffled(count, seed).tolist()
    if lengths is None:
        yield from _known_by_reading((number, source._read(number)) for number in order)
        return
    ends = np.cumsum(lengths)
    for number in order:
        first = int(ends[number]) - lengths[number]
        yield Block(number, first, lengths[number], functools.partial(source._read, number))


def _known_by_reading(blocks: Iterable[tuple[int, Any]]) -> Iterator[Block]:
    for number, block in blocks:
        if block is not None:  # as of elements that Grain has filtered
            yield Block(number, None, _length(block), lambda block=block: block)


def on_mesh(source: Source, shards: Shards) -> Source:
    """The source with buffers whose rows lie on the devices of a mesh."""
    made = copy.copy(source)
    made._shards = shards
    return made


def shards_of_source(source: Source) -> Shards | None:
    """How rows of its buffers lie on a mesh; None where one device has them."""
    return source._shards


def facts_of(source: Source) -> dict[str, Any]:
    """What checkpoints know a source by."""
    return source._facts | {"rows": source._rows, "buffer_rows": source._buffer_rows}


def checked_buffer_rows(function: str, buffer_rows: int | None) -> int | None:
    """The option of that name, which all sources have."""
    return None if buffer_rows is None else checks.count(function, "buffer_rows", buffer_rows)


def _shuffled(count: int, seed: Sequence[int]) -> np.ndarray:
    """An order of so many numbers. Of NumPy, only the raw bits stay the same in all versions."""
    bits = np.random.Philox(np.random.SeedSequence(list(seed))).random_raw(count)
    return np.argsort(bits, kind="stable")


def _is_block(given: Any) -> bool:
    return isinstance(given, (tuple, list)) and len(given) in (2, 3)


def _length(given: Any) -> int:
    """The rows of a block; 1 where it is none, which is refused when it is looked at."""
    return len(given[0]) if _is_block(given) and np.ndim(given[0]) else 1


def _copied(given: Any) -> Any:
    if not _is_block(given):
        return given
    return tuple(np.array(part) if isinstance(part, np.ndarray) else part for part in given)
