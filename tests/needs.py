"""Tests that need what not every machine has."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def skip_unless_required(name: str, reason: str) -> NoReturn:
    """Skip a test that needs something; where RNN_TEST_REQUIRE names it, the test fails."""
    if name in os.environ.get("RNN_TEST_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required here: {reason}", pytrace=False)
    pytest.skip(f"no {name}: {reason}")
