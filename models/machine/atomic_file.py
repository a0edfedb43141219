"""Atomic writing of files: a file is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

LONGEST_NAME = 200  # bytes of a file's name that fit beside what is added to it


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let failures of the system name the file: those of writing, of a full disk, name none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_replaceable(path: Path) -> None:
    """Refuse what is no name of a file, and a device, a pipe or a folder, which nothing replaces.

    Raises
    ------
    OSError
        Naming the path.
    """
    if not path.name or "\0" in str(path):
        raise OSError(22, "is not the name of a file", str(path))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(22, "is there and is not a file", str(path))


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file atomically: a kill or a power loss leaves the old file or the new one, whole.

    Parameters
    ----------
    path : str or Path
        Its folder must exist.
    write : callable
        Given the open binary file; whatever it raises leaves the old file as it was.

    Raises
    ------
    OSError
        Naming the file, where it cannot be written, or is there and is no file.
    """
    target = Path(path)
    check_replaceable(target)
    shown = target.name if len(os.fsencode(target.name)) <= LONGEST_NAME else "long"
    # Not by tempfile, whose files nobody else in the lab may read.
    name = target.with_name(f".{shown}.{secrets.token_hex(4)}")
    try:
        with naming(target):
            with name.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name is on disk once its folder is
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
