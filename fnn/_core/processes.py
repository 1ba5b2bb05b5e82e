"""What the processes of a run agree on, where there are several, and which arrays they share.

All processes call what exchanges values, at the same place: `fetched`, `largest`, `from_all`,
`require_same`, and what raises in all. With one process these cost nothing.
"""

import contextlib
import contextvars
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer, eval_context
from jax.experimental import multihost_utils

_DIGEST = 16
# bytes that processes exchange at once
_PIECE = 2**24
# bytes of an error's text that other processes get
_TEXT = 1024
_within = contextvars.ContextVar("within `raised_in_all`", default=False)
# errors of the runtime, by which collective operations end
_LOST = re.compile(r"(UNKNOWN|INTERNAL|UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED): ")
# odd numbers, one for each word of a digest on devices
_SEEDS = 0x9E3779B1, 0x7FEB352D, 0x846CA68B, 0xB5297A4D


def is_elsewhere(value: Any) -> bool:
    """Whether parts of an array are on devices of other processes only."""
    if not isinstance(value, jax.Array) or isinstance(value, Tracer):
        return False
    return not (value.is_fully_addressable or value.is_fully_replicated)


def spans_processes(tree: Any) -> bool:
    """Whether an array of the tree is on devices of several processes."""
    leaves = jax.tree.leaves(tree)
    arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
    return any(not isinstance(a, Tracer) and not a.is_fully_addressable for a in arrays)


def fetched(tree: Any) -> Any:
    """The tree, with what is elsewhere as whole NumPy arrays."""
    if jax.process_count() == 1:
        return tree

    def whole(leaf: Any) -> Any:
        if not spans_processes(leaf):
            return leaf
        if is_elsewhere(leaf):
            return multihost_utils.process_allgather(leaf, tiled=True)
        return leaf.addressable_data(0)

    return jax.tree.map(whole, tree)


def parts_here(array: Any) -> list[tuple[tuple[int, ...], Any]]:
    """The parts of an array that are on devices of this process, each with where it begins."""
    if not spans_processes(array):
        return [((0,) * array.ndim, array)]
    shards = array.addressable_shards
    return [(tuple(axis.start or 0 for axis in shard.index), shard.data) for shard in shards]


def rows_here(array: Any) -> np.ndarray:
    """The rows of an array, sharded by its first axis, that are on devices of this process."""
    parts = {begin[0]: part for begin, part in parts_here(array)}
    return np.concatenate([np.asarray(parts[begin]) for begin in sorted(parts)])


def largest(*values: int | bool) -> tuple[int, ...]:
    """The largest of each value over the processes."""
    if jax.process_count() == 1:
        return tuple(map(int, values))
    return tuple(np.max(_gathered(np.array(values, np.int32)), axis=0).tolist())


def from_all(tree: Any) -> Any:
    """The NumPy arrays of a tree from all processes, `(processes, ...)`, bit for bit.

    Shapes and dtypes must be the same in all of them.
    """
    leaves, structure = jax.tree.flatten(tree)
    own = [np.frombuffer(np.asarray(leaf).tobytes(), np.uint8) for leaf in leaves]
    joined = np.concatenate(own)
    # in pieces of a few sizes, which bounds memory on devices and how many programs there are
    piece = min(_PIECE, 1 << max(0, len(joined) - 1).bit_length())
    padded = np.pad(joined, (0, -len(joined) % piece)).reshape(-1, piece)
    found = np.concatenate([_gathered(part) for part in padded], axis=1)
    ends = np.cumsum([len(part) for part in own])
    whole = [
        found[:, end - len(part) : end].copy().view(leaf.dtype).reshape(len(found), *leaf.shape)
        for leaf, part, end in zip(leaves, own, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, whole)


def written_by_first(tree: Any, write: Callable[[], Any], error_elsewhere: Exception) -> None:
    """Writes a file: where the tree spans processes, in the first one, while the others wait.

    Raises:
      Exception: What `write` raises; in the other processes, `error_elsewhere`.
    """
    if not spans_processes(tree):
        write()
        return
    all_or_none(write if jax.process_index() == 0 else lambda: None, error_elsewhere)


def all_or_none(call: Callable[[], Any], error_elsewhere: Exception) -> Any:
    """The result of the call, if it raises in no process.

    Raises:
      Exception: What it raises; in the processes where it does not, `error_elsewhere`.
    """
    with raised_in_all(error_elsewhere):
        return call()


@contextlib.contextmanager
def raised_in_all(error_elsewhere: Exception, together: bool = True) -> Iterator[None]:
    """Has an error that one process raises inside raised by all of them, if they do it together.

    Nothing inside may wait for other processes, as one that has raised does not arrive there. A
    block inside another leaves it to that one.

    Raises:
      Exception: The error; in the other processes, one like `error_elsewhere`, with its text.
    """
    if jax.process_count() == 1 or not together or _within.get():
        yield
        return
    failed, token = None, _within.set(True)
    try:
        yield
    except Exception as error:
        failed = error
    finally:
        _within.reset(token)
    if not any(largest(failed is not None)):
        return
    text = "" if failed is None else f"{type(failed).__name__}: {failed}"
    own = np.frombuffer(text.encode(errors="replace")[:_TEXT].ljust(_TEXT, b"\0"), np.uint8)
    found = _gathered(own)
    if failed is not None:
        raise failed
    texts = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in found]
    text = max(texts)  # of one that failed: those of the others are empty
    raise type(error_elsewhere)(f"{error_elsewhere}: {text}")


def valid_in_all(
    function: str, data: Any, together: bool = False
) -> contextlib.AbstractContextManager:
    """`raised_in_all`, for checks of arguments, where data span processes or all do it together."""
    if jax.process_count() == 1 or not (together or spans_processes(data)):
        return contextlib.nullcontext()
    rule = "arguments must be valid in all processes"
    return raised_in_all(ValueError(f"{function}: {rule}; got an error in another"))


@contextlib.contextmanager
def in_touch(function: str) -> Iterator[None]:
    """Has an error in our words where another process can no longer be reached."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if jax.process_count() == 1 or not _LOST.match(str(error)):
            raise
        rule = (
            "all processes must keep running (started again, they continue from the last "
            "checkpoint, if there is one)"
        )
        raise RuntimeError(f"{function}: {rule}; got {error}") from error


def require_same(function: str, describe: Callable[[], Mapping[str, str]]) -> None:
    """Raises ValueError, in every process, unless all give the same description of what they do."""
    if jax.process_count() == 1:
        return
    description = describe()
    names = sorted(description)
    texts = ["\n".join(f"{name}: {description[name]}" for name in names), "\n".join(names)]
    whole, structure = _same_as_first(texts)
    if whole:
        return
    got = "others"
    if structure:  # so that all have as many
        same = _same_as_first([description[name] for name in names])
        got += (
            f" in {', '.join(name for name, equal in zip(names, same, strict=True) if not equal)}"
        )
    raise ValueError(f"{function}: all processes must be given the same arguments; got {got}")


def digest_on_devices(array: jax.Array) -> str:
    """A digest of an array where it is, whatever processes have its parts."""
    return "".join(f"{int(part):08x}" for part in np.asarray(_digest_on_devices(array)))


@jax.jit
def _digest_on_devices(array: jax.Array) -> jax.Array:
    # The sum, modulo 2^32, of a mix of each word's bits and its place: exact in any order.
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    width = array.dtype.itemsize
    words = jax.lax.bitcast_convert_type(array, {1: np.uint8, 2: np.uint16}.get(width, np.uint32))
    words = words.astype(np.uint32)
    place = jnp.zeros((), np.uint32)
    for axis, size in enumerate(words.shape):
        place = place * np.uint32(size) + jax.lax.broadcasted_iota(np.uint32, words.shape, axis)
    sums = []
    for seed in _SEEDS:
        mixed = (words ^ (place * np.uint32(seed))) * np.uint32(0x85EBCA6B)
        mixed = (mixed ^ (mixed >> 13) ^ place) * np.uint32(0xC2B2AE35)
        sums.append(jnp.sum(mixed ^ (mixed >> 16), dtype=np.uint32))
    return jnp.stack(sums)


def _gathered(values: np.ndarray) -> np.ndarray:
    """The values `(size,)` of all processes, `(processes, size)`."""
    with eval_context():  # also where the caller is transformed
        return multihost_utils.process_allgather(values).reshape(-1, len(values))


def _same_as_first(texts: list[str]) -> list[bool]:
    """Of each text, whether all processes have the first one's."""
    own = [hashlib.blake2b(text.encode(), digest_size=_DIGEST).digest() for text in texts]
    digests = np.frombuffer(b"".join(own), np.uint8).astype(np.int32)
    found = _gathered(digests).reshape(-1, len(texts), _DIGEST)
    return (found == found[0]).all(axis=(0, 2)).tolist()
