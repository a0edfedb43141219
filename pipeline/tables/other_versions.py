"""Parameters in a database whose columns are those of an earlier or a later version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import datajoint as dj

from tasks_lib.errors import ParameterError

from .hashing import canonical_json

REMEDY = "have the administrator run `rnn declare`, which adds it"


def for_columns(
    table: dj.Table, columns: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is to be stored in the columns that the database has.

    Parameters
    ----------
    table : Table
    columns : dict
        Column -> value, of all columns of this version.
    defaults : dict
        Column -> default.

    Raises
    ------
    ParameterError
        Where there is no column yet for a value that is not the default; and where a later version
        has added one that this one cannot fill.
    """
    there = table.heading.attributes
    kept = {name: value for name, value in columns.items() if name in there}
    for name, value in columns.items():
        if name not in there and canonical_json(value) != canonical_json(defaults.get(name)):
            raise ParameterError(
                name, value, "has no column in this database, which an earlier version made", REMEDY
            )
    for name, attribute in there.items():
        needs_value = not attribute.nullable and attribute.default is None
        if name not in kept and needs_value and not attribute.autoincrement:
            raise ParameterError(
                name,
                None,
                "is a column that a later version of this package has added to the database",
                "update this package",
            )
    return kept


def whole_row(
    table: type[dj.Table], row: Mapping[str, Any], names: Collection[str]
) -> dict[str, Any]:
    """Return the fields of a fetched row, without those that the database has no column for.

    Raises
    ------
    ParameterError
        Where the row lacks a field that the database has: it was not fetched whole.
    """
    lacking = [name for name in names if name not in row]
    # A table that is asked for its heading has to be bound; a whole row is not asked.
    there = table().heading.names if lacking else []
    for name in lacking:
        if name in there:
            raise ParameterError(name, None, "is missing from the row", "fetch the whole row")
    return {name: row[name] for name in names if name in row}


def unknown_columns(
    table: type[dj.Table], row: Mapping[str, Any], known: Collection[str]
) -> list[str]:
    """Return the columns of a fetched row that a later version has added to its table."""
    others = [name for name in row if name not in known]
    there = table().heading.names if others else []
    return [name for name in others if name in there]


def refuse_later_row(name: str, row: Mapping[str, Any]) -> ParameterError:
    """Return the error of a row whose parameters this version does not know."""
    return ParameterError(
        name,
        row[name],
        "is a parameter of a later version of this package, with another value than its default",
        "update this package",
    )
