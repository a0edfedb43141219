"""All roots in a box of few dimensions, by bisection with bounds: what is left out holds none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .reduction import Reduced, region
from .verified import approximate_inverse

Float = NDArray[np.float64]
MOST_DIMENSIONS = 3
FIRST_BOXES = {1: 64, 2: 12, 3: 6}  # along each dimension
WORK = 6_000_000  # boxes times units that are looked at, before it is given up
SMALLEST = 1e-9  # half-widths of boxes that are not halved any more, in units of the region's
WIDER = 1.02  # bounds are those of boxes so many times wider
ROUNDING = 1e-13  # of values, in units of what they are sums of
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
    All others are cut to what the bounds allow, and halved.

    Parameters
    ----------
    equation : Reduced
    work : int
        Boxes times units to look at; None is returned where more would be needed.

    Notes
    -----
    With g(k) = V f(U k + d) - k, centre c, Jacobian A there and Y about A^-1, a root in a box is
    at c - Y g(c) + Y p, with p the part of g beyond its linear one: at most
    |V| (C q^2) / 2 where q = |U| w bounds the change of the arguments and C f's curvature. No two
    roots lie in a box where |Y| |V| diag(C q) |U| has norm below 1. (The test of Krawczyk, 1969.)
    Roundings are bounded by a multiple of the sizes of what is added.
    """
    if equation.rank > MOST_DIMENSIONS:
        return None
    whole = region(equation)
    if whole is None:
        return None
    f = equation.rnn.activation
    if not f.has_bounds:
        return None
    low, high = _grid(*whole, FIRST_BOXES[equation.rank])
    smallest = SMALLEST * (whole[1] - whole[0]).max()
    roots: list[Float] = []
    boxes: list[tuple[Float, Float]] = []
    left: list[Float] = []
    while len(low):
        work -= len(low) * equation.rnn.N
        if work < 0:
            return None
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
        low, high = _halves(low[~tiny], high[~tiny])
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
    Y = approximate_inverse(A)
    absY = np.abs(Y)
    change = (absV * (turn + ROUNDING * slope)[:, None, :]) @ absU
    with np.errstate(invalid="ignore", over="ignore"):
        # I - Y J: what Y is no inverse of, and what J changes by
        defect = np.abs(Y @ A - np.eye(equation.rank)) + absY @ change
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


def _halves(low: Float, high: Float) -> tuple[Float, Float]:
    rows, axis = np.arange(len(low)), (high - low).argmax(axis=1) if len(low) else np.empty(0, int)
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
