"""Local minima of |F|^2 / 2 of piecewise-linear networks, which lie on kinks as a rule."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
MAX_STEPS = 100
MAX_CONCAVE = 4  # kinks that bend q down whose sides are all tried
STATIONARY = 1e-8  # largest |subgradient| of a minimum, in units of 1 + |F|


def finish_on_kinks(
    rnn: RNNNumpy, start: Float, u: Float, max_steps: int = MAX_STEPS
) -> tuple[Float, bool]:
    """Go down from a state (N,) to a local minimum of q = |F|^2 / 2, and say whether it is one.

    q is quadratic within each linear region and its gradient jumps at the kinks, where descent
    along the gradient of one side stalls. At a kink the gradients that f' between its two slopes
    gives are all subgradients. A kink with a positive coefficient bends q up: q is stationary if
    the smallest subgradient is zero. One with a negative coefficient bends it down: then both
    sides must be. Each step solves the quadratic problem within the kinks that hold the minimum
    (an active-set method), up to the next kink.
    """
    x = start.copy()
    drive = rnn.drive(u)
    for _ in range(max_steps):
        z = rnn.W_rec @ x + drive if rnn.equation_type == "s" else x
        at_kink = np.abs(z) <= 1e-10 * (1.0 + np.abs(x).max())
        field = rnn.rhs(x, u)
        gradient, slopes, pinned = _smallest_subgradient(rnn, x, z, field, at_kink)
        if np.linalg.norm(gradient) <= STATIONARY * (1.0 + np.linalg.norm(field)):
            return x, True
        moved = _step(rnn, x, z, u, field, gradient, slopes, at_kink, pinned)
        if moved is None:
            return x, False
        x = moved
    return x, False


def _rows(rnn: RNNNumpy) -> Float:
    """Return d(argument of f) / dx (N, N)."""
    return rnn.W_rec if rnn.equation_type == "s" else np.eye(rnn.N)


def _smallest_subgradient(
    rnn: RNNNumpy, x: Float, z: Float, field: Float, at_kink: NDArray[np.bool_]
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Return the subgradient of q to go down along, its slopes f', and the kinks within bounds."""
    rows = _rows(rnn)
    weight = field if rnn.equation_type == "s" else rnn.W_rec.T @ field
    high, low = (float(v) for v in rnn.activation.df(np.array([1.0, -1.0])))
    low, high = min(low, high), max(low, high)
    slopes = np.asarray(rnn.activation.df(z), dtype=np.float64)
    fixed = rnn.equation.leak(x) * field
    up = at_kink & (weight >= 0.0)
    down = np.flatnonzero(at_kink & (weight < 0.0))
    tried = down[:MAX_CONCAVE]
    best: tuple[float, Float, Float] | None = None
    for sides in product((low, high), repeat=len(tried)):
        d = slopes.copy()
        d[tried] = sides
        rest = fixed + rows[~up].T @ (d * weight)[~up]
        if up.any():
            # f' of the kinks that bend up, between their slopes, with the smallest result
            columns = rows[up].T * weight[up]
            d[up] = lsq_linear(columns, -rest, bounds=(low, high), method="bvls").x
            rest = rest + columns @ d[up]
        size = float(np.linalg.norm(rest))
        if best is None or size > best[0]:
            best = size, rest, d
    assert best is not None  # the empty product is tried
    _, gradient, slopes = best
    margin = 1e-9 * (high - low)
    return gradient, slopes, up & (slopes > low + margin) & (slopes < high - margin)


def _step(
    rnn: RNNNumpy,
    x: Float,
    z: Float,
    u: Float,
    field: Float,
    gradient: Float,
    slopes: Float,
    at_kink: NDArray[np.bool_],
    pinned: NDArray[np.bool_],
) -> Float | None:
    """Return a state where q is smaller, None where there is none in the directions tried."""
    rows = _rows(rnn)
    J = slopes[:, None] * rnn.W_rec if rnn.equation_type == "s" else rnn.W_rec * slopes
    J = J + np.diag(np.broadcast_to(rnn.equation.leak(x), rnn.N))
    within = np.eye(rnn.N)
    if pinned.any():
        left, size, _ = np.linalg.svd(rows[pinned].T, full_matrices=True)
        within = left[:, int(np.sum(size > 1e-12 * size.max())) :]
    half = float(field @ field)
    directions = [-gradient]
    if within.shape[1]:
        newton = within @ np.linalg.lstsq(J @ within, -field, rcond=None)[0]
        directions.insert(0, newton)
    for direction in directions:
        pace = rows @ direction
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = np.where(~at_kink & (pace * z < 0.0), -z / pace, np.inf)
        share = min(1.0, float(crossing.min()))
        for _ in range(40):
            new = x + share * direction
            value = rnn.rhs(new, u)
            if value @ value < half * (1.0 - 1e-15):
                return new
            share *= 0.5
    return None
