"""All roots in a box of few dimensions, by bisection with bounds: what is left out holds none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .hulls import ROUNDING, effect, hull, is_large
from .reduction import RANGES, Reduced, region
from .verified import approximate_inverse
from .weak_rest import MOST_RANK, WithRest

Float = NDArray[np.float64]
MOST_DIMENSIONS = 12  # of networks of low rank
MOST_UNITS = 24  # of networks of full rank, whose rates are the unknowns
FIRST_BOXES = {1: 64, 2: 12, 3: 6}  # along each dimension; of more dimensions, one
WORK = 6_000_000  # boxes times units that are looked at, before it is given up
# The same of more dimensions, and what boxes times dimensions there may be at a time: where a
# search takes tens of milliseconds, giving up must take less.
MORE_WORK, MOST_AT_A_TIME = 600_000, 20_000
# The same of a rank of at most 8, where starts alone say little (`search.MOST_OF_LOW_RANK`), and
# with weights that f contracts: boxes times units that have systems to solve.
WORK_OF_LOW_RANK, AT_A_TIME_OF_LOW_RANK, SYSTEMS = 3_000_000, 40_000, 700_000
SMALLEST = 1e-9  # half-widths of boxes that are not halved any more, in units of the region's
WIDER = 1.02  # bounds are those of boxes so many times wider
NEWTON_STEPS = 8


@dataclass(frozen=True, eq=False)
class Solved:
    """What is known of the roots of a reduced equation.

    Attributes
    ----------
    roots : array (P, r)
        One in each of P boxes that hold at most one.
    unresolved : array (Q, r)
        Centres of the boxes, too small to be halved, of which nothing could be shown.
    """

    roots: Float
    unresolved: Float


def solve_everywhere(equation: Reduced, work: int = WORK) -> Solved | None:
    """Find every root of k = V f(U k + d).

    Boxes of k are left out where the values there, within bounds of f's curvature, exclude a root.
    One within which the Jacobian's bounds exclude a second root is settled by Newton's method.
    All others are cut to what the bounds allow, and halved: of up to three dimensions where they
    are widest, of more where that changes the right-hand side most.

    Parameters
    ----------
    equation : Reduced
    work : int
        Boxes times units to look at; None is returned where more would be needed. Of more than
        three dimensions a tenth of it.

    Notes
    -----
    With g(k) = V f(U k + d) - k, centre c, Jacobian A there and Y about A^-1, a root in a box is
    at c - Y g(c) + Y p, with p the part of g beyond its linear one: at most
    |V| (C q^2) / 2 where q = |U| w bounds the change of the arguments and C f's curvature. No two
    roots lie in a box where |Y| |V| diag(C q) |U| has norm below 1. (The test of Krawczyk, 1969.)
    Of a bounded f, which rises, the box is first cut to what V f(U k + d) can be over it.
    Roundings are bounded by a multiple of the sizes of what is added.
    """
    few = equation.rank in FIRST_BOXES
    at_a_time, systems = MOST_AT_A_TIME, SYSTEMS
    if isinstance(equation, WithRest):
        few = False
    if not few:
        of_low = equation.rank <= MOST_RANK and equation.rank < equation.rnn.N
        work = work * (WORK_OF_LOW_RANK if of_low else MORE_WORK) // WORK
        at_a_time = AT_A_TIME_OF_LOW_RANK if of_low else MOST_AT_A_TIME
    whole = region(equation)
    if whole is None:
        return None
    f = equation.rnn.activation
    if not f.has_bounds:
        return None
    low, high = _grid(*whole, FIRST_BOXES[equation.rank]) if few else (w[None] for w in whole)
    smallest = SMALLEST * (whole[1] - whole[0]).max()
    roots: list[Float] = []
    boxes: list[tuple[Float, Float]] = []
    left: list[Float] = []
    while len(low):
        work -= len(low) * equation.rnn.N
        if work < 0 or not (few or len(low) * equation.rank <= at_a_time):
            return None
        if f.name in RANGES:
            low, high = hull(equation, low, high, 0.5 * smallest)
        large: NDArray[np.bool_] = np.zeros(len(low), dtype=bool)
        if isinstance(equation, WithRest):
            if equation.rank not in FIRST_BOXES:
                large = is_large(equation, low, high)
            systems -= int((~large).sum()) * equation.rnn.N
            if systems < 0:
                return None
        whole_low, whole_high = low[large], high[large]
        low, high = low[~large], high[~large]
        bounds = _bounds(equation, low, high)
        low, high, keep = _cut(bounds, low, high)
        found, settled = _settle(equation, bounds)
        if settled.any():
            new = keep & settled
            roots.append(found[new])
            boxes.append((bounds.centre[new], bounds.half[new]))
        keep &= ~settled
        low, high = low[keep], high[keep]
        tiny = (high - low).max(axis=1, initial=0.0) <= smallest
        left.append(0.5 * (low + high)[tiny])
        low = np.concatenate([low[~tiny], whole_low])
        high = np.concatenate([high[~tiny], whole_high])
        matters = high - low if few else effect(equation, low, high)
        low, high = _halves(low, high, matters)
    return Solved(_distinct(roots, boxes, equation.rank), np.vstack([*left]))


def _grid(low: Float, high: Float, number: int) -> tuple[Float, Float]:
    edges = [np.linspace(a, b, number + 1) for a, b in zip(low, high, strict=True)]
    firsts = np.meshgrid(*(e[:-1] for e in edges), indexing="ij")
    lasts = np.meshgrid(*(e[1:] for e in edges), indexing="ij")
    return (
        np.stack([a.ravel() for a in firsts], axis=1),
        np.stack([b.ravel() for b in lasts], axis=1),
    )


@dataclass(frozen=True, eq=False)
class _Bounds:
    """Of B boxes: centre and half-widths (B, r), values, Newton steps and their bounds."""

    centre: Float
    half: Float  # of the box made wider
    value: Float  # |g| at the centre
    linear: Float  # |A| w
    rest: Float  # |p|
    step: Float  # -Y g
    spread: Float  # |Y| |p|
    single: NDArray[np.bool_]  # no two roots in the wider box


def _bounds(equation: Reduced, low: Float, high: Float) -> _Bounds:
    U, V, f = equation.U, equation.V, equation.rnn.activation
    absU, absV = np.abs(U), np.abs(V)
    centre, half = 0.5 * (low + high), WIDER * 0.5 * (high - low) + 1e-300
    if isinstance(equation, WithRest):
        return _bounds_with_rest(equation, centre, half)
    z = centre @ U.T + equation.d
    value, gain = f.f(z), f.df(z)
    size = np.abs(centre) @ absU.T + np.abs(equation.d)
    largest = np.abs(value)
    slope = f.largest_slope
    # what W is besides U V moves arguments, and roundings do
    doubt = equation.rounding * (1.0 + largest.max(axis=1, keepdims=True)) + ROUNDING * size
    reach = half @ absU.T + 2.0 * doubt
    C = f.curvature_bound(z - reach, z + reach)
    with np.errstate(invalid="ignore"):
        turn = np.minimum(C * reach, slope + np.abs(gain))  # of f'
        curved = np.minimum(0.5 * C * reach * reach, (slope + np.abs(gain)) * reach)
    rest = (curved + slope * doubt + ROUNDING * largest) @ absV.T + ROUNDING * np.abs(centre)
    g = value @ V.T - centre
    A = (V * gain[:, None, :]) @ U
    units = np.arange(equation.rank)
    A[:, units, units] -= 1.0
    change = (absV * (turn + ROUNDING * slope)[:, None, :]) @ absU
    return _tests(centre, half, g, A, rest, change)


def _tests(centre: Float, half: Float, g: Float, A: Float, rest: Float, change: Float) -> _Bounds:
    """Return the bounds of boxes with values ``g`` (B, r) and Jacobians ``A`` at their centres.

    ``rest`` (B, r) bounds what the values are beyond the linear ones, and ``change`` (B, r, r) how
    much the Jacobian changes.
    """
    Y = approximate_inverse(A)
    absY = np.abs(Y)
    with np.errstate(invalid="ignore", over="ignore"):
        # I - Y J: what Y is no inverse of, and what J changes by
        defect = np.abs(Y @ A - np.eye(A.shape[1])) + absY @ change
        norm = ((defect @ half[:, :, None])[:, :, 0] / half).max(axis=1)
        step = -(Y @ g[:, :, None])[:, :, 0]
        spread = (absY @ rest[:, :, None])[:, :, 0] + 1e-12 * (np.abs(step) + half)
    return _Bounds(
        centre=centre,
        half=half,
        value=np.abs(g),
        linear=(np.abs(A) @ half[:, :, None])[:, :, 0],
        rest=rest,
        step=step,
        spread=spread,
        single=norm < 0.999,
    )


def _bounds_with_rest(equation: WithRest, centre: Float, half: Float) -> _Bounds:
    """Return the bounds of boxes where R is added: see `weak_rest`."""
    f, slope = equation.rnn.activation, equation.rnn.activation.largest_slope
    z = equation.arguments(centre)
    value, gain = f.f(z), f.df(z)
    A, X, Y = equation.linear(gain)
    absX, absY = np.abs(X), np.abs(Y)
    rows = np.linalg.norm(equation.rest, axis=1)
    left = 1.0 - equation.share
    size = np.abs(centre) @ np.abs(equation.U).T + np.abs(equation.d)
    size = size + np.abs(equation.rest).sum(axis=1)
    # roundings of z, and what they add to one another through R
    doubt = 2.0 * equation.rounding + 4.0 * ROUNDING * size
    doubt = doubt + rows * slope * np.linalg.norm(doubt, axis=1, keepdims=True) / left
    along = half @ np.abs(equation.U).T
    reach = along + rows * slope * np.linalg.norm(along, axis=1, keepdims=True) / left
    reach = np.minimum(reach, along + slope * reach @ np.abs(equation.rest).T) + 2.0 * doubt
    C = f.curvature_bound(z - reach, z + reach)
    turn = np.minimum(C * reach, slope + np.abs(gain))
    curved = np.minimum(0.5 * C * reach * reach, (slope + np.abs(gain)) * reach)
    beyond = curved + slope * doubt + ROUNDING * np.abs(value)
    rest = (absY @ beyond[:, :, None])[:, :, 0] + ROUNDING * np.abs(centre)
    g = value @ equation.V.T - centre
    moved = (turn + ROUNDING * slope)[:, :, None] * absX
    coupled = rows[:, None] * np.linalg.norm(moved, axis=1)[:, None, :] / left
    change = absY @ (moved + (turn + ROUNDING * slope)[:, :, None] * coupled)
    return _tests(centre, half, g, A, rest, change + 1e-12)


def _cut(b: _Bounds, low: Float, high: Float) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Return boxes cut to where roots may be, and which have such a part (B,)."""
    keep = ~(b.value > b.linear + b.rest).any(axis=1)
    first, last = b.centre + b.step - b.spread, b.centre + b.step + b.spread
    known = np.isfinite(first) & np.isfinite(last)
    low = np.where(known, np.maximum(low, first), low)
    high = np.where(known, np.minimum(high, last), high)
    return low, high, np.asarray(keep & (low <= high).all(axis=1))


def _settle(equation: Reduced, b: _Bounds) -> tuple[Float, NDArray[np.bool_]]:
    """Return the root (B, r) that Newton's method finds in each box of at most one, and where."""
    k = b.centre.copy()
    rows = np.flatnonzero(b.single)
    settled = np.zeros(len(k), dtype=bool)
    if not rows.size:
        return k, settled
    near = k[rows] + b.step[rows]
    with np.errstate(all="ignore"):
        for _ in range(NEWTON_STEPS):
            steps = (
                approximate_inverse(equation.slopes(near)) @ equation.values(near)[:, :, None]
            )[:, :, 0]
            near = near - steps
        size = 1.0 + np.abs(near).max(axis=1)
        at_rest = np.abs(steps).max(axis=1) <= 1e-9 * size
        small = np.abs(equation.values(near)).max(axis=1) <= 1e-11 * size
        inside = (np.abs(near - b.centre[rows]) <= b.half[rows]).all(axis=1)
    good = at_rest & small & inside
    k[rows[good]] = near[good]
    settled[rows[good]] = True
    return k, settled


def _halves(low: Float, high: Float, matters: Float) -> tuple[Float, Float]:
    rows, axis = np.arange(len(low)), matters.argmax(axis=1) if len(low) else np.empty(0, int)
    middle = 0.5 * (low[rows, axis] + high[rows, axis])
    first, second = high.copy(), low.copy()
    first[rows, axis] = middle
    second[rows, axis] = middle
    return np.concatenate([low, second]), np.concatenate([first, high])


def _distinct(roots: list[Float], boxes: list[Any], rank: int) -> Float:
    """Return each root once: two are one where the box of either holds both."""
    if not roots:
        return np.empty((0, rank))
    k = np.concatenate(roots)
    centre, half = (np.concatenate(part) for part in zip(*boxes, strict=True))
    order = np.argsort(-half.max(axis=1))
    kept: list[int] = []
    for i in order.tolist():
        own = np.array(kept, dtype=np.int64)
        held = (np.abs(k[i] - centre[own]) <= half[own]).all(axis=1)
        held |= (np.abs(k[own] - centre[i]) <= half[i]).all(axis=1)
        if not held.any():
            kept.append(i)
    return k[np.array(sorted(kept), dtype=np.int64)]
