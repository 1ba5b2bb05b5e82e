"""What the tests of sweeps share."""

import pytest

from fnn._core import jit_cache
from fnn.sweeps.program import CompiledProgram


@pytest.fixture
def no_pace_known():
    """As if nothing had been swept before: the first call is one epoch."""
    for kept in jit_cache._kept.values():
        if isinstance(kept, CompiledProgram):
            kept.paces.clear()
