"""Priorities of the jobs of cohorts."""

from __future__ import annotations

import datajoint as dj

from ..database import schemas
from .training import Cohort  # noqa: F401  (named in a definition)

MOST_PRIORITY = 127  # what the jobs tables of DataJoint hold


@schemas.training
class JobPriority(dj.Manual):
    definition = """
    # priority of the jobs of a cohort, where somebody has given it one
    -> Cohort
    ---
    job_priority : int32  # 0 to 127; the lower, the sooner
    """
