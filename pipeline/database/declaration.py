"""Declaring the tables, and bringing them up to this version: by one process at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import datajoint as dj
import tenacity
from datajoint.errors import AccessError

from . import upgrades
from .applied_migrations import AppliedMigration
from .dialects import dialect_of
from .differences import MAX_NAMED, Difference, differences
from .schemas import SCHEMAS, deactivate, import_tables, jobs_table_name
from .structure import Table, actual_structure, expected_structure

MAX_WAIT = 300.0  # seconds for another process that makes the tables
LINEAGE = "~lineage"  # where DataJoint keeps from which table each column comes


class TablesMissing(Exception):
    """Tables that do not exist, or on which there are no rights: they cannot be told apart."""

    def __init__(self, tables: Iterable[Table]) -> None:
        names = [f"{schema}.{table}" for schema, table in sorted(tables)]
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        super().__init__(", ".join(names[:MAX_NAMED]) + more)


class BehindError(Exception):
    """A database that this version cannot work on; the text says why, and what to type."""


@dataclass
class State:
    """What a database has, and what it lacks.

    Attributes
    ----------
    missing : set of (str, str)
        Tables, schema and name, that are not there, or only in part.
    partial : set of (str, str)
        Those of them that a process began to make, and was stopped.
    is_new : bool
        Whether there is none of them yet.
    pending : list of str
        Migrations that it has not had.
    unknown : list of str
        Migrations of later code that it has had.
    differences : list of Difference
        Of the tables that are there, whole.
    """

    missing: set[Table] = field(default_factory=set)
    partial: set[Table] = field(default_factory=set)
    is_new: bool = False
    pending: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def behind(self) -> list[str]:
        """What `rnn declare` has to do on tables that are there, in words."""
        return [
            *(f"{name} has not been run" for name in self.pending),
            *(str(d) for d in self.differences if d.is_behind),
        ]

    @property
    def ahead(self) -> list[str]:
        """What later code has made, in words."""
        return [
            *(f"{name} is not known to this version" for name in self.unknown),
            *(str(d) for d in self.differences if not d.is_behind),
        ]

    @property
    def stops_all(self) -> list[str]:
        """Why this version cannot work on it before `rnn declare`, in words."""
        return [
            *(f"{name} has not been run" for name in self.pending if upgrades.is_required(name)),
            *(str(d) for d in self.differences if d.is_behind and d.blocks),
        ]

    @property
    def stops_writing(self) -> list[str]:
        """Why this version must not write to it, in words."""
        return [str(d) for d in self.differences if d.blocks]


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
    for name, schema in SCHEMAS.items():
        # For tables that a user adds in a session of his own.
        schema.create_schema = schema.create_tables = declare
        schema.bind(f"{prefix}_{name}", connection)
    if declare:
        fill_lookups(connection)
    return Activation(state, done)


def said(what: list[str]) -> str:
    """Return the first few of what is said."""
    more = f" and {len(what) - MAX_NAMED} more" if len(what) > MAX_NAMED else ""
    return "; ".join(what[:MAX_NAMED]) + more


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
    """Return the tables that are not there, or only in part."""
    return read_state(prefix, connection).missing


def read_state(prefix: str, connection: dj.Connection) -> State:
    """Return what a database has and lacks: three queries, however many tables."""
    expected = expected_structure(prefix, connection.adapter.backend)
    schemas = sorted({schema for schema, _ in expected})
    actual = actual_structure(schemas, connection)
    record = (f"{prefix}_work", AppliedMigration.table_name)
    lineages = [schema for schema in schemas if (schema, LINEAGE) in actual]
    complete, applied = _read_rows(connection, lineages, record if record in actual else None)
    missing = {table for table in expected if table not in actual or table not in complete}
    known = upgrades.known_migrations()
    is_new = not any(table in actual for table in expected if table != record)
    # Another process may be making those that are there in part.
    whole = {table: structure for table, structure in expected.items() if table not in missing}
    found = differences(prefix, whole, actual)
    if found:  # or it has completed them between the queries
        found = differences(prefix, whole, actual_structure(schemas, connection))
    return State(
        missing=missing or {(s, LINEAGE) for s in schemas if s not in lineages},
        partial={table for table in missing if table in actual},
        is_new=is_new,
        pending=[] if is_new else [name for name in known if name not in applied],
        unknown=sorted(applied - set(known)),
        differences=found,
    )


def _read_rows(
    connection: dj.Connection, lineages: list[str], record: Table | None
) -> tuple[set[Table], set[str]]:
    """Return the tables whose making was completed, and the migrations of the database."""
    quote = connection.adapter.quote_identifier
    # DataJoint writes the lineage of a table last: without it, its maker was stopped on the way.
    queries = [
        f"SELECT '{schema}', table_name FROM {quote(schema)}.{quote(LINEAGE)}"
        for schema in lineages
    ]
    if record is not None:
        queries.append(f"SELECT '', migration FROM {quote(record[0])}.{quote(record[1])}")
    if not queries:
        return set(), set()
    try:
        rows = set(connection.query(" UNION ".join(queries)).fetchall())
    except AccessError:
        if record is None:
            raise
        # The table of migrations is new, and the rights on it have not been given yet: whoever may
        # not read it may not run them.
        complete, _ = _read_rows(connection, lineages, None)
        return complete, set(upgrades.known_migrations())
    return {row for row in rows if row[0]}, {name for schema, name in rows if not schema}


def declare_tables(prefix: str, connection: dj.Connection) -> None:
    """Declare the tables that are missing, under a lock against other processes."""
    with _alone(f"{prefix} declares its tables", connection):
        state = read_state(prefix, connection)
        if state.missing:  # else made by another process meanwhile
            _declare(prefix, connection, state)


def bring_up(prefix: str, connection: dj.Connection) -> list[str]:
    """Bring a database up to this version, under the same lock; return what was changed.

    Migrations come first, then the columns and indexes that definitions say, then tables that are
    missing. Each step may be interrupted, and is done by the next call.
    """
    with _alone(f"{prefix} declares its tables", connection):
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
                jobs = table().jobs
                if refresh_all or (schema.database, jobs.table_name) in state.missing:
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
