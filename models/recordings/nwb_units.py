"""The units table of an NWB file: spikes of the units that an analysis may trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import ParameterError, use_one_of

from .settings import RecordingSettings, text_of_cell

Float = NDArray[np.float64]
LOCATION = "location"  # of electrodes: the area of the brain
OF_SPIKES = ("spike_times", "obs_intervals", "waveform_mean", "waveform_sd", "waveforms")


@dataclass(frozen=True, eq=False)
class ChosenUnits:
    """Units of a file that are read.

    Attributes
    ----------
    unit_ids : array (N,)
    spike_times : list of array
        Of each, ascending (s).
    n_in_file : int
    """

    unit_ids: NDArray[Any]
    spike_times: list[Float]
    n_in_file: int


def chosen_units(contents: Any, windows: Float, settings: RecordingSettings) -> ChosenUnits:
    """Return the units that were observed in all windows, and have the rate that is asked for.

    Parameters
    ----------
    contents : NWBFile
    windows : array (B, 2)
        Begin and end of the window of each trial (s).
    settings : RecordingSettings

    Raises
    ------
    ParameterError
        For a table or a column that is missing, times that are not finite, ids that are there
        twice, and where no unit is left.
    """
    table = contents.units
    if table is None or not len(table):
        problem = "has no unit" if table is not None else "is not in the file"
        raise ParameterError("units", "units", problem, "add sorted units with NWBFile.add_unit")
    if "spike_times" not in table.colnames:
        problem = "is no column of the units table"
        remedy = "add the spikes of each unit: add_unit(spike_times=...)"
        raise ParameterError("units", "spike_times", problem, remedy)
    ids = np.asarray(table.id[:])
    values, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        problem = f"is that of {counts.max()} units"
        remedy = "give every unit an id of its own"
        raise ParameterError("units.id", values[counts.argmax()].item(), problem, remedy)
    kept = [i for i in range(len(ids)) if _is_wanted(table, i, settings)]
    if not kept:
        wanted = {k: v for k in ("quality", "electrode_group") if (v := getattr(settings, k))}
        field = next(iter(wanted), "units")
        problem = f"is that of none of {len(ids)} units"
        raise ParameterError(field, wanted.get(field), problem, _there_are(table, field))
    for column, wanted in settings.unit_columns.items():
        said = {i: _said_of(table, i, column) for i in kept}
        kept = [i for i in kept if said[i] & {*wanted}]
        if not kept:
            there = sorted(set().union(*said.values()))
            problem = f"is that of none of {len(said)} units"
            remedy = use_one_of(wanted[0], there[:12]) if there else "name another column"
            raise ParameterError("unit_columns", {column: " | ".join(wanted)}, problem, remedy)
    spikes = {i: _spikes(table, i, ids) for i in kept}
    observed = [i for i in kept if _is_observed(table, i, windows)]
    if not observed:
        problem = f"of none of {len(kept)} units hold the windows of all trials"
        remedy = "use fewer trials: write a trials table of those in which units were observed"
        raise ParameterError("units", "obs_intervals", problem, remedy)
    seconds = float(np.diff(windows, axis=1).sum())
    rates = {i: _n_within(spikes[i], windows) / seconds for i in observed}
    enough = [i for i in observed if rates[i] >= settings.min_rate]
    if not enough:
        highest = max(rates.values())
        problem = f"is reached by none of {len(observed)} units: the highest is {highest:.3g} Hz"
        remedy = "lower min_rate; 0 keeps units without spikes"
        raise ParameterError("min_rate", settings.min_rate, problem, remedy)
    return ChosenUnits(ids[enough], [spikes[i] for i in enough], len(ids))


def _is_wanted(table: Any, i: int, settings: RecordingSettings) -> bool:
    """Return whether a unit has the quality and lies in the electrode group that are asked for."""
    if settings.quality:
        _check_column(table, "quality")
        if str(table["quality"][i]) != settings.quality:
            return False
    if not settings.electrode_group:
        return True
    if "electrode_group" in table.colnames:
        group = table["electrode_group"][i]
        return str(getattr(group, "name", group)) == settings.electrode_group
    _check_column(table, "electrodes")
    electrodes = table["electrodes"][i]
    return settings.electrode_group in {str(name) for name in electrodes["group_name"]}


def _said_of(table: Any, i: int, column: str) -> set[str]:
    """Return what a column says of a unit; of its location, what its electrodes say."""
    if column in table.colnames:
        value = table[column][i]
        if isinstance(value, str | bytes | bool | int | float | np.generic):
            return {text_of_cell(value)}
        if hasattr(value, "name"):  # a group of electrodes, say
            return {str(value.name)}
        problem, remedy = "has no single value for a unit", "name a column of texts or numbers"
        raise ParameterError("unit_columns", column, problem, remedy)
    if column == LOCATION and "electrodes" in table.colnames:
        return {text_of_cell(place) for place in table["electrodes"][i][LOCATION]}
    if column == LOCATION and "electrode_group" in table.colnames:
        return {text_of_cell(table["electrode_group"][i].location)}
    known = [name for name in table.colnames if name not in OF_SPIKES]
    problem = "is no column of the units table"
    remedy = use_one_of(column, known) if known else "leave unit_columns empty: it has none"
    raise ParameterError("unit_columns", column, problem, remedy)


def _check_column(table: Any, name: str) -> None:
    if name not in table.colnames:
        asked = "electrode_group" if name == "electrodes" else name
        problem = f"is asked for, and the units table has no column {name}"
        raise ParameterError(asked, name, problem, f"leave {asked} empty, or add the column")


def _there_are(table: Any, field: str) -> str:
    if field == "quality":
        there: Sequence[str] = sorted({str(value) for value in table["quality"][:]})
        return use_one_of("", there[:12])
    return "name a group that units lie in"


def _spikes(table: Any, i: int, ids: NDArray[Any]) -> Float:
    times = np.asarray(table["spike_times"][i], dtype=np.float64)
    wrong = ~np.isfinite(times)
    if wrong.any():
        field = f"units.spike_times of unit {ids[i]}"
        problem = f"is no finite time, nor are {int(wrong.sum()) - 1} others of it"
        raise ParameterError(field, float(times[wrong][0]), problem, "mend the table")
    return np.sort(times)


def _is_observed(table: Any, i: int, windows: Float) -> bool:
    """Return whether every window lies within an interval in which the unit was observed."""
    if "obs_intervals" not in table.colnames:
        return True
    intervals = np.asarray(table["obs_intervals"][i], dtype=np.float64).reshape(-1, 2)
    if not len(intervals):
        return True  # nothing is said of this unit
    on, off = windows[:, :1], windows[:, 1:]
    within = (intervals[:, 0] <= on + 1e-6) & (off <= intervals[:, 1] + 1e-6)
    return bool(within.any(axis=1).all())


def _n_within(spikes: Float, windows: Float) -> int:
    return int(np.diff(np.searchsorted(spikes, windows, side="left"), axis=1).sum())
