"""Say of each training how many cohorts were trained as one batch: one, until now."""

from __future__ import annotations

from pipeline.database.alterations import Alterations

REQUIRED = True


def migrate(database: Alterations) -> None:
    """Add ``Training.n_together``."""
    line = "n_together=1 : int32 # cohorts trained as one batch, it included; seconds: its share"
    database.add_column("training", "__training", line)
