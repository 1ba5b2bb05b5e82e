"""How a refusal is awaited."""

import re

import pytest


def refuses(error, message):
    """The whole message, taken literally."""
    return pytest.raises(error, match=f"^{re.escape(message)}$")
