"""Settings of the search for slow manifolds: what counts as slow, spacing and extent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import check_float

from ..parameters import check_parameters, documented, number, whole

Float = NDArray[np.float64]


MOST_SAMPLES = 10**6  # states of a network that are held at a time


@documented
@dataclass(frozen=True)
class ManifoldSettings:
    """Settings of the search for slow manifolds."""

    slow: float = number(
        0.05,
        "largest |F|, as a fraction of the manifold's length per tau",
        exclusive_minimum=0.0,
        maximum=1.0,
        details="0.05 means that crossing it takes 20 tau at its highest speed. It does not depend "
        "on units of state, and around a single fixed point it says that the mode along the "
        "manifold grows or decays with a time constant of 10 tau at least: an order of magnitude "
        "beyond that of one unit, which is what persistent activity has to explain. To ask that a "
        "memory outlive a trial of T (in tau), set it to 1 / T.",
    )
    rotation: float = number(
        0.2,
        "the same of a ring that states go round on",
        exclusive_minimum=0.0,
        maximum=1.0,
        details="A closed orbit that attracts, with a period of 1 / rotation or more, in tau: 5 by "
        "default. It holds a phase that moves on, and needs no slow mode.",
    )
    gap: float = number(
        0.5,
        "largest ratio of rates along it to rates across it",
        exclusive_minimum=0.0,
        maximum=1.0,
        details="Rates are moduli of eigenvalues, Re < 0 or not. Below 1 the manifold is normally "
        "hyperbolic: it exists apart from what one starts from, and survives small changes of the "
        "weights (Fenichel 1979).",
    )
    leak: float = number(
        0.2,
        "largest part of F across it, as a fraction of F",
        exclusive_minimum=0.0,
        maximum=1.0,
        details="Root mean squares over the samples. What the flow does not keep is no manifold: "
        "where the rates across it are hardly larger than those along it, states that drift along "
        "it leave it.",
    )
    n_samples: int = whole(
        100,
        "samples along a line or ring",
        minimum=8,
        maximum=MOST_SAMPLES,
        details="They are evenly spaced.",
    )
    reach: float = number(
        1.5,
        "how far from the states it is followed",
        exclusive_minimum=0.0,
        unit="their scale",
        details="From their centre: the line of a piecewise-linear network may go on for ever.",
    )
    max_dimension: int = whole(2, "largest dimension that is looked for", minimum=1)
    step: float = number(
        0.02,
        "first and longest step of a trace",
        exclusive_minimum=0.0,
        maximum=0.25,
        unit="units of the scale of the states",
    )
    max_length: float = number(
        8.0,
        "budget of length to either side of a seed",
        unit="units of the scale of the states",
        details="At least min_length.",
    )
    min_length: float = number(
        0.1,
        "length below which it is a point and no manifold",
        exclusive_minimum=0.0,
        unit="units of the scale of the states",
    )
    max_points: int = whole(500, "budget of samples of a sheet", minimum=16, maximum=MOST_SAMPLES)
    n_relaxed: int = whole(
        32,
        "seeds taken from given states besides the fixed points",
        minimum=0,
        maximum=MOST_SAMPLES,
        details="After they have relaxed, they lie on attracting manifolds even where these hold "
        "no fixed point.",
    )
    seed: int = whole(0, "seed of the choice of those states", minimum=0, maximum=None)

    def __post_init__(self) -> None:
        """Check every field."""
        check_parameters(self)
        check_float("max_length", self.max_length, minimum=self.min_length)


@dataclass(frozen=True)
class Region:
    """Where states are, and how far they spread.

    Attributes
    ----------
    centre : array (N,)
        Their mean.
    scale : float
        Their diameter: twice their root mean square distance from it.
    """

    centre: Float
    scale: float

    @classmethod
    def of(cls, states: Float) -> Region:
        """Return the region of states (M, N); a lone state's own size is its scale."""
        centre = states.mean(axis=0)
        scale = 2.0 * float(np.sqrt(np.mean(np.sum((states - centre) ** 2, axis=1))))
        size = float(np.linalg.norm(centre))
        return cls(centre, scale if scale > 1e-6 * (1.0 + size) else 1.0 + size)

    def left(self, x: Float, reach: float) -> bool:
        """Return whether a state (N,) lies farther than ``reach`` scales from the centre."""
        return bool(np.linalg.norm(x - self.centre) > reach * self.scale)
