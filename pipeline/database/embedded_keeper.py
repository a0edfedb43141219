"""The process that keeps the embedded server: starts it, renews its record, stops it.

It runs for as long as the server does, apart from whoever needed the server first, so that this one
may end or be killed while others go on. Only the standard library: it is loaded without the
package, see `embedded.KEEPER`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .embedded_cluster import Cluster
from .embedded_files import (
    CONTROL,
    DATA,
    FULL,
    SERVER,
    USERS,
    EmbeddedError,
    FileLock,
    full,
    is_locked,
)
from .embedded_owner import Owner

PAUSE = 0.1  # seconds between two looks at server and users
PATIENCE = 60.0  # seconds for what is left of an earlier server to end
LONG_PATIENCE = 600.0  # and for a server to write what it has, on a slow disk


class Stopped(Exception):
    """The keeper was told to end."""


class Keeper:
    """Keeps one server.

    Parameters
    ----------
    order : dict
        ``home``, ``programs`` (folder), ``host`` (`this_host`), ``ways`` (of root), ``interval``
        and ``gone``: seconds between renewals of the record, and until it counts as left behind.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.home = Path(order["home"])
        self.control = self.home / CONTROL
        self.interval = float(order["interval"])
        self.owner = Owner(self.control, order["host"])
        self.claimed = self.told = False
        self._renewed = self._looked()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: Any) -> None:
        raise Stopped

    @staticmethod
    def _looked() -> tuple[float, float]:
        return time.monotonic(), time.time()  # the first rests while a machine sleeps

    def say(self, what: str, text: str = "") -> None:
        """Tell whoever started this process; he may be gone."""
        with suppress(OSError):
            os.write(1, json.dumps([what, text]).encode() + b"\n")

    def tick(self) -> None:
        """Renew the record where it is time."""
        now, before = self._looked(), self._renewed
        if self.claimed and max(abs(now[0] - before[0]), abs(now[1] - before[1])) >= self.interval:
            self._renewed = now
            with suppress(OSError):  # a file system that is away for a moment
                self.owner.renew()

    def run(self) -> None:
        """Keep the server until its last user has gone, or it ends."""
        lock = FileLock(self.control / SERVER)
        until = time.monotonic() + PATIENCE
        while not lock.try_exclusive():
            if time.monotonic() > until:
                raise EmbeddedError(
                    f"{self.home / DATA}: an earlier server does not end; end its processes"
                )
            time.sleep(PAUSE)
        self.owner.claim(
            float(self.order["gone"]), self.interval, lambda text: self.say("waiting", text)
        )
        self.claimed = True
        try:
            cluster = Cluster(
                self.home, Path(self.order["programs"]), self.order["ways"], self.tick
            )
            cluster.prepare()
            self._keep(cluster, cluster.start(lock.descriptor), FileLock(self.control / USERS))
        finally:
            # Not before every part of the server is gone: each has inherited the lock.
            lock.close()
            with suppress(Exception):
                until = time.monotonic() + PATIENCE
                while is_locked(lock.path) and time.monotonic() < until:
                    time.sleep(PAUSE / 10)
                    self.tick()
            if not is_locked(lock.path):
                self.owner.remove()

    def _keep(self, cluster: Cluster, server: subprocess.Popen[bytes], users: FileLock) -> None:
        try:
            while server.poll() is None:
                self.tick()
                if not self.told and _is_ready(cluster.data, server.pid):
                    self.told = True
                    self.say("ready")
                    _leave_pipe()
                if users.try_exclusive():
                    break  # and nobody comes in until the server has ended
                with suppress(subprocess.TimeoutExpired):
                    server.wait(PAUSE if self.told else PAUSE / 10)
            else:
                if not self.told:
                    raise cluster.why(server.returncode)
                return
            self._end(server, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
        except Stopped:
            self._end(server, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
        except BaseException:  # another host has the database: at once
            self.claimed = False
            self._end(server, signal.SIGQUIT, signal.SIGKILL)
            raise

    def _end(self, server: subprocess.Popen[bytes], *signals: int) -> None:
        for number in signals:
            server.send_signal(number)
            # In order, all is written first; at once, little is.
            until = time.monotonic() + (LONG_PATIENCE if number == signal.SIGINT else PATIENCE)
            while server.poll() is None and time.monotonic() < until:
                with suppress(subprocess.TimeoutExpired):
                    server.wait(PAUSE / 10)
                self.tick()
            if server.poll() is not None:
                return


def _is_ready(data: Path, number: int) -> bool:
    """Return whether the server of that process number takes connections."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(number) and lines[7].strip() == "ready"


def _leave_pipe() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def main() -> None:
    """Start a process of its own for the order in the first argument, and leave it."""
    order = json.loads(sys.argv[1])
    if os.fork():
        os._exit(0)
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    keeper = Keeper(order)
    try:
        keeper.run()
    except Stopped:
        keeper.say("failed", "it was told to end")
    except EmbeddedError as error:
        is_full = isinstance(error.__cause__, OSError)
        keeper.say("full" if is_full else "failed", str(error))
    except OSError as error:
        if error.errno in FULL:
            keeper.say("full", str(full(keeper.home)))
        else:
            where = error.filename or keeper.home
            keeper.say("failed", f"{where}: {error.strerror or error}")
    except Exception as error:
        keeper.say("failed", f"{type(error).__name__}: {error}")
