"""Sources of blocks that others give: sequences, loaders of PyTorch and Grain, functions."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fnn._core import checks
from fnn.streams.source import Source, checked_buffer_rows


def from_blocks(blocks: Any, *, rows: int | None = None, buffer_rows: int | None = None) -> Source:
    """The source of blocks `(x, y)` or `(x, y, weights)`, which something else gives.

    That is one of

    - a sequence, with a length and numbers from 0: a list, a Grain `MapDataset`. Its blocks are
      read in random order;
    - what can be iterated anew in each epoch: a PyTorch or Grain `DataLoader`, a Grain
      `IterDataset`;
    - a function that gives such a thing, called in each epoch: with its number, from 0, if it
      takes an argument.

    Blocks may have any number of rows, so loaders that make batches do; here their rows are
    gathered into buffers, shuffled, and cut into batches anew. A run that is continued from a
    checkpoint reads the blocks of its epoch up to where it was. It gets to the same bits if they
    are the same, so what is random in them must be a function of the epoch's number.

    Args:
      blocks: As said above. x `(rows, ...)`, y as the loss takes it, weights `(rows,)`, >= 0:
        arrays, or tensors of PyTorch on the CPU. In all blocks they have one dtype, and one shape
        but for the rows.
      rows: How many there are in an epoch, if you know it: a source that ends early is then refused
        in its first epoch, too.
      buffer_rows: As in `from_arrays`.
    Returns:
      A `Source`. A checkpoint knows it by its type or the function's name, and what it reads again
      by a row of the last buffer.
    Raises:
      ValueError, TypeError: It is none of these, such as a generator, which ends after one epoch.

    >>> def blocks(epoch):
    ...     random = np.random.default_rng(epoch)  # new rows in each epoch
    ...     for _ in range(10):
    ...         x = random.normal(size=(64, 2)).astype(np.float32)
    ...         yield x, x.sum(axis=1)
    >>> net, source = fnn.mlp((2, 1)), from_blocks(blocks)
    >>> scores = fnn.evaluate(net, net.init(jax.random.key(0)), source, {"r2": fnn.r2})
    >>> scores["r2"].shape
    ()
    """
    name = "from_blocks"
    if rows is not None:
        rows = checks.count(name, "rows", rows)
    kind, of_any = type(blocks), blocks
    is_sequence = hasattr(kind, "__len__") and hasattr(kind, "__getitem__")
    is_array = hasattr(blocks, "dtype") or isinstance(blocks, (str, bytes, Mapping))
    is_once = isinstance(blocks, Iterator)
    rule = (
        "blocks must be a sequence of (x, y), an iterable that begins anew, or a function that "
        "gives one (for arrays there is from_arrays)"
    )
    good = is_sequence or isinstance(blocks, Iterable) or callable(blocks)
    good &= not (is_array or is_once or isinstance(blocks, type))
    checks.require(good, name, rule, kind.__name__, TypeError)
    options: dict[str, Any] = {"rows": rows, "buffer_rows": checked_buffer_rows(name, buffer_rows)}
    if is_sequence:
        count = len(of_any)
        checks.require(
            0 < count <= checks.INT32, name, "blocks must be at least one, and end", count
        )
        facts = {"of": "blocks", "blocks": f"{count} of {kind.__name__}"}
        return Source(of_any, facts=facts, **options)
    if isinstance(blocks, Iterable):
        shown, begin = kind.__name__, lambda epoch: blocks
    else:
        shown, begin = getattr(blocks, "__qualname__", kind.__name__), _begun(blocks)
    return Source(begin=begin, facts={"of": "blocks", "blocks": shown}, **options)


def _begun(factory: Callable) -> Callable[[int], Iterable[Any]]:
    """A function of the epoch that begins the blocks of a factory."""
    takes_epoch = _takes_argument(factory)

    def begin(epoch: int) -> Iterable[Any]:
        blocks = factory(epoch) if takes_epoch else factory()
        rule = "the function of blocks must return an iterable"
        is_one = isinstance(blocks, Iterable)
        checks.require(is_one, "from_blocks", rule, type(blocks).__name__, TypeError)
        return blocks

    return begin


def _takes_argument(function: Callable) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # builtins have no signature
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in places and p.default is p.empty for p in parameters)
