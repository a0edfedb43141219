"""What a search for fixed points found: points, their stability, and how complete the set is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .discrete_time import map_stability, multipliers, unstable_map_modes

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SearchedSet:
    """Fixed points (or slow points) of one network at one constant input.

    Attributes
    ----------
    points : array (P, N)
        The points, in units of state.
    residual : array (P,)
        |F| at each.
    hits : array (P,) of int
        How many starts ended there.
    eigenvalues : array (P, N), complex
        Of the Jacobian of F, by real part, descending, in units of 1 / tau.
    directions : array (P, N)
        Real part of the eigenvector of the first eigenvalue, of unit length.
    n_unstable : array (P,) of int
        Eigenvalues whose real part is above ``eig_cutoff``.
    stability : array (P,) of str
        "stable", "unstable" or "marginal" (largest real part within +-``eig_cutoff``). On a kink of
        f eigenvalues do not decide: the point is unstable if the flow around it leads away in any
        direction, stable if all regions that meet there or a common certificate say so, and else
        marginal.
    kink : array (P,) of str
        "" for a point on no kink of f. Else what the flow around it does: "stable" (all directions
        that were followed decay), "half-stable" (some grow), "unstable" (all grow), "marginal" (one
        neither grows nor decays, as at the end of a half-line) or "unknown". See `at_kink`.
    growth : array (P,)
        Rate of the direction that grows most (or decays most slowly), per tau: the largest real
        part of the eigenvalues, or that of the flow at a kink; NaN where it was not followed.
    index : array (P,)
        Index of each point: (-1)^n_unstable, at a kink its degree; NaN where it is not known.
    degenerate : array (P,) of bool
        Whether (-1)^n_unstable is not its index, or that is not known: where some |eigenvalue| is
        within ``eig_cutoff``, so that it need not be isolated, and at kinks that change the index.
    existence_radius, uniqueness_radius : array (P,)
        Proof that a true root lies within the first distance, and no other within the second
        (`certify`; `solve_in_region` for a piecewise-linear f); NaN where none could be had.
    enumerated : bool
        Whether every region that can hold points was solved (all linear regions, or all states of
        a network of low rank or few units): then there is no other point, whatever starts say.
        Points of 0 hits were found so.
    coverage : float
        Good-Turing estimate 1 - singletons / hits of the chance that a further hit is of a known
        point; NaN without hits.
    unseen : float
        The share of further hits that would be of new points is below it with 95 % confidence:
        3 / n after n hits of known points only. NaN where every region was solved, where the last
        hits were of new points, and in sets of versions before 0.2.
    index_sum : int or None
        Sum of ``index``; None for slow points or where that of a point is not known.
    index_expected : int or None
        Index sum of a complete set, see `expected_index`; None if unknown.
    is_bounded : bool
        Whether the dynamics point inward at infinity (f bounded, or gamma > 0): then a complete
        set of points that are not degenerate has the index sum +1.
    n_starts, n_converged : int
        Starts used, and those that ended in a reported point.
    seconds : float
        Time the search took.
    status : str
        "complete" (every region was solved, or starts that depend neither on the network's trials
        nor on its points agree with those that do), "probably complete" (too few of such starts
        came to points, or the index sum cannot be compared), "incomplete" or "none_found";
        "growing" where the network leaves the states of its trials without bound at this input, so
        that the search started elsewhere, and not all regions were solved.
    input : array (n_inputs,)
        The constant input.
    mode : str
        "exact" (F = 0) or "approx" (local minima of |F|^2 / 2).
    fun_tol, diff_cutoff, eig_cutoff : float
        The tolerances used.
    alpha : float
        Step of the network, dt / tau: `map_stability` is that of its own steps.
    """

    points: Float
    residual: Float
    hits: NDArray[np.int64]
    eigenvalues: NDArray[np.complex128]
    directions: Float
    n_unstable: NDArray[np.int64]
    stability: NDArray[np.str_]
    kink: NDArray[np.str_]
    growth: Float
    index: Float
    degenerate: NDArray[np.bool_]
    existence_radius: Float
    uniqueness_radius: Float
    enumerated: bool
    coverage: float
    unseen: float
    index_sum: int | None
    index_expected: int | None
    is_bounded: bool
    n_starts: int
    n_converged: int
    seconds: float
    status: str
    input: Float
    mode: str
    fun_tol: float
    diff_cutoff: float
    eig_cutoff: float
    alpha: float

    def __len__(self) -> int:
        """Return the number of points P."""
        return len(self.points)

    @property
    def time_constants(self) -> Float:
        """Time constant of each point's slowest mode, 1 / min |Re eigenvalue|, in tau: (P,)."""
        rate = np.abs(self.eigenvalues.real).min(axis=1) if len(self) else np.empty(0)
        with np.errstate(divide="ignore"):
            return 1.0 / rate

    @property
    def need_not_be_isolated(self) -> NDArray[np.bool_]:
        """Points that may be part of a continuum (P,): degenerate ones whose index is not known."""
        return np.asarray(self.degenerate & np.isnan(self.index))

    @property
    def multipliers(self) -> NDArray[np.complex128]:
        """Multipliers of the network's steps at each point, 1 + alpha eigenvalue: (P, N)."""
        return multipliers(self.eigenvalues, self.alpha)

    @property
    def n_unstable_map(self) -> NDArray[np.int64]:
        """Modes of each point that grow in steps of dt: (P,)."""
        return unstable_map_modes(self.eigenvalues, self.alpha, self.eig_cutoff)

    @property
    def map_stability(self) -> NDArray[np.str_]:
        """Stability of each point in steps of dt, where ``stability`` is the equation's: (P,)."""
        return map_stability(self.eigenvalues, self.stability, self.alpha, self.eig_cutoff)

    @property
    def differs_in_steps(self) -> NDArray[np.bool_]:
        """Points whose stability or number of unstable modes is another in steps of dt: (P,)."""
        modes = self.n_unstable_map != self.n_unstable
        return np.asarray(modes | (self.map_stability != self.stability))
