"""Which states lie on a manifold, and which manifolds are one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .attractor import SlowManifold

Float = NDArray[np.float64]
OVERLAP = 0.8  # share of the smaller manifold's samples that makes two manifolds one


def lie_on(
    manifold: SlowManifold, states: Float, tolerance: float | None = None
) -> NDArray[np.bool_]:
    """Return which states (P, N) lie within ``tolerance`` of a manifold.

    By default a quarter of the spacing of its samples. Between samples a curve is taken as straight
    and a sheet as its tangent space.
    """
    apart = manifold.spacing
    near = 0.25 * apart if tolerance is None else tolerance
    if manifold.dimension == 1:
        return _from_chain(manifold, states) <= near
    offset = states[:, None] - manifold.points[None]
    nearest = np.linalg.norm(offset, axis=2).argmin(axis=1)
    offset = offset[np.arange(len(states)), nearest]
    along = np.einsum("pdn,pn->pd", manifold.tangents[nearest], offset)
    aside = offset - np.einsum("pd,pdn->pn", along, manifold.tangents[nearest])
    inside = np.linalg.norm(along, axis=1) <= 1.5 * apart
    return np.asarray(inside & (np.linalg.norm(aside, axis=1) <= near))


def _from_chain(manifold: SlowManifold, states: Float) -> Float:
    """Return the distances (P,) of states from the chain of segments between samples."""
    first = manifold.points
    last = np.roll(first, -1, axis=0)
    if not manifold.is_ring:
        first, last = first[:-1], last[:-1]
    chord = last - first
    square = np.maximum(np.sum(chord**2, axis=1), 1e-300)
    nearest = np.empty(len(states))
    for i, state in enumerate(states):
        offset = state - first
        share = np.clip(np.sum(offset * chord, axis=1) / square, 0.0, 1.0)
        nearest[i] = np.linalg.norm(offset - share[:, None] * chord, axis=1).min()
    return nearest


def same(first: SlowManifold, second: SlowManifold, tolerance: float) -> bool:
    """Return whether the smaller of two manifolds lies on the other."""
    large, small = first, second
    if (second.dimension, second.length) > (first.dimension, first.length):
        large, small = second, first
    return bool(lie_on(large, small.points, tolerance).mean() >= OVERLAP)
