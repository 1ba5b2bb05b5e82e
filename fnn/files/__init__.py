"""Files of arrays: `save` and `load`."""

from fnn.files.archive import TEMPORARY, CheckpointError, load, load_metadata, save, written_whole

__all__ = ["TEMPORARY", "CheckpointError", "load", "load_metadata", "save", "written_whole"]
