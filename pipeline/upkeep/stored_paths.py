"""Reading which files of the store the rows of all tables refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import datajoint as dj

from ..database import schemas
from ..database.catalogue import Catalogue
from ..database.configuration import DatabaseError
from ..database.connection import connection
from ..database.server import base_tables
from ..tables.computed import COMPUTED
from ..workers.checkpoints import checkpoint_folder
from ..workers.queue import job_hash

ROWS_AT_ONCE = 5000


def schema_names() -> list[str]:
    """Return the names of our schemas in the database."""
    return [str(schema.database) for schema in schemas.SCHEMAS.values()]


def tables_with_files(
    further: Iterable[str] = (),
) -> dict[tuple[str, str], tuple[dj.Table, list[str]]]:
    """Return every table of our schemas, by schema and name, with its columns that keep files.

    Parameters
    ----------
    further : iterable of str
        Schemas of others that are looked at too.

    Raises
    ------
    DatabaseError
        Where a table cannot be looked at.
    """
    here = connection()
    wanted = {name: set(names_in_database(name)) for name in (*schema_names(), *further)}
    # A table without rights on it is in no list of the server's: what the code declares must be.
    for schema in schemas.SCHEMAS.values():
        wanted[str(schema.database)] |= {table.table_name for table in schema.tables}
    catalogue = Catalogue(wanted)  # all headings are read together
    found = {}
    for schema_name, names in wanted.items():
        for name in sorted(name for name in names if not name.startswith("~")):
            try:
                table = catalogue.table(here, schema_name, name)
                columns = [n for n, a in table.heading.attributes.items() if a.is_schema_object]
            except Exception as error:
                raise unscanned(schema_name, name, error) from None
            if not table.heading.primary_key:
                raise unscanned(schema_name, name, "it is not there")
            found[schema_name, name] = (table, columns)
    return found


def names_in_database(schema_name: str) -> list[str]:
    """Return the names of all tables of a schema in the database, hidden ones too."""
    return base_tables(connection(), schema_name)


def referenced_paths(table: dj.Table, columns: list[str]) -> Iterator[str]:
    """Yield the paths that the rows of a table keep, reading some rows at a time.

    Raises
    ------
    DatabaseError
        Where they cannot all be read.
    """
    for kept in kept_values(table, columns):
        paths = kept.codec.referenced_paths(kept.value)
        if not paths:
            problem = f"a row keeps {str(kept.value)[:80]!r}, which names no file"
            raise unscanned(table.database, table.table_name, problem)
        for path, _ in paths:  # of whatever store: two may be one folder
            yield str(path)


class KeptValue(NamedTuple):
    """The reference to a file in one column of a row."""

    key: dict[str, Any]
    column: str
    codec: dj.Codec
    value: Any  # as the database has it: on MySQL a text


def kept_values(
    table: dj.Table, columns: list[str], restriction: Mapping[str, Any] | None = None
) -> Iterator[KeptValue]:
    """Yield what the rows of a table keep of their files, reading some rows at a time.

    Parameters
    ----------
    table : Table
    columns : list of str
        Those that keep files.
    restriction : mapping, optional
        Values of columns.

    Raises
    ------
    DatabaseError
        Where they cannot all be read.
    """
    if not columns:
        return
    try:
        yield from _values(table, columns, dict(restriction or {}))
    except DatabaseError:
        raise
    except Exception as error:
        raise unscanned(table.database, table.table_name, error) from None


def count_values(
    table: dj.Table, columns: list[str], restriction: Mapping[str, Any] | None = None
) -> int:
    """Return how many files the rows of a table keep.

    Raises
    ------
    DatabaseError
        Where they cannot be counted.
    """
    if not columns:
        return 0
    quoted = table.adapter.quote_identifier
    numbers = " + ".join(f"COUNT({quoted(name)})" for name in columns)
    where, arguments = _where(table, dict(restriction or {}))
    query = f"SELECT {numbers} FROM {table.full_table_name} {where}"
    try:
        return int(table.connection.query(query, args=arguments).fetchone()[0])
    except Exception as error:
        raise unscanned(table.database, table.table_name, error) from None


def _where(table: dj.Table, values: dict[str, Any], *more: str) -> tuple[str, tuple[Any, ...]]:
    """Return the condition of a table's own restriction, and that columns have some values."""
    quoted = table.adapter.quote_identifier
    own = table.where_clause().strip().removeprefix("WHERE").strip()
    conditions = [f"({own})"] if own else []
    conditions += [*(f"{quoted(name)} = %s" for name in values), *more]
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", tuple(values.values())


def _values(
    table: dj.Table, columns: list[str], restriction: dict[str, Any]
) -> Iterator[KeptValue]:
    quoted = table.adapter.quote_identifier
    key = list(table.heading.primary_key)
    codecs = [table.heading.attributes[name].codec for name in columns]
    in_key = ", ".join(quoted(name) for name in key)
    selected = ", ".join(quoted(name) for name in (*key, *columns))
    marks = ", ".join(["%s"] * len(key))
    last: tuple[Any, ...] = ()
    while True:
        after = [f"({in_key}) > ({marks})"] if last else []
        where, arguments = _where(table, restriction, *after)
        rows = table.connection.query(
            f"SELECT {selected} FROM {table.full_table_name} {where} "
            f"ORDER BY {in_key} LIMIT {ROWS_AT_ONCE}",
            args=(*arguments, *last),
        ).fetchall()
        for row in rows:
            its_key = dict(zip(key, row, strict=False))
            for column, codec, value in zip(columns, codecs, row[len(key) :], strict=True):
                if value is not None:
                    assert codec is not None  # as of every column that keeps files
                    yield KeptValue(its_key, column, codec, value)
        if len(rows) < ROWS_AT_ONCE:
            return
        last = tuple(rows[-1][: len(key)])


def unfinished_jobs() -> dict[str, set[str]]:
    """Return the hashes of all jobs that may yet be done, by folder of checkpoints.

    Raises
    ------
    DatabaseError
        Where they cannot be read.
    """
    found = {}
    for table in COMPUTED:
        try:
            keys = (table().key_source - table().proj()).proj().keys()
        except Exception as error:
            raise unscanned(table.database, table.table_name, error) from None
        found[checkpoint_folder(table)] = {job_hash(key) for key in keys}
    return found


def unscanned(schema_name: str | None, name: str, problem: object) -> DatabaseError:
    """Return the error of a table that cannot be read."""
    text = " ".join(str(problem).split())
    return DatabaseError(
        f"table = {schema_name}.{name}: cannot be read ({text}); it is not passed over, and "
        "nothing is removed, because its rows may refer to any file; ask for SELECT on it, or "
        "bring it back"
    )
