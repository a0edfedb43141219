"""Recorded trials as the dataset that networks' trials are: rates, events, conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..activity.coordinates import trial_coordinates

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
# Columns that mean the same here as in the trials of a network.
OWN_NAMES = ("kind", "repeat", "choice", "correct_choice", "correct")


@dataclass(frozen=True, eq=False)
class RecordedTrial:
    """What a file says of a trial, beside its spikes.

    Attributes
    ----------
    on, off : float
        Its beginning and its end, from its time 0 (s).
    conditions : dict
        Field -> value.
    events : dict
        Event -> when it came, from time 0 (s); None: it did not.
    """

    on: float
    off: float
    conditions: Mapping[str, Any]
    events: Mapping[str, float | None]


def recorded_dataset(
    rates: ArrayLike,
    times: ArrayLike,
    trials: Sequence[RecordedTrial],
    unit_ids: ArrayLike,
    attributes: Mapping[str, Any] | None = None,
) -> xarray.Dataset:
    """Return recorded rates in the shape of `models.get_trials`.

    Parameters
    ----------
    rates : array (B, T, N)
        Rates of the units in bins, in Hz.
    times : array (T,)
        Middle of each bin, from time 0 of its trial (s).
    trials : sequence of RecordedTrial
        B of them.
    unit_ids : array (N,)
        What the file calls the units.
    attributes : dict, optional

    Returns
    -------
    xarray.Dataset
        ``rates`` (trial, time, unit); ``inputs`` (trial, time, input): 1 from an event on, 0
        before it, so that periods of trials end where events come. Coordinates: ``time`` (s),
        ``unit``, ``unit_id``, of each trial every field of its conditions, and ``counts``, whether
        a bin lies within its trial.
    """
    import xarray

    at = np.asarray(times, dtype=np.float64)
    events = list(dict.fromkeys(name for trial in trials for name in trial.events))
    onsets = np.array(
        [[_onset(trial.events.get(name)) for name in events] for trial in trials]
    ).reshape(len(trials), 1, len(events))
    inputs = (at[None, :, None] >= onsets).astype(np.float64)
    within = np.array([(trial.on <= at) & (at <= trial.off) for trial in trials])
    said = [dict(trial.conditions) for trial in trials]
    own = {name: [one.pop(name) for one in said] for name in OWN_NAMES if name in said[0]}
    alike = bool((within == within[0]).all())
    coordinates: dict[str, Any] = {
        "trial": np.arange(len(trials)),
        "time": ("time", at, {"units": "s"}),
        "unit": np.arange(np.shape(rates)[2]),
        "unit_id": ("unit", np.asarray(unit_ids)),
        "input": np.array(events, dtype=np.str_),
        "counts": ("time", within[0]) if alike else (("trial", "time"), within),
        **trial_coordinates(said),
        **{name: ("trial", _array(values)) for name, values in own.items()},
    }  # fmt: skip
    variables = {
        "rates": (("trial", "time", "unit"), np.asarray(rates, dtype=np.float64),
                  {"long_name": "rate", "units": "Hz"}),
        "inputs": (("trial", "time", "input"), inputs,
                   {"long_name": "whether an event has come", "units": "1"}),
    }  # fmt: skip
    return xarray.Dataset(variables, coordinates, dict(attributes or {}))


def _array(values: list[Any]) -> NDArray[Any]:
    """Return the values of trials; NaN where one has none."""
    return np.array([np.nan if value is None else value for value in values])


def _onset(time: float | None) -> float:
    return np.inf if time is None else float(time)
