"""Networks that can be solved everywhere: what is found is all that there is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .certificates import certify
from .exhaustive import MOST_DIMENSIONS, MOST_UNITS, solve_everywhere
from .field import ConstantInputs
from .linear_regions import solve_in_region
from .newton import find_roots
from .reduction import Singular, reduced
from .region_enumeration import MAX_UNITS, enumerate_fixed_points
from .weak_rest import with_rest

Float = NDArray[np.float64]
CONTRACTION_STEPS = 200


@dataclass(frozen=True, eq=False)
class Everywhere:
    """Fixed points (P, N), whether it is proven that there are no others, and radii (P, 2)."""

    points: Float
    proven: bool
    radii: Float


def points_everywhere(
    rnn: RNNNumpy, u: Float, singular: Singular, fun_tol: float
) -> Everywhere | None:
    """Solve the whole region that can hold fixed points, where that is cheap; else None.

    It is where the largest singular value of W and the largest slope of f multiply to less than 1
    (the flow brings all states together, so that there is one point), and where W has a rank of
    three or less, or the network as many units; for bounded f, a rank of 12 or 24 units, or a low
    rank and weights that f contracts (`with_rest`), where the boxes do not become too many
    (`solve_everywhere`). Each point is then proven to exist
    (`certify`, `solve_in_region`). Of up to 16 rectified units all linear regions are solved,
    unless points lie on boundaries or need not be isolated.
    """
    if float(singular.size[0]) * rnn.activation.largest_slope < 1.0 - 1e-9:
        x: Float = np.zeros((1, rnn.N))
        rate = 0.5 / (1.0 + 3.0 * rnn.gamma * float(np.abs(rnn.drive(u)).max() + 1.0) ** 2)
        for _ in range(CONTRACTION_STEPS):
            x = x + rate * rnn.rhs_at(x, u)
        if not np.isfinite(x).all():
            return None
        only = _proven(rnn, u, x, fun_tol, True)
        # a fixed point exists, and is the only one, also where it lies on a kink of f and no
        # certificate holds
        return Everywhere(only.points, len(only.points) == 1, only.radii)
    if rnn.activation.half_slopes is not None and not rnn.gamma and rnn.N <= MAX_UNITS:
        every = enumerate_fixed_points(rnn, u)
        if not every.n_singular and not every.on_boundary.any():
            points = every.points + 0.0  # no -0
            solved_in = solve_in_region(rnn, u, points)
            radii = np.stack([solved_in.existence_radius, solved_in.uniqueness_radius], axis=1)
            return Everywhere(points, True, radii)
    equation = reduced(rnn, u, singular, MOST_DIMENSIONS, MOST_UNITS)
    solved = None if equation is None else solve_everywhere(equation)
    if solved is None and rnn.N > 3:
        equation = with_rest(rnn, u, singular)
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
        inside = solve_in_region(rnn, u, points)
        exist, unique = inside.existence_radius, inside.uniqueness_radius
    else:
        exist, unique = certify(rnn, u, points)
    sure = proven and converged and bool(np.isfinite(exist).all())
    return Everywhere(points, sure, np.stack([exist, unique], axis=1))
