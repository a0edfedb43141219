"""What the processes of an embedded database share in its folder: locks, and who runs the server.

Only the standard library: the process that keeps the server loads this file without the package.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import secrets
import stat
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

DATA, CONTROL = "postgres", "embedded"  # folders under the home: the database; what controls it
STARTING, SERVER, USERS = "start.lock", "server.lock", "users.lock"
OWNER, PASSWORD, LOG = "owner", "password", "log"
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
FULL = {errno.ENOSPC, errno.EDQUOT}


class EmbeddedError(RuntimeError):
    """The embedded database cannot be used: what was found and the remedy, in one line."""


def make_home(home: Path) -> None:
    """Make the folder of the embedded database and of the store, for its owner alone."""
    home.parent.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)


def own_folder(path: Path, whose: int) -> None:
    """Make a folder that only its owner may enter, or see that it is one.

    Parameters
    ----------
    path : Path
    whose : int
        Number of the user who must own it.

    Raises
    ------
    EmbeddedError
        Where the path is a link or no folder, or is somebody else's.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedError(f"{path}: is not a folder; move it away")
    if found.st_uid != whose:
        raise EmbeddedError(
            f"{path}: belongs to user number {found.st_uid}, and not to {whose}, who runs this; "
            "set RNN_HOME to a folder of your own"
        )
    if found.st_mode & 0o077:
        path.chmod(0o700)


class FileLock:
    """A lock of the operating system on a file; it ends with the processes that hold it open.

    Parameters
    ----------
    path : Path
        The file; made where it is missing. It is never removed: others may wait for it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self.descriptor = os.open(path, flags, 0o600)

    def try_exclusive(self) -> bool:
        """Take it alone; return whether nobody else had it."""
        return self._try(exclusive=True)

    def try_shared(self) -> bool:
        """Take it together with others; return whether nobody had it alone."""
        return self._try(exclusive=False)

    def _try(self, exclusive: bool) -> bool:
        import fcntl  # there is none on Windows

        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(self.descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            if error.errno in NO_LOCKS:
                raise EmbeddedError(
                    f"{self.path}: this file system has no locks for files "
                    f"({os.strerror(error.errno)}); set RNN_HOME to a folder on a local disk, or "
                    "DJ_HOST to a server"
                ) from None
            raise
        return True

    def close(self) -> None:
        """Let go of it; a copy that another process inherited keeps it."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read: all of it, or the old one stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the lock of a file alone."""
    lock = FileLock(path)
    try:
        return not lock.try_shared()  # so that two who ask at once do not see each other
    finally:
        lock.close()


def this_host(folder: Path) -> str:
    """Return what tells this running system, and its mount of a folder, from all others.

    Process numbers, host names and machine-ids repeat in containers. Locks of files are known to
    hold among processes of one running system that see the folder through one mount.
    """
    return f"{_boot()}:{folder.stat().st_dev}"


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            ["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, timeout=10
        ).stdout.strip()
        if told:
            return told
    raise EmbeddedError(
        f"{platform.node()}: does not say when it was started (boot_id, kern.bootsessionuuid); set "
        "DJ_HOST to a server"
    )


class Owner:
    """The record of which host runs the server, renewed for as long as it does.

    Parameters
    ----------
    folder : Path
        Where it lies.
    host : str
        `this_host` of whoever asks.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.path, self.host = folder / OWNER, host
        self.token = secrets.token_hex(16)
        self._count = 0

    def read(self) -> bytes | None:
        """Return the record; None where nobody runs the server."""
        try:
            return self.path.read_bytes()  # opened anew: then a network file system asks its server
        except FileNotFoundError:
            return None

    def other_host(self) -> str | None:
        """Return the name of the host that runs it, where that is another one."""
        found = _parsed(self.read())
        return None if not found or found.get("host") == self.host else str(found.get("name"))

    def claim(self, seconds: float, interval: float, tell: Callable[[str], None]) -> None:
        """Write this host into the record, once the one that it names is known to be gone.

        Called by whoever has the server's lock. That another host has a lock on the same file is
        not seen by every file system, therefore its record is watched: whoever runs the server
        renews it. No clock of another host is believed.

        Parameters
        ----------
        seconds : float
            For how long a record may stay as it is until its host counts as gone.
        interval : float
            Seconds between two renewals.
        tell : callable
            Told what is waited for.

        Raises
        ------
        EmbeddedError
            Where the other host runs the server.
        """
        found = first = self.read()
        name = self.other_host()
        if first is not None and (name is not None or _parsed(first) is None):
            tell(f"host {name} used it last and did not end: {seconds:.0f} s to see that it is gone")
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(min(0.2, interval))
                found = self.read()
                if found is None:
                    break
                if found != first:
                    raise EmbeddedError(_runs_elsewhere(name))
        if first is None or found is None:
            try:
                with self.path.open("xb") as file:  # one of two hosts at once succeeds
                    file.write(self._content())
            except FileExistsError:
                raise EmbeddedError(_runs_elsewhere(self.other_host())) from None
            return
        replace_file(self.path, self._content())
        if name is not None:
            # Two that claim it at once, or one that was only slow: the last to write has it.
            time.sleep(2 * interval)
            self.check()

    def check(self) -> None:
        """See that the record is still this one.

        Raises
        ------
        EmbeddedError
            Where another host has claimed the server.
        """
        found = _parsed(self.read())
        if not found or found.get("token") != self.token:
            raise EmbeddedError(_runs_elsewhere(found.get("name") if found else None))

    def renew(self) -> None:
        """Say that the server is still run from here; raises as `check` does."""
        self.check()
        self._count += 1
        # In place: a renamed file may stay unseen by other hosts for a minute.
        with self.path.open("r+b") as file:
            file.write(self._content())

    def remove(self) -> None:
        """Take the record away: the server has ended, and any host may start it."""
        with suppress(EmbeddedError, OSError):
            self.check()
            self.path.unlink()

    def _content(self) -> bytes:
        record = {"token": self.token, "host": self.host, "name": platform.node()}
        return json.dumps({**record, "renewed": f"{self._count:012}"}).encode() + b"\n"


def _parsed(content: bytes | None) -> dict[str, str] | None:
    try:
        found = json.loads(content or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _runs_elsewhere(name: object) -> str:
    return (
        f"its server runs on host {name or 'unknown'}, and only one host may use the folder at a "
        "time; end the programs there, set RNN_HOME to a folder of this host, or DJ_HOST to a "
        "server that both use"
    )


def elsewhere(owner: Owner) -> EmbeddedError | None:
    """Return the refusal where another host runs the server."""
    name = owner.other_host()
    return None if name is None else EmbeddedError(_runs_elsewhere(name))


def full(path: Path) -> EmbeddedError:
    """Return the error of a disk that is full; workers wait for what it was caused by."""
    error = EmbeddedError(f"no space left on the disk of {path}; free some")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error
