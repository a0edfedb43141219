"""A file system that answers late: a folder behind FUSE, as a network's would be.

Run as a program it serves a folder: ``python slow_files.py FOLDER MOUNT CONTROL``.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DEVICE = Path("/dev/fuse")


def missing() -> str:
    """Return what this machine lacks for such a file system; nothing where all is there."""
    if find_spec("mfusepy") is None:
        return "install the package mfusepy"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} cannot be opened"
    found = subprocess.run(
        [sys.executable, "-c", "import mfusepy"],
        env={**os.environ, "FUSE_LIBRARY_NAME": "fuse3"},
        capture_output=True,
    )
    return "" if found.returncode == 0 else "install Debian's package fuse3"


class SlowFiles:
    """The folder, and how late its answers come.

    Parameters
    ----------
    folder : Path
        Of which ``mount`` is what processes see, and ``files`` where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.files, self.mount = folder / "files", folder / "mount"
        self._control = folder / "control"
        for made in (self.files, self.mount, self._control):
            made.mkdir()

    def delay(self, every: int, seconds: float) -> None:
        """Have each so many-th answer come so many seconds late."""
        self._order("delay", {"every": every, "seconds": seconds})

    def stall(self, pattern: str, *operations: str) -> None:
        """Let operations on paths of a pattern get no answer, until `go_on`; without names: all."""
        (self._control / "reached").unlink(missing_ok=True)
        self._order("stall", {"pattern": pattern, "operations": operations})

    def go_on(self) -> None:
        """Answer what has been waiting, and what comes."""
        for name in ("delay", "stall"):
            (self._control / name).unlink(missing_ok=True)

    def waiting(self) -> set[str]:
        """Return the paths on which somebody has waited for an answer that does not come."""
        path = self._control / "reached"
        return set(path.read_text().splitlines()) if path.exists() else set()

    def n_late(self) -> int:
        """Return how many answers have come late."""
        path = self._control / "late"
        return path.stat().st_size if path.exists() else 0

    def _order(self, name: str, what: dict[str, Any]) -> None:
        new = self._control / "new"
        new.write_text(json.dumps(what))
        new.rename(self._control / name)


@contextmanager
def slow_files(folder: Path) -> Iterator[SlowFiles]:
    """Mount such a file system inside a folder."""
    made = SlowFiles(folder)
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, __file__, made.files, made.mount, made._control],
            env={**os.environ, "FUSE_LIBRARY_NAME": "fuse3"},
            stdout=output,
            stderr=output,
        )
    try:
        while not os.path.ismount(made.mount):
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        yield made
    finally:
        made.go_on()
        unmount = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount3", "-uz"]
        subprocess.run([*unmount, made.mount], check=False, capture_output=True)
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:  # whoever still waits for an answer gets an error
            server.kill()
            server.wait()


def serve(files: str, mount: str, control: str) -> None:
    """Answer the system's requests, each in a thread, until the file system is unmounted."""
    import mfusepy

    counter = itertools.count(1)

    def order(name: str) -> dict[str, Any] | None:
        with suppress(OSError):
            return json.loads(Path(control, name).read_text())
        return None

    def be_late(operation: str, path: str) -> None:
        number = next(counter)
        delay = order("delay")
        if delay is not None and number % delay["every"] == 0:
            with Path(control, "late").open("a") as file:
                file.write(".")
            time.sleep(delay["seconds"])
        told = False
        while (
            (stall := order("stall")) is not None
            and fnmatch(path, stall["pattern"])
            and (not stall["operations"] or operation in stall["operations"])
        ):
            if not told:
                with Path(control, "reached").open("a") as file:
                    file.write(f"{path}\n")
                told = True
            time.sleep(0.02)

    def late(answer: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(answer)
        def answered(self: Any, path: str, *arguments: Any) -> Any:
            be_late(answer.__name__, path)
            return answer(self, path, *arguments)

        return answered

    class Late(mfusepy.Operations):
        use_ns = True

        @late
        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            found = os.lstat(files + path) if fh is None else os.fstat(fh)
            names = ("mode", "nlink", "uid", "gid", "size", "ino")
            times = {f"st_{n}time": getattr(found, f"st_{n}time_ns") for n in "acm"}
            return {f"st_{name}": getattr(found, f"st_{name}") for name in names} | times

        @late
        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *os.listdir(files + path)]

        @late
        def statfs(self, path: str) -> dict[str, int]:
            found = os.statvfs(files + path)
            return {
                n: getattr(found, n) for n in dir(found) if n.startswith("f_") and n != "f_fsid"
            }

        @late
        def access(self, path: str, amode: int) -> int:
            if not os.access(files + path, amode):
                raise mfusepy.FuseOSError(errno.EACCES)
            return 0

        @late
        def mkdir(self, path: str, mode: int) -> int:
            os.mkdir(files + path, mode)
            return 0

        @late
        def rmdir(self, path: str) -> int:
            os.rmdir(files + path)
            return 0

        @late
        def unlink(self, path: str) -> int:
            os.unlink(files + path)
            return 0

        @late
        def rename(self, old: str, new: str) -> int:
            os.rename(files + old, files + new)
            return 0

        @late
        def chmod(self, path: str, mode: int) -> int:
            os.chmod(files + path, mode)
            return 0

        @late
        def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
            os.utime(files + path, ns=times)
            return 0

        @late
        def create(self, path: str, mode: int, fi: Any = None) -> int:
            return os.open(files + path, os.O_RDWR | os.O_CREAT, mode)

        @late
        def open(self, path: str, flags: int) -> int:
            return os.open(files + path, flags & ~os.O_APPEND)

        @late
        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        @late
        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        @late
        def truncate(self, path: str, length: int, fh: int | None = None) -> int:
            os.truncate(files + path if fh is None else fh, length)
            return 0

        @late
        def fsync(self, path: str, datasync: int, fh: int) -> int:
            return 0  # nothing here survives a loss of power

        @late
        def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
            return 0

        @late
        def flush(self, path: str, fh: int) -> int:
            return 0

        @late
        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

    # Nothing is remembered by the system: each look is a request.
    unremembered = dict.fromkeys(("attr_timeout", "entry_timeout", "negative_timeout"), 0)
    mfusepy.FUSE(Late(), mount, foreground=True, **unremembered)


if __name__ == "__main__":
    serve(*sys.argv[1:4])
