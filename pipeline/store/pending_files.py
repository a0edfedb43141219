"""Files of rows that are being inserted: on disk before the commit, removed after a rollback."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from datajoint.hash_registry import get_store_backend

STORE = "main"
SAVING = ".saving"  # ending of a file that DataJoint is writing
log = logging.getLogger(__name__)


class WrittenFiles:
    """Records the files of the store that the codecs write inside `noting`."""

    def __init__(self) -> None:
        self._paths: list[str] = []

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Record the files that are written inside."""
        token = _noting.set(self)
        try:
            yield
        finally:
            _noting.reset(token)

    def make_durable(self) -> None:
        """Have the system write them to disk: a row that survives a power loss has its files."""
        if not self._paths:
            return
        backend = get_store_backend(STORE)
        if backend.protocol != "file" or os.name != "posix":
            return
        root = Path(backend._full_path(""))
        files = [Path(backend._full_path(path)) for path in self._paths]
        for file in files:
            _sync(file)
        sync_folders(files, root)

    def add(self, others: WrittenFiles) -> None:
        """Take over the files of others."""
        self._paths += others._paths

    def remove(self) -> None:
        """Remove them: their rows were not inserted.

        DataJoint leaves them: on a full disk every further attempt would fill it a little more.
        """
        if not self._paths:
            return
        names = [name for path in self._paths for name in (path, f"{path}{SAVING}")]
        failures = []
        for name in names:  # the second: what a file is called until it is whole
            try:
                get_store_backend(STORE).remove(name)
            except Exception as error:  # `rnn gc` finds it
                failures.append(error)
        if failures:
            log.warning(
                "%d files of an insert that failed cannot be removed: %s",
                len(failures),
                failures[0],
            )
        self._paths.clear()


_noting: ContextVar[WrittenFiles | None] = ContextVar("written_files", default=None)


def sync_folders(files: Iterable[Path], root: Path) -> None:
    """Have the system write the folders of files to disk, up to the store's root.

    The name of a folder that was just made is on disk once that of its own folder is.
    """
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(root)}
    for folder in sorted(folders, reverse=True):
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def note_file(path: str) -> None:
    """Note a file of the store that a codec is about to write, if anybody wants to know."""
    files = _noting.get()
    if files is not None:
        files._paths.append(path)
