"""The columns of a network's key, and those of them that name its parameter sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETS = ("task", "network", "training")
SET_COLUMNS = tuple(f"{name}_name" for name in SETS)
COHORT = (*SET_COLUMNS, "first_seed")
NETWORK = (*COHORT, "seed")
Key = tuple[Any, ...]


def cohort_key(row: Mapping[str, Any]) -> Key:
    """Return the key of the cohort that a row belongs to."""
    return tuple(row[name] for name in COHORT)


def network_key(row: Mapping[str, Any]) -> Key:
    """Return the key of the network that a row belongs to."""
    return tuple(row[name] for name in NETWORK)
