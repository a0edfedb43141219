"""Measures of lines, selection vectors and regression axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import models
import pipeline as p
from pipeline.tables.performance import VALIDATION_SEED, fetch_network

from .decoding import cross_validated_r2

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Key = Mapping[str, Any]
FIELDS = {"motion": ("motion_coh", "color_coh"), "color": ("color_coh", "motion_coh")}


def _columns(key: Key, *columns: str) -> list[tuple[Any, ...]]:
    rows = (p.LineAttractor.Context & key).proj(*columns).to_dicts(order_by="line_context")
    return [tuple(row[column] for column in columns) for row in rows]


def mean_over_contexts(key: Key, column: str) -> float | None:
    """Return a column of `LineAttractor.Context`, mean over both contexts; None where one lacks."""
    values = [value for (value,) in _columns(key, column)]
    return None if None in values or not values else float(np.mean(values))


def separation_of_modes(key: Key) -> float | None:
    """Return how much faster the second mode decays than the first, in the context with less.

    Decay is the modulus of the median real part along the line.
    """
    pairs = _columns(key, "line_leading_real", "second_real")
    ratios = [abs(second) / max(abs(first), 1e-9) for first, second in pairs]
    return min(ratios) if ratios else None


def relative_length(key: Key) -> float | None:
    """Return the length of the shorter line over the largest distance of states in trials."""
    lengths = [length for (length,) in _columns(key, "length")]
    if not lengths:
        return None
    rnn, task = fetch_network(dict(key))
    trials = models.get_trials(rnn, task, seed=VALIDATION_SEED, max_trials=64)
    ends = trials.states.values[:, -1]
    return float(min(lengths) / np.linalg.norm(ends[:, None] - ends[None], axis=2).max())


def ratio_of_gains(key: Key) -> float | None:
    """Return |irrelevant| over |relevant| gain of the selection vector, mean of contexts."""
    pairs = _columns(key, "relevant_gain", "irrelevant_gain")
    if not pairs or any(None in pair or pair[0] == 0 for pair in pairs):
        return None
    return float(np.mean([abs(irrelevant / relevant) for relevant, irrelevant in pairs]))


def choice_axis_angle(key: Key) -> float | None:
    """Return the smaller angle of the regression axis of choice to those of both stimuli."""
    rows = (p.Subspaces.Angle & key & {"angle_kind": "variables"}).to_dicts()
    stimuli = {"motion_coh", "color_coh"}
    angles = [
        row["smallest_angle"]
        for row in rows
        if len({row["first_axes"], row["second_axes"]} & stimuli) == 1
        and any("choice" in row[axes] for axes in ("first_axes", "second_axes"))
    ]
    return min(angles) if angles else None


def irrelevant_decoding(key: Key) -> float:
    """Return R^2 of the irrelevant coherence decoded from noisy rates, mean over contexts.

    From the mean rates of a trial over the second half of its stimulus, cross-validated.
    """
    rnn, task = fetch_network(dict(key))
    found = []
    for context, (_, irrelevant) in FIELDS.items():
        trials = models.get_trials(
            rnn, task, conditions={"context": context}, noise=True, n_repeats=3,
            seed=VALIDATION_SEED,
        )  # fmt: skip
        middle = (task.stim_on + task.stim_off) // 2
        rates = trials.rates.isel(time=slice(middle, task.stim_off)).mean("time").values
        found.append(cross_validated_r2(rates, trials[irrelevant].values))
    return float(np.mean(found))


def plot(networks: Mapping[str, Sequence[Key]]) -> Figure | None:
    """Draw the lines and what they select, of the network whose gains are the median."""
    keys = networks["trained"]
    if not keys:
        return None
    ratios = [(ratio_of_gains(key), i) for i, key in enumerate(keys)]
    known = sorted((ratio, i) for ratio, i in ratios if ratio is not None)
    key = keys[known[len(known) // 2][1]] if known else keys[0]
    rnn, task = fetch_network(dict(key))
    lines = [models.get_line_attractor(rnn, task, context) for context in FIELDS]
    trials = models.get_trials(rnn, task, seed=VALIDATION_SEED, max_trials=64)
    return models.plot_line_attractors(lines, trials)
