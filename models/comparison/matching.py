"""Distances under a one-to-one matching of units: of activity, and of weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .reduction import ComparedNetwork

Float = NDArray[np.float64]
Int = NDArray[np.int64]
# Of weights beside activity, where units are matched: they decide between units whose activity
# is the same, silent ones say.
TIE = 1e-9


def matched_distances(
    first: ComparedNetwork, second: ComparedNetwork, product: Float, alike: Float
) -> tuple[float, float]:
    """Return distances of activity and of weights where units are matched one to one.

    Parameters
    ----------
    first, second : ComparedNetwork
        N and M units; both have activity.
    product : array (r, s)
        Of their components: ``first.components.T @ second.components``.
    alike : array (N, M)
        Of `unit_features`.

    Returns
    -------
    activity : float
        Angle between the activities where units are matched so that it is smallest: Procrustes
        distance under permutations (Williams, Kunz, Kornblith & Linderman 2021). A unit may be
        matched with none, as if the smaller network had silent units beside its own.
    weights : float
        ``|W - P W' P^T| / (|W| + |W'|)``, Frobenius norms, of W_rec and the same matching P; NaN
        for networks of different sizes.
    """
    shared = first.loadings @ product @ second.loadings.T
    cosine, order = match_units(shared, alike)
    angle = float(np.arccos(min(1.0, cosine)))
    if first.n_units != second.n_units:
        return angle, float("nan")
    return angle, _relative(first.weights["W_rec"], second.weights["W_rec"], order)


def match_units(shared: Float, alike: Float) -> tuple[float, Int]:
    """Return what matched units share in all, and the partner of each unit of the first (N,).

    Parameters
    ----------
    shared : array (N, M)
        Covariance of each unit of the first with each of the second; below 0 it is better to be
        matched with none.
    alike : array (N, M)
        How alike their weights are, which decides where activity does not.
    """
    from scipy.optimize import linear_sum_assignment

    gain = np.maximum(shared, 0.0)
    rows, columns = linear_sum_assignment(gain + TIE * alike, maximize=True)
    partner: Int = np.full(len(shared), -1, dtype=np.int64)
    partner[rows] = columns
    return float(gain[rows, columns].sum()), partner


def unit_features(one: ComparedNetwork) -> Float:
    """Return what tells units of the same activity apart (N, F): weights, whatever their order."""
    W = one.weights
    W_rec = W["W_rec"]
    sums = [W_rec.sum(axis=axis) for axis in (0, 1)]
    sizes = [np.linalg.norm(W_rec, axis=axis) for axis in (0, 1)]
    columns = [W["W_inp"], W["W_out"].T, W["b_rec"].reshape(-1, 1), np.array(sums + sizes).T]
    found = np.concatenate(columns, axis=1)
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    return np.divide(found, norm, out=np.zeros_like(found), where=norm > 0)


def _relative(W: Float, other: Float, order: Int) -> float:
    size = float(np.linalg.norm(W) + np.linalg.norm(other))
    apart = float(np.linalg.norm(W - other[np.ix_(order, order)]))
    return apart / size if size > 0 else 0.0
