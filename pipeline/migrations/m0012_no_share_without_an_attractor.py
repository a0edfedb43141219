"""Where no stable point was found, no share of the starts ends elsewhere: null, and not 1.

0.2.0 stored 1.0 there, which reads as if a search had found attractors that no start reaches.
`basin_status` of these rows says ``no_attractor``, then as now.
"""

from __future__ import annotations

from typing import Any

from pipeline.database.alterations import Alterations
from pipeline.database.structure import read_column

REQUIRED = True
TABLE = ("dynamics", "__basins")
LINE = "elsewhere=null : float64 # share of starts that ends at none of them; null: there is none"


def migrate(database: Alterations) -> None:
    """Let ``Basins.elsewhere`` be null, and make it so where there is no attractor."""
    if not database.table(*TABLE).columns:
        return
    database.define_column(*TABLE, read_column(database.connection.adapter.backend, LINE))
    database.query(
        f"UPDATE {database.full_name(*TABLE)} SET elsewhere = NULL "
        "WHERE basin_status = 'no_attractor'"
    )


def migrate_row(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a capsule as it is now."""
    if table == "Basins" and row["basin_status"] == "no_attractor":
        return {**row, "elsewhere": None}
    return row
