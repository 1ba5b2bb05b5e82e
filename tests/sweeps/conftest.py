"""What the tests of sweeps share."""

import pytest

from fnn._core.jit_cache import Remembered
from fnn.sweeps import program


@pytest.fixture
def no_pace_known(monkeypatch):
    """As if nothing had been swept before: the first call is one epoch."""
    monkeypatch.setattr(program, "_programs", Remembered(1))
