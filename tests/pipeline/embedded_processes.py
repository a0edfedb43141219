"""Processes that use an embedded server, without the seconds that importing the package takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pipeline.database.embedded

# As the keeper does: the modules by themselves.
ALONE = (
    "import json, os, signal, sys, time, types; package = types.ModuleType('alone'); "
    f"package.__path__ = [{str(Path(pipeline.database.embedded.__file__).parent)!r}]; "
    "sys.modules['alone'] = package\n"
)
# Uses the server of the home in the first argument until its input ends.
USER = """
import alone.embedded as embedded
home = sys.argv[1]
server = embedded.EmbeddedServer(home)
def postmaster():
    return int(open(os.path.join(home, 'postgres', 'postmaster.pid')).readline())
def query(*statements):
    import psycopg2
    connection = psycopg2.connect(host=server.host, port=server.port, user=server.user,
                                  password=server.password, dbname='postgres')
    connection.autocommit = True
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found
def say(**what):
    print(json.dumps(what), flush=True)
def use():
    server.start()
    say(postmaster=postmaster(), host=server.host, pid=os.getpid())
try:
    use()
except embedded.EmbeddedError as error:
    say(error=str(error))
    sys.exit(1)
for line in sys.stdin:
    try:
        say(value=eval(line))
    except Exception as error:
        say(error=f'{type(error).__name__}: {error}')
"""


class Process:
    """A process that evaluates what it is told."""

    def __init__(
        self, home: Path | str, before: str = "", *, prefix: Sequence[str] = (), **more: Any
    ) -> None:
        script = ALONE + USER.replace("server =", before + "\nserver =", 1)
        self.popen = subprocess.Popen(
            [*prefix, sys.executable, "-c", script, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            **more,
        )
        self.said = self.read()

    def read(self) -> dict[str, Any]:
        """Return the next that it says."""
        line = self.popen.stdout.readline()
        return json.loads(line) if line else {"died": self.popen.communicate()[1]}

    def __call__(self, expression: str) -> Any:
        self.popen.stdin.write(expression + "\n")
        self.popen.stdin.flush()
        answer = self.read()
        return answer.get("value", answer)

    def end(self) -> str:
        """Let it end by itself; return what it wrote to stderr, but for what takes long."""
        lines = self.popen.communicate(timeout=100)[1].splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("embedded database: "))

    def kill(self) -> None:
        """As the system does when memory runs out."""
        self.popen.kill()
        self.popen.communicate()


@contextmanager
def processes() -> Iterator[list[Process]]:
    """A list for processes; those that are left in it at the end are ended."""
    made: list[Process] = []
    yield made
    for process in made:
        with suppress(Exception):
            process.popen.stdin.close()
    for process in made:
        with suppress(Exception):
            process.popen.wait(30)
        process.popen.kill()


def keeper_of(postmaster: int) -> int:
    """Return the process that keeps a server."""
    import psutil

    return psutil.Process(postmaster).ppid()


def readable_by(user: int) -> bool:
    """Return whether another user can run this Python and the programs of PostgreSQL."""
    programs = pipeline.database.embedded.programs()
    for command in ([sys.executable, "-c", ALONE + "import alone.embedded, psycopg2"],
                    [programs / "postgres", "--version"]):  # fmt: skip
        with suppress(OSError):
            done = subprocess.run(
                command, user=user, group=user, extra_groups=[], capture_output=True, cwd="/",
                env={**os.environ, "HOME": "/"},
            )  # fmt: skip
            if done.returncode == 0:
                continue
        return False
    return True
