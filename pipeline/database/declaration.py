"""Declaring the tables: by one process at a time, and only those that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import datajoint as dj
import tenacity

from .dialects import dialect_of
from .schemas import SCHEMAS, deactivate, import_tables, jobs_table_name

MAX_WAIT = 300.0  # seconds for another process that makes the tables
MAX_NAMED = 4  # tables in a message
LINEAGE = "~lineage"  # where DataJoint keeps from which table each column comes

Table = tuple[str, str]  # schema, table


class TablesMissing(Exception):
    """Tables that do not exist, or on which there are no rights: they cannot be told apart."""

    def __init__(self, tables: Iterable[Table]) -> None:
        names = [f"{schema}.{table}" for schema, table in sorted(tables)]
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        super().__init__(", ".join(names[:MAX_NAMED]) + more)


def activate(prefix: str, connection: dj.Connection, declare: bool = True) -> None:
    """Bind every schema and its tables to ``{prefix}_{name}`` on a connection.

    May be called again for another prefix or server: the tables then point there.

    Parameters
    ----------
    prefix : str
        Names of schemas start with it.
    connection : Connection
    declare : bool
        Whether what is missing is made; without it nothing is created or altered.

    Raises
    ------
    TablesMissing
        Where tables are missing and are not to be made.
    """
    import_tables()
    deactivate()
    missing = missing_tables(prefix, connection)
    if missing and not declare:
        raise TablesMissing(missing)
    if missing:
        declare_tables(prefix, connection)
    for name, schema in SCHEMAS.items():
        # For tables that a user adds in a session of his own.
        schema.create_schema = schema.create_tables = declare
        schema.bind(f"{prefix}_{name}", connection)
    if declare:
        fill_lookups(connection)


def expected_tables(prefix: str) -> set[Table]:
    """Return every table of the pipeline: parts and jobs tables too."""
    expected = set()
    for name, schema in SCHEMAS.items():
        for table in schema.tables:
            expected.add((f"{prefix}_{name}", table.table_name))
            if issubclass(table, dj.Computed):
                expected.add((f"{prefix}_{name}", jobs_table_name(table)))
    return expected


def missing_tables(prefix: str, connection: dj.Connection) -> set[Table]:
    """Return the tables that are not there, or only in part: two queries, however many tables."""
    expected = expected_tables(prefix)
    schemas = sorted({schema for schema, _ in expected})
    places = ", ".join(["%s"] * len(schemas))
    there = set(
        connection.query(
            "SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_schema IN ({places})",
            args=tuple(schemas),
        ).fetchall()
    )
    if not all((schema, LINEAGE) in there for schema in schemas):
        return expected - there or {(s, LINEAGE) for s in schemas if (s, LINEAGE) not in there}
    # DataJoint writes the lineage of a table last: without it, its maker was stopped on the way.
    quote = connection.adapter.quote_identifier
    complete = set(
        connection.query(
            " UNION ".join(
                f"SELECT '{schema}', table_name FROM {quote(schema)}.{quote(LINEAGE)}"
                for schema in schemas
            )
        ).fetchall()
    )
    return expected - (there & complete)


def declare_tables(prefix: str, connection: dj.Connection) -> None:
    """Declare the tables that are missing, under a lock against other processes."""
    with _alone(f"{prefix} declares its tables", connection):
        missing = missing_tables(prefix, connection)
        if not missing:
            return  # made by another process meanwhile
        for name, schema in SCHEMAS.items():
            schema.activate(
                f"{prefix}_{name}", connection=connection, create_schema=True, create_tables=True
            )
        for schema in SCHEMAS.values():
            for table in schema.tables:
                if issubclass(table, dj.Computed):
                    # DataJoint makes it when it is first looked at; its lineage it never mends.
                    jobs = table().jobs
                    if (schema.database, jobs.table_name) in missing:
                        jobs._refresh_lineage()


def fill_lookups(connection: dj.Connection) -> None:
    """Insert the contents of the Lookup tables that are not there, as DataJoint does."""
    lookups = [t for s in SCHEMAS.values() for t in s.tables if issubclass(t, dj.Lookup)]
    counts = ", ".join(f"(SELECT count(*) FROM {t.full_table_name})" for t in lookups)
    rows = connection.query(f"SELECT {counts}").fetchone()
    for table, n_rows in zip(lookups, rows, strict=True):
        contents = list(table.contents)
        if len(contents) > n_rows:
            table().insert(contents, skip_duplicates=True)


@contextmanager
def _alone(purpose: str, connection: dj.Connection) -> Iterator[None]:
    """Hold a lock of the server while inside, so that one process at a time declares.

    Creating a table "if it does not exist" fails on both back ends where two do it at once; and a
    table can be seen before DataJoint has written down its columns' types.
    """
    take, release, name = dialect_of(connection).named_lock(purpose)
    wait = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda taken: not taken),
        wait=tenacity.wait_random(0.02, 0.2),
        stop=tenacity.stop_after_delay(MAX_WAIT),
        retry_error_callback=lambda _: False,
    )
    if not wait(lambda: connection.query(take, args=(name,)).fetchone()[0]):
        raise TimeoutError(f"another process has been making them for {MAX_WAIT:.0f} s")
    try:
        yield
    finally:
        # Should the connection be lost, the server lets go of the lock.
        connection.query(release, args=(name,))
