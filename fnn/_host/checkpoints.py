"""A folder of checkpoints: files from which interrupted work continues."""

import contextlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from fnn._core import checks
from fnn._core.processes import fetched, raised_in_all
from fnn._host.fingerprint import differences
from fnn.files import TEMPORARY, CheckpointError, load, load_metadata, save

_ENDING = ".checkpoint.npz"


class Found(NamedTuple):
    """A checkpoint to continue from."""

    path: Path
    metadata: dict[str, Any]
    """What `Checkpoints.write` was given."""


class Checkpoints:
    """The checkpoints of one piece of work, which is done once at a time.

    Args:
      function: The name of the caller, for errors.
      folder: Where they are; made, if it is not there.
      arguments: What the work is, from `fnn._host.fingerprint.fingerprint`.
      keep: How many to keep, >= 1.
      strict: Whether a file that cannot be written raises. Else it warns, and the work continues.
      shared: Whether several processes do this work together, of which the first one writes.
    Raises:
      CheckpointError: Nothing can be written there.
    """

    def __init__(
        self,
        function: str,
        folder: Any,
        arguments: dict[str, str],
        *,
        keep: int,
        strict: bool,
        shared: bool = False,
    ):
        self._function = function
        self.folder = checks.path(function, "checkpoint", folder)
        self._arguments = arguments | {"precision": str(jax.dtypes.canonicalize_dtype(float))}
        self._keep, self._strict = keep, strict
        self._shared, self._writes = shared, not shared or jax.process_index() == 0
        if not self._writes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(f"*{TEMPORARY}"):
                left.unlink(missing_ok=True)
            probe = self.folder / f"probe{TEMPORARY}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            rule = "checkpoint must be a folder that can be written to"
            raise CheckpointError(f"{function}: {rule}; got {folder}: {error}") from error

    def newest(self) -> Found | None:
        """The newest one whose metadata is whole; None if there is none at all.

        Raises:
          ValueError: It is of other arguments; says which differ.
          CheckpointError: There are some, and all are damaged.
        """
        _, found, _ = self._first_good(lambda found: None)
        return found

    def restored(self, like: Callable[[dict[str, Any]], Any]) -> tuple[Any, dict] | None:
        """The newest one that is whole: its tree and its metadata; None if there is none.

        Warns where damaged ones were passed over, or it was made with another JAX.

        Args:
          like: What the tree looks like, by the metadata.
        Raises:
          ValueError, CheckpointError: As `newest`.
        """
        tree, found, errors = self._first_good(
            lambda found: load(found.path, like=like(found.metadata))
        )
        if found is None:
            return None
        if errors:
            passed_over = "; ".join(map(str, errors))
            self._warn(f"continues from {found.path}: {passed_over}")
        made_with, here = found.metadata["made_with"], _made_with()
        if made_with != here:
            self._warn(
                f"continues from {found.path}, made with {made_with}, and has {here}, so that "
                "results may differ in the last bits from one go"
            )
        return tree, found.metadata

    def write(self, done: int, tree: Any, metadata: dict[str, Any], part: int = 0) -> None:
        """Writes one after so many epochs, and removes those that are too many.

        `part` is how far the next epoch has come, in any units; its file sorts after that of 0.
        Of several processes, the first writes, and all have to call this.
        """
        tree = fetched(tree)
        rule = "checkpoints must be written"
        elsewhere = CheckpointError(f"{self._function}: {rule}; got an error in the first process")
        with raised_in_all(elsewhere, self._shared):
            if not self._writes:
                return
            within = f"_{part:010d}" if part else ""
            path = self.folder / f"{done:010d}{within}{_ENDING}"
            facts = {"arguments": self._arguments, "made_with": _made_with()}
            try:
                save(path, tree, metadata | facts)
            except CheckpointError as error:
                if self._strict:
                    raise
                self._warn(f"continues without a checkpoint: {error}")
                return
            # those beyond were passed over as damaged, and take no other's place
            older = [found for found in self._paths() if found <= path]
            for old in older[self._keep :]:
                with contextlib.suppress(OSError):
                    old.unlink()

    def _paths(self) -> list[Path]:
        """The files, newest first."""
        return sorted(self.folder.glob(f"*{_ENDING}"), reverse=True)

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self._function} {text}", stacklevel=5)

    def _first_good(self, use: Callable[[Found], Any]) -> tuple[Any, Found | None, list[Exception]]:
        """What `use` makes of the newest one that is good, that one, and what others had."""
        errors = []
        for path in self._paths():
            try:
                found = Found(path, load_metadata(path))
                self._check_same(found)
                return use(found), found, errors
            except (CheckpointError, OSError) as error:
                errors.append(error)
        if errors:
            raise CheckpointError(
                f"{self._function}: {self.folder} holds checkpoints, of which none can be read "
                f"(remove them to start again): {'; '.join(map(str, errors))}"
            )
        return None, None, errors

    def _check_same(self, found: Found) -> None:
        """Raises where it is no checkpoint, or one of other arguments."""
        wanted = {"done": int, "stopped": bool, "arguments": dict, "made_with": dict}
        facts = found.metadata if isinstance(found.metadata, dict) else {}
        whole = {name: type(facts.get(name)) for name in wanted} == wanted and facts["done"] >= 0
        shown = json.dumps(found.metadata)
        checks.require(whole, str(found.path), "it must be a checkpoint", shown, CheckpointError)
        lines = "".join(f"\n  {line}" for line in differences(facts["arguments"], self._arguments))
        rule = f"the arguments must be those of the work in {self.folder} (or another folder)"
        checks.require(not lines, self._function, rule, f"others{lines}")


def _made_with() -> dict[str, str]:
    return {"jax": jax.__version__, "platform": jax.default_backend()}
