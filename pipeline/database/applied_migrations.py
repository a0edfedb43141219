"""Which numbered migrations a database has had."""

from __future__ import annotations

import datajoint as dj

from . import schemas


@schemas.work
class AppliedMigration(dj.Manual):
    definition = """
    # change of the tables that this database has had, or was made with
    migration  : varchar(128)  # its module in pipeline.migrations
    ---
    applied_at : datetime(3)   # UTC, by the server's clock
    version    : varchar(64)   # of the package that made it
    """

    # Workers do not write it, and work on a database that does not have it yet.
    for_administrators = True
