"""Control groups with a limit of memory, as a container has: of both versions, where writable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
# Version: limit, usage, count of kills.
FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"),
    2: ("memory.max", "memory.current", "memory.events"),
}


class NoControlGroup(Exception):
    """Such a group cannot be made here."""


class MemoryGroup:
    """A group of processes with one limit of memory."""

    def __init__(self, folder: Path, version: int) -> None:
        self.folder, self.version = folder, version
        self._limit, self._usage, self._kills = (folder / name for name in FILES[version])

    def limit(self, n_bytes: int) -> None:
        """Set the limit."""
        self._limit.write_text(str(n_bytes))

    def limit_further(self, n_bytes: int) -> None:
        """Set the limit to what is used now, and so much more."""
        cached = next(
            int(line.split()[1])
            for line in (self.folder / "memory.stat").read_text().splitlines()
            if line.startswith(("total_inactive_file", "inactive_file"))
        )
        self.limit(int(self._usage.read_text()) - cached + n_bytes)

    def enter(self) -> None:
        """Have the process that calls this, and its children, be of the group."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def n_kills(self) -> int:
        """Return how many processes the kernel has killed."""
        lines = dict(line.split() for line in self._kills.read_text().splitlines())
        return int(lines["oom_kill"])


def _made() -> MemoryGroup:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        version = 1 if "memory" in controllers.split(",") else 2
        if controllers and version == 2:
            continue
        top = ROOT / "memory" if version == 1 else ROOT
        for parent in (top / own.lstrip("/"), top):
            folder = parent / f"rnn_test_{os.getpid()}_{time.monotonic_ns()}"
            with suppress(OSError):
                folder.mkdir()
                made = MemoryGroup(folder, version)
                with suppress(OSError):
                    made.limit(2**40)
                    made.n_kills()
                    return made
                folder.rmdir()
    raise NoControlGroup("no control group with a limit of memory can be made here")


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """Give a group of the test's own.

    Raises
    ------
    NoControlGroup
    """
    made = _made()
    try:
        yield made
    finally:
        for _ in range(50):  # its processes have ended, and may not yet be gone
            try:
                made.folder.rmdir()
                break
            except OSError:
                time.sleep(0.1)
