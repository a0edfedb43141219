"""The rows of a capsule as rows of tables: whether they fit, and inserting them as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

import datajoint as dj
import psycopg2
import pymysql
from datajoint.errors import DuplicateError, IntegrityError, MissingAttributeError

from tasks_lib.errors import ParameterError, kind_and_text, shown

from ..database.upgrades import known_migrations, migration
from ..report.rows import Row
from ..tables.checked import CheckedTable
from ..tables.parameters import ParameterTable, check_name
from ..tables.settings import CheckedSettings
from .capsule_file import CapsuleFile
from .capsule_rows import pipeline_tables
from .capsule_values import ARRAY, FIGURE

AT_ONCE = 200  # rows that are in memory with their arrays
LATER = "update this package"
# What servers and their libraries say of values: none of a lost connection, or of rights.
REFUSED = (
    pymysql.err.DataError, pymysql.err.IntegrityError, psycopg2.DataError, psycopg2.IntegrityError,
    DuplicateError, IntegrityError, MissingAttributeError, ValueError, OverflowError,
)  # fmt: skip
Change = Callable[[str, Row], Row]  # of a row, by the title of its table


def check_fits(capsule: CapsuleFile) -> None:
    """Refuse a capsule of a later version, before anything is made.

    Raises
    ------
    ParameterError
        Where it has tables or migrations that this version does not know.
    """
    later = [name for name in capsule.migrations if name not in known_migrations()]
    later += [title for title in capsule.tables if title not in pipeline_tables()]
    if later:
        raise ParameterError(
            "PATH", str(capsule.path),
            f"was made by a later version of this package (it has {shown(later[0])})", LATER,
        )  # fmt: skip


def insert_rows(capsule: CapsuleFile, progress: Callable[[int, int], object]) -> None:
    """Insert all rows of a capsule into tables without rows, inside a transaction.

    They are what they were, hashes and times too: nothing is checked in the way of a new entry,
    which `rnn verify --all` does, and nothing is imported that they name.

    Raises
    ------
    ParameterError
        Where a row does not fit its table.
    """
    total = sum(table.n_rows for table in capsule.tables.values())
    changes = _changes(capsule)
    done = 0
    for title, table in pipeline_tables().items():
        if title not in capsule.tables:
            continue  # of an earlier version
        rows = _fitting(capsule, title, table, changes)
        while some := list(islice(rows, AT_ONCE)):
            with _said_of(capsule, title):
                _insert(table, some)
            done += len(some)
            progress(done, total)


@contextmanager
def _said_of(capsule: CapsuleFile, title: str) -> Iterator[None]:
    """Say of which table rows are that the server refuses: too large, twice, of no cohort."""
    try:
        yield
    except ParameterError:
        raise
    except REFUSED as error:
        raise ParameterError(
            "PATH", str(capsule.path),
            f"has rows of {title} that its table does not take ({kind_and_text(error)})",
            "ask whoever made it",
        ) from error  # fmt: skip


def _changes(capsule: CapsuleFile) -> list[Change]:
    """Return what migrations do to rows that were made before them, in their order."""
    pending = [name for name in known_migrations() if name not in capsule.migrations]
    found = (getattr(migration(name), "migrate_row", None) for name in pending)
    return [change for change in found if change is not None]


def _fitting(
    capsule: CapsuleFile, title: str, table: type[dj.Table], changes: list[Change]
) -> Iterator[Row]:
    """Yield the rows of a table as it takes them."""
    heading = table().heading
    columns = {*heading.names}
    kinds = capsule.tables[title].columns
    stored = {name: heading[name].codec is not None for name in columns}
    filled: Row = getattr(table, "default_columns", dict)()
    for plain in capsule.rows(title):
        row = {name: _value(capsule, value, kinds[name]) for name, value in plain.items()}
        for change in changes:
            row = change(title, row)
        for name in row.keys() - columns:
            raise _refused(capsule, title, name, "is a column of a later version", LATER)
        for name, kind in kinds.items():
            if name in columns and stored[name] != (kind in (ARRAY, FIGURE)):
                raise _refused(capsule, title, name, f"is a {kind}, and here it is none", LATER)
        for name in columns - row.keys():
            attribute = heading[name]
            if name in filled:
                row[name] = filled[name]
            elif not attribute.nullable and attribute.default is None:
                problem = "is not in it, as an earlier version made it, and has no default"
                raise _refused(capsule, title, name, problem, "open it with that version")
        if issubclass(table, ParameterTable | CheckedSettings):
            check_name(table.primary_key[0], row[table.primary_key[0]])
        yield row


def _value(capsule: CapsuleFile, value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == ARRAY:
        return capsule.array(value)
    if kind == FIGURE:
        return capsule.figure(value)
    if kind == "number":
        return float(value)
    return datetime.fromisoformat(value) if kind == "time" else value


def _insert(table: type[dj.Table], rows: list[Row]) -> None:
    if issubclass(table, CheckedSettings):
        # Some have come with the table; a lab may have made something else of them.
        for row in rows:
            there = (table() & table().key_of(row)).to_dicts()
            if there:
                table().overwrite(row)
            else:
                table().store([row])
    elif issubclass(table, CheckedTable):
        table().store(rows)
    else:
        table().insert(rows, allow_direct_insert=True)


def _refused(
    capsule: CapsuleFile, title: str, name: str, problem: str, remedy: str
) -> ParameterError:
    return ParameterError(
        "PATH", str(capsule.path), f"has rows of {title} of which {shown(name)} {problem}", remedy
    )
