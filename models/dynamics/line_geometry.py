"""Angles of selection vectors and eigenvectors, and the fixed points along a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import root

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
ROOT_TOLERANCE = 1e-9  # largest |F| of a fixed point, per tau


def angle_between(first: ArrayLike, second: ArrayLike) -> Float:
    """Return angles in degrees, 0 to 180, between vectors along the last axes (broadcast).

    NaN where a vector has no length or is not finite.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(lengths > 0, np.sum(a * b, axis=-1) / lengths, np.nan)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def real_or_nan(vectors: Complex, eigenvalues: Complex) -> Float:
    """Return eigenvectors (P, N) of real eigenvalues (P,); NaN for those of complex pairs.

    A pair has a plane, and no direction in it is the eigenvector.
    """
    return np.where((eigenvalues.imag == 0)[:, None], vectors.real, np.nan)


def fixed_points_along(rnn: RNNNumpy, points: Float, along: Float, u: Float) -> Float:
    """Return the fixed points (N, Q) on a line given by slow points along it.

    Roots of F are sought from each slow point that is slower than its neighbours and from each
    pair between which the flow along the line turns round, and kept where they are no farther from
    the place they were sought from than the line's points are from each other, twice. Where the
    slow points are fixed points themselves (a continuum) all of them are returned.

    Parameters
    ----------
    rnn : RNNNumpy
    points : array (N, P)
        Slow points, in their order along the line.
    along : array (N,)
        Direction of the line.
    u : array (n_inputs,)
        The constant input.
    """
    F = rnn.rhs(points, u)
    speed = np.linalg.norm(F, axis=0)
    fixed = speed < ROOT_TOLERANCE
    flow = along @ F
    padded = np.pad(speed, 1, constant_values=np.inf)
    slowest = (speed <= padded[:-2]) & (speed <= padded[2:]) & ~fixed
    starts = [points[:, i] for i in np.flatnonzero(slowest)]
    for i in np.flatnonzero((flow[:-1] * flow[1:] < 0) & ~fixed[:-1] & ~fixed[1:]):
        share = flow[i] / (flow[i] - flow[i + 1])
        starts.append(points[:, i] + share * (points[:, i + 1] - points[:, i]))
    gaps = np.linalg.norm(np.diff(points, axis=1), axis=0)
    reach = 2.0 * float(gaps.max()) + 1e-6
    found = [points[:, i] for i in np.flatnonzero(fixed)]
    for start in starts:
        solution = root(
            lambda x: rnn.rhs(x, u), start, jac=lambda x: rnn.jacobian(x, u), method="hybr"
        ).x
        residual = np.linalg.norm(rnn.rhs(solution, u))
        if not residual < ROOT_TOLERANCE or np.linalg.norm(solution - start) > reach:
            continue
        separate = max(1e-3 * float(gaps.mean()), 1e-6)
        if all(np.linalg.norm(solution - other) > separate for other in found):
            found.append(solution)
    order = np.argsort([along @ x for x in found], kind="stable")
    return np.stack([found[i] for i in order], axis=1) if found else np.empty((rnn.N, 0))
