"""Detecting that the store is not mounted, and waiting until it is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import datajoint as dj
from datajoint.hash_registry import get_store_backend

from ..transient.errors import when_files_are_missing
from .pending_files import STORE

MARKS = "databases"  # folder of the store with a mark of each database that uses it
_LOOK = f"""
import os, sys
for path in (sys.argv[1], os.path.join(sys.argv[1], {MARKS!r})):
    try:
        os.stat(path)
    except OSError:
        pass
"""
BEGUN = ".begun"  # ending of a mark whose database may not have got its row

# Path of the mark of the connected database, from the store's root.
_known: dict[str, str | None] = {"mark": None}


class StoreAway(OSError):
    """The folder of the store is not there now, or another folder is in its place."""

    def __init__(self, folder: str, problem: str, remedy: str = "mount it again") -> None:
        super().__init__(errno.ESTALE, problem, folder)
        self.remedy = remedy

    def __str__(self) -> str:
        """Return one line."""
        return f"store = {self.filename!r}: {self.strerror}; {self.remedy}"


def not_the_store(folder: str, mark: str) -> StoreAway:
    """Return the error of a folder that does not hold the mark of the database."""
    return StoreAway(
        folder,
        f"does not hold {mark}, the mark of this database",
        "mount it, and see that RNN_STORE and DJ_HOST belong together; if the store was moved on "
        "purpose, copy its files, or run `rnn declare`, which marks it anew",
    )


def folder_of_store() -> str | None:
    """Return the folder of the store; None where it is none."""
    store = dj.config.stores.get(STORE, {})
    return str(store["location"]) if store.get("protocol") == "file" else None


def remember_mark(mark: str | None) -> None:
    """Remember the mark of the connected database; None: it has none, or nothing is connected."""
    _known["mark"] = mark


def remembered_mark() -> str | None:
    """Return the path of the mark of the connected database from the store's root."""
    return _known["mark"]


def check_store() -> None:
    """Raise an error if the store is a folder that is not mounted now.

    Whoever writes makes the folders that are missing. Where a file system is not mounted, that
    would be folders that nobody sees any more once it is.

    Raises
    ------
    StoreAway
        Where the folder is not there, or does not hold the mark of the connected database.
    """
    folder, mark = folder_of_store(), _known["mark"]
    if folder is None:
        return
    try:
        if mark is not None:
            os.stat(Path(folder, mark))
            return
        os.stat(folder)
    except OSError as error:
        if mark is not None and os.path.isdir(folder):
            raise not_the_store(folder, mark) from error
        raise StoreAway(folder, f"is away ({error.strerror or error})") from error
    if not os.path.isdir(folder):
        raise StoreAway(folder, "is no folder")


def answers_in_time(folder: str | Path, seconds: float) -> bool:
    """Return whether a folder answers within so many seconds; an error is an answer.

    It is asked by a process of its own, which is not waited for: whoever waits for a network's
    file system may not be able to end before that answers.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LOOK, os.fspath(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return False
    return True


@when_files_are_missing
def store_is_away() -> bool:
    """Return whether the store is a folder that is not there now: a file system not mounted."""
    try:
        check_store()
    except StoreAway:
        return True
    return False


def store_answers() -> bool:
    """Return whether the store can be asked: a folder that is there, a bucket that answers."""
    if folder_of_store() is not None:
        return not store_is_away()
    try:
        get_store_backend(STORE).exists(_known["mark"] or MARKS)
    except Exception:  # of whatever kind: it does not answer
        return False
    return True
