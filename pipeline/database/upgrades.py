"""Bringing a database up to this version: numbered migrations, then what definitions say."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import datajoint as dj

from .alterations import Alterations
from .applied_migrations import AppliedMigration
from .catalogue import Catalogue
from .dialects import dialect_of
from .differences import default_columns, differences
from .schemas import SCHEMAS
from .structure import actual_structure, expected_structure

MIGRATIONS = "pipeline.migrations"  # above this package: by name
TABLE_SECONDS = 120  # that a statement waits for others who use its table
log = logging.getLogger(__name__)


@cache
def known_migrations() -> tuple[str, ...]:
    """Return the names of the migrations of this version, in their order."""
    folder = Path(str(import_module(MIGRATIONS).__file__)).parent
    return tuple(sorted(path.stem for path in folder.glob("m[0-9][0-9][0-9][0-9]_*.py")))


def migration(name: str) -> ModuleType:
    """Return the module of a migration."""
    return import_module(f"{MIGRATIONS}.{name}")


def is_required(name: str) -> bool:
    """Whether this version cannot work on a database without a migration."""
    return bool(getattr(migration(name), "REQUIRED", False))


def summary(name: str) -> str:
    """Return the first line of a migration's docstring."""
    return (migration(name).__doc__ or name).strip().splitlines()[0].rstrip(".")


def make_record(prefix: str, connection: dj.Connection) -> None:
    """Make the table of applied migrations, and the schema that it is in, where there is none."""
    work = SCHEMAS["work"]
    name = f"{prefix}_work"
    if not connection.query(connection.adapter.schema_exists_sql(name)).rowcount:
        connection.query(connection.adapter.create_schema_sql(name))
    work.bind(name, connection, Catalogue([name]))
    table = AppliedMigration()
    if not table.is_declared:
        table.declare(AppliedMigration.declaration_context)
    else:
        table._refresh_lineage(AppliedMigration.declaration_context)


def record(prefix: str, connection: dj.Connection, names: Iterable[str]) -> None:
    """Write down that a database has had migrations."""
    dialect = dialect_of(connection)
    table = connection.adapter.make_full_table_name(f"{prefix}_work", AppliedMigration.table_name)
    for name in names:
        connection.query(
            dialect.insert_new(
                f"{table} (migration, applied_at, version)", f"VALUES (%s, {dialect.now}, %s)"
            ),
            args=(name, _package_version()),
            reconnect=False,
        )


def _package_version() -> str:
    try:
        return version("rnn-pipeline")[:64]
    except PackageNotFoundError:
        return "unknown"


def migrate(prefix: str, connection: dj.Connection, pending: Iterable[str]) -> list[str]:
    """Run migrations in their order, each written down when it is done; return what was done."""
    done = []
    database = Alterations(prefix, connection)
    with _limited_waiting(connection):
        for name in pending:
            log.info("%s: %s", name, summary(name))
            migration(name).migrate(database)
            record(prefix, connection, [name])
            done.append(f"{name}: {summary(name)}")
    return done


def complete(prefix: str, connection: dj.Connection) -> list[str]:
    """Make columns and indexes of existing tables as they are defined; return what was done.

    A column that may not be null, has no default and is none of a parameter is left: what rows
    have in it has to be said by a migration.
    """
    expected = expected_structure(prefix, connection.adapter.backend)
    actual = actual_structure(sorted({schema for schema, _ in expected}), connection)
    found = [d for d in differences(prefix, expected, actual) if d.is_behind]
    defaults = default_columns(prefix)
    database = Alterations(prefix, connection)
    done = []
    with _limited_waiting(connection):
        for difference in sorted(found, key=lambda d: d.index is not None):  # columns first
            schema, table = difference.table
            short = schema[len(prefix) + 1 :]
            if difference.index is not None:
                database.add_index(short, table, difference.index.columns, difference.index.unique)
            elif difference.column:
                column = expected[difference.table].columns[difference.column]
                values = defaults.get(difference.table, {})
                has_value = column.nullable or column.default is not None or column.name in values
                if not has_value and column.name not in actual[difference.table].columns:
                    continue
                database.define_column(short, table, column, values.get(column.name))
            else:
                continue
            done.append(f"{difference}: mended")
    return done


@contextmanager
def _limited_waiting(connection: dj.Connection) -> Iterator[None]:
    """Let statements give up on a table that others keep in use, instead of waiting for ever."""
    dialect = dialect_of(connection)
    connection.query(dialect.limit_table_wait(TABLE_SECONDS), reconnect=False)
    try:
        yield
    finally:
        connection.query(dialect.limit_table_wait(None))
