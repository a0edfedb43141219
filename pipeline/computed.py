"""The computed tables, in the order in which rows depend on each other."""

from __future__ import annotations

from typing import Any

from .continuous_attractors import ContinuousAttractor, ContinuousAttractorPlot
from .fixed_point_plots import FixedPointPlot
from .fixed_points import FixedPoints
from .line_attractors import LineAttractor
from .linearization import Linearization
from .performance import Psychometric, TrialPlot, Validation
from .training import Training

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
