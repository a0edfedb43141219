"""Say of psychometric fits of 0.1.0 how they were made, and their point of indifference.

They are unweighted least squares without errors. Where both lapses were equal their bias was the
stimulus of indifference, and nowhere else.
"""

from __future__ import annotations

from pipeline.database.alterations import Alterations

TABLE = ("performance", "__psychometric__fit")


def migrate(database: Alterations) -> None:
    """Fill ``fit_status`` and ``indifference`` of ``Psychometric.Fit``."""
    if not database.table(*TABLE).columns:
        return
    status = "fit_status=null : varchar(16)  # fitted, flat, step, slope_only, too_few (docs)"
    database.add_column(*TABLE, status)
    database.add_column(*TABLE, "indifference=null : float64  # stimulus of equal choices")
    # P = 1/2 at bias + logit(q) / slope with q = (1/2 - low) / (1 - low - high).
    where = "converged AND lapse_low < 0.5 AND lapse_high < 0.5 AND slope <> 0"
    at = "bias + LN((0.5 - lapse_low) / (0.5 - lapse_high)) / slope"
    database.query(
        f"UPDATE {database.full_name(*TABLE)} SET "
        f"indifference = CASE WHEN {where} THEN {at} ELSE NULL END, "
        "fit_status = CASE WHEN converged THEN 'least_squares' ELSE 'no_fit' END "
        "WHERE fit_status IS NULL"
    )
