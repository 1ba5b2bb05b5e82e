"""Data larger than memory: sources of blocks that `train` and `evaluate` take instead of arrays.

Blocks are read on a thread while the device trains, a few at a time, in an order drawn from the
key. `fnn.standard_scaler` and `fnn.min_max_scaler` take a source, too, and read it once.
"""

from fnn.streams.arrays import from_arrays, from_npy
from fnn.streams.blocks import from_blocks
from fnn.streams.parquet import from_parquet
from fnn.streams.source import Source

__all__ = ["Source", "from_arrays", "from_blocks", "from_npy", "from_parquet"]
