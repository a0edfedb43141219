"""Real database servers for tests, on loopback or a socket, stopped afterwards."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql


class ServerUnavailable(Exception):
    """No such server can be had on this machine."""


@dataclass(frozen=True)
class Server:
    """How to reach a running server."""

    backend: str
    host: str
    port: int
    user: str
    password: str

    @property
    def arguments(self) -> dict:
        return dict(vars(self))

    @property
    def environment(self) -> dict[str, str]:
        """DataJoint's variables, for a process of its own."""
        return {
            "DJ_BACKEND": self.backend,
            "DJ_HOST": self.host,
            "DJ_PORT": str(self.port),
            "DJ_USER": self.user,
            "DJ_PASS": self.password,
        }


@dataclass(frozen=True)
class OwnServer(Server):
    """A server that may be stopped and started as a test likes; it is then where it was."""

    stop: Callable[[], None]
    start: Callable[[], None]

    @property
    def arguments(self) -> dict:
        return {name: getattr(self, name) for name in Server.__dataclass_fields__}

    @contextmanager
    def away(self) -> Iterator[None]:
        """Inside, it is stopped; whatever happens there, the next test finds it running."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def restart(self, away: float = 0.0) -> None:
        """Stop it, and start it again some seconds later."""
        with self.away():
            time.sleep(away)


@contextmanager
def postgresql_server() -> Iterator[Server]:
    with own_postgresql_server() as server:
        yield server


@contextmanager
def mysql_server() -> Iterator[Server]:
    """The server named by the environment, a mysqld on the PATH, or one in Docker."""
    if os.environ.get("RNN_TEST_MYSQL_HOST"):
        names = ("HOST", "PORT", "USER", "PASSWORD")
        values = [os.environ[f"RNN_TEST_MYSQL_{name}"] for name in names]
        yield Server("mysql", values[0], int(values[1]), values[2], values[3])
    elif shutil.which("mysqld"):
        with _local_mysqld() as server:
            yield server
    elif _docker_answers():
        with _docker_mysql() as server:
            yield server
    else:
        raise ServerUnavailable(
            "set RNN_TEST_MYSQL_HOST, _PORT, _USER and _PASSWORD, or install mysqld or Docker"
        )


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _wait(server: Server, seconds: float, alive) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            pymysql.connect(
                host=server.host, port=server.port, user=server.user, password=server.password
            ).close()
            return
        except pymysql.Error as error:
            if time.monotonic() > deadline or not alive():
                raise ServerUnavailable(f"MySQL did not start: {error}") from None
            time.sleep(0.5)


@contextmanager
def _local_mysqld() -> Iterator[OwnServer]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="rnnmy", ignore_cleanup_errors=True) as folder:
        common = ["mysqld", "--no-defaults", f"--datadir={folder}/data"]
        if os.geteuid() == 0:
            common.append("--user=root")
        made = subprocess.run([*common, "--initialize-insecure"], capture_output=True, text=True)
        if made.returncode:
            raise ServerUnavailable(f"mysqld --initialize-insecure: {made.stderr[-300:]}")
        processes: list[subprocess.Popen] = []

        def start() -> None:
            process = subprocess.Popen(
                [*common, f"--port={port}", "--bind-address=127.0.0.1", "--mysqlx=OFF",
                 f"--socket={folder}/s"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            processes.append(process)
            _wait(server, 60, lambda: process.poll() is None)

        def stop() -> None:
            processes[-1].terminate()
            processes[-1].wait(60)

        server = OwnServer("mysql", "127.0.0.1", port, "root", "", stop, start)
        start()
        try:
            yield server
        finally:
            stop()


def _docker_answers() -> bool:
    if not shutil.which("docker"):
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def _docker_mysql() -> Iterator[OwnServer]:
    port, password = _free_port(), secrets.token_hex(12)
    started = subprocess.run(
        ["docker", "run", "-d", "-e", "MYSQL_ROOT_PASSWORD",
         "-p", f"127.0.0.1:{port}:3306", "mysql:8.4"],
        capture_output=True,
        text=True,
        env={**os.environ, "MYSQL_ROOT_PASSWORD": password},
    )  # fmt: skip
    if started.returncode:
        raise ServerUnavailable(f"docker run mysql:8.4: {started.stderr[-300:]}")
    container = started.stdout.strip()
    try:

        def stop() -> None:
            subprocess.run(["docker", "stop", container], capture_output=True, check=True)

        def start() -> None:
            subprocess.run(["docker", "start", container], capture_output=True, check=True)
            _wait(server, 120, lambda: True)

        server = OwnServer("mysql", "127.0.0.1", port, "root", password, stop, start)
        _wait(server, 120, lambda: True)
        yield server
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", container], capture_output=True)


@contextmanager
def own_postgresql_server() -> Iterator[OwnServer]:
    from pipeline.database.embedded import EmbeddedServer

    # Not in TMPDIR, which may be long: other processes are told the path of the socket.
    with tempfile.TemporaryDirectory(prefix="rnnpg", dir="/tmp", ignore_cleanup_errors=True) as at:
        server = EmbeddedServer(Path(at))
        server.start()
        try:
            yield OwnServer(
                "postgresql", server.host, server.port, server.user, server.password,
                server.leave, server.start,
            )  # fmt: skip
        finally:
            server.leave()


@contextmanager
def own_mysql_server() -> Iterator[OwnServer]:
    """A mysqld on the PATH, the one of `scripts/mysql.sh`, or one in Docker."""
    if shutil.which("mysqld"):
        with _local_mysqld() as server:
            yield server
    elif _script_can():
        with _script_mysqld() as server:
            yield server
    elif _docker_answers():
        with _docker_mysql() as server:
            yield server
    else:
        raise ServerUnavailable("install mysqld or Docker, or run scripts/mysql.sh install as root")


def _script_can() -> bool:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = os.environ.get("RNN_MYSQL_ROOT") or Path(cache) / "rnn-pipeline/mysql-root"
    return os.geteuid() == 0 and (Path(root) / "usr/sbin/mysqld").exists()


@contextmanager
def _script_mysqld() -> Iterator[OwnServer]:
    script = Path(__file__).parent.parent / "scripts/mysql.sh"
    with tempfile.TemporaryDirectory(prefix="rnnmy", ignore_cleanup_errors=True) as folder:

        def call(command: str) -> None:
            # Not to a pipe: the server would hold it open.
            done = subprocess.run(
                ["bash", script, command, folder],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if done.returncode:
                raise ServerUnavailable(f"mysql.sh {command}: status {done.returncode}")

        def start() -> None:
            call("resume")
            _wait(server, 60, lambda: True)

        call("start")
        try:
            said = dict(
                line.removeprefix("export RNN_TEST_MYSQL_").split("=", 1)
                for line in (Path(folder) / "env").read_text().splitlines()
            )
            server = OwnServer(
                "mysql", said["HOST"], int(said["PORT"]), said["USER"], said["PASSWORD"],
                lambda: call("pause"), start,
            )  # fmt: skip
            yield server
        finally:
            call("stop")
