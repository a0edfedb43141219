"""Keep what points on kinks of f are, the growth from each point, and periods of rings.

Points of 0.1.0 were not asked whether they lie on a kink. Elsewhere their growth is the largest
real part of the eigenvalues, and their index follows from the number of unstable modes. Rings of
0.1.0 were not asked whether states go round them.
"""

from __future__ import annotations

from pipeline.database.alterations import Alterations

REQUIRED = True
TABLE = ("dynamics", "__fixed_points__point")


def migrate(database: Alterations) -> None:
    """Add columns to ``FixedPoints.Point`` and ``ContinuousAttractor.Manifold``."""
    period = "rotation_period=null : float64 # time to go round a rotating ring, in tau"
    database.add_column("dynamics", "__continuous_attractor__manifold", period)
    if not database.table(*TABLE).columns:
        return
    for line in (
        "at_kink=null : varchar(16) # what the flow does around a kink of f; null: on none",
        "growth_rate=null : float64 # of the direction that grows most, per tau; null: not known",
        "point_index=null : int32 # (-1)^(unstable modes); at a kink its degree; null: unknown",
    ):
        database.add_column(*TABLE, line)
    index = "CASE WHEN degenerate THEN NULL ELSE 1 - 2 * MOD(n_unstable_modes, 2) END"
    database.query(
        f"UPDATE {database.full_name(*TABLE)} SET growth_rate = max_eigenvalue, "
        f"point_index = {index} WHERE growth_rate IS NULL"
    )
