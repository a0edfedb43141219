"""What a database has and lacks of the tables, compared with the code."""

from __future__ import annotations

from dataclasses import dataclass, field

import datajoint as dj
from datajoint.errors import AccessError

from . import upgrades
from .applied_migrations import AppliedMigration
from .catalogue import LINEAGE
from .differences import MAX_NAMED, Difference, differences
from .structure import Table, actual_structure, expected_structure


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


def said(what: list[str]) -> str:
    """Return the first few of what is said."""
    more = f" and {len(what) - MAX_NAMED} more" if len(what) > MAX_NAMED else ""
    return "; ".join(what[:MAX_NAMED]) + more


def expected_tables(prefix: str, backend: str = "mysql") -> set[Table]:
    """Return every table of the pipeline: parts and jobs tables too."""
    return set(expected_structure(prefix, backend))


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
