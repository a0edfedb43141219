"""Manifolds of two and more dimensions: covered by an advancing front."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..fixed_points.chunks import slices
from ..network.rnn_numpy import RNNNumpy
from .correction import correct, separation
from .settings import ManifoldSettings, Region

Float = NDArray[np.float64]
COARSE = (0.15, 0.22, 0.33)  # spacings, in scales, of a first cover that has to be within budget
POLISHED = 2  # times that all samples are solved with their own tangents
STACK_BYTES = 64_000_000  # of the matrices that are solved at a time
NEAREST = 0.75  # two samples are never closer than this, in units of the spacing


@dataclass(frozen=True)
class Sheet:
    """A slow manifold of dimension d, as M samples of even density.

    Attributes
    ----------
    points : array (M, N)
    tangents : array (M, N, d)
    drift : array (M, d)
        F in coordinates of the tangents.
    has_edge : bool
        Whether it ends somewhere; closed surfaces do not.
    ends : tuple of str
        Why it was not followed further, each reason once: see `Curve`.
    """

    points: Float
    tangents: Float
    drift: Float
    has_edge: bool
    ends: tuple[str, ...]


def directions(dim: int) -> Float:
    """Return unit vectors (K, d) toward the neighbours of a sample: hexagonal in two dimensions."""
    if dim == 2:
        angles = np.arange(6) * np.pi / 3.0
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.vstack([np.eye(dim), -np.eye(dim)])


def cover_sheet(
    rnn: RNNNumpy, u: Float, start: Float, tangents: Float, region: Region, opts: ManifoldSettings
) -> Sheet | None:
    """Cover the slow manifold through a state near it.

    A coarse cover tells its size, and a second one spends the budget of samples on it evenly.

    Parameters
    ----------
    start : array (N,)
    tangents : array (N, d)
        Orthonormal, near the tangents at the start.

    Returns
    -------
    Sheet or None
        None where no slow manifold of this dimension passes near the start.
    """
    dim = tangents.shape[1]
    for share in COARSE:
        spacing = share * region.scale
        first = _front(rnn, u, start, tangents, region, opts, spacing, opts.max_points)
        if first is None or "budget" not in first.ends:
            break
    # what is fast or leaks at a few samples need not be looked at closely
    if first is None or _trimmed(first, opts) is None or _leaks(rnn, u, first, opts):
        return None
    # samples grow with spacing^-d; aim below the budget, so that it does not cut the sheet
    wanted = spacing * (len(first.points) / (0.6 * opts.max_points)) ** (1.0 / dim)
    fine = max(min(wanted, 2.0 * spacing), opts.step * region.scale)
    second = _front(rnn, u, start, tangents, region, opts, fine, opts.max_points)
    return None if second is None else _trimmed(second, opts)


def _front(
    rnn: RNNNumpy,
    u: Float,
    start: Float,
    tangents: Float,
    region: Region,
    opts: ManifoldSettings,
    spacing: float,
    budget: int,
) -> Sheet | None:
    dim = tangents.shape[1]
    around = directions(dim)
    seed = correct(rnn, u, start[None], tangents[None], 0.1 * region.scale)
    if not seed.converged[0] or not _slow(rnn, u, seed.points[0], seed.tangents[0], opts):
        return None
    points, frames, drifts = [seed.points[0]], [seed.tangents[0]], [seed.drift[0]]
    reasons: set[str] = set()
    k = 0
    while k < len(points):
        frame = np.repeat(frames[k][None], len(around), axis=0)
        predicted = points[k] + spacing * around @ frames[k].T
        new = correct(rnn, u, predicted, frame, 0.5 * spacing)
        for i in range(len(around)):
            state = new.points[i]
            known = np.asarray(points)
            distance = np.linalg.norm(known - state, axis=1)
            if not new.converged[i]:
                reasons.add("step")
            elif distance.min() < NEAREST * spacing:
                continue
            elif np.linalg.norm(new.drift[i]) > opts.slow * region.scale * opts.max_length:
                reasons.add("speed")
            elif region.left(state, opts.reach):
                reasons.add("reach")
            elif not _slow(rnn, u, state, new.tangents[i], opts):
                reasons.add("gap")
            elif len(points) >= budget:
                reasons.add("budget")
            else:
                points.append(state)
                frames.append(new.tangents[i])
                drifts.append(new.drift[i])
        k += 1
    sheet = Sheet(
        np.array(points),
        np.array(frames),
        np.array(drifts),
        bool(reasons),
        tuple(sorted(reasons)),
    )
    return _polished(rnn, u, sheet, 0.5 * spacing)


def _polished(rnn: RNNNumpy, u: Float, sheet: Sheet, max_step: float) -> Sheet:
    """Solve all samples again, each with its own tangents.

    The front solves with those of the sample before, which F follows at the next one: where there
    is drift, the part of F across would be that of the turn between the two.
    """
    points, frames, drifts = sheet.points.copy(), sheet.tangents.copy(), sheet.drift.copy()
    n_units, dim = frames.shape[1:]
    for _ in range(POLISHED):
        for part in slices(len(points), n_units + dim, STACK_BYTES):
            new = correct(rnn, u, points[part], frames[part], max_step)
            good = new.converged
            points[part][good], frames[part][good] = new.points[good], new.tangents[good]
            drifts[part][good] = new.drift[good]
    return replace(sheet, points=points, tangents=frames, drift=drifts)


def _slow(rnn: RNNNumpy, u: Float, x: Float, T: Float, opts: ManifoldSettings) -> bool:
    return separation(rnn.jacobian(x, u), T) <= opts.gap


def _leaks(rnn: RNNNumpy, u: Float, sheet: Sheet, opts: ManifoldSettings) -> bool:
    """Return whether clearly more of F points across the sheet than may."""
    field = rnn.rhs_at(sheet.points, u)
    speed = float(np.mean(field**2))
    along = np.einsum("mnd,mn->md", sheet.tangents, field)
    across = float(np.mean((field - np.einsum("mnd,md->mn", sheet.tangents, along)) ** 2))
    rounding = 1e-9 * (1.0 + float(np.abs(sheet.points).max()))
    return speed > rounding**2 and across > (1.5 * opts.leak) ** 2 * speed


def _trimmed(sheet: Sheet, opts: ManifoldSettings) -> Sheet | None:
    """Keep the samples where |F| is slow for the extent of those kept."""
    keep = np.ones(len(sheet.points), dtype=bool)
    speed = np.linalg.norm(sheet.drift, axis=1)
    while keep.sum() > 3 * sheet.tangents.shape[2]:
        fast = keep & (speed > opts.slow * diameter(sheet.points[keep]))
        if not fast.any():
            lost = not keep.all()
            return Sheet(
                sheet.points[keep],
                sheet.tangents[keep],
                sheet.drift[keep],
                sheet.has_edge or lost,
                tuple(sorted({*sheet.ends, "speed"})) if lost else sheet.ends,
            )
        keep &= ~fast
    return None


def diameter(points: Float) -> float:
    """Return the largest distance between two of the points (M, N)."""
    square = np.sum(points**2, axis=1)
    squared = square[:, None] + square - 2.0 * points @ points.T
    return float(np.sqrt(max(squared.max(), 0.0)))
