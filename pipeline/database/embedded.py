"""The embedded PostgreSQL: one server for all processes of a user that work on one home.

The server belongs to a process of its own (`embedded_keeper`), which stops it once nobody holds the
lock of its users any more. The operating system ends that lock with a process, however the process
ends; nothing is listed.
"""

from __future__ import annotations

import atexit
import errno
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .embedded_cluster import PORT, USER, user_name
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
    check_link,
    full,
    is_locked,
    make_home,
    own_folder,
)
from .embedded_owner import Owner, elsewhere, this_host
from .embedded_paths import Alias, is_plain, programs
from .embedded_root import ACCOUNT, NAMESPACE

WAYS = (NAMESPACE, ACCOUNT)  # how root runs the server
RENEWED_EVERY = 2.0  # seconds between renewals of the record of the host that runs the server
GONE_AFTER = 30.0  # seconds after which a record that is not renewed counts as left behind
LONGEST_HOME = 900  # bytes; of the 1024 that its programs have for a path, files need some
QUIET = 5.0  # seconds of waiting without a word
PAUSE = 0.02
SOCKET = f".s.PGSQL.{PORT}"
# Loads the keeper's modules from their folder, without the packages around it.
KEEPER = (
    "import sys, types; package = sys.modules['keeper'] = types.ModuleType('keeper'); "
    "package.__path__ = [sys.argv.pop(1)]; from keeper.embedded_keeper import main; main()"
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
        self._alias: Alias | None = None
        self._mutex = threading.RLock()
        self._process = os.getpid()

    @property
    def host(self) -> str:
        """The folder of the socket, as libpq takes it for a host."""
        if is_plain(self.data, SOCKET):
            return str(self.data)
        with self._mutex:
            if self._alias is None or not self._alias.shows(self.data):
                self._alias = Alias(self.data)
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
        remedy = (
            ""
            if "RNN_HOME" in text or "DJ_HOST" in text or "free some" in text
            else ("; set RNN_HOME to a folder that you can write, or DJ_HOST to a server")
        )
        return EmbeddedError(
            f"RNN_HOME = {str(self.home)!r}: the embedded database does not start: {text}{remedy}"
        )

    def _check_home(self) -> None:
        """Refuse what PostgreSQL's programs cannot work with, before anything is made."""
        length = len(os.fsencode(self.home))
        if length > LONGEST_HOME:
            raise EmbeddedError(
                f"its path is {length} bytes long, and PostgreSQL takes {LONGEST_HOME}; set "
                "RNN_HOME to a shorter one"
            )
        if not str(self.home).isprintable():
            raise EmbeddedError(
                "its path has a line break or another control character; set RNN_HOME to another"
            )
        if self.home.exists() and not self.home.is_dir():
            raise EmbeddedError("is a file and not a folder; set RNN_HOME to a folder")
        if os.geteuid() and not user_name(os.geteuid()):
            raise EmbeddedError(
                f"user number {os.geteuid()} has no name on this machine (in /etc/passwd), and "
                "PostgreSQL asks for one; run this as a user with a name, or set DJ_HOST to a "
                "server"
            )

    def _make_folders(self) -> None:
        self._check_home()
        make_home(self.home)
        whose = self.home.stat().st_uid
        if whose not in (os.geteuid(), 0):
            raise EmbeddedError(
                f"the folder belongs to {user_name(whose) or f'user number {whose}'}; run this as "
                "that user, set RNN_HOME to a folder of your own, or DJ_HOST to a server"
            )
        own_folder(self.control, os.geteuid())
        # Root runs the server as another user, or may have: its files are mended by the keeper.
        if self.data.is_symlink():
            check_link(self.data)
        elif self.data.exists() and os.geteuid():
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
                    [sys.executable, "-I", "-B", "-c", KEEPER, str(Path(__file__).parent),
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


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
