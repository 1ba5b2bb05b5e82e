"""What holds after every test of sources."""

import pytest
from small_streams import assert_no_thread_is_left


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert_no_thread_is_left()
