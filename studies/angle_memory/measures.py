"""Measures of rings of slow states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import pipeline as p
from pipeline.tables.performance import VALIDATION_SEED, fetch_network

from .drift import LONG, ends_of_drift, held, memory_errors, nearest_samples, steps_apart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = Mapping[str, Any]
SETTLED = 5.0  # time constants after which a state is on the ring
NEAR = 5  # samples of 100 within which two places are the same


def _ring(key: Key) -> dict[str, Any] | None:
    """Return the longest ring that does not rotate, at any input; None where there is none."""
    rings = (p.ContinuousAttractor.Manifold & key & {"topology": "ring"}).to_dicts(
        order_by="manifold_length DESC", limit=1
    )
    return rings[0] if rings else None


def has_ring(key: Key) -> bool:
    """Return whether the network has a slow ring, in the delay or the recall."""
    return _ring(key) is not None


def stable_on_ring(key: Key) -> int | None:
    """Count the stable points on the ring."""
    ring = _ring(key)
    return None if ring is None else ring["n_stable_along"]


def alternates(key: Key) -> bool | None:
    """Return whether the ring has as many unstable as stable points, and some."""
    ring = _ring(key)
    return None if ring is None else 0 < ring["n_stable_along"] == ring["n_unstable_along"]


def slowness(key: Key) -> float | None:
    """Return the time to go round the ring at its largest speed, over the time of a recall."""
    ring = _ring(key)
    if ring is None:
        return None
    rnn, task = fetch_network(dict(key))
    return 1 / ring["relative_speed"] / ((task.n_steps - task.recall_on) * rnn.alpha)


def _errors(key: Key) -> tuple[float, float]:
    rnn, task = fetch_network(dict(key))
    trial = (task.n_steps - task.recall_on) * rnn.alpha
    soon, late = (memory_errors(rnn, task, t, VALIDATION_SEED).mean() for t in (trial, LONG))
    return float(soon), float(late)


def growth_of_error(key: Key) -> float | None:
    """Return the mean error of the angle after 1000 tau over that at the end of the trial."""
    soon, late = _errors(key)
    return late / soon if soon > 0 else None


def error_over_even_spacing(key: Key) -> float | None:
    """Return the mean error after 1000 tau over a quarter of the mean distance of stable points.

    That is the mean error where stable points are evenly spaced and each angle goes to the nearest.
    """
    number = stable_on_ring(key)
    return _errors(key)[1] / (360 / number / 4) if number else None


def ends_as_drift_says(key: Key) -> float | None:
    """Return the share of trials that end where the drift along the ring leads from their start."""
    ring = _ring(key)
    if ring is None:
        return None
    rnn, task = fetch_network(dict(key))
    samples = np.asarray(ring["samples"])
    ends = ends_of_drift(np.asarray(ring["sample_drift"])[:, 0])
    u = np.asarray((p.Task.Input & ring).fetch1("input_vector"))
    first, last = (
        nearest_samples(held(rnn, task, u, taus, VALIDATION_SEED), samples)
        for taus in (SETTLED, LONG)
    )
    apart = steps_apart(ends[first], last, len(samples))
    return float(np.mean((apart <= NEAR * len(samples) / 100) & (ends[first] >= 0)))


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure | None:
    """Draw the ring, the drift along it and the error of the angle over time."""
    from .figure import draw

    keys = networks["trained"]
    with_ring = [(key, ring) for key in keys if (ring := _ring(key)) is not None]
    if not with_ring:
        return None
    key, ring = with_ring[0]
    rnn, task = fetch_network(dict(key))
    trial = (task.n_steps - task.recall_on) * rnn.alpha
    times = np.array([1, 3, 10, trial, 30, 100, 300, LONG])
    errors = [
        [memory_errors(*fetch_network(dict(k)), t, VALIDATION_SEED).mean() for t in times]
        for k, _ in with_ring[:6]
    ]
    trials = held(rnn, task, np.asarray((p.Task.Input & ring).fetch1("input_vector")), SETTLED,
                  VALIDATION_SEED)  # fmt: skip
    return draw(ring, trials, times, np.array(errors), trial)
