"""Recordings: rates of recorded units in trials, each with the file that they were read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.recordings.settings import RecordingSettings
from tasks_lib.stored_values import as_stored

from ..database import schemas
from .one_row import one_key
from .parameters import as_flags, columns, defaults_of, make_config, stored
from .rows import Row
from .settings import prefixed
from .task import Task  # noqa: F401  (named in a definition)

if TYPE_CHECKING:
    from xarray import Dataset

SETTINGS = prefixed(RecordingSettings, "recording")
SOURCE = {
    "file": "recording_file", "sha256": "recording_sha256", "session": "recording_session",
    "n_units_in_file": "units_in_file", "n_trials_left_out": "trials_left_out",
}  # fmt: skip


@schemas.dynamics
class Recording(dj.Manual):
    definition = f"""
    # recorded units in trials of a task, read from a file of spikes by enter_recording
    -> Task
    recording_name : varchar(64)  # readable name, of one task
    ---
    recording_file    : varchar(255)  # name of the file, which is not kept
    recording_sha256  : varchar(64)   # of its bytes
    recording_session : varchar(255)  # identifier of the session in the file
    recording_code    : varchar(64)   # version of the code that read it
    recording_trials  : int32         # trials that were read
    trials_left_out   : int32         # trials without time 0, or shorter than the window
    recording_units   : int32         # units that were read
    units_in_file     : int32         # units of the file
    recording_end     : float64       # end of the window that was read, in s from time 0
    {columns(RecordingSettings, (), SETTINGS)}
    recorded_rates    : <npy@main>    # (trials, bins, units), in Hz
    """

    class Trial(dj.Part):
        definition = """
        # trial that was read
        -> master
        recorded_trial : int32  # number, from 0
        ---
        trial_on            : float64  # when it began, in s from time 0
        trial_off           : float64  # when it ended, in s from time 0
        recorded_conditions : json     # field: value
        recorded_events     : json     # event: when it came, in s from time 0
        """

    class Unit(dj.Part):
        definition = """
        # unit that was read
        -> master
        recorded_unit : int32  # number, from 0
        ---
        unit_in_file : int64    # its id in the file
        window_rate  : float64  # mean rate in the windows of the trials, in Hz
        """

    @classmethod
    def default_columns(cls) -> dict[str, Any]:
        """Return column -> what it holds in rows that were stored before there was one."""
        return {SETTINGS[name]: value for name, value in defaults_of(RecordingSettings).items()}

    def trials(self) -> Dataset:
        """Return the trials of the one row that this query selects.

        Returns
        -------
        xarray.Dataset
            As of `models.read_recording`.
        """
        key = one_key(self)
        row = (Recording & key).fetch1()
        said = [
            models.RecordedTrial(
                each["trial_on"],
                each["trial_off"],
                each["recorded_conditions"],
                each["recorded_events"],
            )
            for each in (Recording.Trial & key).to_dicts(order_by="recorded_trial")
        ]
        return models.RecordedActivity(
            np.asarray(row["recorded_rates"], dtype=np.float64),
            said,
            (Recording.Unit & key).to_arrays("unit_in_file", order_by="recorded_unit"),
            row["recording_end"],
            settings_of(row),
            {name: row[column] for name, column in SOURCE.items()},
        ).dataset()


def settings_of(row: Mapping[str, Any]) -> RecordingSettings:
    """Return how a recording was read, by its row; what this lacks has its default."""
    values = {name: row[column] for name, column in SETTINGS.items() if column in row}
    with as_stored():  # which may be settings that cannot be entered any more
        made: RecordingSettings = make_config(
            RecordingSettings, as_flags(RecordingSettings, values)
        )
    return made


def recording_rows(found: models.RecordedActivity) -> tuple[Row, dict[str, list[Row]]]:
    """Return what is stored of a recording: columns, and rows of the parts, without its key."""
    held = {
        **{column: found.source[name] for name, column in SOURCE.items()},
        "recording_trials": found.rates.shape[0],
        "recording_units": found.rates.shape[2],
        "recording_end": found.window_off,
        **stored(found.settings, (), SETTINGS),
        "recorded_rates": found.rates.astype(np.float32),
    }
    trials = [
        {
            "recorded_trial": i,
            "trial_on": one.on,
            "trial_off": one.off,
            "recorded_conditions": dict(one.conditions),
            "recorded_events": dict(one.events),
        }
        for i, one in enumerate(found.trials)
    ]
    means = found.rates.mean(axis=(0, 1)).tolist()
    units = [
        {"recorded_unit": i, "unit_in_file": number, "window_rate": mean}
        for i, (number, mean) in enumerate(zip(found.unit_ids.tolist(), means, strict=True))
    ]
    return held, {"Trial": trials, "Unit": units}
