"""All fixed points of small (leaky) ReLU networks, by solving every linear region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from tasks_lib.errors import ParameterError

from ..network.rnn_numpy import RNNNumpy
from .linear_regions import region_system, solve_pattern, states_of

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
MAX_UNITS = 16
CHUNK = 4096  # regions solved at a time
NULL = 1e-10  # singular values below this, relative to the largest, are 0
SLACK = 1e-9  # what a singular region's points may lie outside, relative to their size
POINT = 1e-5  # a singular region's solutions are one point if no farther apart, likewise


@dataclass(frozen=True)
class Enumeration:
    """Every fixed point of a network that is linear in regions.

    Attributes
    ----------
    points : array (P, N)
        The isolated fixed points, each once.
    radius : array (P,)
        Euclidean distance within which each is exactly.
    on_boundary : array (P,) of bool
        Whether an argument of f is 0 to rounding. Floating point cannot tell then on which side
        it lies: the point may be none where the regions that meet there do not agree.
    n_singular : int
        Regions whose linear system could not be proven regular.
    continua : array (C, N) of bool
        Units on in the singular regions that hold a continuum of fixed points.
    segments : array (C, 2, N)
        Two fixed points of each; the whole segment between them is.
    """

    points: Float
    radius: Float
    on_boundary: Bool
    n_singular: int
    continua: Bool
    segments: Float


def enumerate_fixed_points(rnn: RNNNumpy, u: ArrayLike) -> Enumeration:
    """Solve each of the 2^N linear regions exactly.

    A point counts where every argument of f has the sign of its region within a proven bound of
    its error. A singular region holds a continuum where its system has solutions in the region
    that differ (to 1e-9: this part is not proven); one that only touches it adds a single point.

    Parameters
    ----------
    rnn : RNNNumpy
        At most 16 units, ``relu`` or ``leaky_relu`` with any slopes, gamma = 0, of either form.
    u : array (n_inputs,)
        Constant input.

    Raises
    ------
    ParameterError
        For more units, another activation or gamma > 0.
    """
    drive, rounding, slopes = region_system(rnn, u)
    if rnn.N > MAX_UNITS:
        raise ParameterError(
            "n_units", rnn.N, f"means 2^{rnn.N} regions", f"enumerate up to {MAX_UNITS} units"
        )
    kept: list[tuple[Float, Float, Bool]] = []
    lost: list[Bool] = []
    for active in _patterns(rnn.N, by_count=slopes[1] == 0):
        z, bounds = solve_pattern(rnn.W_rec, active, drive, rounding, slopes)
        lost.append(active[np.isnan(z[:, 0])])
        inside = (((z > 0) == active) | (np.abs(z) <= bounds)).all(axis=1)
        kept.append((z[inside], bounds[inside], active[inside]))
    z, bounds, active = (np.concatenate(part) for part in zip(*kept, strict=True))
    singular = np.concatenate(lost)
    unsure = (np.abs(z) <= bounds).any(axis=1)
    ends, doubt, continua = _continua(rnn.W_rec, drive, slopes, singular)
    whole = np.abs(ends[:, 0] - ends[:, 1]).max(axis=1) > doubt
    touching = np.repeat(doubt[~whole, None], rnn.N, axis=1)
    z = np.concatenate([z, ends[~whole].mean(axis=1)])
    bounds = np.concatenate([bounds, touching])
    active = np.concatenate([active, continua[~whole]])
    unsure = np.concatenate([unsure, np.ones(len(touching), dtype=bool)])
    chosen = _distinct(z, bounds, unsure, np.where(continua[whole], 1.0, -1.0))
    states, radius = states_of(rnn, z[chosen], bounds[chosen], np.where(active[chosen], *slopes))
    gain = np.where(continua[whole], *slopes)
    return Enumeration(
        points=states,
        radius=radius,
        on_boundary=unsure[chosen],
        n_singular=len(singular),
        continua=continua[whole],
        segments=ends[whole] if rnn.equation_type == "h" else gain[:, None] * ends[whole],
    )


def index_of_regions(rnn: RNNNumpy, rng: np.random.Generator) -> int | None:
    """Return the sum of (-1)^(unstable modes) over all points at random inputs of size 1.

    None where an input and its opposite do not agree on it, as where F is not proper, or a region
    could not be solved.

    Parameters
    ----------
    rnn : RNNNumpy
        As for `enumerate_fixed_points`, with one input for each unit.
    rng : Generator
        Of the random input.
    """
    direction = rng.standard_normal(rnn.N)
    sums = set()
    for u in (direction, -direction):
        every = enumerate_fixed_points(rnn, u)
        if every.n_singular or every.on_boundary.any():
            return None
        J = rnn.jacobian_at(every.points, u)
        sums.add(int(np.sign(np.linalg.det(-J)).sum()))
    return sums.pop() if len(sums) == 1 else None


def _patterns(n_units: int, by_count: bool) -> Iterator[Bool]:
    """Yield all patterns (P, N) of units that are on, those with as many on together if asked."""
    codes = np.arange(2**n_units)
    every = (codes[:, None] >> np.arange(n_units)) & 1 == 1
    groups = [every]
    if by_count:
        count = every.sum(axis=1)
        groups = [every[count == k] for k in range(n_units + 1)]
    for group in groups:
        for first in range(0, len(group), CHUNK):
            yield group[first : first + CHUNK]


def _distinct(z: Float, bounds: Float, unsure: Bool, signs: Float) -> NDArray[np.int64]:
    """Return which candidates are isolated fixed points, each once.

    Those strictly inside their regions differ. One on a boundary comes from every region that
    meets there, with error bounds that overlap; and it may be where a continuum ends.
    """
    chosen = np.flatnonzero(~unsure).tolist()
    rest = np.flatnonzero(unsure)
    for i in chosen:
        rest = rest[~(np.abs(z[rest] - z[i]) <= bounds[rest] + bounds[i]).all(axis=1)]
    while rest.size:
        i = rest[0]
        slack = SLACK * np.abs(z[i]).max() + bounds[i]
        if not (signs * z[i] >= -slack).all(axis=1).any():
            chosen.append(i)
        rest = rest[~(np.abs(z[rest] - z[i]) <= bounds[rest] + bounds[i]).all(axis=1)]
    return np.array(sorted(chosen), dtype=np.int64)


def _continua(
    W: Float, drive: Float, slopes: tuple[float, float], singular: Bool
) -> tuple[Float, Float, Bool]:
    """Return the line segments of fixed points in singular regions: ends (C, 2, N), and regions.

    Between the two: how far apart ends (C,) must be to differ. Where they are not, a region's
    solutions only touch it, in one point.
    """
    ends: list[Float] = []
    doubts: list[float] = []
    regions: list[Bool] = []
    for first in range(0, len(singular), CHUNK):
        patterns = singular[first : first + CHUNK]
        matrices = np.eye(len(W)) - W * np.where(patterns, *slopes)[:, None, :]
        left, values, right = np.linalg.svd(matrices)
        null = values <= NULL * values[:, :1]
        null[:, -1] = True
        across = (drive @ left) * null
        solvable = np.linalg.norm(across, axis=1) <= NULL * np.linalg.norm(drive)
        for i in np.flatnonzero(solvable):
            inverse = np.where(null[i], 0.0, 1.0 / np.where(null[i], 1.0, values[i]))
            base = right[i].T @ (inverse * (drive @ left[i]))
            size = float(np.abs(base).max()) or 1.0
            pair = _ends(base, right[i][null[i]].T, np.where(patterns[i], 1.0, -1.0), size)
            if pair is not None:
                ends.append(pair)
                doubts.append(POINT * size)
                regions.append(patterns[i])
    n_units = len(W)
    return (
        np.array(ends).reshape(-1, 2, n_units),
        np.array(doubts),
        np.array(regions, dtype=bool).reshape(-1, n_units),
    )


def _ends(base: Float, directions: Float, signs: Float, size: float) -> Float | None:
    """Return two points (2, N) of {base + directions c} where ``signs`` hold, None without any.

    They are as far apart as may be, or within the inside. Unbounded sets are cut off at 10 sizes.
    """
    slack = SLACK * size
    rows = signs[:, None] * directions
    fixed = np.abs(rows).max(axis=1) <= NULL
    if (signs * base < -slack)[fixed].any():
        return None
    # a point within the region shows the continuum, and needs no linear program
    middle = base + directions @ (directions.T @ (signs * size))
    depth = np.where(fixed, np.inf, signs * middle).min()
    if depth > slack:
        step = 0.5 * depth / np.abs(directions[:, 0]).max() * directions[:, 0]
        return np.array([middle - step, middle + step])
    widest, pair = -1.0, None
    for axis in np.eye(directions.shape[1]):
        solved = [
            linprog(
                sign * axis,
                A_ub=-rows[~fixed],
                b_ub=(signs * base)[~fixed] + slack,
                bounds=(-10 * size, 10 * size),
            )
            for sign in (1.0, -1.0)
        ]
        if not all(result.success for result in solved):
            return None
        width = float(axis @ (solved[1].x - solved[0].x))
        if width > widest:
            widest = width
            pair = base + np.array([directions @ result.x for result in solved])
    return pair
