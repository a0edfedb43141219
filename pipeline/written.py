"""The files of rows that are being inserted: on disk before the commit, gone after a rollback."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class WrittenFiles:
    """Notes the files that the codecs write inside `noting`."""

    def __init__(self) -> None:
        self._files: list[tuple[Any, str]] = []  # store, path in it

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note the files that are written inside."""
        token = _noting.set(self)
        try:
            yield
        finally:
            _noting.reset(token)

    def make_durable(self) -> None:
        """Have the system write them to disk: a row that survives a power loss has its files."""
        paths = [Path(b._full_path(path)) for b, path in self._files if b.protocol == "file"]
        for path in [*paths, *{path.parent for path in paths}]:
            if path.is_dir() and os.name != "posix":
                continue
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self) -> None:
        """Remove them: their rows were not inserted."""
        for backend, path in self._files:
            try:
                backend.remove(path)
            except Exception as error:  # `rnn gc` finds it
                log.warning("%s cannot be removed: %s", path, error)
        self._files.clear()


_noting: ContextVar[WrittenFiles | None] = ContextVar("written_files", default=None)


def note_written(backend: Any, path: str) -> None:
    """Note a file that a codec has written, or is about to, if anybody wants to know."""
    files = _noting.get()
    if files is not None:
        files._files.append((backend, path))
