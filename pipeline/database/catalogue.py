"""Headings of the tables, all read from the server in a few queries.

DataJoint asks nine queries for the heading of each table: with the pipeline's tables and their jobs
tables some nine hundred, for which a worker that starts far from its server waits for seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any

import datajoint as dj
from datajoint.heading import Heading

from .dialects import dialect_of

Table = tuple[str, str]  # schema, table
Parts = dict[str, list[dict[str, Any]]]  # rows, by the question that they answer
LINEAGE = "~lineage"  # where DataJoint keeps from which table each column comes
OF_LINEAGE = ["SELECT", "attribute_name,", "lineage"]  # as DataJoint's question begins


class Catalogue:
    """What a server's catalogue says about all tables of some schemas.

    It is read when it is first asked, and each table's part is given out once: whoever looks at a
    table again, after it was altered say, asks the server.

    Parameters
    ----------
    schemas : collection of str
        Names of schemas.
    """

    def __init__(self, schemas: Collection[str]) -> None:
        self._schemas = tuple(schemas)
        self._tables: dict[Table, Parts] | None = None

    def take(self, connection: dj.Connection, table: Table) -> Parts | None:
        """Return what is known of a table, by part; None where nothing is, or it was taken."""
        if self._tables is None:
            self._tables = self._read(connection)
        parts = self._tables.pop(table, None)
        return None if parts is None or "table" not in parts else parts

    def table(self, connection: dj.Connection, schema: str, name: str) -> dj.Table:
        """Return a table of one of the schemas, whose heading is read with all others."""
        found = dj.FreeTable(connection, connection.adapter.make_full_table_name(schema, name))
        info = {"conn": connection, "database": schema, "table_name": name, "context": None}
        found._heading = CatalogueHeading(info, self)
        return found

    def _read(self, connection: dj.Connection) -> dict[Table, Parts]:
        dialect = dialect_of(connection)
        places = ", ".join(["%s"] * len(self._schemas))
        tables: dict[Table, Parts] = {}

        def add(part: str, query: str, names: tuple[str, ...] = ()) -> None:
            rows: Iterable[Any] = connection.query(query, args=names, as_dict=True).fetchall()
            for row in rows:
                parts = tables.setdefault((row["in_schema"], row["of_table"]), {})
                parts.setdefault(part, []).append(row)

        for part, query in dialect.headings.items():
            add(part, query.format(places), self._schemas)
        of_lineage = [name for name in self._schemas if (name, LINEAGE) in tables]
        if of_lineage:
            quoted, named = connection.adapter.quote_identifier, connection.adapter.quote_string
            selects = (
                f"SELECT {named(name)} AS in_schema, table_name AS of_table, attribute_name, "
                f"lineage FROM {quoted(name)}.{quoted(LINEAGE)}"
                for name in of_lineage
            )
            add("lineage", " UNION ALL ".join(selects))
        for (name, _), parts in tables.items():
            parts["lineage table"] = tables.get((name, LINEAGE), {}).get("table", [])
        return tables


class Answers:
    """Stands for a connection while DataJoint reads one heading: answers from a catalogue.

    What it is asked besides, it asks the server.

    Parameters
    ----------
    connection : Connection
    catalogue : Catalogue
    table : tuple of str
        Schema and table.
    """

    def __init__(self, connection: dj.Connection, catalogue: Catalogue, table: Table) -> None:
        self._connection, self._catalogue, self._table = connection, catalogue, table

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @cached_property
    def _parts(self) -> Parts | None:
        return self._catalogue.take(self._connection, self._table)

    @cached_property
    def _questions(self) -> dict[str, str]:
        (schema, _), adapter = self._table, self._connection.adapter
        return {
            adapter.get_table_info_sql(*self._table): "table",
            adapter.get_columns_sql(*self._table): "columns",
            adapter.get_primary_key_sql(*self._table): "primary key",
            adapter.get_indexes_sql(*self._table): "indexes",
            adapter.get_table_info_sql(schema, LINEAGE): "lineage table",
        }

    def query(self, query: str, args: tuple[Any, ...] = (), **options: Any) -> Any:
        """Return the rows that answer a query."""
        if self._parts is not None:
            if not args and query in self._questions:
                return _Rows(self._parts.get(self._questions[query], ()))
            if args == (self._table[1],) and query.split()[:3] == OF_LINEAGE:
                rows = self._parts.get("lineage", ())
                return _Rows((row["attribute_name"], row["lineage"]) for row in rows)
        return self._connection.query(query, args, **options)


class _Rows(list[Any]):
    """Rows as a cursor gives them."""

    def fetchone(self) -> Any:
        return self[0] if self else None

    def fetchall(self) -> list[Any]:
        return list(self)


class CatalogueHeading(Heading):
    """A heading that is read with those of all other tables.

    Parameters
    ----------
    table_info : dict
        Where the table is, as DataJoint has it.
    catalogue : Catalogue
        Of the schemas that were bound together.
    """

    def __init__(self, table_info: dict[str, Any], catalogue: Catalogue) -> None:
        super().__init__(table_info=table_info)
        self._catalogue = catalogue

    def sibling(self, table_name: str) -> CatalogueHeading:
        """Return the heading of another table of the same schema, its jobs table say."""
        info = {**(self.table_info or {}), "table_name": table_name, "context": None}
        return CatalogueHeading(info, self._catalogue)

    def _init_from_database(self) -> None:
        info = self.table_info
        assert info is not None
        table = (info["database"], info["table_name"])
        self.table_info = {**info, "conn": Answers(info["conn"], self._catalogue, table)}
        try:
            super()._init_from_database()
        finally:
            self.table_info = info
