"""The computed tables, in the order in which rows depend on each other."""

from __future__ import annotations

import gc
from collections.abc import Iterable

import datajoint as dj

import models
import tasks_lib
from tasks_lib.errors import ParameterError

from .continuous_attractors import ContinuousAttractor, ContinuousAttractorPlot
from .fixed_point_plots import FixedPointPlot
from .fixed_points import FixedPoints
from .line_attractors import LineAttractor
from .linearization import Linearization
from .performance import Psychometric, TrialPlot, Validation
from .training import Training

COMPUTED: tuple[type[dj.Computed], ...] = (
    Training,
    Validation,
    TrialPlot,
    Psychometric,
    FixedPoints,
    Linearization,
    FixedPointPlot,
    ContinuousAttractor,
    ContinuousAttractorPlot,
    LineAttractor,
)


def load_code() -> None:
    """Import all code of ours that computing these tables takes.

    To be called before the first row is computed. What would be imported only when it is used may
    have been changed on disk by then, and a row would name the version that was there before.
    """
    collects = gc.isenabled()
    gc.disable()  # of modules nothing can go: to look for it takes a fifth of the time
    try:
        for package in (tasks_lib, models, models.fixed_points, models.manifolds):
            for name in package.__all__:
                getattr(package, name)
    finally:
        if collects:
            gc.enable()


def tables_named(names: Iterable[str]) -> tuple[type[dj.Computed], ...]:
    """Return the computed tables of these names, in their order; all where there are none.

    Raises
    ------
    ParameterError
        For a name that no table has.
    """
    wanted = set(names)
    known = [table.__name__ for table in COMPUTED]
    for name in sorted(wanted - set(known)):
        raise ParameterError(
            "table", name, "is no computed table", f"use one of {', '.join(known)}"
        )
    return tuple(table for table in COMPUTED if not wanted or table.__name__ in wanted)
