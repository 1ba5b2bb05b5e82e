"""Files of arrays: any pytree, written whole or not at all, and read back byte for byte.

A file is a zip archive, uncompressed, of which NumPy's `np.load` can read the arrays:

    manifest.json       what is in it: the format's version, the user's metadata, and of each
                        leaf its path, kind, dtype, shape and digest
    0.npy, 1.npy, ...   the leaves, in that order

and the archive's comment holds the manifest's own digest. No code is stored and none is run:
there is no pickle anywhere, and names in a file are compared, never used as paths.
"""

import contextlib
import hashlib
import itertools
import json
import math
import os
import secrets
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from fnn._core import checks
from fnn._core.processes import fetched, written_by_first
from fnn.files.leaves import as_like, described, stored, template

__all__ = ["CheckpointError", "load", "load_metadata", "save"]

VERSION = 1
_FORMAT = "fnn"
_MANIFEST = "manifest.json"
# where a file comes into being, beside the one that it replaces
TEMPORARY = ".fnn-partial"
_PARTS = 2**22  # bytes handed over at a time
_LONGEST = 2**24  # bytes of a manifest


class CheckpointError(Exception):
    """A file is damaged, does not fit, or could not be written; says which and where."""


def save(path: str | os.PathLike, tree: Any, metadata: Any = None) -> None:
    """Writes a pytree of arrays to one file, whole or not at all.

    It is written beside `path`, synced to the disk, and renamed: a reader of `path` finds the old
    file or the whole new one, also after a power cut. Two writers leave the whole file of one of
    them. A tree on devices of several processes is saved by the first one: all have to call this.

    Args:
      path: The file, replaced if it is there. Its folder must exist. Any name will do.
      tree: Any pytree of arrays, NumPy or JAX, of numbers, bools and PRNG keys, typed or not;
        Python's numbers and bools too. Functions and strings are not leaves (those in the
        structure of a config are not stored).
      metadata: What JSON can hold, kept beside the arrays: names in dicts are strings.
    Returns:
      Nothing.
    Raises:
      TypeError: A leaf is none of these, or is a tracer, or JSON cannot hold the metadata.
      ValueError: An integer does not fit 64 bits, or the metadata 16 MiB.
      CheckpointError: It could not be written (a full disk, no permission); the old file is
        intact.

    >>> import tempfile, os
    >>> params = {"weight": jnp.ones((2, 3)), "bias": jnp.zeros(3)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(os.path.join(folder, "params.npz"), params, {"epoch": 3})
    ...     print(load(os.path.join(folder, "params.npz"), like=params)["weight"].shape)
    (2, 3)
    """
    name = "save"
    path = checks.path(name, "path", path)
    checks.require(path.name, name, "path must be a path with a file's name", path)
    leaves, arrays = [], []
    for key_path, leaf in jax.tree_util.tree_leaves_with_path(fetched(tree)):
        description, array = described(name, jax.tree_util.keystr(key_path), leaf)
        leaves.append(description | {"digest": hashlib.sha256(_bytes(array)).hexdigest()})
        arrays.append(array)
    manifest = {"format": _FORMAT, "version": VERSION, "metadata": metadata, "leaves": leaves}
    try:
        text = json.dumps(manifest, allow_nan=False, indent=1).encode()
    except (TypeError, ValueError, RecursionError) as error:
        rule = "metadata must be what JSON can hold (no NaN)"
        raise TypeError(f"{name}: {rule}; got {metadata!r}: {error}") from None
    rule = f"metadata and paths of leaves must fit {_LONGEST} bytes"
    checks.require(len(text) <= _LONGEST, name, rule, len(text))
    write = lambda: saved_whole(name, path, lambda file: _write(file, text, arrays))  # noqa: E731
    elsewhere = CheckpointError(f"{name}: {path} could not be written by the first process")
    written_by_first(tree, write, elsewhere)


def load(path: str | os.PathLike, *, like: Any) -> Any:
    """The pytree that `save` wrote, every byte of it checked.

    Args:
      path: The file.
      like: A pytree with the same paths, shapes and dtypes: the tree that was saved, or
        another one such as `net.init` makes, or the result of `jax.eval_shape`.
    Returns:
      The structure of `like` with the leaves of the file: NumPy arrays or Python numbers where
      `like` has these, else JAX arrays with the sharding of those of `like`.
    Raises:
      CheckpointError: The file is damaged anywhere, of another version, or does not match `like`;
        the error says what, and where.
      FileNotFoundError, PermissionError: As `open`.

    >>> import tempfile
    >>> net = fnn.mlp((3, 4, 2))
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     save(file.name, net.init(jax.random.key(0)))
    ...     params = load(file.name, like=net.init(jax.random.key(1)))
    >>> params[0].weight.shape
    (3, 4)
    """
    name = "load"
    path = checks.path(name, "path", path)
    paths_and_leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    templates = [
        (template(name, jax.tree_util.keystr(key_path), leaf), leaf)
        for key_path, leaf in paths_and_leaves
    ]
    with _opened(name, path) as archive:
        manifest = _manifest(name, path, archive)
        leaves = manifest["leaves"]
        _check_same(path, [description for description, _ in templates], leaves)
        rule = "the archive must hold exactly the leaves of its manifest"
        names = [_MANIFEST, *(f"{index}.npy" for index in range(len(leaves)))]
        _check(sorted(archive.namelist()) == sorted(names), name, path, rule)
        likes = [like for _, like in templates]
        arrays = [
            _array(path, archive, index, description, like)
            for index, (description, like) in enumerate(zip(leaves, likes, strict=True))
        ]
    parts = zip(manifest["leaves"], arrays, likes, strict=True)
    try:
        leaves = [as_like(description["path"], array, like) for description, array, like in parts]
    except ValueError as error:
        raise CheckpointError(f"load: {path}: {error}") from error
    return jax.tree.unflatten(structure, leaves)


def load_metadata(path: str | os.PathLike) -> Any:
    """The metadata that `save` was given, without the arrays, which are not read.

    Args:
      path: The file.
    Returns:
      The metadata after a round trip through JSON: tuples become lists.
    Raises:
      CheckpointError: The file is damaged where this can be seen without the arrays.
      FileNotFoundError, PermissionError: As `open`.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     save(file.name, jnp.ones(3), {"epoch": 3})
    ...     print(load_metadata(file.name))
    {'epoch': 3}
    """
    path = checks.path("load_metadata", "path", path)
    with _opened("load_metadata", path) as archive:
        return _manifest("load_metadata", path, archive)["metadata"]


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


# Writing


def saved_whole(function: str, path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """`written_whole` for the function of that name.

    Raises:
      CheckpointError: It could not be written; what was at `path` is as it was.
    """
    try:
        written_whole(path, write)
    except OSError as error:
        raise CheckpointError(
            f"{function}: {path} could not be written, and what was there is as it was: {error}"
        ) from error


def written_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Makes a file beside `path`, lets `write` fill it, and puts it in its place.

    Raises:
      OSError: It could not be written; what was at `path` is as it was.
    """
    partial = path.with_name(f"{secrets.token_hex(8)}{TEMPORARY}")
    try:
        with open(partial, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # where folders can be synced
        with contextlib.suppress(OSError):  # which some of them do not allow
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _write(file: BinaryIO, manifest: bytes, arrays: list[np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = _comment(manifest)
        # one date for all files, so that equal contents make equal files
        archive.writestr(zipfile.ZipInfo(_MANIFEST), manifest)
        for index, array in enumerate(arrays):
            info = zipfile.ZipInfo(f"{index}.npy")
            with archive.open(info, "w", force_zip64=array.nbytes >= 2**31) as entry:
                np.lib.format.write_array_header_1_0(
                    entry, np.lib.format.header_data_from_array_1_0(array)
                )
                contents = _bytes(array)
                for start in range(0, len(contents), _PARTS):
                    entry.write(contents[start : start + _PARTS])


def _comment(manifest: bytes) -> bytes:
    return f"{_FORMAT} sha256 {hashlib.sha256(manifest).hexdigest()}".encode()


# Reading


def _check(holds: Any, function: str, path: Path, rule: str, got: str = "another one") -> None:
    checks.require(holds, f"{function}: {path}", rule, got, CheckpointError)


@contextlib.contextmanager
def _opened(function: str, path: Path):
    """The archive, nothing of it read but its directory; whatever is wrong is our error."""
    with open(path, "rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                rule = "no entry may be compressed or encrypted"
                plain = all(e.compress_type == 0 and not e.flag_bits & 0x1 for e in entries)
                _check(plain, function, path, rule, "such a one")
                rule = f"its entries must fit into its {size} bytes"
                total = sum(max(entry.file_size, entry.compress_size) for entry in entries)
                _check(total <= size, function, path, rule, f"{total}")
                yield archive
        except (CheckpointError, MemoryError):
            raise
        except Exception as error:  # damage makes the zip, npy and json modules raise all sorts
            raise CheckpointError(f"{function}: {path} is damaged: {error!r}") from error


def _manifest(function: str, path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest, once it is known to be as it was written."""
    size = archive.getinfo(_MANIFEST).file_size
    _check(size <= _LONGEST, function, path, f"the manifest must have {_LONGEST} bytes at most")
    text = archive.read(_MANIFEST)
    rule = "the manifest must have the digest that was stored with it"
    _check(archive.comment == _comment(text), function, path, rule)
    manifest = json.loads(text)
    _check(isinstance(manifest, dict), function, path, "the manifest must be a table")
    _check(manifest.get("format") == _FORMAT, function, path, "it must be a file of fnn.save")
    version = manifest.get("version")
    rule = f"the format's version must be {VERSION}, which this fnn reads"
    _check(version == VERSION, function, path, rule, repr(version))
    wanted = {"path": str, "kind": str, "dtype": str, "shape": list, "digest": str}
    leaves = manifest.get("leaves")
    whole = isinstance(leaves, list) and all(
        isinstance(leaf, dict) and {k: type(v) for k, v in leaf.items()} == wanted
        for leaf in leaves
    )
    _check(whole and "metadata" in manifest, function, path, "the manifest must be complete")
    return manifest


def _check_same(path: Path, wanted: list[dict], stored: list[dict]) -> None:
    """Raises where the file holds other leaves than `like`."""

    def line(leaf: dict | None) -> str:
        if leaf is None:
            return "nothing"
        shape = tuple(leaf["shape"])
        return f"{leaf['path'] or 'the tree'}: {leaf['kind']} {leaf['dtype']}{shape}"

    plain = [{name: leaf[name] for name in leaf if name != "digest"} for leaf in stored]
    differences = [
        f"\n  like: {line(one)}\n  file: {line(other)}"
        for one, other in itertools.zip_longest(wanted, plain)
        if one != other
    ]
    if differences:
        more = f"\n  and {len(differences) - 5} more" if len(differences) > 5 else ""
        shown = "".join(differences[:5]) + more
        raise CheckpointError(f"load: {path}: its leaves must be those of like; got{shown}")


def _array(
    path: Path, archive: zipfile.ZipFile, index: int, description: dict, like: Any
) -> np.ndarray:
    """The numbers of a leaf, each byte of them as it was written."""
    entry = f"{index}.npy"
    where = f"{description['path'] or 'the tree'} ({entry})"
    dtype, shape = stored(description, like)
    info = archive.getinfo(entry)
    with archive.open(info) as file:
        rule = f"{where} must begin as an array of {dtype}{shape}"
        begins = np.lib.format.read_magic(file) == (1, 0)
        begins = begins and np.lib.format.read_array_header_1_0(file) == (shape, False, dtype)
        _check(begins, "load", path, rule, "something else")
        rule = f"{where} must have the size of its shape and dtype"
        rest = info.file_size - file.tell()
        _check(rest == math.prod(shape) * dtype.itemsize, "load", path, rule, f"{rest} bytes")
        data = bytearray(file.read())  # to the end, where the archive compares its own sum
    digest = hashlib.sha256(data).hexdigest()
    _check(digest == description["digest"], "load", path, f"{where} must have its digest")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
