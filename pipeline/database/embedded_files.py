"""What the processes of an embedded database share in its folder: locks, and who runs the server.

Only the standard library: the process that keeps the server loads this file without the package.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
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


def check_link(path: Path) -> None:
    """See that a link and the folder that it shows to are this user's.

    Raises
    ------
    EmbeddedError
        Where they are not.
    """
    mine = os.geteuid()
    if path.lstat().st_uid != mine or (mine and path.stat().st_uid != mine):
        raise EmbeddedError(
            f"{path}: is a link of another user, or to a folder of one; set RNN_HOME to a "
            "folder of your own"
        )


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


def full(path: Path) -> EmbeddedError:
    """Return the error of a disk that is full; workers wait for what it was caused by."""
    error = EmbeddedError(f"no space left on the disk of {path}; free some")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error
