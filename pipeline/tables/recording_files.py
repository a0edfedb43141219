"""Files of recordings: one is read once and becomes rows; a network is written as one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import models
from models.recordings.settings import RecordingSettings, SpikeSettings
from tasks_lib.errors import ParameterError, use_one_of

from ..database.connection import check_writing, connection
from ..database.server import transaction
from ..database.types import Restriction
from .given_settings import check_fields, settings_from_texts
from .network import NetworkParams
from .other_versions import for_columns
from .parameters import check_name
from .performance import fetch_network
from .provenance import code_version
from .recordings import Recording, recording_rows, settings_of
from .rows import in_chunks
from .task import Task
from .training import Training

MOST_TEXT = 255


def enter_recording(
    path: str | Path, task_name: str, recording_name: str | None = None, **settings: Any
) -> dict[str, Any]:
    """Read the recorded units of an NWB file, and enter them as a recording of a task.

    Workers describe its population and compare it with the networks of the task. The file itself
    is not kept: its hash is, and the rates that were read.

    Parameters
    ----------
    path : str or Path
        See `models.read_recording`.
    task_name : str
        The task that was recorded, which has been entered.
    recording_name : str, optional
        The file's name without its ending by default.
    settings
        Fields of `models.RecordingSettings`: ``align="go_time"``, ``window_off=1.5``, say.

    Returns
    -------
    key : dict
        Of the row in `Recording`.

    Raises
    ------
    ParameterError
        Where the file is refused, the name is taken, or the same file was entered before, read in
        the same way. Then nothing is entered.
    """
    check_writing()
    chosen = _made(RecordingSettings, settings)
    if not Task & {"task_name": task_name}:
        names = Task.to_arrays("task_name").tolist()
        remedy = use_one_of(task_name, names) if names else "enter it with rnn submit"
        raise ParameterError("task_name", task_name, "has not been entered", remedy)
    name = check_name(
        "recording_name", Path(path).stem if recording_name is None else recording_name
    )
    key = {"task_name": task_name, "recording_name": name}
    _refuse_taken(key)
    found = models.read_activity(path, chosen)
    _refuse_again(key, found)
    held, parts = recording_rows(found)
    for column in ("recording_file", "recording_session"):
        held[column] = str(held[column])[-MOST_TEXT:]
    with transaction(connection()):
        _refuse_taken(key)
        row = {**key, **held, "recording_code": code_version()[0]}
        Recording.insert1(for_columns(Recording(), row, Recording.default_columns()))
        for part, rows in parts.items():
            for some in in_chunks(rows):
                getattr(Recording, part).insert({**key, **row} for row in some)
    return key


def _refuse_taken(key: dict[str, Any]) -> None:
    if Recording & key:
        problem = f"is a recording of {key['task_name']} already"
        remedy = "give this one another name"
        raise ParameterError("recording_name", key["recording_name"], problem, remedy)


def _refuse_again(key: dict[str, Any], found: models.RecordedActivity) -> None:
    """Refuse a file that is there, read in the same way."""
    same = {"task_name": key["task_name"], "recording_sha256": found.source["sha256"]}
    for row in (Recording & same).to_dicts():
        if settings_of(row) == found.settings:
            raise ParameterError(
                "path", found.source["file"],
                f"was entered before, read in the same way, as {row['recording_name']}",
                "use that one, or read it with other settings",
            )  # fmt: skip


def export_recording(key: Restriction, path: str | Path, **settings: Any) -> Path:
    """Write trials of a stored network as an NWB file, as if an electrode had recorded it.

    The file's notes name the network, its parameters and the version of the code.

    Parameters
    ----------
    key : restriction
        Of `Training.Network`: a key, a query, a text; exactly one network.
    path : str or Path
        The file, replaced where it exists.
    settings
        Fields of `models.SpikeSettings`: ``n_units=50``, ``gain=20.0``, say.

    Raises
    ------
    ParameterError
        As `models.write_recording`, and where the key selects no or several networks.
    """
    chosen = _made(SpikeSettings, settings)
    networks = Training.Network & key
    if len(networks) != 1:
        problem = f"selects {len(networks)} networks"
        raise ParameterError("key", key, problem, "restrict it to exactly one")
    found = networks.fetch1("KEY")
    rnn, task = fetch_network(found)
    version, is_dirty = code_version()
    metadata = {
        "network": found,
        "parameters": NetworkParams.build((NetworkParams & found).fetch1()).to_dict(),
        "code_version": version,
        "code_dirty": is_dirty,
    }
    return models.write_recording(path, rnn, task, chosen, metadata=metadata)


def _made(config: type[Any], settings: dict[str, Any]) -> Any:
    check_fields(config, settings.items(), _unknown(config))
    return config(**settings)


def _unknown(config: type[Any]) -> str:
    return f"is no field of {config.__name__}"


def parse_reading_settings(given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return how a file is read, as a command line says it."""
    return _parsed(given, RecordingSettings)


def parse_spike_settings(given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return how units are recorded, as a command line says it."""
    return _parsed(given, SpikeSettings)


def _parsed(given: Iterable[tuple[str, str]], config: type[Any]) -> dict[str, Any]:
    return settings_from_texts(config, given, _unknown(config), "cannot be read")
