"""Changing the tables of a database: what numbered migrations are written with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import datajoint as dj

from .catalogue import LINEAGE
from .dialects import dialect_of
from .schemas import SCHEMAS
from .structure import (
    Column,
    Index,
    Table,
    TableStructure,
    actual_structure,
    column_sql,
    read_column,
)


class Alterations:
    """The tables of a database, and changes of them that may be made again.

    Each method looks at what is there, and does what is left to do: a migration that was
    interrupted is run again from its beginning. A table that does not exist is left to be made, as
    it is defined. The SQL is of our own for both back ends;
    DataJoint's `Table.alter` is never called (docs/security.md).

    Parameters
    ----------
    prefix : str
        That of the schemas.
    connection : Connection
        Of a user who may alter tables.
    """

    def __init__(self, prefix: str, connection: dj.Connection) -> None:
        self.prefix, self.connection = prefix, connection
        self._dialect = dialect_of(connection)

    def query(self, sql: str, args: Sequence[Any] = ()) -> Any:
        """Run a statement; a percent sign in it is written ``%%``.

        Where the connection is lost it is an error: the lock that holds off other processes is
        lost with it.
        """
        return self.connection.query(sql, args=tuple(args), reconnect=False)

    def full_name(self, schema: str, table: str) -> str:
        """Return the quoted name of a table: ``full_name("network", "network_params")``."""
        return self.connection.adapter.make_full_table_name(f"{self.prefix}_{schema}", table)

    def quoted(self, name: str) -> str:
        """Return the quoted name of a column."""
        return self.connection.adapter.quote_identifier(name)

    def structure(self) -> dict[Table, TableStructure]:
        """Return what there is at this moment: (schema, table) -> columns and indexes.

        The schemas are called as in `pipeline.database.schemas.SCHEMAS`, without the prefix.
        """
        schemas = [f"{self.prefix}_{name}" for name in SCHEMAS]
        found = actual_structure(schemas, self.connection)
        return {(s[len(self.prefix) + 1 :], table): v for (s, table), v in found.items()}

    def table(self, schema: str, table: str) -> TableStructure:
        """Return columns, primary key and indexes of a table; none where it does not exist."""
        place = f"{self.prefix}_{schema}", table
        return actual_structure(place[:1], self.connection, table).get(place, TableStructure())

    def rows(self, schema: str, table: str) -> list[dict[str, Any]]:
        """Return the rows of a small table as they are stored: JSON as its values, no codecs."""
        columns = self.table(schema, table).columns
        if not columns:
            return []
        names = ", ".join(map(self.quoted, columns))
        found = self.query(f"SELECT {names} FROM {self.full_name(schema, table)}").fetchall()
        return [
            {
                name: json.loads(value)
                if column.sql_type.startswith("json") and isinstance(value, str)
                else value
                for (name, column), value in zip(columns.items(), row, strict=True)
            }
            for row in found
        ]

    def update(
        self, schema: str, table: str, key: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        """Set columns of the rows with a key; mappings and lists are stored as JSON."""
        settings = ", ".join(f"{self.quoted(name)} = %s" for name in values)
        where = " AND ".join(f"{self.quoted(name)} = %s" for name in key)
        stored = [json.dumps(v) if isinstance(v, dict | list) else v for v in values.values()]
        self.query(
            f"UPDATE {self.full_name(schema, table)} SET {settings} WHERE {where}",
            [*stored, *key.values()],
        )

    def add_column(self, schema: str, table: str, line: str, value: Any = None) -> None:
        """Add a column that a line of a definition describes.

        Parameters
        ----------
        schema, table : str
        line : str
            As in ``"weight_decay : float64 # added to the gradient"``.
        value : optional
            What rows that are there have in it; needed where it may not be null and has no
            default.
        """
        column = read_column(self.connection.adapter.backend, line)
        self.define_column(schema, table, column, value)

    def define_column(self, schema: str, table: str, column: Column, value: Any = None) -> None:
        """Make a column, or an existing one, as it is defined: type, length, null, default.

        Parameters
        ----------
        schema, table : str
        column : Column
        value : optional
            What rows have that have none; the column's default otherwise.
        """
        backend = self.connection.adapter.backend
        full, name = self.full_name(schema, table), self.quoted(column.name)
        sql = column_sql(backend, f"{self.prefix}_{schema}", column)
        columns = self.table(schema, table).columns
        there = columns.get(column.name)
        same = there is not None and replace(there, comment=column.comment) == column
        if same or not columns:
            return
        type_of_enum = self._dialect.make_type(f"{self.prefix}_{schema}", sql)
        if type_of_enum is not None:
            self.query(type_of_enum)
        if there is None:
            self.query(self._dialect.add_column(full, name, sql))
        if not column.nullable and (there is None or there.nullable):
            if value is None:
                value = column.default
            if value is not None:
                stored = json.dumps(value) if isinstance(value, dict | list) else value
                self.query(f"UPDATE {full} SET {name} = %s WHERE {name} IS NULL", [stored])
        for statement in self._dialect.alter_column(full, name, sql):
            self.query(statement)

    def rename_column(self, schema: str, table: str, old: str, new: str) -> None:
        """Rename a column of one table; indexes and foreign keys go with it.

        Of a column of a primary key, rename it in every table that has it (`tables_with`).
        """
        columns = self.table(schema, table).columns
        if old in columns and new not in columns:
            self.query(
                f"ALTER TABLE {self.full_name(schema, table)} RENAME COLUMN {self.quoted(old)} "
                f"TO {self.quoted(new)}"
            )
        # Where DataJoint keeps from which table each column of a key comes.
        origin = f"{self.prefix}_{schema}.{table}."
        for other in SCHEMAS:
            if not self.table(other, LINEAGE).columns:
                continue
            lineage = self.full_name(other, LINEAGE)
            if other == schema:
                self.query(
                    f"UPDATE {lineage} SET attribute_name = %s "
                    "WHERE table_name = %s AND attribute_name = %s",
                    [new, table, old],
                )
            self.query(
                f"UPDATE {lineage} SET lineage = %s WHERE lineage = %s",
                [origin + new, origin + old],
            )

    def tables_with(self, column: str) -> list[Table]:
        """Return (schema, table) of all tables that have a column, jobs tables too."""
        return sorted(
            table
            for table, structure in self.structure().items()
            if column in structure.columns and table[1] != LINEAGE
        )

    def drop_column(self, schema: str, table: str, name: str) -> None:
        """Remove a column and what it holds."""
        if name in self.table(schema, table).columns:
            self.query(
                f"ALTER TABLE {self.full_name(schema, table)} DROP COLUMN {self.quoted(name)}"
            )

    def add_index(
        self, schema: str, table: str, columns: Iterable[str], unique: bool = False
    ) -> None:
        """Add an index, where there is none of these columns in this order."""
        index = Index(tuple(columns), unique)
        there = self.table(schema, table)
        if index in there.indexes or not there.columns:
            return
        kind = "UNIQUE INDEX" if unique else "INDEX"
        name = "_".join([table.strip("_#~"), *index.columns, "idx"])[:60]
        names = ", ".join(map(self.quoted, index.columns))
        self.query(
            f"CREATE {kind} {self.quoted(name)} ON {self.full_name(schema, table)} ({names})"
        )
