"""Keep the learning curves of running trainings beside the heartbeats of their workers."""

from __future__ import annotations

from pipeline.database.alterations import Alterations

REQUIRED = True  # heartbeats write it


def migrate(database: Alterations) -> None:
    """Add ``Worker.live_curves``."""
    line = "live_curves=null : json # of the training: iterations, mean loss and its terms so far"
    database.add_column("work", "worker", line)
