"""Databases as releases made them, put onto a server of today."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from pathlib import Path

import psycopg2
import pymysql

from tests.pipeline.released.make import PREFIX
from tests.servers import Server

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / "mysql.sql.gz").exists())


def restore(release: str, server: Server, prefix: str, store: Path) -> None:
    """Put the database of a release onto a server, under a prefix, and its files into a store."""
    execute(server, _sql(release, server.backend).replace(f"{PREFIX}_", f"{prefix}_"))
    with tarfile.open(HERE / release / f"{server.backend}_store.tar.xz") as archive:
        archive.extractall(store, filter="data")
    # Folders and the mark are called by the prefix too.
    for folder in (store / "_schema").iterdir():
        folder.rename(folder.with_name(folder.name.replace(f"{PREFIX}_", f"{prefix}_")))
    for mark in (store / "databases").iterdir():
        mark.rename(mark.with_name(mark.name.replace(f"{PREFIX}.", f"{prefix}.")))


def execute(server: Server, sql: str) -> None:
    """Run statements as they are, one in each line."""
    if server.backend == "mysql":
        with (
            pymysql.connect(
                host=server.host, port=server.port, user=server.user, password=server.password,
                autocommit=True,
            ) as connection,
            connection.cursor() as cursor,
        ):  # fmt: skip
            for statement in sql.splitlines():
                cursor.execute(statement)
    else:
        connection = psycopg2.connect(
            host=server.host, port=server.port, user=server.user, password=server.password,
            dbname="postgres",
        )  # fmt: skip
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql)
        finally:
            connection.close()


def rows(release: str, backend: str) -> dict[str, int]:
    """Return how many rows each table had, by "schema.table"."""
    text = (HERE / release / f"{backend}_rows.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def migrations(release: str, backend: str) -> set[str]:
    """Return the migrations that the database of a release has had."""
    rows = [line for line in _sql(release, backend).splitlines() if line.startswith("INSERT INTO")]
    applied = [line for line in rows if "applied_migration" in line.split(" VALUES")[0]]
    return {name for line in applied for name in re.findall(r"\bm\d{4}_\w+", line)}


def _sql(release: str, backend: str) -> str:
    return gzip.decompress((HERE / release / f"{backend}.sql.gz").read_bytes()).decode()
