"""The store while workers run: a folder may go away, and come back."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import datajoint as dj

from .database import STORE

# The number of each store's folder in its file system.
_known: dict[str, int] = {}


class StoreAway(OSError):
    """The folder of the store is not there now, or another folder is in its place."""

    def __init__(self, folder: str, problem: str) -> None:
        super().__init__(errno.ESTALE, problem, folder)

    def __str__(self) -> str:
        """Return one line."""
        return f"store = {self.filename!r}: {self.strerror}; mount it again"


def _folder() -> str | None:
    store = dj.config.stores.get(STORE, {})
    return str(store["location"]) if store.get("protocol") == "file" else None


def _number(folder: str) -> int:
    try:
        status = Path(folder).stat()
    except OSError as error:
        raise StoreAway(folder, f"is away ({error.strerror or error})") from error
    if not stat.S_ISDIR(status.st_mode):
        raise StoreAway(folder, "is no folder")
    return status.st_ino


def remember_store() -> None:
    """Remember which folder the store is."""
    folder = _folder()
    if folder is not None:
        _known[folder] = _number(folder)


def check_store() -> None:
    """Refuse to write where the store is a folder that is away.

    Whoever writes makes the folders that are missing. Where a file system is not mounted, that
    would be folders that nobody sees any more once it is.

    Raises
    ------
    StoreAway
        Where the folder is not there, or is not the one that `remember_store` saw.
    """
    folder = _folder()
    if folder is not None:
        number = _number(folder)
        if _known.setdefault(folder, number) != number:
            raise StoreAway(folder, "is another folder than it was")


def store_is_away() -> bool:
    """Return whether the store is a folder that is not there now: a file system not mounted."""
    try:
        check_store()
    except StoreAway:
        return True
    return False
