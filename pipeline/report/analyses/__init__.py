"""Analyses as reports show them: an entry of `ANALYSES` is all that a new table takes."""

from __future__ import annotations

from .base import Section
from .circuits import LATENT_CIRCUIT, RANK_ONE_PARTS
from .clusters import CLUSTERS
from .dynamics import BASINS, CONTINUOUS_ATTRACTORS, LINE_ATTRACTORS, LYAPUNOV
from .interventions import INTERVENTION
from .learning import FOLLOWED_POINTS, LEARNING
from .population import POPULATION
from .recordings import RECORDING_DISTANCES
from .subspaces import SELECTION_ANGLES, SUBSPACES

# In the order of pages.
ANALYSES: tuple[Section, ...] = (
    LINE_ATTRACTORS,
    CONTINUOUS_ATTRACTORS,
    BASINS,
    LYAPUNOV,
    POPULATION,
    CLUSTERS,
    SUBSPACES,
    SELECTION_ANGLES,
    INTERVENTION,
    RANK_ONE_PARTS,
    LATENT_CIRCUIT,
    LEARNING,
    FOLLOWED_POINTS,
    RECORDING_DISTANCES,
)
