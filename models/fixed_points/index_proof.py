"""Proof of how many modes of a fixed point are unstable."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..network.rnn_numpy import RNNNumpy
from .certificates import slope_bounds
from .verified import EPS, SAFE, TINY, approximate_inverse, chunks

Float = NDArray[np.float64]


def certify_index(
    rnn: RNNNumpy, u: ArrayLike, points: Float, existence_radius: Float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Prove the number of unstable modes of the true fixed points near computed ones.

    Parameters
    ----------
    rnn : RNNNumpy
        The network, with any activation, form and gamma.
    u : array (n_inputs,)
        Constant input.
    points : array (P, N)
        Computed fixed points.
    existence_radius : array (P,)
        Of `certify`, or of `solve_in_region` for a piecewise-linear f.

    Returns
    -------
    n_unstable : array (P,) of int
        Computed eigenvalues of J with positive real part.
    proven : array (P,) of bool
        Whether that is their number at every state within the radius, the true fixed point among
        them. False where the radius is NaN.

    Notes
    -----
    With V the computed eigenvectors and U about V^-1, J has the eigenvalues of
    V^-1 J V = (I - E)^-1 U J V, E = I - U V, whose Gershgorin discs (rows) are bounded with every
    rounding and with what J changes by over the ball. No disc may reach the imaginary axis; then
    as many eigenvalues as discs lie on either side of it (Gershgorin's second theorem).
    """
    points = np.asarray(points, dtype=np.float64)
    inputs = np.asarray(u, dtype=np.float64)
    count = np.zeros(len(points), dtype=np.int64)
    proven = np.zeros(len(points), dtype=bool)
    known = np.flatnonzero(np.isfinite(existence_radius))
    with np.errstate(all="ignore"):
        for part in chunks(2 * rnn.N, len(known)):
            rows = known[part]
            count[rows], proven[rows] = _discs(
                rnn, inputs, points[rows], np.asarray(existence_radius)[rows]
            )
    return count, proven


def _discs(
    rnn: RNNNumpy, u: Float, points: Float, radius: Float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return how many discs have positive centres (P,), and whether none meets the axis (P,)."""
    n, units = rnn.N, np.arange(rnn.N)
    J = rnn.jacobian_at(points, u)
    doubt = slope_bounds(rnn, u, points, radius).jacobian_error(rnn)
    _, vectors = np.linalg.eig(J)
    inverse = approximate_inverse(vectors)
    size, inverse_size = np.abs(vectors).sum(axis=2, keepdims=True), np.abs(inverse)
    # a complex product of n terms is one of 2 n real ones; two products in a row
    rounding = (4 * n + 16) * EPS

    gap = inverse @ vectors
    gap[:, units, units] -= 1.0
    defect = np.abs(gap).sum(axis=2) + (inverse_size @ (rounding * size + TINY))[:, :, 0]
    defect = SAFE * defect.max(axis=1) + EPS

    turned = inverse @ (J @ vectors)
    spread = (inverse_size @ ((doubt + rounding * np.abs(J)) @ size + TINY))[:, :, 0]
    centres = turned[:, units, units]
    whole = np.abs(turned).sum(axis=2) + spread
    aside = whole - np.abs(centres)
    lost = defect / (1.0 - defect) * whole.max(axis=1)
    reach = SAFE * (aside + lost[:, None]) + (n + 4) * EPS * whole
    clear = (np.abs(centres.real) > reach).all(axis=1) & (defect < 1.0)
    return (centres.real > 0).sum(axis=1), clear
