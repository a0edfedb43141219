"""Declaring the tables, and bringing them up to this version: by one process at a time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import datajoint as dj

from . import upgrades
from .applied_migrations import AppliedMigration
from .catalogue import Catalogue
from .differences import MAX_NAMED
from .jobs_tables import jobs_table
from .schemas import SCHEMAS, deactivate, import_tables
from .server import LONGEST_TURN, alone
from .state import State, read_state, said
from .structure import Table


class TablesMissing(Exception):
    """Tables that do not exist, or on which there are no rights: they cannot be told apart."""

    def __init__(self, tables: Iterable[Table]) -> None:
        names = [f"{schema}.{table}" for schema, table in sorted(tables)]
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        super().__init__(", ".join(names[:MAX_NAMED]) + more)


class BehindError(Exception):
    """A database that this version cannot work on; the text says why, and what to type."""


@dataclass
class Activation:
    """What was found and done when the tables were bound.

    Attributes
    ----------
    state : State
        As it is after that.
    done : list of str
        What was changed on tables that were there, in words.
    """

    state: State
    done: list[str] = field(default_factory=list)


def activate(
    prefix: str, connection: dj.Connection, declare: bool = True, upgrade: bool = False
) -> Activation:
    """Bind every schema and its tables to ``{prefix}_{name}`` on a connection.

    May be called again for another prefix or server: the tables then point there.

    Parameters
    ----------
    prefix : str
        Names of schemas start with it.
    connection : Connection
    declare : bool
        Whether tables that are missing are made; without it nothing is created or altered.
    upgrade : bool
        Whether tables that are there are brought up to this version.

    Raises
    ------
    TablesMissing
        Where tables are missing and are not to be made.
    BehindError
        Where the tables are such that this version cannot work on them.
    """
    import_tables()
    deactivate()
    state, done = read_state(prefix, connection), []
    if upgrade and (state.missing or state.behind or state.unknown):
        done = bring_up(prefix, connection)
        state = read_state(prefix, connection)
    if state.stops_all:
        raise BehindError(
            f"were made by an earlier version ({said(state.stops_all)}); run `rnn declare`, or ask "
            "the administrator to, after a backup (docs/upgrading.md)"
        )
    # Only `rnn declare` begins to write down migrations in a database that has not done so.
    record = (f"{prefix}_work", AppliedMigration.table_name)
    missing = state.missing if state.is_new else state.missing - {record}
    if missing and not declare:
        raise TablesMissing(missing)
    if missing:
        declare_tables(prefix, connection)
    catalogue = Catalogue([f"{prefix}_{name}" for name in SCHEMAS])
    for name, schema in SCHEMAS.items():
        # For tables that a user adds in a session of his own.
        schema.create_schema = schema.create_tables = declare
        schema.bind(f"{prefix}_{name}", connection, catalogue)
    if declare:
        fill_lookups(connection)
    return Activation(state, done)


def declare_tables(prefix: str, connection: dj.Connection) -> None:
    """Declare the tables that are missing, under a lock against other processes."""
    with _alone(prefix, connection):
        state = read_state(prefix, connection)
        if state.missing:  # else made by another process meanwhile
            _declare(prefix, connection, state)


def bring_up(prefix: str, connection: dj.Connection) -> list[str]:
    """Bring a database up to this version, under the same lock; return what was changed.

    Migrations come first, then the columns and indexes that definitions say, then tables that are
    missing. Each step may be interrupted, and is done by the next call.
    """
    with _alone(prefix, connection):
        state = read_state(prefix, connection)
        if state.unknown:
            raise BehindError(
                f"were made by a later version ({said(state.ahead)}), and are left as they are; "
                "update this package"
            )
        done = []
        if not state.is_new:
            upgrades.make_record(prefix, connection)
            deactivate()
            done = upgrades.migrate(prefix, connection, state.pending)
            done += upgrades.complete(prefix, connection)
        if state.missing or done:
            _declare(prefix, connection, read_state(prefix, connection), bool(done))
        return done


def _declare(
    prefix: str, connection: dj.Connection, state: State, refresh_all: bool = False
) -> None:
    """Declare what is missing; of a new database first the migrations that it needs no more."""
    if state.is_new:
        upgrades.make_record(prefix, connection)
        upgrades.record(prefix, connection, upgrades.known_migrations())
        deactivate()
    if state.partial:  # PostgreSQL is told the types of columns one after the other
        upgrades.complete(prefix, connection)
    for name, schema in SCHEMAS.items():
        schema.activate(
            f"{prefix}_{name}", connection=connection, create_schema=True, create_tables=True
        )
    for schema in SCHEMAS.values():
        for table in schema.tables:
            if refresh_all:
                table()._refresh_lineage(table.declaration_context)
            if issubclass(table, dj.Computed):
                # DataJoint makes it when it is first looked at; its lineage it never mends.
                jobs = jobs_table(table())
                if refresh_all or (schema.database, jobs.table_name) in state.missing:
                    jobs._refresh_lineage()


def _alone(prefix: str, connection: dj.Connection) -> AbstractContextManager[None]:
    """Let one process at a time declare.

    Creating a table "if it does not exist" fails on both back ends where two do it at once; and a
    table can be seen before DataJoint has written down its columns' types.
    """
    busy = TimeoutError(f"another process has been making them for {LONGEST_TURN:.0f} s")
    return alone(connection, f"{prefix} declares its tables", busy)


def fill_lookups(connection: dj.Connection) -> None:
    """Insert the contents of the Lookup tables that are not there, as DataJoint does."""
    lookups = [t for s in SCHEMAS.values() for t in s.tables if issubclass(t, dj.Lookup)]
    contents = [list(table.contents) for table in lookups]
    # Not count(*) of whole tables, which MySQL begins threads for.
    counts = ", ".join(
        f"(SELECT count(*) FROM (SELECT 1 FROM {table.full_table_name} LIMIT {len(rows)}) AS l)"
        for table, rows in zip(lookups, contents, strict=True)
    )
    found = connection.query(f"SELECT {counts}").fetchone()
    for table, rows, n_rows in zip(lookups, contents, found, strict=True):
        if len(rows) > n_rows:
            table().insert(rows, skip_duplicates=True)
