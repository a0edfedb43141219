"""Angles of selection vectors and eigenvectors, fixed points and slowest states along a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares, root

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


def _slowest_across(rnn: RNNNumpy, start: Float, along: Float, u: Float) -> tuple[Float, float]:
    """Minimise |F|^2 over the hyperplane through ``start`` orthogonal to ``along``.

    Returns the state (N,) and half its |F|^2.
    """
    # The projector keeps the search within the hyperplane without building a basis of it.
    across = np.eye(rnn.N) - np.outer(along, along)

    def state(z: Float) -> Float:
        return start + across @ z

    found = least_squares(
        lambda z: rnn.rhs(state(z), u),
        np.zeros(rnn.N),
        jac=lambda z: rnn.jacobian(state(z), u) @ across,
        method="trf",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
        max_nfev=200,
    )
    return state(found.x), float(found.cost)


def slowest_states(rnn: RNNNumpy, ends: Sequence[Float], along: Float, u: Float, n: int) -> Float:
    """Return the slowest states (N, n) found in n hyperplanes between two ends.

    Hyperplanes may hold several minima. Each is searched from the chord and from the minimum of
    its neighbour, going from either end, and the slowest state found is kept.
    """
    step = (ends[1] - ends[0]) / (n - 1)
    found = [[_slowest_across(rnn, ends[0] + i * step, along, u)] for i in range(n)]
    for order, move in ((range(n), step), (range(n - 1, -1, -1), -step)):
        current = None
        for i in order:
            if current is not None:
                found[i].append(_slowest_across(rnn, current + move, along, u))
            current = found[i][-1][0]
    return np.stack([min(here, key=lambda f: f[1])[0] for here in found], axis=1)
