"""The result of a fixed-point search: points, their stability, and how complete the set is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError
from tasks_lib.sizes import counted

from .discrete_time import map_stability, multipliers, unstable_map_modes

Float = NDArray[np.float64]
PROBABLY = "probably complete"  # status of a set that only dependent starts speak for
GROWING = "growing"  # status of a set where the network's states grow without bound


@brief
@dataclass(frozen=True, eq=False)
class FixedPointSet:
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
        "stable", "unstable" or "marginal" (largest real part within +-``eig_cutoff``). A point on a
        kink of f that states around it leave is unstable, whatever its eigenvalues (`leaves_kink`).
    degenerate : array (P,) of bool
        Whether some |eigenvalue| is within ``eig_cutoff``, so that the point need not be isolated,
        or is contradicted by the flow at a kink: then (-1)^n_unstable is not its index.
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
        Sum of (-1)^n_unstable; None for slow points or where a point is degenerate.
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

    @property
    def message(self) -> str:
        """What the search says about completeness, in words, and where steps of dt matter."""
        n = int(self.differs_in_steps.sum())
        if not n:
            return self._about_completeness
        said = "1 point has" if n == 1 else f"{n} points have"
        return (
            f"{self._about_completeness}; {said} another stability, or other unstable modes, in "
            f"steps of dt = {self.alpha:.3g} tau, in which the network runs: see map_stability"
        )

    @property
    def _about_completeness(self) -> str:
        if self.status == GROWING:
            return (
                "states grow without bound at this input, so that the search did not start from "
                f"them and its coverage says nothing: {self._found}"
            )
        return f"{self.status}: {self._found}" if len(self) else self._found

    @property
    def _found(self) -> str:
        if not len(self):
            if self.enumerated:
                return "there is no point: every region that can hold one was solved"
            text = f"no point found from {counted(self.n_starts, 'start')}"
            text += "" if self.status == GROWING else ": widen the starts or use approx"
            if self.index_expected:
                text += f"; there is one, as the index sum should be {self.index_expected:+d}"
            return text
        text = counted(len(self), "point")
        if self.enumerated:
            return f"{text}; every region that can hold points was solved, there are no others"
        text += "; " if np.isnan(self.coverage) else f", coverage {self.coverage:.3f}; "
        if not np.isnan(self.unseen) and self.status != "incomplete":
            text += f"at most {self.unseen:.1%} of further hits would be of others; "
        elif np.isnan(self.unseen) and self.status == "complete":
            text += "as starts from trials and points alone say; "
        return text + self._index_in_words

    @property
    def _index_in_words(self) -> str:
        if self.mode == "approx":
            return "slow points have no index sum"
        if self.index_sum is None:
            n = int(self.degenerate.sum())
            kind = "bounded" if self.is_bounded else "unbounded"
            if self._at_kink.all():
                return (
                    f"no index sum (dynamics are {kind}), as {n} are left at a kink of f, where "
                    "eigenvalues do not decide"
                )
            return (
                f"no index sum (dynamics are {kind}), as {n} are degenerate and without a "
                "certificate: at a fold, or part of a continuum"
            )
        total = f"index sum {self.index_sum:+d}"
        wanted = self.index_expected
        if wanted is None:
            return f"{total}, which says nothing here: that of a complete set is not known"
        if self.is_bounded:
            where, missing = "complete sets have where dynamics are bounded", "points are missing"
        else:
            where, missing = "was counted at strong inputs", "points are probably missing"
        if self.index_sum == wanted:
            return f"{total}, as {where}"
        return f"{total} instead of the {wanted:+d} that {where}: {missing}"

    @property
    def _at_kink(self) -> NDArray[np.bool_]:
        """Of the points that are degenerate, which are so because they are left at a kink of f."""
        flat = np.abs(self.eigenvalues[self.degenerate]).min(axis=1) <= self.eig_cutoff
        return np.asarray(~flat)

    def by_index(self) -> dict[int, int]:
        """Return how many points have 0, 1, 2, ... unstable modes, by that number."""
        return dict(sorted(Counter(self.n_unstable.tolist()).items()))

    def filter(self, keep: ArrayLike) -> FixedPointSet:
        """Return the points selected by ``keep``, a mask (P,) or indices.

        Counts of the search stay; a part of a set is never "complete".
        """
        chosen = np.asarray(keep)
        if chosen.dtype == bool and chosen.shape != (len(self),):
            raise ParameterError(
                "keep.shape", chosen.shape, "is no mask of these points", f"use ({len(self)},)"
            )
        per_point: dict[str, Any] = {name: getattr(self, name)[chosen] for name in _PER_POINT}
        part = replace(self, **per_point)
        if len(np.unique(np.arange(len(self))[chosen])) == len(part) == len(self):
            return part
        return replace(
            part,
            enumerated=False,
            unseen=float("nan"),
            status=_status_of(self.status, len(part)),
            index_sum=index_sum(part.n_unstable, part.degenerate, part.mode),
        )

    def merge(self, other: FixedPointSet) -> FixedPointSet:
        """Return the union with another search at the same input; hits of shared points add up."""
        if self.mode != other.mode or not np.array_equal(self.input, other.input):
            raise ParameterError(
                "other", other.mode, "is of another input or mode", "merge sets of one input"
            )
        if len(self) and len(other):
            distance = np.linalg.norm(self.points[:, None] - other.points[None], axis=2)
            near = distance.argmin(axis=0)
            shared = distance.min(axis=0) <= self.diff_cutoff
        else:
            near = np.zeros(len(other), dtype=np.int64)
            shared = np.zeros(len(other), dtype=bool)
        hits = self.hits.copy()
        np.add.at(hits, near[shared], other.hits[shared])
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)[~shared]])
            for name in _PER_POINT
        }
        joined["hits"] = np.concatenate([hits, other.hits[~shared]])
        total = index_sum(joined["n_unstable"], joined["degenerate"], self.mode)
        statuses = (self.status, other.status)
        ranked = ("complete", GROWING, PROBABLY, "incomplete")
        status = next((s for s in ranked if s in statuses), "incomplete")
        expected = other.index_expected if self.index_expected is None else self.index_expected
        enumerated = self.enumerated or other.enumerated
        if enumerated:
            status = "complete"
        elif status in ("complete", PROBABLY) and None not in (expected, total):
            status = status if total == expected else "incomplete"
        return replace(
            self,
            **joined,
            coverage=float("nan") if status == GROWING else good_turing(joined["hits"]),
            unseen=float("nan") if enumerated else float(np.fmin(self.unseen, other.unseen)),
            index_sum=total,
            index_expected=expected,
            enumerated=enumerated,
            n_starts=self.n_starts + other.n_starts,
            n_converged=self.n_converged + other.n_converged,
            seconds=self.seconds + other.seconds,
            status=status if status == GROWING or len(joined["hits"]) else "none_found",
        )


_PER_POINT = (
    "points",
    "residual",
    "hits",
    "eigenvalues",
    "directions",
    "n_unstable",
    "stability",
    "degenerate",
    "existence_radius",
    "uniqueness_radius",
)


def _status_of(status: str, n_points: int) -> str:
    """Return the status of a part of a set."""
    if status == GROWING:
        return GROWING
    return "incomplete" if n_points else "none_found"


def good_turing(hits: NDArray[np.int64]) -> float:
    """Return 1 - singletons / hits, NaN without hits."""
    return float(1.0 - np.sum(hits == 1) / hits.sum()) if hits.sum() else float("nan")


def index_sum(
    n_unstable: NDArray[np.int64], degenerate: NDArray[np.bool_], mode: str
) -> int | None:
    """Return the sum of (-1)^n_unstable, None where it has no meaning."""
    if mode != "exact" or degenerate.any():
        return None
    return int(np.sum(1 - 2 * (n_unstable % 2)))


def format_input(u: Float) -> str:
    """Return a constant input as short text."""
    short = [f"{value:g}" for value in u]
    exact = [s if float(s) == v else repr(float(v)) for s, v in zip(short, u, strict=True)]
    return "[" + ", ".join(exact) + "]"
