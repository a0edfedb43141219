"""Sweeps: cohorts that differ in chosen fields of task, network or training."""

from __future__ import annotations

import datajoint as dj

from ..database import schemas
from .training import Cohort  # noqa: F401  (named in a definition)

LONGEST_VALUE = 255  # characters of a value's text


@schemas.training
class Sweep(dj.Manual):
    definition = """
    # cohorts that differ in chosen fields of task, network or training
    sweep_name : varchar(64)  # readable name
    ---
    sweep_description='' : varchar(255)  # what it is for
    """

    class Axis(dj.Part):
        definition = """
        # field that a sweep varies
        -> master
        axis : varchar(128)  # as training.lr, or training.penalties.metabolic.weight
        ---
        axis_number : int32  # its place in the submission, from 0
        """

    Point: type[SweepPoint]


# Not a part: a cohort that is deleted takes its points with it, and the sweep stays.
@schemas.training
class SweepPoint(dj.Manual):
    definition = """
    # value that one axis of a sweep has in one of its cohorts
    -> Sweep.Axis
    -> Cohort
    ---
    value=null : float64      # where it is a number
    value_text : varchar(255) # as written, in JSON
    """


Sweep.Point = SweepPoint
