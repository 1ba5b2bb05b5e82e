"""What the tests of sweeps share."""

import pytest

from fnn.sweeps import chunks


@pytest.fixture
def no_pace_known():
    """As if nothing had been swept before: the first call is one epoch."""
    chunks._known_of.cache_clear()
