"""The distinct points of a search: how often each was hit, and its spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .kink_flow import leaves_kink
from .spectrum import sorted_spectrum
from .verified import approximate_inverse

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
N_LEADING = 6  # eigenvectors kept of each point, those of the largest real parts
MAX_INVERSE_BYTES = 256_000_000  # of the inverse Jacobians kept to recognise iterates with
LARGEST_DEVIATION = 0.05  # from the linear prediction, of an iterate that is surely on its way


class Found:
    """The distinct points so far.

    Parameters
    ----------
    rnn : RNNNumpy
        The network.
    u : array (n_inputs,)
        Its constant input.
    diff_cutoff : float
        Points nearer than this are one.

    Attributes
    ----------
    points : array (P, N)
        The points.
    residual : array (P,)
        |F| at each.
    hits : array (P,) of int
        Starts that ended there.
    values : array (P, N), complex
        Eigenvalues of the Jacobian, sorted.
    leading : array (P, N, at most 6), complex
        Eigenvectors of the first of them.
    left : array (P,) of bool
        Whether states around the point leave it although no eigenvalue says so, see `leaves_kink`.
    """

    def __init__(self, rnn: RNNNumpy, u: Float, diff_cutoff: float) -> None:
        self.rnn, self.u, self.diff_cutoff = rnn, u, diff_cutoff
        self.points: Float = np.empty((0, rnn.N))
        self.residual: Float = np.empty(0)
        self.hits: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.values: Complex = np.empty((0, rnn.N), dtype=np.complex128)
        self.leading: Complex = np.empty((0, rnn.N, min(rnn.N, N_LEADING)), dtype=np.complex128)
        self.left: NDArray[np.bool_] = np.empty(0, dtype=bool)
        # of the points whose Jacobian can be inverted: its inverse, by number
        self._inverse: dict[int, Float] = {}
        self._numbers: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._gaps: Float = np.empty(0)  # their distances to the nearest other point

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.points)

    def add(self, points: Float, residual: Float, hits: NDArray[np.int64] | None = None) -> int:
        """Count hits of known points, append new ones, and return the number of those."""
        before = len(self)
        each = np.ones(len(points), dtype=np.int64) if hits is None else hits
        order = np.argsort(residual, kind="stable")  # the best residual represents its group
        for i in order:
            if len(self):
                distance = np.linalg.norm(self.points - points[i], axis=1)
                near = int(distance.argmin())
                if distance[near] <= self.diff_cutoff:
                    self.hits[near] += each[i]
                    continue
            self.points = np.vstack([self.points, points[i]])
            self.residual = np.append(self.residual, residual[i])
            self.hits = np.append(self.hits, each[i])
        for first in range(before, len(self), 16):
            J = self.rnn.jacobian_at(self.points[first : first + 16], self.u)
            values, vectors = sorted_spectrum(J)
            self.values = np.concatenate([self.values, values])
            self.leading = np.concatenate([self.leading, vectors[:, :, : self.leading.shape[2]]])
            self._keep_inverses(first, J, values)
        new = slice(before, len(self))
        self.left = np.append(self.left, leaves_kink(self.rnn, self.u, self.points[new]))
        self.left[new] &= ~(self.values[new].real > 0.0).any(axis=1)
        if len(self) > before:
            self._measure_gaps()
        return len(self) - before

    def count(self, known: NDArray[np.int64]) -> None:
        """Count hits of points by number."""
        self.hits += np.bincount(known, minlength=len(self))

    def is_flat(self, eig_cutoff: float) -> NDArray[np.bool_]:
        """Return which points have an eigenvalue of zero, or are left at a kink of f (P,)."""
        return (np.abs(self.values).min(axis=1, initial=np.inf) <= eig_cutoff) | self.left

    def n_unstable(self, eig_cutoff: float) -> NDArray[np.int64]:
        """Return the number of eigenvalues of positive real part of each point (P,)."""
        return np.asarray((self.values.real > eig_cutoff).sum(axis=1), dtype=np.int64)

    def _keep_inverses(self, first: int, J: Float, values: Complex) -> None:
        room = max(0, MAX_INVERSE_BYTES // (8 * self.rnn.N**2) - len(self._inverse))
        regular = np.flatnonzero(np.abs(values).min(axis=1) > 1e-8)[:room]
        for number, inverse in zip(regular, approximate_inverse(J[regular]), strict=True):
            if np.isfinite(inverse).all():
                self._inverse[first + int(number)] = inverse

    def _measure_gaps(self) -> None:
        self._numbers = np.array(list(self._inverse), dtype=np.int64)
        square = np.sum(self.points**2, axis=1)
        these = self.points[self._numbers]
        distance = square[self._numbers, None] + square - 2.0 * these @ self.points.T
        distance[np.arange(len(these)), self._numbers] = np.inf
        self._gaps = np.sqrt(np.maximum(distance.min(axis=1, initial=np.inf), 0.0))

    def recognise(self, x: Float, F: Float) -> NDArray[np.int64]:
        """Return the number of the point that Newton's method surely leads to from states (P, N).

        The linear prediction J^-1 F of the way to a known point, with the Jacobian there, is the
        way itself but for the curvature in between: within the radius of convergence the two
        differ by less than the distance. Another root at ``x`` has F = 0, and differs by all of it.
        -1 where no point is recognised.
        """
        names = np.full(len(x), -1)
        if not len(self._numbers) or not len(x):
            return names
        roots = self.points[self._numbers]
        square = np.sum(x * x, axis=1)[:, None] + np.sum(roots**2, axis=1) - 2.0 * x @ roots.T
        near = square.argmin(axis=1)
        distance = np.sqrt(np.maximum(square[np.arange(len(x)), near], 0.0))
        candidates = distance < 0.5 * self._gaps[near]
        for k in np.unique(near[candidates]).tolist():
            rows = np.flatnonzero(candidates & (near == k))
            number = int(self._numbers[k])
            way = x[rows] - roots[k]
            deviation = np.linalg.norm(way - F[rows] @ self._inverse[number].T, axis=1)
            length = np.linalg.norm(way, axis=1)
            sure = deviation <= np.maximum(LARGEST_DEVIATION * length, self.diff_cutoff)
            names[rows[sure]] = number
        return names
