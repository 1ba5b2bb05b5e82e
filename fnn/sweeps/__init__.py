"""Sweeps: many runs at once."""

from fnn.sweeps.columns import Lanes, lanes, product
from fnn.sweeps.halving import Halving, halving
from fnn.sweeps.result import Sweep
from fnn.sweeps.sweep import sweep
from fnn.sweeps.table import Table

__all__ = ["Halving", "Lanes", "Sweep", "Table", "halving", "lanes", "product", "sweep"]
