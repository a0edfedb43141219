"""Tests that need what not every machine has."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

# Whether the packages lie beside the tests, and not in a wheel.
IN_CHECKOUT = (Path(__file__).parents[1] / "models").is_dir()


def skip_unless_required(name: str, reason: str) -> NoReturn:
    """Skip a test that needs something; where RNN_TEST_REQUIRE names it, the test fails."""
    if name in os.environ.get("RNN_TEST_REQUIRE", "").split(","):
        pytest.fail(f"{name} is required here: {reason}", pytrace=False)
    pytest.skip(f"no {name}: {reason}")


def optional_module(name: str) -> Any:
    """Import a module that the checkout's environment has, and that one of a wheel may lack.

    A module of tests that needs it is skipped there (scripts/try_wheel.sh), and nowhere else.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        if IN_CHECKOUT:
            raise
        pytest.skip(f"no {name}, which not every environment has", allow_module_level=True)
