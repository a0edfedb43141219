"""Schemas that are declared once, and emptied after each test instead of dropped.

What many tests begin with, networks trained and analysed, is made once as well and put back.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datajoint as dj

from pipeline.database import connection as database
from pipeline.database import schemas
from pipeline.database.state import LINEAGE
from pipeline.store.mounts import MARKS
from tests import parsed_lines
from tests.kept_headings import headings
from tests.servers import Server

headings.install()
parsed_lines.install()

KEPT = "kept"  # the schema that holds the copies
MAX_WAIT = 10.0  # seconds for the sessions of worker processes that a test has ended


@contextmanager
def session(server: Server) -> Iterator[dj.Connection]:
    """Open a session of its own, whatever the test has done to the pipeline's and to the store."""
    opened = database._open(server.backend, server.host, server.port, server.user, server.password)
    try:
        yield opened
    finally:
        opened.close()


def names_of_schemas(prefix: str) -> list[str]:
    """Return the schemas of a prefix in the order of their foreign keys."""
    return [f"{prefix}_{name}" for name in schemas.SCHEMAS]


def drop_schemas(server: Server, prefix: str) -> None:
    """Drop the schemas of a prefix, whichever are there and whatever is in them."""
    with session(server) as connection:
        for name in reversed(names_of_schemas(prefix)):
            drop_schema(connection, name)


def drop_schema(connection: dj.Connection, name: str) -> None:
    """Drop a schema where it is there, with whatever is in it."""
    rest = "" if connection.adapter.backend == "mysql" else " CASCADE"
    connection.query(f"DROP SCHEMA IF EXISTS {connection.adapter.quote_identifier(name)}{rest}")


@dataclass(frozen=True)
class Prepared:
    """What was made once: where copies of its rows are, by table, and of its files."""

    rows: dict[str, str]
    files: Path


def is_of_connecting(table: str) -> bool:
    """Whether each connection sees to the rows of a table: migrations, and the store's mark."""
    return "applied_migration" in table or "store_mark" in table


class KeptSchemas:
    """The schemas of one prefix on one server, for one test after another.

    A test that has altered them, added a table or taken one away costs a declaration, and no more:
    that is seen after it, and they are dropped.

    Parameters
    ----------
    server : Server
    prefix : str
        Of this process alone.
    """

    def __init__(self, server: Server, prefix: str) -> None:
        self.server, self.prefix = server, prefix
        self._structure: Any = None  # None: not declared
        self._contents: dict[str, Any] = {}  # rows of the Lookup tables after the declaration
        self._prepared: dict[str, Prepared] = {}
        drop_schemas(server, prefix)  # an earlier process may have had our number, and died

    def declared(self) -> None:
        """Remember what the pipeline has declared here."""
        if self._structure is None:
            with session(self.server) as connection:
                self._structure = self._read_structure(connection)
                self._contents = self._read_lookups(connection)
        place = (self.server.backend, self.server.host, int(self.server.port))
        headings.remember(place, names_of_schemas(self.prefix))

    def restore(self) -> None:
        """Leave the schemas as they are after a declaration, without the mark of a store.

        Raises
        ------
        AssertionError
            Where a worker process of the test is still there: it would work in the next one.
        """
        with session(self.server) as connection:
            if self._structure is None or self._read_structure(connection) != self._structure:
                self._structure = None
            else:
                try:
                    self._wait_for_workers(connection)
                finally:
                    self._empty(connection)
        if self._structure is None:
            self.drop()

    def drop(self) -> None:
        """Drop them; the next test finds none."""
        self._structure = None
        for prepared in self._prepared.values():
            shutil.rmtree(prepared.files)
        self._prepared.clear()
        with session(self.server) as connection:
            drop_schema(connection, f"{self.prefix}_{KEPT}")
        drop_schemas(self.server, self.prefix)

    def prepare(self, name: str, store: Path, make: Callable[[], object]) -> None:
        """Have rows and files made by a function, or put back what it once made.

        Parameters
        ----------
        name : str
            Of what is made: under it there is always the same.
        store : Path
            The folder that the pipeline is connected to.
        make : callable
            Enters and computes, as the first of what a test does.
        """
        if name not in self._prepared:
            make()
            self._prepared[name] = self._keep(len(self._prepared), store)
        else:
            self._put_back(self._prepared[name], store)

    def _keep(self, number: int, store: Path) -> Prepared:
        """Copy the rows of all tables that have any, and the store's files."""
        with headings.unaltered(), session(self.server) as connection:
            quote = connection.adapter.quote_identifier
            schema = f"{self.prefix}_{KEPT}"
            if not number:
                connection.query(f"CREATE SCHEMA {quote(schema)}")
            rows = {}
            tables = self._tables(connection)
            filled = self._filled(connection, tables)
            for place, table in enumerate(tables):
                if table in filled and not is_of_connecting(table):
                    rows[table] = f"{quote(schema)}.{quote(f'p{number}_{place}')}"
                    connection.query(f"CREATE TABLE {rows[table]} AS SELECT * FROM {table}")
        files = Path(tempfile.mkdtemp(prefix="kept"))
        shutil.copytree(store, files, dirs_exist_ok=True)
        return Prepared(rows, files)

    def _put_back(self, prepared: Prepared, store: Path) -> None:
        with session(self.server) as connection, connection.transaction:
            for table in reversed(prepared.rows):
                connection.query(f"DELETE FROM {table}")
            for table, kept in prepared.rows.items():
                connection.query(f"INSERT INTO {table} SELECT * FROM {kept}")
        for path in prepared.files.iterdir():
            if path.name != MARKS:
                shutil.copytree(path, store / path.name, dirs_exist_ok=True)

    def _table(self, connection: dj.Connection, schema: str, table: type[dj.Table] | str) -> str:
        name = table if isinstance(table, str) else table.table_name
        return connection.adapter.make_full_table_name(f"{self.prefix}_{schema}", name)

    def _tables(self, connection: dj.Connection) -> list[str]:
        """Return all tables, each after those that its foreign keys refer to."""
        found = []
        for name, schema in schemas.SCHEMAS.items():
            for table in schema.tables:
                found.append(self._table(connection, name, table))
                if issubclass(table, dj.Computed):
                    jobs = schemas.jobs_table_name(table)
                    found.append(self._table(connection, name, jobs))
        return found

    def _read_structure(self, connection: dj.Connection) -> Any:
        """Return what tells apart the columns of all tables, and where they come from."""
        names = names_of_schemas(self.prefix)
        is_mysql = self.server.backend == "mysql"
        kind, hashed = ("column_type", "CRC32") if is_mysql else ("data_type", "hashtext")
        described = f"table_schema, table_name, ordinal_position, column_name, {kind}, is_nullable"
        columns = connection.query(
            f"SELECT COUNT(*), SUM({hashed}(CONCAT_WS(' ', {described}))), "
            f"SUM({hashed}(CONCAT_WS(' ', table_schema, table_name, column_name, column_default))) "
            "FROM information_schema.columns "
            f"WHERE table_schema IN ({', '.join(['%s'] * len(names))})",
            args=tuple(names),
        ).fetchall()
        try:
            lineage = connection.query(" UNION ALL ".join(
                f"SELECT '{name}', COUNT(*), "
                f"SUM({hashed}(CONCAT_WS(' ', table_name, attribute_name, lineage))) "
                f"FROM {self._table(connection, name, LINEAGE)}" for name in schemas.SCHEMAS
            )).fetchall()  # fmt: skip
        except dj.errors.MissingTableError:
            lineage = []
        return list(columns), list(lineage)

    def _read_lookups(self, connection: dj.Connection) -> dict[str, Any]:
        return {
            full: sorted(connection.query(f"SELECT * FROM {full}"), key=repr)
            for name, schema in schemas.SCHEMAS.items()
            for table in schema.tables
            if issubclass(table, dj.Lookup)
            for full in [self._table(connection, name, table)]
        }

    def _empty(self, connection: dj.Connection) -> None:
        """Remove all rows but those of Lookup tables that are as they were.

        The others get theirs again at the next connection, like those that were just declared.
        """
        tables = self._tables(connection)
        as_before = {
            table
            for table, rows in self._read_lookups(connection).items()
            if rows == self._contents[table]
        }
        filled = self._filled(connection, tables)
        with connection.transaction:
            for table in reversed(tables):
                # Those migrations that a database is made with are asked for at each connection.
                if table in filled - as_before and "applied_migration" not in table:
                    # Faster than TRUNCATE, which makes new files, for as few rows as there are.
                    connection.query(f"DELETE FROM {table}")

    def _filled(self, connection: dj.Connection, tables: Sequence[str]) -> set[str]:
        """Return those of some tables that have rows."""
        checks = " UNION ALL ".join(
            f"SELECT {number} WHERE EXISTS (SELECT 1 FROM {table})"
            for number, table in enumerate(tables)
        )
        return {tables[number] for (number,) in connection.query(checks).fetchall()}

    def _wait_for_workers(self, connection: dj.Connection) -> None:
        """See that the sessions of the workers are gone."""
        table = self._table(connection, "work", "worker")
        of_workers = {int(number) for (number,) in connection.query(
            f"SELECT DISTINCT session_id FROM {table}"
        ).fetchall()}  # fmt: skip
        deadline = time.monotonic() + MAX_WAIT
        while left := of_workers & set(sessions_of_others(connection)):
            if time.monotonic() > deadline:
                raise AssertionError(f"the test has left workers: sessions {sorted(left)}")
            time.sleep(0.02)


@contextmanager
def kept_schemas(server: Server, prefix: str) -> Iterator[KeptSchemas]:
    """Give schemas that are dropped in the end."""
    kept = KeptSchemas(server, prefix)
    try:
        yield kept
    finally:
        kept.drop()


def sessions_of_others(connection: dj.Connection) -> Sequence[int]:
    """Return the server's numbers of the sessions of all clients but this one."""
    if connection.adapter.backend == "mysql":
        query = (
            "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() "
            "AND command <> 'Daemon' AND user <> 'event_scheduler'"
        )
    else:
        query = (
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
    return [int(number) for (number,) in connection.query(query).fetchall()]
