"""The distinct points of a search: how often each was hit, and its spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .certificates import certify
from .field import ConstantInputs
from .kink_flow import kink_flow
from .kink_stability import MOST_FOLLOWED, NOT_ON_KINK, KinkPoint, at_kink
from .linear_regions import solve_in_region
from .newton import find_roots
from .spectrum import sorted_spectrum
from .verified import approximate_inverse

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
N_LEADING = 6  # eigenvectors kept of each point, those of the largest real parts
MAX_INVERSE_BYTES = 256_000_000  # of the inverse Jacobians kept to recognise iterates with
# Roots so near to each other (in units of 1 + |x|), with |F| below the tolerance between them, are
# one degenerate root that Newton's method comes to only slowly: unless proofs tell them apart.
SAME_VALLEY = 1e-3
MOST_SETTLED = 32  # roots without a proof: more of them are a continuum
DUPLICATE = 1e-9  # in the same units: polished starts that came to one root
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
        Points nearer than this are one, unless both are proven to be roots (`certify`).
    fun_tol : float
        Largest |F| of a point. Points between which |F| is no larger are one, likewise.

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
    kinks : list of KinkPoint
        What each is if it lies on a kink of f, where no eigenvalue decides: see `at_kink`.
    """

    def __init__(self, rnn: RNNNumpy, u: Float, diff_cutoff: float, fun_tol: float = 0.0) -> None:
        self.rnn, self.u, self.diff_cutoff, self.fun_tol = rnn, u, diff_cutoff, fun_tol
        self.points: Float = np.empty((0, rnn.N))
        self._proven: list[bool] = []  # whether each exists, for sure
        self._radii: list[tuple[float, float]] = []  # of its certificate
        self.residual: Float = np.empty(0)
        self.hits: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.values: Complex = np.empty((0, rnn.N), dtype=np.complex128)
        self.leading: Complex = np.empty((0, rnn.N, min(rnn.N, N_LEADING)), dtype=np.complex128)
        self.kinks: list[KinkPoint] = []
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
        certificates = self._certificates(points[order])
        for n, i in enumerate(order):
            near = self._known(points[i])
            if near is None:
                point, size = points[i], residual[i]
                radii = certificates[n] if n in certificates else self._certificate(point)
                proven = self._has_regions or bool(np.isfinite(radii[0]))
                if not proven and self._settles:
                    point, size = self._settled(point, size)
                    near, radii = self._known(point), (np.nan, np.nan)
                if near is None:
                    self.points = np.vstack([self.points, point])
                    self.residual = np.append(self.residual, size)
                    self.hits = np.append(self.hits, each[i])
                    self._proven.append(proven)
                    self._radii.append(radii)
                    continue
            self.hits[near] += each[i]
        self._linearise(before)
        return len(self) - before

    def add_proven(self, points: Float, residual: Float, radii: Float) -> None:
        """Append points (P, N) that are proven to differ, with their certificates (P, 2)."""
        before = len(self)
        self.points = np.vstack([self.points, points])
        self.residual = np.append(self.residual, residual)
        self.hits = np.append(self.hits, np.zeros(len(points), dtype=np.int64))
        self._proven += [True] * len(points)
        self._radii += [(float(exist), float(unique)) for exist, unique in radii]
        self._linearise(before)

    @property
    def radii(self) -> Float:
        """Radii of existence and uniqueness of each point (P, 2), NaN without a certificate."""
        return np.array(self._radii, dtype=np.float64).reshape(-1, 2)

    def _linearise(self, before: int) -> None:
        """Take the spectra of the points from number ``before`` on, and what they are at kinks."""
        for first in range(before, len(self), 16):
            J = self.rnn.jacobian_at(self.points[first : first + 16], self.u)
            values, vectors = sorted_spectrum(J)
            self.values = np.concatenate([self.values, values])
            self.leading = np.concatenate([self.leading, vectors[:, :, : self.leading.shape[2]]])
            self._keep_inverses(first, J, values)
        new = slice(before, len(self))
        for point in self.points[new]:
            self.kinks.append(self._kink_of(point))
        if len(self) > before:
            self._measure_gaps()

    def _kink_of(self, point: Float) -> KinkPoint:
        followed = sum(kink.kind != NOT_ON_KINK for kink in self.kinks)
        if followed >= MOST_FOLLOWED:
            on_kink = kink_flow(self.rnn, self.u, point) is not None
            return KinkPoint("unknown" if on_kink else NOT_ON_KINK)
        return at_kink(self.rnn, self.u, point)

    def _known(self, x: Float) -> int | None:
        """Return the number of the known root that the computed root ``x`` (N,) is, if any."""
        if not len(self):
            return None
        distances = np.linalg.norm(self.points - x, axis=1)
        near = int(distances.argmin())
        y, distance = self.points[near], float(distances[near])
        size = 1.0 + float(np.linalg.norm(y))
        if distance <= min(self.diff_cutoff, DUPLICATE * size):
            return near
        if distance > max(self.diff_cutoff, SAME_VALLEY * size if self.fun_tol else 0.0):
            return None
        if distance > self.diff_cutoff:
            between = 0.5 * (x + y)[None]
            if float(np.linalg.norm(self.rnn.rhs_at(between, self.u))) > self.fun_tol:
                return None
        two = self._proven[near] and self._are_two(np.stack([x, y]), distance)
        return None if two else near

    def _are_two(self, pair: Float, distance: float) -> bool:
        """Return whether proofs tell two points (2, N) apart."""
        if self._has_regions:
            solved = solve_in_region(self.rnn, self.u, pair)
            exist, pair = solved.existence_radius, solved.points
            distance = float(np.linalg.norm(pair[0] - pair[1]))
        else:
            exist, _ = certify(self.rnn, self.u, pair)
        return bool(distance > exist.sum())  # False with NaN

    @property
    def _settles(self) -> bool:
        """Whether roots without a proof are worth further steps of Newton's method."""
        f = self.rnn.activation
        few = self._proven.count(False) < MOST_SETTLED
        return bool(self.fun_tol) and few and f.is_smooth and f.has_bounds

    @property
    def _has_regions(self) -> bool:
        """Whether points are those of linear regions: proofs are asked of pairs then."""
        return self.rnn.activation.half_slopes is not None and not self.rnn.gamma

    def _certificate(self, point: Float) -> tuple[float, float]:
        if self._has_regions:
            return np.nan, np.nan
        exist, unique = certify(self.rnn, self.u, point[None])
        return float(exist[0]), float(unique[0])

    def _certificates(self, points: Float) -> dict[int, tuple[float, float]]:
        """Return certificates of those of ``points`` (P, N) that are surely new, all at once."""
        if self._has_regions or not len(points):
            return {}
        chosen: list[int] = []
        away = SAME_VALLEY * (1.0 + np.linalg.norm(points, axis=1))
        others = self.points
        for i, point in enumerate(points):
            if not len(others) or np.linalg.norm(others - point, axis=1).min() > away[i]:
                chosen.append(i)
                others = np.vstack([others, point])
        exist, unique = certify(self.rnn, self.u, points[chosen])
        return {i: (float(e), float(q)) for i, e, q in zip(chosen, exist, unique, strict=True)}

    def _settled(self, point: Float, residual: float) -> tuple[Float, float]:
        """Return a root that is nearly degenerate after as many steps as rounding lets help."""
        field = ConstantInputs([(self.rnn, self.u)])
        longest = np.full(1, SAME_VALLEY * (1.0 + float(np.linalg.norm(point))))
        ends = find_roots(field, point[None], 0.0, longest)
        better = ends.residual[0] < residual
        return (ends.points[0], float(ends.residual[0])) if better else (point, residual)

    def count(self, known: NDArray[np.int64]) -> None:
        """Count hits of points by number."""
        self.hits += np.bincount(known, minlength=len(self))

    def is_flat(self, eig_cutoff: float) -> NDArray[np.bool_]:
        """Return which points need not be isolated (P,).

        They have an eigenvalue of zero, or a direction that neither grows nor decays at a kink.
        """
        flat = np.abs(self.values).min(axis=1, initial=np.inf) <= eig_cutoff
        still = np.array([kink.kind == "marginal" for kink in self.kinks], dtype=bool)
        return np.asarray(np.where(self.on_kink, still, flat), dtype=bool)

    @property
    def on_kink(self) -> NDArray[np.bool_]:
        """Which points lie on a kink of f (P,)."""
        return np.array([kink.kind != NOT_ON_KINK for kink in self.kinks], dtype=bool)

    def index(self, eig_cutoff: float, expected: int | None = None) -> Float:
        """Return the index of each point (P,), NaN where it is not known.

        Parameters
        ----------
        expected : int, optional
            The index of the sphere at infinity: that of a point where all units are on their kink.
        """
        parity = self.n_unstable(eig_cutoff) % 2
        index = np.where(self.is_flat(eig_cutoff), np.nan, 1.0 - 2.0 * parity)
        for i in np.flatnonzero(self.on_kink):
            kink = self.kinks[i]
            whole = kink.is_whole and np.isnan(kink.index) and expected is not None
            index[i] = expected if whole else kink.index
        return np.asarray(index, dtype=np.float64)

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

    def _nearest(self, root: Float) -> float:
        return min(self.diff_cutoff, DUPLICATE * (1.0 + float(np.linalg.norm(root))))

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
            sure = deviation <= np.maximum(LARGEST_DEVIATION * length, self._nearest(roots[k]))
            names[rows[sure]] = number
        return names
