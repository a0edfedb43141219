"""What counts as slow, and how finely and how far a manifold is followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks_lib.errors import MAX_COUNT, check_float, check_int

Float = NDArray[np.float64]


MOST_SAMPLES = 10**6  # states of a network that are held at a time


@dataclass(frozen=True)
class ManifoldSettings:
    """Settings of the search for slow manifolds.

    Attributes
    ----------
    slow : float
        Largest |F| on a manifold, as a fraction of the manifold's own length per tau. The default
        0.05 means that crossing it takes 20 tau at its highest speed. It does not depend on units
        of state, and around a single fixed point it says that the mode along the manifold grows or
        decays with a time constant of 10 tau at least: an order of magnitude beyond that of one
        unit, which is what persistent activity has to explain. To ask that a memory outlive a
        trial of T (in tau), set it to 1 / T.
    gap : float
        Largest ratio of the rates along a manifold to those across it (moduli of eigenvalues,
        Re < 0 or not). Below 1 the manifold is normally hyperbolic: it exists apart from
        what one starts from, and survives small changes of the weights (Fenichel 1979).
    leak : float
        Largest part of F that points across a manifold, as a fraction of F (root mean squares over
        the samples). What the flow does not keep is no manifold: where the rates across it are
        hardly larger than those along it, states that drift along it leave it.
    n_samples : int
        Samples along a line or ring, evenly spaced.
    step : float
        First and longest step of a trace, as a fraction of the scale of the states.
    reach : float
        Distance from the centre of the states, in units of their scale, where a manifold is no
        longer followed: the line of a piecewise-linear network may go on for ever.
    max_length : float
        Budget of length to either side of a seed, in units of the scale of the states.
    min_length : float
        Shorter than this, in the same units, it is a point and no manifold.
    max_points : int
        Budget of samples of a sheet.
    max_dimension : int
        Largest dimension that is looked for.
    n_relaxed : int
        Seeds taken from given states besides the fixed points: after they have relaxed, they lie on
        attracting manifolds even where these hold no fixed point.
    seed : int
        Seed of the choice of those states.
    """

    slow: float = 0.05
    gap: float = 0.5
    leak: float = 0.2
    n_samples: int = 100
    step: float = 0.02
    reach: float = 1.5
    max_length: float = 8.0
    min_length: float = 0.1
    max_points: int = 500
    max_dimension: int = 2
    n_relaxed: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        put = object.__setattr__
        for name, largest in (("slow", 1.0), ("gap", 1.0), ("leak", 1.0), ("step", 0.25)):
            value = check_float(name, getattr(self, name), exclusive_minimum=0.0, maximum=largest)
            put(self, name, value)
        put(self, "reach", check_float("reach", self.reach, exclusive_minimum=0.0))
        least_length = check_float("min_length", self.min_length, exclusive_minimum=0.0)
        put(self, "min_length", least_length)
        put(self, "max_length", check_float("max_length", self.max_length, minimum=least_length))
        for name, least, most in (
            ("n_samples", 8, MOST_SAMPLES),
            ("max_points", 16, MOST_SAMPLES),
            ("max_dimension", 1, MAX_COUNT),
            ("n_relaxed", 0, MOST_SAMPLES),
            ("seed", 0, None),
        ):
            put(self, name, check_int(name, getattr(self, name), least, most))


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
