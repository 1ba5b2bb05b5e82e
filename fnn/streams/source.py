"""A source: blocks of rows that are read anew in each epoch and need not fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fnn._core import checks


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
        blocks: Any,
        *,
        facts: dict[str, Any],
        lengths: Sequence[int] | None = None,
        rows: int | None = None,
        buffer_rows: int | None = None,
    ):
        """Not to be called: the functions of `fnn.streams` do, with checked arguments.

        Args:
          blocks: A sequence of them, or a function of the epoch that begins to give them.
          facts: What checkpoints know it by.
          lengths: The rows of each block, where they are known before reading.
          rows: All of them, where the number is known.
          buffer_rows: How many rows are gathered before they are shuffled; None: 64 MiB.
        """
        self._blocks, self._lengths, self._facts = blocks, lengths, facts
        self._rows = rows if lengths is None else int(np.sum(lengths))
        self._buffer_rows = buffer_rows

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
        blocks = self._blocks
        if callable(blocks):
            made: Any = lambda epoch: (_twice_y(block) for block in blocks(epoch))  # noqa: E731
        else:
            made = Mapped(_twice_y, blocks)
        return Source(
            made, facts=self._facts | {"of": "targets"}, lengths=self._lengths, rows=self._rows,
            buffer_rows=self._buffer_rows,
        )  # fmt: skip


def blocks_of(source: Source, epoch: int, seed: Sequence[int] | None) -> Iterator[Block]:
    """The blocks of an epoch, in an order drawn by the seed where they can be read in any.

    Args:
      source: Where they are.
      epoch: Its number.
      seed: Whole numbers; None for the order of the source.
    """
    blocks, lengths = source._blocks, source._lengths
    if callable(blocks):
        for number, given in enumerate(blocks(epoch)):
            if given is not None:
                # an iterator may fill the same arrays again
                kept = _copied(given)
                yield Block(number, None, _length(kept), lambda kept=kept: kept)
        return
    ends = None if lengths is None else np.cumsum(lengths)
    for number in range(len(blocks)) if seed is None else _shuffled(len(blocks), seed):
        number = int(number)
        if lengths is not None and ends is not None:
            rows = int(lengths[number])
            first = int(ends[number]) - rows
            yield Block(number, first, rows, lambda number=number: blocks[number])
            continue
        given = blocks[number]
        if given is not None:  # as of a filtered element of Grain's
            yield Block(number, None, _length(given), lambda given=given: given)


def facts_of(source: Source) -> dict[str, Any]:
    """What checkpoints know a source by."""
    return source._facts | {"rows": source._rows, "buffer_rows": source._buffer_rows}


class Mapped:
    """A sequence of blocks, each changed by a function when it is read."""

    def __init__(self, function: Callable[[Any], Any], blocks: Sequence[Any]):
        """Takes the function and the blocks."""
        self._function, self._blocks = function, blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, number: int) -> Any:
        return self._function(self._blocks[number])


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


def _twice_y(given: Any) -> Any:
    return (given[1], given[1]) if _is_block(given) else given
