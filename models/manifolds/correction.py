"""The corrector of a continuation: a state moved onto a slow manifold, with the tangent there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy

Float = NDArray[np.float64]
MAX_ITERATIONS = 15


@dataclass(frozen=True)
class Corrected:
    """States on the manifold, for P predictions.

    Attributes
    ----------
    points : array (P, N)
        States where F lies in the span of the given tangents.
    drift : array (P, d)
        F in coordinates of the tangents.
    tangents : array (P, N, d)
        Orthonormal tangents at the points, turned as little as possible from the given ones.
    converged : array (P,) of bool
        Whether F has no part left across the tangents.
    """

    points: Float
    drift: Float
    tangents: Float
    converged: NDArray[np.bool_]


def correct(
    rnn: RNNNumpy, u: Float, predicted: Float, tangents: Float, max_step: float
) -> Corrected:
    """Move predictions onto the manifold, across their tangents.

    Newton's method on F(x) - T a = 0, T' (x - predicted) = 0 for the state x and the drift a, with
    the bordered matrix [J, -T; T', 0]. It is regular where the modes across T are not slow, whether
    or not J itself is singular, and so converges quadratically along continua of fixed points.

    Parameters
    ----------
    predicted : array (P, N)
    tangents : array (P, N, d)
        Orthonormal columns.
    max_step : float
        A correction longer than this has left the neighbourhood and counts as failed.
    """
    n_points = len(tangents)
    x = predicted.copy()
    tolerance = 1e-12 * (1.0 + np.linalg.norm(predicted, axis=1))
    across = np.full(n_points, np.inf)
    live = np.arange(n_points)
    polished = np.zeros(n_points, dtype=bool)
    for _ in range(MAX_ITERATIONS):
        T = tangents[live]
        field = rnn.rhs_at(x[live], u)
        drift = np.einsum("pnd,pn->pd", T, field)
        left = field - np.einsum("pnd,pd->pn", T, drift)
        across[live] = np.linalg.norm(left, axis=1)
        # one step more than the tolerance asks for, down to rounding
        done = polished[live]
        polished[live] = across[live] <= tolerance[live]
        live, T, left = live[~done], T[~done], left[~done]
        if not live.size:
            break
        steps = _bordered_solve(rnn.jacobian_at(x[live], u), T, left[:, :, None])[:, :, 0]
        x[live] -= steps
        lost = np.linalg.norm(x[live] - predicted[live], axis=1) > max_step
        across[live[lost]] = np.inf
        live = live[~lost]
    field = rnn.rhs_at(x, u)
    converged = across <= 1e3 * tolerance
    turned = tangents.copy()
    if converged.any():
        turned[converged] = next_tangents(rnn, u, x[converged], tangents[converged])
    drift = np.einsum("pnd,pn->pd", tangents, field)
    return Corrected(x, drift, turned, converged)


def next_tangents(rnn: RNNNumpy, u: Float, points: Float, tangents: Float) -> Float:
    """Return the tangents (P, N, d) of the solutions of the bordered system at ``points``.

    Shifting the prediction along T moves the solution by V with J V = T B, T' V = 1: a step of
    inverse iteration towards the slow eigenvectors, exact where F = 0.
    """
    dim = tangents.shape[2]
    # with V = T + W, T' W = 0: the bordered system for W has -J T on the right
    J = rnn.jacobian_at(points, u)
    V = tangents - _bordered_solve(J, tangents, J @ tangents)
    if dim == 1:
        return V / np.linalg.norm(V, axis=1, keepdims=True)
    # the polar factor is the orthonormal frame nearest to V
    left, _, right = np.linalg.svd(V, full_matrices=False)
    return np.asarray(left @ right)


def _bordered_solve(J: Float, T: Float, right: Float) -> Float:
    """Return x (P, N, k) of [J, -T; T', 0] [x; a] = [right; 0] for stacks; ``right`` (P, N, k)."""
    n_points, n_units, dim = T.shape
    matrix = np.zeros((n_points, n_units + dim, n_units + dim))
    matrix[:, :n_units, :n_units] = J
    matrix[:, :n_units, n_units:] = -T
    matrix[:, n_units:, :n_units] = np.swapaxes(T, 1, 2)
    full = np.concatenate([right, np.zeros((n_points, dim, right.shape[2]))], axis=1)
    try:
        solution = np.linalg.solve(matrix, full)
    except np.linalg.LinAlgError:  # one singular matrix fails the stack
        solution = np.linalg.pinv(matrix) @ full
    return np.asarray(solution[:, :n_units])


def slow_directions(J: Float, slow_rate: float, gap: float, max_dimension: int) -> Float | None:
    """Return an orthonormal basis (N, d) of the slow invariant subspace of J (N, N), if any.

    d is the number of eigenvalues of modulus below ``slow_rate``, or fewer where only those are
    separated from the rest by ``gap``. Where no mode is that slow, the slowest serves if it is real
    and separated: segments between the fixed points of a pinned ring may yet be slow. None
    where no separated group is small enough.
    """
    modulus = np.sort(np.abs(np.linalg.eigvals(J)))
    if len(modulus) == 1:
        return np.ones((1, 1)) if modulus[0] <= slow_rate else None
    separated = modulus[:-1] <= gap * modulus[1:]
    # a group ends below the first mode that is not slow
    n_slow = min(int(np.sum(modulus <= slow_rate)), len(modulus) - 1)
    for dim in range(max(min(n_slow, max_dimension), 1), 0, -1):
        if separated[dim - 1]:
            cutoff = float(np.sqrt(max(modulus[dim - 1], 1e-300) * modulus[dim]))
            return _invariant_basis(J, cutoff, dim)
    return None


def _invariant_basis(J: Float, cutoff: float, dim: int) -> Float | None:
    """Return a basis (N, d) of the modes of modulus below ``cutoff``, None if these are not d."""
    _, basis, found = scipy.linalg.schur(
        J, output="real", sort=lambda re, im: np.hypot(re, im) <= cutoff
    )
    return np.asarray(basis[:, :dim]) if found == dim else None


def separation(J: Float, T: Float) -> float:
    """Return the largest rate along T (N, d) over the smallest across it, at Jacobian J (N, N)."""
    dim = T.shape[1]
    basis = np.linalg.qr(T, mode="complete")[0]
    along, across = basis[:, :dim], basis[:, dim:]
    if not across.shape[1]:
        return 0.0
    fastest = np.abs(np.linalg.eigvals(along.T @ J @ along)).max()
    slowest = np.abs(np.linalg.eigvals(across.T @ J @ across)).min()
    return float(fastest / max(slowest, 1e-300))
