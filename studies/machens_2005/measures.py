"""Measures of two-interval comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import pipeline as p
from pipeline.tables.performance import VALIDATION_SEED, fetch_network

from .tuning import Codes, codes, mean_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = Mapping[str, Any]


def _codes(key: Key) -> Codes:
    return codes(*fetch_network(dict(key)), seed=VALIDATION_SEED)


def has_line(key: Key) -> bool:
    """Return whether there is an open line of slow states at the input of the delay."""
    lines = p.ContinuousAttractor.Manifold & key & {"input_name": "delay", "topology": "open line"}
    return len(lines) > 0


def monotonic_share(key: Key) -> float | None:
    """Return the share of active units whose rate is monotonic in the first frequency."""
    found = _codes(key)
    return float(np.mean(found.signs[found.active] != 0)) if found.active.any() else None


def rising_share(key: Key) -> float | None:
    """Return the share of the monotonic units that rise with the frequency."""
    signs = _codes(key).signs
    return float(np.mean(signs[signs != 0] > 0)) if signs.any() else None


def _weights(key: Key) -> tuple[float, float] | None:
    rnn, task = fetch_network(dict(key))
    return mean_weights(rnn.W_rec, codes(rnn, task, seed=VALIDATION_SEED).signs)


def weight_between(key: Key) -> float | None:
    """Return the mean weight between rising and falling units; None without both."""
    found = _weights(key)
    return None if found is None else found[1]


def within_minus_between(key: Key) -> float | None:
    """Return the mean weight within rising and within falling units, minus that between them."""
    found = _weights(key)
    return None if found is None else found[0] - found[1]


def correlation_of_codes(key: Key) -> float | None:
    """Return the correlation of the slopes by the first frequency and, later, by the second."""
    found = _codes(key)
    first, second = found.slope_first[found.active], found.slope_second[found.active]
    if len(first) < 3 or not (np.ptp(first) and np.ptp(second)):
        return None
    return float(np.corrcoef(first, second)[0, 1])


def stable_in_decision(key: Key) -> int:
    """Count the stable fixed points at the input of the decision."""
    return int((p.FixedPoints & key & {"input_name": "decision"}).fetch1("n_stable"))


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure | None:
    """Draw the line of one network, the codes of its units and the weights between them."""
    from .figure import draw

    keys = networks["trained"]
    if not keys:
        return None
    key = next((key for key in keys if has_line(key)), keys[0])
    rnn, task = fetch_network(dict(key))
    lines = p.ContinuousAttractor.Manifold & key & {"input_name": "delay", "topology": "open line"}
    rows = lines.to_dicts(order_by="manifold_length DESC", limit=1)
    samples = np.asarray(rows[0]["samples"]) if rows else None
    return draw(rnn, task, codes(rnn, task, VALIDATION_SEED), samples, VALIDATION_SEED)
