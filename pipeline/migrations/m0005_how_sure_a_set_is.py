"""Keep how sure a search is of its set: "probably complete" comes with a number.

Sets of 0.1.0 have none: their "complete" is what starts from trials and from points said.
"""

from __future__ import annotations

from pipeline.database.alterations import Alterations

REQUIRED = True


def migrate(database: Alterations) -> None:
    """Add ``FixedPoints.unseen``."""
    line = "unseen=null : float64 # share of further hits that are of new points is below it (0.95)"
    database.add_column("dynamics", "__fixed_points", line)
