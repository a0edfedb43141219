"""Queries that several analyses show rows of, and the words that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datajoint as dj

from ...database.types import Query
from ...tables.selections import Selection

SETTINGS, STATUS, WHY = "settings", "status", "why"  # headings
DEFAULT = "default"  # name of the settings that come with most tables
ANALYSED = "analysed"  # status of what has all its numbers
LAST, FIRST_AND_LAST = "last_one", "first_one, last_one"
Asked = Callable[[Selection], Query]


def only(table: type[Any], restriction: str) -> Asked:
    """Return a query of those rows of a table that satisfy a restriction."""
    return lambda selection: selection.of_table(table) & restriction


def ends(table: type[Any], column: str, which: str) -> Asked:
    """Return a query of the rows with the smallest or the largest value of a column of the key.

    ``which`` is `LAST` or `FIRST_AND_LAST`.
    """

    def query(selection: Selection) -> Query:
        rows = selection.of_table(table)
        rest = [name for name in rows.primary_key if name != column]
        extremes = dj.U(*rest).aggr(rows, first_one=f"min({column})", last_one=f"max({column})")
        return (rows * extremes) & f"{column} in ({which})"

    return query
