"""Measures of silent units and of what the others do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import pipeline as p

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = Mapping[str, Any]
Float = NDArray[np.float64]


def r2(key: Key) -> float | None:
    """Return R^2 pooled over trials, without noise."""
    return (p.Validation & key & {"validation_name": "noise_free"}).fetch1("r2_pooled")


def _units(key: Key) -> tuple[Float, Float]:
    """Return the largest |rate| and the mean rate of each unit, over trials and steps."""
    rows = (p.Population.Unit & key).proj("unit_largest_rate", "unit_mean_rate").to_dicts()
    largest, mean = ([row[c] for row in rows] for c in ("unit_largest_rate", "unit_mean_rate"))
    return np.array(largest), np.array(mean)


def percentage_below(largest: Float, below: float) -> float | None:
    """Return the percentage of units whose largest rate stays below a limit."""
    return float(100 * (largest < below).mean()) if largest.size else None


def spread(largest: Float, mean: Float, below: float) -> float | None:
    """Return the standard deviation of log10 of the mean rates of units that are not silent."""
    rates = mean[(largest >= below) & (mean > 0)]
    return float(np.log10(rates).std()) if len(rates) > 1 else None


def silent_percentage(key: Key, below: float) -> float | None:
    """Return the percentage of units whose rate never reaches a limit, in trials without noise."""
    return percentage_below(_units(key)[0], below)


def spread_of_rates(key: Key, below: float) -> float | None:
    """Return the standard deviation of log10 of the mean rates of units that are not silent."""
    return spread(*_units(key), below)


def _all_units(key: Key, column: str) -> Any:
    return (p.Population.Group & key & {"unit_group": "all"}).fetch1(column)


def participation_ratio(key: Key) -> float | None:
    """Return the participation ratio of the rates of all units."""
    return _all_units(key, "group_participation_ratio")


def total_energy(key: Key) -> float | None:
    """Return the sum over units of the mean squared rate."""
    energy = _all_units(key, "group_energy")
    return None if energy is None else float(energy) * _all_units(key, "group_units")


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure | None:
    """Draw the units' largest rates, and how the mean rates of active ones are distributed."""
    from .figure import draw

    found = {label: [_units(key) for key in keys] for label, keys in networks.items() if keys}
    return draw(found) if found else None
