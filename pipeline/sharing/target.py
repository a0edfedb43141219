"""The name under which an export is put: what may be there, and how it gets there whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from models.machine.atomic_file import LONGEST_NAME, naming
from tasks_lib.errors import ParameterError

from .archives import ending_of, pack
from .manifest import EXPORT, Kind, check_export, read_manifest


def beside(target: Path, what: str) -> Path:
    """Return a new hidden name beside the target, on the same file system."""
    name = target.name
    shown = name if len(os.fsencode(name)) <= LONGEST_NAME - len(what) else "export"
    return target.with_name(f".{shown}.{what}-{secrets.token_hex(4)}")


def check_target(target: Path, update: bool, made: Kind = EXPORT) -> None:
    """Refuse a target that is there, unless it is an earlier export that is to be replaced."""
    option = "--out"
    if not target.name or target.name == "..":
        raise ParameterError(option, str(target), "is not the name of a file", "name a new one")
    if not target.parent.is_dir():
        raise ParameterError(
            option, str(target), f"there is no folder {str(target.parent)!r}", "make it first"
        )
    if target.is_symlink():
        raise ParameterError(option, str(target), "is a link", "name what it leads to")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not update:
        raise ParameterError(
            option, str(target), "is there already",
            f"name another, or say --update (update=True) to replace an earlier {made.noun}",
        )  # fmt: skip
    if target.is_dir() == bool(ending_of(target)):
        kind = "a folder" if target.is_dir() else "a file"
        raise ParameterError(option, str(target), f"is {kind}", "name another")
    try:  # of an archive, nobody changes a part
        faults = check_export(target, made).faults if target.is_dir() else []
        read_manifest(target, made)
    except ParameterError as error:
        raise ParameterError(
            option,
            str(target),
            f"is no {made.noun} that could be replaced",
            "name another, or remove it",
        ) from error
    added = [fault for fault in faults if not fault.startswith("missing: ")]
    if added:
        raise ParameterError(
            option, str(target), f"is not as it was exported ({added[0]})",
            "move elsewhere what you changed or added, or name another",
        )  # fmt: skip


def put(work: Path, target: Path, paths: Sequence[str], root: str, update: bool) -> None:
    """Give a whole export its name: packed, or as the folder that it is."""
    ending = ending_of(target)
    if ending:
        packed = beside(target, "unfinished")
        try:
            with naming(packed), packed.open("xb") as file:
                pack(work, list(paths), root, ending, file)
                file.flush()
                os.fsync(file.fileno())
            if update:
                os.replace(packed, target)
            else:
                _rename_to_new(packed, target)
        finally:
            packed.unlink(missing_ok=True)
    elif update and target.exists():
        old = beside(target, "replaced")
        os.rename(target, old)
        os.rename(work, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        with naming(target):
            os.rename(work, target)  # which no folder with files in it gives way to
    _sync(target.parent)


def _rename_to_new(packed: Path, target: Path) -> None:
    """Rename a file to a name that nobody has taken meanwhile."""
    try:
        os.link(packed, target)
    except FileExistsError:
        raise ParameterError(
            "--out", str(target), "is there since a moment ago", "name another"
        ) from None
    except OSError:  # a file system without links
        os.replace(packed, target)


def _sync(folder: Path) -> None:
    """Have the new name on the disk."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
