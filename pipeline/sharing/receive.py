"""Importing all networks of an export that somebody else has made."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks_lib.errors import ParameterError, shown

from ..database.connection import check_writing
from ..exchange import import_network
from ..submission import submit
from ..tables.training import Training
from .archives import ending_of, opened
from .manifest import ExportCheck, check_export, read_manifest
from .write import NETWORKS, TABLES, TASKS

NETWORK_TABLE = f"{TABLES}/Training.Network.csv"
FILE_COLUMN = "network_file"


@dataclass
class Received:
    """What was imported of an export.

    Attributes
    ----------
    n_tasks : int
        Tasks that are new here.
    keys : dict
        Path of a network's file in the export -> its key here, of those that are new.
    known : list of str
        Paths of those that had been imported before.
    """

    n_tasks: int = 0
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)


def import_export(
    path: str | Path, progress: Callable[[int, int], object] = lambda done, total: None
) -> Received:
    """Import all networks of an exported folder or archive, and the tasks that they need.

    Each network is entered whole; interrupted, the call goes on where it was when it is made again.
    Networks keep the names of their parameters, where the same parameters have no other name here;
    their training is ``imported`` and their seeds are the next free ones, as for every import. What
    was computed of them is computed again by the next worker.

    Parameters
    ----------
    path : str or Path
    progress : callable, optional
        Called with the number of networks that are done, and of all.

    Raises
    ------
    ParameterError
        Where the export is not whole, a task has another name here, or a network is refused.
    """
    target = Path(path)
    check_writing()
    check = check_export(target)
    if not check.is_whole:
        raise ParameterError(
            "PATH", str(target), f"is not as it was exported ({check.faults[0]})",
            "copy it anew; see `rnn export --check`",
        )  # fmt: skip
    for name in (TASKS, NETWORK_TABLE):
        if name not in check.manifest["files"]:
            raise _foreign(target, f"has no {name}")
    received = Received()
    with tempfile.TemporaryDirectory(prefix="rnn") as folder:
        _unpack(target, check, Path(folder))
        received.n_tasks = submit(Path(folder) / TASKS)["tasks"]
        networks = _networks(target, check, Path(folder))
        for number, (name, task_name, network_name) in enumerate(networks, start=1):
            sha256 = check.manifest["files"][name]["sha256"]
            if Training.Source & {"task_name": task_name, "sha256": sha256}:
                received.known.append(name)
            else:
                received.keys[name] = import_network(Path(folder) / name, task_name, network_name)
            progress(number, len(networks))
    return received


def _networks(target: Path, check: ExportCheck, folder: Path) -> list[tuple[str, str, str]]:
    """Return file, task and parameters of each network, as the export's own table has them."""
    with (folder / NETWORK_TABLE).open(encoding="utf-8", newline="") as file:
        try:
            found = [
                (row[FILE_COLUMN], row["task_name"], row["network_name"])
                for row in csv.DictReader(file)
            ]
        except (KeyError, csv.Error, UnicodeDecodeError):
            raise _foreign(target, f"has no list of networks in {NETWORK_TABLE}") from None
    for name, *_ in found:
        if not (name or "").startswith(f"{NETWORKS}/") or name not in check.manifest["files"]:
            raise _foreign(target, f"names {shown(name)} as the file of a network")
    return found


def _foreign(target: Path, problem: str) -> ParameterError:
    return ParameterError("PATH", str(target), problem, "name what `rnn export --out` has made")


def is_export(path: str | Path) -> bool:
    """Return whether a path is a folder, or an archive with a manifest; a network's file is not."""
    target = Path(path)
    if target.is_dir() or not target.is_file():
        return target.is_dir()
    try:
        read_manifest(target)
    except ParameterError:
        return ending_of(target) != ""  # what is wrong with it is said when it is read
    return True


def _unpack(target: Path, check: ExportCheck, folder: Path) -> None:
    """Write tasks, networks and their list to a folder: files of the manifest alone."""
    with opened(target) as members:
        for member in members:
            wanted = member.path in (TASKS, NETWORK_TABLE) or member.path.startswith(f"{NETWORKS}/")
            if wanted and member.path in check.manifest["files"]:
                place = folder / member.path
                place.parent.mkdir(parents=True, exist_ok=True)
                member.save(place)
