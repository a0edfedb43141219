"""Which host runs the embedded server of a folder that several may see.

Only the standard library: the process that keeps the server loads this file without the package.
"""

from __future__ import annotations

import json
import platform
import secrets
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .embedded_files import OWNER, EmbeddedError, replace_file


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
            tell(
                f"host {name} used it last and did not end: {seconds:.0f} s to see that it is gone"
            )
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
