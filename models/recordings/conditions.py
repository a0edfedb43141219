"""Conditions that a recording and the trials of a network have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..activity.coordinates import NOT_CONDITIONS, condition_fields
from ..populations.variables import TOO_MANY, variable

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
DIGITS = 9  # to which numbers of a file and of a task are the same


def shared_fields(recording: xarray.Dataset, trials: xarray.Dataset) -> list[str]:
    """Return the fields of a task's conditions that the trials of a recording have too."""
    return [
        name
        for name in condition_fields(trials)
        if name in recording.coords
        and recording[name].dims == ("trial",)
        and name not in NOT_CONDITIONS
        and _kind(recording, name) == _kind(trials, name)
    ]


def _kind(trials: xarray.Dataset, name: str) -> str:
    """Return whether a field holds texts or numbers."""
    return "text" if trials[name].dtype.kind in "USO" else "number"


def shared_conditions(
    recording: xarray.Dataset, trials: xarray.Dataset, fields: list[str], min_trials: int
) -> tuple[list[Int], list[Int]]:
    """Return the trials of each condition, recorded ones and those of a network.

    A condition is a combination of the values of all fields. A number with more than 20 values is
    divided into 8 groups, the same of both (`ConditionVariable`). A condition counts where
    ``min_trials`` were recorded of it, and the network has one trial of it.

    Returns
    -------
    recorded, run : list of array
        Numbers of the trials of each condition, in the same order.
    """
    n_recorded = recording.sizes["trial"]
    codes = []
    for name in fields:
        values = np.concatenate([_values(recording, name), _values(trials, name)])
        found = variable(name, values)
        if found.status != TOO_MANY:
            codes.append(found.groups)
    if not codes:
        return [], []
    together = np.stack(codes, axis=1)
    known = (together >= 0).all(axis=1)
    combinations = np.unique(together[known], axis=0)
    recorded, run = [], []
    for one in combinations:
        which = np.flatnonzero((together == one).all(axis=1))
        own, theirs = which[which < n_recorded], which[which >= n_recorded] - n_recorded
        if len(own) >= min_trials and len(theirs):
            recorded.append(own)
            run.append(theirs)
    return recorded, run


def _values(trials: xarray.Dataset, name: str) -> NDArray[np.generic]:
    values = trials[name].values
    return np.round(values, DIGITS) if values.dtype.kind == "f" else values


def condition_means(rates: Float, groups: list[Int]) -> Float:
    """Return the mean over the trials of each condition (C, T, N)."""
    return np.stack([rates[own].mean(axis=0) for own in groups])
