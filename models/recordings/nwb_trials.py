"""The trials table of an NWB file: times, events and conditions of each trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.base import plain
from tasks_lib.errors import ParameterError, use_one_of

from .settings import RecordingSettings
from .trial_dataset import RecordedTrial

Float = NDArray[np.float64]
START, STOP = "start_time", "stop_time"
EVENT = "_time"  # how the names of columns end that are times of the session
NAMED = 8  # trials that an error names


@dataclass(frozen=True, eq=False)
class ChosenTrials:
    """Trials of a file that are read.

    Attributes
    ----------
    zero : array (B,)
        Time 0 of each, on the clock of the session (s).
    window_off : float
        End of the window, from time 0 (s).
    trials : list of RecordedTrial
    n_left_out : int
    """

    zero: Float
    window_off: float
    trials: list[RecordedTrial]
    n_left_out: int


def chosen_trials(contents: Any, settings: RecordingSettings) -> ChosenTrials:
    """Return the trials of a file, after their times are checked.

    Raises
    ------
    ParameterError
        For a table or a column that is missing, times that are not finite, trials that end before
        they begin, overlap, or are shorter than the window.
    """
    table = contents.trials
    if table is None or not len(table):
        problem = "has no trial" if table is not None else "is not in the file"
        remedy = "add its trials with NWBFile.add_trial"
        raise ParameterError("trials", "intervals/trials", problem, remedy)
    columns = _plain_columns(table)
    start, stop = (_times(columns, name) for name in (START, STOP))
    zero = _times(columns, settings.align)
    ids = np.asarray(table.id[:]).tolist()
    known = np.isfinite(start) & np.isfinite(stop)
    lacking = ~(known & np.isfinite(zero))
    for name, values in ((START, start), (STOP, stop), (settings.align, zero)):
        if settings.unusable == "refuse":
            _refuse(f"trials.{name}", values, ~np.isfinite(values), ids, "is no finite time",
                    "mend the table, or leave such trials out: unusable=leave_out")  # fmt: skip
    _refuse(f"trials.{STOP}", stop, known & (stop <= start), ids,
            "is not after start_time", "mend the table")  # fmt: skip
    _refuse_overlap(start, stop, known, ids)
    _refuse_other_clock(zero[~lacking], start[~lacking], stop[~lacking], settings)
    off = settings.window_off
    room = stop - zero
    if off is None:
        off = _common_end(room[~lacking], settings)
    # Rounding of times on a long session's clock does not make a trial too short.
    slack = 1e-6 + 1e-12 * np.abs(np.where(known, stop, 0.0))
    short = ~lacking & (room + slack < off)
    if settings.unusable == "refuse":
        longest = float(room[~lacking].min())
        _refuse(f"trials.{STOP}", room, short, ids,
                f"counted from {settings.align} is before the window's end at {off:g} s",
                f"use window_off up to {longest:.6g}, or leave such trials out: "
                "unusable=leave_out")  # fmt: skip
    kept = np.flatnonzero(~lacking & ~short)
    if not len(kept):
        problem = f"leaves none of {len(ids)} trials"
        remedy = "use an earlier end of the window, or another column to align to"
        raise ParameterError("window_off", off, problem, remedy)
    events = _events(columns, start, stop, known, settings)
    conditions = _conditions(columns, events, settings)
    found = [
        RecordedTrial(
            float(start[i] - zero[i]),
            float(stop[i] - zero[i]),
            {field: _value(values[i]) for field, values in conditions.items()},
            {name: _after(values[i], zero[i]) for name, values in events.items()},
        )
        for i in kept
    ]
    return ChosenTrials(zero[kept], float(off), found, len(ids) - len(kept))


def _plain_columns(table: Any) -> dict[str, NDArray[Any]]:
    """Return the columns with one value for each trial: numbers, truth values or texts."""
    found = {}
    for name in table.colnames:
        column = table[name]
        if type(column).__name__ in ("VectorIndex", "DynamicTableRegion"):
            continue
        values = np.asarray(column[:])
        if values.ndim != 1:
            continue
        if values.dtype.kind == "O":
            said = [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
            if not all(isinstance(v, str) for v in said):
                continue
            values = np.array(said, dtype=np.str_)
        elif values.dtype.kind == "S":
            values = values.astype(np.str_)
        if values.dtype.kind in "biufU":
            found[name] = values
    return found


def _times(columns: Mapping[str, NDArray[Any]], name: str) -> Float:
    """Return a column of times."""
    if name not in columns:
        there = [known for known, values in columns.items() if values.dtype.kind in "iuf"]
        problem = "is no column of the trials table with a value for each trial"
        raise ParameterError("trials", name, problem, use_one_of(name, there))
    if columns[name].dtype.kind not in "iuf":
        raise ParameterError(
            f"trials.{name}", columns[name][0], "is no time", "name a column of times (s)"
        )
    return np.asarray(columns[name], dtype=np.float64)


def _refuse(
    field: str, values: Float, wrong: NDArray[np.bool_], ids: list[Any], problem: str, remedy: str
) -> None:
    """Refuse trials, and name them."""
    if wrong.any():
        which = np.flatnonzero(wrong)
        named = ", ".join(str(ids[i]) for i in which[:NAMED])
        more = f" and {len(which) - NAMED} more" if len(which) > NAMED else ""
        said = f"{problem} in {'trial' if len(which) == 1 else 'trials'} {named}{more}"
        raise ParameterError(field, float(values[which[0]]), said, remedy)


def _refuse_overlap(start: Float, stop: Float, known: NDArray[np.bool_], ids: list[Any]) -> None:
    order = np.flatnonzero(known)[np.argsort(start[known], kind="stable")]
    over = np.flatnonzero(start[order[1:]] < stop[order[:-1]] - 1e-6)
    if len(over):
        first, second = order[over[0]], order[over[0] + 1]
        problem = f"is before trial {ids[first]} ends, at {stop[first]:g} s: trials overlap"
        remedy = "mend the table: a spike would count in two trials"
        field = f"trials.{START} of trial {ids[second]}"
        raise ParameterError(field, float(start[second]), problem, remedy)


def _refuse_other_clock(
    zero: Float, start: Float, stop: Float, settings: RecordingSettings
) -> None:
    """Refuse times most of which lie outside of their trials: they are of another clock."""
    outside = (zero < start - 1e-6) | (zero > stop + 1e-6)
    if outside.sum() > len(zero) / 2:
        problem = "lies outside of its trial, as most do: trials are by the session's clock"
        remedy = "if the column counts from the beginning of a trial, add start_time to it"
        raise ParameterError(f"trials.{settings.align}", float(zero[outside][0]), problem, remedy)


def _common_end(room: Float, settings: RecordingSettings) -> float:
    """Return when the trial ends that ends first, from time 0."""
    if not len(room):
        problem = "is a finite time in no trial"
        raise ParameterError("align", settings.align, problem, "name another column")
    end = float(room.min())
    if end - settings.window_on < settings.bin_width:
        problem = f"counted from {settings.align} is too early in the shortest trial: no bin fits"
        remedy = "give window_off, with unusable=leave_out"
        raise ParameterError("trials.stop_time", end, problem, remedy)
    settings.check_smoothing(end)
    return end


def _events(
    columns: Mapping[str, NDArray[Any]],
    start: Float,
    stop: Float,
    known: NDArray[np.bool_],
    settings: RecordingSettings,
) -> dict[str, Float]:
    """Return the columns that are times within their trials, where these are known."""
    found = {}
    for name, values in columns.items():
        is_time = name.endswith(EVENT) and values.dtype.kind == "f"
        if not is_time or name in (START, STOP, *settings.conditions):
            continue
        there = np.isfinite(values) & known
        inside = (values >= start - 1e-6) & (values <= stop + 1e-6)
        if there.any() and inside[there].all():
            found[name.removesuffix(EVENT)] = np.asarray(values, dtype=np.float64)
    return found


def _conditions(
    columns: Mapping[str, NDArray[Any]], events: Iterable[str], settings: RecordingSettings
) -> dict[str, NDArray[Any]]:
    times = {START, STOP, settings.align, *(f"{name}{EVENT}" for name in events)}
    possible = {name: values for name, values in columns.items() if name not in times}
    if not settings.conditions:
        return possible
    for name in settings.conditions:
        if name not in columns:
            problem = "is no column of the trials table with a value for each trial"
            raise ParameterError("conditions", name, problem, use_one_of(name, list(possible)))
    return {field: columns[name] for name, field in settings.conditions.items()}


def _value(value: Any) -> Any:
    """Return a plain value; None in place of a number that is not finite."""
    found = plain(value)
    return None if isinstance(found, float) and not np.isfinite(found) else found


def _after(time: float, zero: float) -> float | None:
    return float(time - zero) if np.isfinite(time) else None
