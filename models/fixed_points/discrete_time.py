"""Stability of fixed points in the network's own steps of dt, beside that of its equation.

A network is trained and run with Euler's method, x <- x + alpha F(x) with alpha = dt / tau. This
map has the fixed points of the equation tau x' = F(x), and at each of them the multipliers
1 + alpha lambda, where lambda are the eigenvalues of the Jacobian of F. A point is stable for the
equation where every Re lambda < 0, and for the map where every |1 + alpha lambda| < 1, that is
alpha |lambda|^2 < -2 Re lambda: modes that turn fast or decay fast may grow in steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]


def multipliers(eigenvalues: Complex, alpha: float) -> Complex:
    """Return 1 + alpha lambda of eigenvalues per tau, in their order and shape."""
    return np.asarray(1.0 + alpha * eigenvalues, dtype=np.complex128)


def unstable_map_modes(eigenvalues: Complex, alpha: float, cutoff: float) -> NDArray[np.int64]:
    """Return how many modes grow in steps of dt: |1 + alpha lambda| - 1 above alpha times a cutoff.

    Parameters
    ----------
    eigenvalues : array (P, N), complex
        Per tau.
    alpha : float
        dt / tau.
    cutoff : float
        ``eig_cutoff``, per tau.
    """
    return np.asarray((_growth(eigenvalues, alpha) > cutoff).sum(axis=1), dtype=np.int64)


def map_stability(
    eigenvalues: Complex, stability: NDArray[np.str_], alpha: float, cutoff: float
) -> NDArray[np.str_]:
    """Return the stability of points (P,) in steps of dt: "stable", "marginal" or "unstable".

    A point whose ``stability`` is not what its eigenvalues say, as at a kink of f, keeps it, unless
    the map makes it unstable.
    """
    by_equation = named(eigenvalues.real.max(axis=1, initial=-np.inf), cutoff)
    by_map = named(_growth(eigenvalues, alpha).max(axis=1, initial=-np.inf), cutoff)
    kept = (stability != by_equation) & (by_map != "unstable")
    return np.asarray(np.where(kept, stability, by_map), dtype=np.str_)


def _growth(eigenvalues: Complex, alpha: float) -> NDArray[np.float64]:
    """Return (|1 + alpha lambda| - 1) / alpha, which is Re lambda for small steps.

    As 2 Re lambda + alpha |lambda|^2 over |1 + alpha lambda| + 1: without cancellation near 0.
    """
    size = np.abs(1.0 + alpha * eigenvalues)
    return np.asarray((2.0 * eigenvalues.real + alpha * np.abs(eigenvalues) ** 2) / (size + 1.0))


def named(rates: NDArray[np.float64], cutoff: float) -> NDArray[np.str_]:
    """Return what points of such rates of growth are: "stable", "marginal" or "unstable"."""
    below = np.where(rates < -cutoff, "stable", "marginal")
    return np.asarray(np.where(rates > cutoff, "unstable", below), dtype=np.str_)
