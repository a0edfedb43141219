"""What V f(U k + d) can be over boxes of k, for f that rise within bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .reduction import RANGES, Reduced
from .weak_rest import WithRest

Float = NDArray[np.float64]
ROUNDING = 1e-13  # of values, in units of what they are sums of
HULL_STEPS = 2
REST_STEPS = 3
LARGE = 2.0  # change of the Jacobian over a box that is halved at once


def hull(equation: Reduced, low: Float, high: Float, least_width: float) -> tuple[Float, Float]:
    """Return boxes cut to what V f(U k + d) can be over them, f rising; those left empty are gone.

    Where f saturates, a box that curvature tells nothing of is cut to almost nothing, but to no
    less than ``least_width``: it has to hold the root that Newton's method finds.
    """
    V = equation.V
    down, up = np.minimum(V, 0.0).T, np.maximum(V, 0.0).T
    for _ in range(HULL_STEPS):
        least, most = rate_bounds(equation, low, high)
        doubt = ROUNDING * (np.maximum(np.abs(least), np.abs(most)) @ np.abs(V).T)
        low = np.maximum(low, least @ up + most @ down - doubt)
        high = np.minimum(high, most @ up + least @ down + doubt)
        held = (low <= high).all(axis=1)
        low, high = low[held], high[held]
    short = np.maximum(0.5 * (least_width - (high - low)), 0.0)
    return low - short, high + short


def argument_bounds(equation: Reduced, low: Float, high: Float) -> tuple[Float, Float]:
    """Return the least and the largest arguments of f (B, N) over boxes, roundings included."""
    down, up = np.minimum(equation.U, 0.0).T, np.maximum(equation.U, 0.0).T
    size = np.maximum(np.abs(low), np.abs(high)) @ np.abs(equation.U).T + np.abs(equation.d)
    doubt = 2.0 * (equation.rounding + ROUNDING * size)  # a bounded f is at most 1
    first = low @ up + high @ down + equation.d - doubt
    last = high @ up + low @ down + equation.d + doubt
    if not isinstance(equation, WithRest):
        return first, last
    f, weights = equation.rnn.activation, np.abs(equation.rest).T
    middle, half = (0.5 * (sign * RANGES[f.name][0] + RANGES[f.name][1]) for sign in (1.0, -1.0))
    value, reach = np.full(first.shape, middle), np.full(first.shape, half)
    for _ in range(REST_STEPS):
        moved, wide = value @ equation.rest.T, (reach + 2 * ROUNDING) @ weights
        least, most = f.f(first + moved - wide), f.f(last + moved + wide)
        value, reach = 0.5 * (least + most), 0.5 * (most - least)
    moved, wide = value @ equation.rest.T, (reach + 2 * ROUNDING) @ weights
    return first + moved - wide, last + moved + wide


def rate_bounds(equation: Reduced, low: Float, high: Float) -> tuple[Float, Float]:
    """Return the least and the largest values of a rising f (B, N) over boxes."""
    f = equation.rnn.activation.f
    least, most = argument_bounds(equation, low, high)
    return f(least) - ROUNDING, f(most) + ROUNDING


def effect(equation: Reduced, low: Float, high: Float) -> Float:
    """Return how much V f(U k + d) changes over each box with each of the k (B, r), in all."""
    (first, last), (least, most) = (
        argument_bounds(equation, low, high),
        rate_bounds(equation, low, high),
    )
    slope = (most - least) / np.maximum(last - first, 1e-300)
    weight = np.abs(equation.V).sum(axis=0) * slope
    return np.asarray((weight @ np.abs(equation.U)) * (high - low))


def is_large(equation: Reduced, low: Float, high: Float) -> NDArray[np.bool_]:
    """Return over which boxes (B,) the slopes of f change too much for any test to settle them."""
    first, last = argument_bounds(equation, low, high)
    f = equation.rnn.activation
    turn = np.minimum(0.5 * (last - first) * f.curvature_bound(first, last), f.largest_slope)
    change = (np.abs(equation.V) * turn[:, None, :]) @ np.abs(equation.U)
    return np.asarray(change.sum(axis=2).max(axis=1) > LARGE)
