"""Columns and indexes of the tables: as the code defines them, and as a database has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import datajoint as dj
from datajoint.declare import SPECIAL_TYPES, match_type, substitute_special_type

from .dialects import DIALECTS, ColumnSQL, dialect_of
from .schemas import SCHEMAS, jobs_table_name, parts
from .types import Job

Table = tuple[str, str]  # schema, table
CONSTANTS = ("CURRENT_TIMESTAMP", "NULL")
_ATTRIBUTE = re.compile(
    r"(?P<name>\w+)\s*(=\s*(?P<default>'[^']*'|\"[^\"]*\"|[^:#]*?))?\s*:\s*(?P<type>[^#]+?)\s*"
    r"(#\s*(?P<comment>.*))?$"
)
_INDEX = re.compile(r"(?P<unique>unique\s+)?index\s*\((?P<columns>.*)\)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
    sql_type : str
        By the one name that `Dialect.type_name` gives it.
    stored_type : str
        DataJoint's, as in ``<npy@main>``; "" where it is not written down: of a column that a
        foreign key brings.
    nullable : bool
    default : str or None
        Without quotes; true and false are 1 and 0.
    comment : str
        Without the type.
    """

    name: str
    sql_type: str
    stored_type: str = ""
    nullable: bool = False
    default: str | None = None
    comment: str = ""

    @property
    def length(self) -> int | None:
        """Characters that it holds; None where it is no text of limited length."""
        found = re.fullmatch(r"varchar\((\d+)\)", self.sql_type)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Index:
    """An index: its columns in their order."""

    columns: tuple[str, ...]
    unique: bool = False

    def __str__(self) -> str:
        """Return it as a definition has it."""
        return f"{'unique ' if self.unique else ''}index ({', '.join(self.columns)})"


@dataclass
class TableStructure:
    """Columns, primary key and indexes of a table."""

    columns: dict[str, Column] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    indexes: list[Index] = field(default_factory=list)


def sql_type_of(backend: str, type_name: str) -> str:
    """Return the SQL of a type of DataJoint; of an enum of PostgreSQL, ``{database}`` in it."""
    return _sql_type(backend, " ".join(type_name.split()))


@cache
def _sql_type(backend: str, type_name: str) -> str:
    # An adapter of its own: DataJoint's remembers the enums that it is asked for, to make them.
    adapter = dj.adapters.get_adapter(backend)
    match = {"type": type_name, "comment": ""}
    category = match_type(type_name)
    if category in SPECIAL_TYPES:
        substitute_special_type(match, category, [], {}, adapter)
    return match["type"]


def column_sql(backend: str, schema: str, column: Column) -> ColumnSQL:
    """Return a column of a definition as statements have it."""
    stored = column.stored_type
    choices = tuple(re.findall(r"'([^']*)'", stored)) if stored.startswith("enum") else ()
    default = None
    if column.default is not None:
        constant = column.default.split("(")[0].upper() in CONSTANTS
        default = column.default if constant else "'" + column.default.replace("'", "''") + "'"
    sql_type = sql_type_of(backend, stored) if stored else column.sql_type
    comment = f":{stored}:{column.comment}" if stored else column.comment
    return ColumnSQL(
        sql_type.replace("{database}", schema), column.nullable, default, comment, choices
    )


def expected_structure(prefix: str, backend: str) -> dict[Table, TableStructure]:
    """Return what the definitions say, of parts and jobs tables too, without any query."""
    reader = _Definitions(backend)
    found: dict[Table, TableStructure] = {}
    for name, schema in SCHEMAS.items():
        database = f"{prefix}_{name}"
        for cls, context in schema.declare_list:
            own = {**context, "self": cls, cls.__name__: cls}
            found[database, cls.table_name] = reader.structure(cls, own)
            for part in parts(cls):
                structure = reader.structure(part, {**own, "master": cls, "self": part})
                found[database, part.table_name] = structure
            if issubclass(cls, dj.Computed):
                found[database, jobs_table_name(cls)] = reader.jobs_structure(cls)
    return found


class _Definitions:
    """Reads definitions of tables, each once."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self._read: dict[type[dj.Table], TableStructure] = {}

    def structure(self, table: type[dj.Table], context: dict[str, Any]) -> TableStructure:
        if table not in self._read:
            self._read[table] = self.parse(table.definition, context)
        return self._read[table]

    def jobs_structure(self, table: type[dj.Table]) -> TableStructure:
        """Return that of a computed table's jobs table, of which DataJoint has the definition."""
        own = self._read[table]
        target = SimpleNamespace(
            _get_fk_derived_pk_attrs=lambda: [(n, "int32") for n in own.primary_key],
            _target=SimpleNamespace(full_table_name=""),
        )
        structure = self.parse(Job._generate_definition(target), {})
        for name in own.primary_key:
            structure.columns[name] = Column(name, own.columns[name].sql_type)
        return structure

    def parse(self, definition: str, context: dict[str, Any]) -> TableStructure:
        structure, in_key = TableStructure(), True
        for line in map(str.strip, definition.strip().splitlines()):
            if not line or line.startswith("#"):
                continue
            if line.startswith("---"):
                in_key = False
            elif line.startswith("->"):
                self._add_foreign_key(structure, line, context, in_key)
            elif found := _INDEX.match(line):
                columns = tuple(c.strip() for c in found["columns"].split(","))
                structure.indexes.append(Index(columns, bool(found["unique"])))
            else:
                column = read_column(self.backend, line)
                structure.columns[column.name] = column
                if in_key:
                    structure.primary_key += (column.name,)
        return structure

    def _add_foreign_key(
        self, structure: TableStructure, line: str, context: dict[str, Any], in_key: bool
    ) -> None:
        found = re.fullmatch(
            r"->\s*(\[(?P<options>[^\]]*)\])?\s*(?P<parent>[\w.]+)"
            r"(\.proj\((?P<renamed>[^)]*)\))?\s*(#.*)?",
            line,
        )
        assert found, line
        parent = _resolve(found["parent"], context)
        renamed = {
            old: new
            for new, old in re.findall(r"(\w+)\s*=\s*[\"'](\w+)[\"']", found["renamed"] or "")
        }
        own = self._read.get(parent) or self.structure(parent, _context(parent))
        nullable = "nullable" in (found["options"] or "").lower()
        for old in own.primary_key:
            name = renamed.get(old, old)
            if name not in structure.columns:
                column = Column(name, own.columns[old].sql_type, nullable=nullable)
                structure.columns[name] = column
                if in_key:
                    structure.primary_key += (name,)


@cache
def read_column(backend: str, line: str) -> Column:
    """Return the column that a line of a definition describes, as a back end has it."""
    found = _ATTRIBUTE.match(line)
    assert found, line
    default = found["default"]
    nullable = default is not None and default.strip().lower() == "null"
    stored = " ".join(found["type"].split())
    return Column(
        found["name"],
        DIALECTS[backend].type_name(sql_type_of(backend, stored)),
        stored,
        nullable,
        None if default is None or nullable else plain_default(default),
        (found["comment"] or "").strip(),
    )


def _resolve(name: str, context: dict[str, Any]) -> type[dj.Table]:
    first, *rest = name.split(".")
    found = context[first]
    for attribute in rest:
        found = getattr(found, attribute)
    return found


def _context(table: type[dj.Table]) -> dict[str, Any]:
    for schema in SCHEMAS.values():
        for cls, context in schema.declare_list:
            own = {**context, "self": cls, cls.__name__: cls}
            if cls is table:
                return own
            if table in parts(cls):
                return {**own, "master": cls, "self": table}
    raise KeyError(table)


def plain_default(default: str) -> str:
    """Return a default without quotes, casts and the back ends' words for true and false."""
    text = re.sub(r"::[\w.\" ]+(\(\d+\))?$", "", default.strip())
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace("''", "'")
    return {"true": "1", "false": "0"}.get(text, text)


def actual_structure(
    schemas: Iterable[str], connection: dj.Connection, table: str | None = None
) -> dict[Table, TableStructure]:
    """Return what the database has in these schemas, or of one table there: two queries."""
    dialect = dialect_of(connection)
    names = tuple(schemas)
    chosen = ", ".join(["%s"] * len(names)), "" if table is None else dialect.of_table
    if table is not None:
        names += (table,)
    found: dict[Table, TableStructure] = {}
    columns = connection.query(dialect.columns.format(*chosen), args=names).fetchall()
    backend = connection.adapter.backend
    for schema, of, name, *described in columns:
        column = _actual_column(backend, name, *described)
        found.setdefault((schema, of), TableStructure()).columns[name] = column
    for place, unique, primary, of_index in _grouped(
        connection.query(dialect.indexes.format(*chosen), args=names).fetchall()
    ):
        structure = found.setdefault(place, TableStructure())
        if primary:
            structure.primary_key = of_index
        structure.indexes.append(Index(of_index, unique))
    return found


@cache  # columns of keys stand in many tables
def _actual_column(
    backend: str, name: str, sql_type: str, nullable: Any, default: Any, comment: str | None
) -> Column:
    """Return a column as a back end describes it."""
    special = re.match(r":(?P<type>[^:]+):(?P<comment>.*)", comment or "", re.DOTALL)
    plain = None if default is None else plain_default(str(default))
    return Column(
        name,
        DIALECTS[backend].type_name(sql_type),
        special["type"] if special else "",
        bool(nullable),
        None if plain is None or plain.upper() == "NULL" else plain,
        special["comment"] if special else comment or "",
    )


def _grouped(
    rows: Iterable[tuple[Any, ...]],
) -> Iterator[tuple[Table, bool, bool, tuple[str, ...]]]:
    """Yield each index of rows that have a column each."""
    indexes: dict[tuple[Any, ...], list[str]] = {}
    for *index, column in rows:
        indexes.setdefault(tuple(index), []).append(str(column))
    for (schema, table, _, unique, primary), columns in indexes.items():
        yield (schema, table), bool(unique), bool(primary), tuple(columns)
