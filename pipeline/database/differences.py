"""What a database's tables have otherwise than the code defines them: behind it, or ahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .schemas import SCHEMAS
from .structure import Column, Index, Table, TableStructure

MAX_NAMED = 4  # differences in a message


@dataclass(frozen=True)
class Difference:
    """One difference between a table of a database and its definition.

    Attributes
    ----------
    table : (str, str)
        Schema and table.
    what : str
        Column, or index, and what is otherwise.
    is_behind : bool
        Whether `rnn declare` brings it up; else the database was made by later code.
    blocks : bool
        Whether rows could not be read or written as they should: behind, nothing is done on such
        a database; ahead, nothing is written.
    column : str
        Which is to be made as it is defined; "" where there is none.
    index : Index or None
        Which is missing.
    """

    table: Table
    what: str
    is_behind: bool = True
    blocks: bool = False
    column: str = ""
    index: Index | None = None

    def __str__(self) -> str:
        """Return "schema.table: what"."""
        return f"{'.'.join(self.table)}: {self.what}"


def named(differences: list[Difference]) -> str:
    """Return differences in words, the first few of them."""
    more = f" and {len(differences) - MAX_NAMED} more" if len(differences) > MAX_NAMED else ""
    return "; ".join(map(str, differences[:MAX_NAMED])) + more


def default_columns(prefix: str) -> dict[Table, Mapping[str, Any]]:
    """Return what columns of parameters hold in rows that were stored before there was one."""
    found: dict[Table, Mapping[str, Any]] = {}
    for name, schema in SCHEMAS.items():
        for table in schema.tables:
            defaults = getattr(table, "default_columns", None)
            if defaults is not None:
                found[f"{prefix}_{name}", table.table_name] = defaults()
    return found


def differences(
    prefix: str, expected: dict[Table, TableStructure], actual: dict[Table, TableStructure]
) -> list[Difference]:
    """Return the differences of tables that exist, in the order of the definitions."""
    defaults = default_columns(prefix)
    return [
        difference
        for table, structure in expected.items()
        if table in actual
        for difference in _of_table(table, structure, actual[table], defaults.get(table, {}))
    ]


def _of_table(
    table: Table, expected: TableStructure, actual: TableStructure, defaults: Mapping[str, Any]
) -> Iterator[Difference]:
    for name, column in expected.columns.items():
        there = actual.columns.get(name)
        if there is None:
            # Parameters have a default until there is a column.
            blocks = name not in defaults
            yield Difference(table, f"{name} is missing", blocks=blocks, column=name)
        else:
            yield from _of_column(table, column, there)
    for name, column in actual.columns.items():
        # Those with _ are DataJoint's own.
        if name not in expected.columns and not name.startswith("_"):
            # Whoever enters parameters is told at that row; all others only read them.
            blocks = not column.nullable and column.default is None and not defaults
            yield Difference(
                table, f"{name} is not known to this version", is_behind=False, blocks=blocks
            )
    if actual.primary_key != expected.primary_key:
        key = ", ".join(expected.primary_key)
        yield Difference(table, f"its primary key is not ({key})", blocks=True)
    for index in expected.indexes:
        # A longer index serves too, where its rows need not be unique.
        longer = [i for i in actual.indexes if i.columns[: len(index.columns)] == index.columns]
        serves = index in actual.indexes or (longer and not index.unique)
        if not serves and set(index.columns) <= set(expected.columns):
            yield Difference(table, f"{index} is missing", index=index)


def _of_column(table: Table, column: Column, there: Column) -> Iterator[Difference]:
    name = column.name
    if column.length is not None and there.length is not None and column.length != there.length:
        behind = there.length < column.length
        what = f"{name} holds {there.length} characters, not {column.length}"
        yield Difference(table, what, behind, column=name if behind else "")
        return
    kinds = [(column.sql_type, there.sql_type)]
    if column.stored_type and column.length is None:
        kinds.append((column.stored_type, there.stored_type))
    for wanted, found in kinds:
        if wanted != found:
            behind = not _is_wider(wanted, found)
            what = f"{name} is {found or 'of another type'}, not {wanted}"
            yield Difference(table, what, behind, blocks=behind, column=name if behind else "")
            return
    if column.stored_type and column.stored_type != there.stored_type:
        # Its length is that of the definition, and DataJoint has not been told.
        yield Difference(table, f"{name} is written down as {there.stored_type}", column=name)
    elif there.nullable != column.nullable:
        may = "may be null" if there.nullable else "may not be null"
        yield Difference(table, f"{name} {may}", blocks=column.nullable, column=name)
    elif there.default != column.default:
        what = f"{name} has the default {there.default!r}, not {column.default!r}"
        yield Difference(table, what, blocks=there.default is None, column=name)


def _is_wider(wanted: str, found: str) -> bool:
    """Whether an enum of the database has the values of the definition and others."""
    if not (wanted.startswith("enum(") and found.startswith("enum(")):
        return False
    return _values(wanted) < _values(found)


def _values(enum: str) -> set[str]:
    return {value.strip() for value in enum[5:-1].split(",")}
