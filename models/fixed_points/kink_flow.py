"""Fixed points on a kink of f, where the flow around them decides on stability, not J."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
ON_KINK = 1e-9  # largest |argument| of a unit at its kink, in units of 1 + max |x|
AT_REST = 1e-8  # largest |F| of a fixed point, in the same units
N_DIRECTIONS = 64
DURATION = 30.0  # tau that the flow is followed for, the second half of which is measured
STEP = 0.25  # of the fastest time scale that the weights allow
LEAST_RATE = 1e-3  # of growth that is told from rest, in units of 1 + |W_rec|


def leaves_kink(rnn: RNNNumpy, u: Float, points: Float) -> Bool:
    """Return which fixed points (P, N) lie on a kink and lose some states around them.

    With argument 0 a unit is on for one side of a state and off for the other, and f' at 0 is that
    of one side: a network of rectified units without drive has J = -I at 0 whatever its weights,
    and still may grow from there. Near such a point F(x + d) is linear in the units that are away
    from their kink and f itself in those on it, of degree 1 in d. Random directions are followed
    along that flow; where any grows, the point is left. False for other f than (leaky) ReLU.
    """
    leaves = np.zeros(len(points), dtype=bool)
    slopes = rnn.activation.half_slopes
    if slopes is None or rnn.gamma:
        return leaves
    z = points @ rnn.W_rec.T + rnn.drive(u) if rnn.equation_type == "s" else points
    size = 1.0 + np.abs(points).max(axis=1, initial=0.0)[:, None]
    on_kink = np.abs(z) <= ON_KINK * size
    rests = np.abs(rnn.rhs_at(points, u)).max(axis=1, initial=0.0) <= AT_REST * size[:, 0]
    for i in np.flatnonzero(on_kink.any(axis=1) & rests):
        leaves[i] = _grows(rnn, np.where(z[i] > 0, slopes[1], slopes[0]), on_kink[i], slopes)
    return leaves


def _grows(rnn: RNNNumpy, gain: Float, on_kink: Bool, slopes: tuple[float, float]) -> bool:
    """Return whether some direction grows along the flow of degree 1 at a point."""
    below, above = slopes
    W, form_s = rnn.W_rec, rnn.equation_type == "s"

    def rates(z: Float) -> Float:
        free = np.where(z > 0, above, below)
        return np.where(on_kink[:, None], free, gain[:, None]) * z

    def field(d: Float) -> Float:
        return rates(W @ d) - d if form_s else W @ rates(d) - d

    fastest = 1.0 + float(np.linalg.norm(W, 2)) * max(abs(below), abs(above))
    step = STEP / fastest
    d = np.random.default_rng(0).standard_normal((rnn.N, N_DIRECTIONS))
    n_steps = 2 * int(np.ceil(DURATION / step / 2))
    grown = np.zeros(N_DIRECTIONS)
    for n in range(n_steps):
        length = np.maximum(np.linalg.norm(d, axis=0), 1e-300)
        d = d / length
        if n > n_steps // 2:
            grown += np.log(length)
        k1 = field(d)
        k2 = field(d + 0.5 * step * k1)
        k3 = field(d + 0.5 * step * k2)
        k4 = field(d + step * k3)
        d = d + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return bool(grown.max() / (step * (n_steps // 2)) > LEAST_RATE * fastest)
