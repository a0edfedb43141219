"""Atomic writing of files: a file is there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file atomically: a kill or a power loss leaves the old file or the new one, whole.

    Parameters
    ----------
    path : str or Path
        Its folder must exist.
    write : callable
        Given the open binary file; whatever it raises leaves the old file as it was.
    """
    target = Path(path)
    # Not by tempfile, whose files nobody else in the lab may read.
    name = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
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
