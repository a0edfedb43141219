"""Networks that can be solved everywhere: what is found is all that there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .certificates import certify
from .exhaustive import MOST_DIMENSIONS, solve_everywhere
from .field import ConstantInputs
from .linear_regions import solve_in_region
from .newton import find_roots
from .reduction import Singular, reduced
from .region_enumeration import MAX_UNITS, enumerate_fixed_points

Float = NDArray[np.float64]
CONTRACTION_STEPS = 200


@dataclass(frozen=True, eq=False)
class Everywhere:
    """Fixed points (P, N), and whether it is proven that there are no others."""

    points: Float
    proven: bool


def points_everywhere(
    rnn: RNNNumpy, u: Float, singular: Singular, fun_tol: float
) -> Everywhere | None:
    """Solve the whole region that can hold fixed points, where that is cheap; else None.

    It is where the largest singular value of W and the largest slope of f multiply to less than 1
    (the flow brings all states together, so that there is one point), and where W has a rank of
    three or less, or the network as many units (`solve_everywhere`). Each point is then proven to
    exist (`certify`, `solve_in_region`). Of up to 16 rectified units all linear regions are solved,
    unless points lie on boundaries or need not be isolated.
    """
    if float(singular.size[0]) * rnn.activation.largest_slope < 1.0 - 1e-9:
        x: Float = np.zeros((1, rnn.N))
        rate = 0.5 / (1.0 + 3.0 * rnn.gamma * float(np.abs(rnn.drive(u)).max() + 1.0) ** 2)
        for _ in range(CONTRACTION_STEPS):
            x = x + rate * rnn.rhs_at(x, u)
        if not np.isfinite(x).all():
            return None
        return _proven(rnn, u, x, fun_tol, True)
    if rnn.activation.half_slopes is not None and not rnn.gamma and rnn.N <= MAX_UNITS:
        every = enumerate_fixed_points(rnn, u)
        if not every.n_singular and not every.on_boundary.any():
            return Everywhere(every.points + 0.0, True)  # no -0
    equation = reduced(rnn, u, singular, MOST_DIMENSIONS)
    solved = None if equation is None else solve_everywhere(equation)
    if equation is None or solved is None:
        return None
    k = np.vstack([solved.roots, solved.unresolved[:1]])
    return _proven(rnn, u, equation.states(k), fun_tol, not len(solved.unresolved))


def _proven(rnn: RNNNumpy, u: Float, points: Float, fun_tol: float, proven: bool) -> Everywhere:
    """Move points to the floor of rounding, and prove that each exists."""
    field = ConstantInputs([(rnn, u)])
    step = np.full(len(points), 1e-3 * (1.0 + np.abs(points).max(initial=0.0)) * rnn.N**0.5)
    ends = find_roots(field, points, fun_tol, step)
    converged, points = bool(ends.converged.all()), ends.points[ends.converged]
    if rnn.activation.half_slopes is not None and not rnn.gamma:
        exist = solve_in_region(rnn, u, points).existence_radius
    else:
        exist, _ = certify(rnn, u, points)
    return Everywhere(points, proven and converged and bool(np.isfinite(exist).all()))
