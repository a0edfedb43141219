"""The rows of a capsule: all that is upstream and downstream of whole cohorts."""

from __future__ import annotations

from collections.abc import Iterable

import datajoint as dj

from ..database import schemas
from ..report.rows import Row
from ..tables.comparisons import SETTINGS, Comparison, ComparisonMember
from ..tables.keys import COHORT, SET_COLUMNS, Key, cohort_key
from ..tables.rows import in_chunks
from ..tables.selections import Selection
from ..tables.snapshot_networks import SnapshotNetwork
from .selection import SelectedRows, TableRows, table_rows

COMPARED = ("task_name", "comparison_name")
SEARCH = SETTINGS["search"]  # names a row of FixedPointParams without a foreign key


class CapsuleRows(SelectedRows):
    """All rows of the cohorts of a selection, such that no row refers to one that is not there.

    Cohorts are whole: of one of which a single network is selected, all networks are there. With
    them come the networks that are snapshots of theirs, and where they are compared with others,
    the comparison with all its members and the cohorts of these.

    Parameters
    ----------
    selection : Selection
        An empty one selects everything.

    Attributes
    ----------
    n_selected : int
        Cohorts of the selection; the others came with them.

    Raises
    ------
    ParameterError
        Where there is no cohort.
    """

    def __init__(self, selection: Selection) -> None:
        super().__init__(selection)
        chosen = {cohort_key(row) for row in self.cohorts.proj().to_dicts()}
        self.n_selected = len(chosen)
        chosen |= _snapshots_of(chosen)
        members = _rows_with(ComparisonMember, COHORT, chosen)
        compared = {tuple(row[name] for name in COMPARED) for row in members}
        chosen |= {cohort_key(row) for row in _rows_with(ComparisonMember, COMPARED, compared)}
        # Of networks that others are compared with, their snapshots are left out.
        self._chosen, self._compared = chosen, compared

    def _rows(self, table: type[dj.Table]) -> TableRows:
        key = {*table.primary_key}
        if {*COMPARED} <= key:
            rows = _rows_with(table, COMPARED, self._compared)
        elif {*COHORT} <= key:
            rows = _rows_with(table, COHORT, self._chosen)
        else:
            columns = tuple(name for name in SET_COLUMNS if name in key)
            places = [COHORT.index(name) for name in columns]
            rows = _rows_with(
                table, columns, {tuple(one[i] for i in places) for one in self._chosen}
            )
        return table_rows(table, rows)

    def _settings(self, table: type[dj.Table], others: Iterable[TableRows]) -> TableRows:
        name = table.primary_key[0]  # of a part, its master's
        used = {row[name] for other in others for row in other.rows if name in row}
        if name == "search_name":
            compared = _rows_with(Comparison, COMPARED, self._compared)
            used |= {row[SEARCH] for row in compared if SEARCH in row}
        return table_rows(table, [row for row in table().to_dicts() if row[name] in used])


def pipeline_tables() -> dict[str, type[dj.Table]]:
    """Return the tables that a capsule may hold, by their titles, each after those it refers to."""
    schemas.import_tables()
    found: dict[str, type[dj.Table]] = {}
    for name, schema in schemas.SCHEMAS.items():
        if name == "work":
            continue
        for table in schema.tables:
            # Of classes alone: without a connection, no table is known to be ours.
            master = getattr(table, "_master", None) if issubclass(table, dj.Part) else None
            found[f"{master.__name__}.{table.__name__}" if master else table.__name__] = table
    return found


def _rows_with(table: type[dj.Table], columns: tuple[str, ...], values: set[Key]) -> list[Row]:
    """Return the rows of a table in some columns of which one of several values stands."""
    found: list[Row] = []
    for some in in_chunks(sorted(values)):
        found += (table() & [dict(zip(columns, one, strict=True)) for one in some]).to_dicts()
    return found


def _snapshots_of(cohorts: set[Key]) -> set[Key]:
    """Return the cohorts of the networks that are snapshots of the networks of some cohorts."""
    tasks = {(key[0],) for key in cohorts}
    return {
        cohort_key(row)
        for row in _rows_with(SnapshotNetwork, ("task_name",), tasks)
        if (row["task_name"], row["network_name"], row["origin_training"], row["origin_first_seed"])
        in cohorts
    }
