"""Filling the tables: one process, one device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .continuous_attractors import ContinuousAttractor, ContinuousAttractorPlot
from .fixed_point_plots import FixedPointPlot
from .fixed_points import FixedPoints
from .line_attractors import LineAttractor
from .linearization import Linearization
from .performance import Psychometric, TrialPlot, Validation
from .training import Training

# In the order in which rows depend on each other.
COMPUTED: tuple[Any, ...] = (
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


@dataclass(frozen=True)
class Filled:
    """What one pass over the tables did: rows made, and the errors of jobs that failed."""

    made: int
    errors: list[tuple[str, dict[str, Any], str]]  # table, key, message


def fill(
    tables: Sequence[Any] = COMPUTED,
    restriction: Any = None,
    reserve_jobs: bool = True,
    announce: Callable[[str, int], None] | None = None,
) -> Filled:
    """Populate tables in order, once.

    Parameters
    ----------
    tables : sequence of Computed tables
        In the order in which they depend on each other.
    restriction : restriction, optional
        Which keys; all by default.
    reserve_jobs : bool
        Whether several workers share the work through the jobs tables.
    announce : callable, optional
        Called with the table's name and the number of keys to do, where there are any.
    """
    made, errors = 0, []
    conditions = [] if restriction is None else [restriction]
    for table in tables:
        instance = table()
        remaining = instance.progress(*conditions, display=False)[0]
        if not remaining:
            continue
        if announce is not None:
            announce(table.__name__, remaining)
        result = instance.populate(
            *conditions,
            reserve_jobs=reserve_jobs,
            suppress_errors=True,
            display_progress=announce is not None,
        )
        made += result["success_count"]
        errors += [(table.__name__, dict(key), str(error)) for key, error in result["error_list"]]
    return Filled(made, errors)
