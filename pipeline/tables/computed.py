"""The computed tables, in the order in which rows depend on each other."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from importlib import import_module

import datajoint as dj

import models
import tasks_lib
from tasks_lib.errors import ParameterError

from ..database.schemas import title_of
from ..database.types import Populated
from .clusters import Clusters
from .comparisons import Comparison, ComparisonMember  # noqa: F401  (tables of what is compared)
from .continuous_attractors import ContinuousAttractor, ContinuousAttractorPlot
from .embeddings import Embedding
from .fixed_point_plots import FixedPointPlot
from .fixed_points import FixedPoints
from .followed_points import FollowedPoints
from .interventions import Intervention
from .latent_circuits import LatentCircuit
from .line_attractors import LineAttractor
from .linearization import Linearization
from .lyapunov import Basins, Lyapunov
from .network_pairs import NetworkSummary, PairBlock
from .performance import Psychometric, TrialPlot, Validation
from .populations import Population
from .rank_one_parts import RankOneParts
from .recorded_populations import RecordedPopulation
from .recording_distances import RecordingDistance
from .subspaces import SelectionAngle, Subspaces
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
    Population,
    Clusters,
    Subspaces,
    SelectionAngle,
    Intervention,
    Lyapunov,
    Basins,
    RankOneParts,
    LatentCircuit,
    FollowedPoints,
    NetworkSummary,
    PairBlock,
    Embedding,
    RecordedPopulation,
    RecordingDistance,
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
        import_module("models.plots.files")  # which writes a figure when a row is inserted
    finally:
        if collects:
            gc.enable()


def tables_named(
    names: Iterable[str], own: Sequence[type[Populated]] = ()
) -> tuple[type[Populated], ...]:
    """Return the computed tables of these names, in their order; all where there are none.

    Parameters
    ----------
    names : iterable of str
        Of a lab's own tables also with the schema: ``lab_mine.MyTable``.
    own : sequence of tables
        A lab's own, which come after those of the pipeline.

    Raises
    ------
    ParameterError
        For a name that no table has.
    """
    wanted = set(names)
    tables = (*COMPUTED, *own)
    known = [title_of(table) for table in tables]
    for name in sorted(wanted - {*known, *(table.__name__ for table in own)}):
        remedy = f"use one of {', '.join(known)}"
        if not own:
            remedy += "; a table of your own needs --module"
        raise ParameterError("table", name, "is no computed table", remedy)
    return tuple(
        table
        for table in tables
        if not wanted or not wanted.isdisjoint({title_of(table), table.__name__})
    )
