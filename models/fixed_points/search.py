"""One search for all fixed points of a network at a constant input: rounds, and when to stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ..network.rnn_numpy import RNNNumpy
from .collective import Collective
from .discrete_time import named
from .everywhere import points_everywhere
from .found import Found
from .kink_stability import NOT_ON_KINK, at_kinks
from .linear_regions import solve_in_region
from .newton import Roots
from .point_set import FixedPointSet, good_turing, index_sum
from .reduction import Singular
from .set_in_words import GROWING, PROBABLY
from .settings import SearchSettings
from .starts import SEVERAL, first_starts, next_starts, scales
from .weak_rest import effective_rank

Float = NDArray[np.float64]
RULE_OF_THREE = 3.0  # after n hits without it, an event is rarer than 3 / n with 95 % confidence
# Of the last hits, so many are from starts that depend on no trial and no point.
INDEPENDENT_HITS = 60
HITS_OF_EACH = 6  # of known points, as many times as there are, are hit without a new one
# Hits of the point that is met least: rarer ones are missed beside one that was met two times.
LEAST_HITS = 4
# Points of a set that starts alone can call complete: of larger ones pairs were missed that are
# there in a few states of the other units only (benchmarks/completeness.md).
MOST_BY_STARTS = 30
MOST_OF_LOW_RANK = 8  # likewise, where W is of low rank but for weak weights, and no proof was had
# Starts that come to no point say nothing. Where these are many and points several, there are pairs
# that are met once in a thousand starts (`planted`, benchmarks/completeness.md), which no number of
# hits excludes: such a set is never called complete by starts.
MOST_LOST = 0.05
PATIENT_ROUNDS = 12  # for independent and least hits, once all else speaks for a complete set
NONE_ROUNDS = 16  # without any point end a search that need not find one
ADDED_TOGETHER = 32  # results of a round that are looked at at a time
CONTINUUM = 48  # degenerate points, most of all, that need not be isolated
MAX_POINTS = 4096  # no search goes on beyond this number


@dataclass(frozen=True, eq=False)
class Problem:
    """A network and a constant input whose fixed points are searched.

    Attributes
    ----------
    rnn : RNNNumpy
        The network.
    u : array (n_inputs,)
        Its constant input.
    states : array (N, M)
        States to start from, e.g. of the network's own trajectories.
    settings : SearchSettings
        Tolerances, budget and seed.
    index_expected : int or None
        Index sum of a complete set, where it is known.
    index_asked : bool
        Whether `expected_index` has been asked: None then means that there is no answer.
    grows : bool
        Whether the network leaves its own states without bound (`starting_states`): then
        ``states`` are others, and how complete a set is they do not say.
    """

    rnn: RNNNumpy
    u: Float
    states: Float
    settings: SearchSettings
    index_expected: int | None = None
    index_asked: bool = False
    grows: bool = False


def is_bounded(rnn: RNNNumpy) -> bool:
    """Return whether the dynamics are known to point inward at infinity.

    So they do where f grows more slowly than its argument, as a bounded f does, and where f grows
    no faster and gamma > 0. Of an f whose growth is not declared it is not known.
    """
    f = rnn.activation
    if f.slopes_at_infinity == (0.0, 0.0):
        return True
    return bool(rnn.gamma > 0 and (f.slopes_at_infinity is not None or isfinite(f.largest_slope)))


class Search:
    """One search: rounds of starting states, until no further points are expected.

    ``starts`` says where from, ``take`` is given the results, while not ``finished``;
    ``result`` is the set. Starts made from points found are not independent draws, which is why
    coverage alone does not end a search.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        opts = problem.settings
        self._began = time.perf_counter()
        self._rng = np.random.default_rng(opts.seed)
        rnn = problem.rnn
        self._spread, self.max_step = scales(rnn, problem.u, problem.states, self._rng)
        small = min(1.0, self._spread)  # tolerances are those of states about 1
        self.tolerance = opts.tolerance * small if opts.mode == "exact" else opts.tolerance
        self._cutoff = opts.diff_cutoff * small
        exact_tol = self.tolerance if opts.mode == "exact" else 0.0
        self.found = Found(rnn, problem.u, self._cutoff, exact_tol)
        self._used = self._level = self._quiet = self._converged = 0
        self._independent = self._waited = 0
        self._complete = self._probably = self._enumerated = False
        self._most = MOST_BY_STARTS
        self._has_regions = rnn.activation.half_slopes is not None and not rnn.gamma
        self._own: NDArray[np.bool_] = np.empty(0, dtype=bool)  # independent starts of a round
        self.finished = False
        if opts.mode == "exact":
            singular = Singular.of(rnn)
            self._collective = Collective(rnn, problem.u, self._spread, singular)
            low_rank = effective_rank(rnn, singular) is not None
            self._most = MOST_OF_LOW_RANK if low_rank else MOST_BY_STARTS
            self._solve_everywhere(singular)

    def _solve_everywhere(self, singular: Singular) -> None:
        """Take the points of a network that can be solved everywhere: no start is needed then."""
        rnn, u = self.problem.rnn, self.problem.u
        every = points_everywhere(rnn, u, singular, self.tolerance)
        if every is None or not every.proven:
            return
        self.found = Found(rnn, u, 0.0)  # these are proven to differ, however near they are
        residual = np.linalg.norm(rnn.rhs_at(every.points, u), axis=1)
        self.found.add_proven(every.points, residual, every.radii)
        self.finished = self._complete = self._enumerated = True

    def starts(self) -> Float:
        """Return the starts (P, N) of the next round."""
        opts, states = self.problem.settings, self.problem.states
        # so many that each point known can be met
        wanted = max(opts.n_starts, 2 * len(self.found))
        count = min(wanted, opts.max_starts - self._used)
        share = count // 3 if self._loses else count // 2
        own = self._independent_starts(share) if opts.mode == "exact" else states[:0, :0]
        rest = count - len(own)
        if self._level == 0:
            more = first_starts(states, self._spread, opts.noise, rest, self._rng)
        else:
            more = next_starts(
                self.found, states, self._spread, rest, self._level, self._rng, self._loses
            )
        self._own = np.arange(count) < len(own)
        return np.vstack([own, more]) if len(own) else more

    @property
    def _loses(self) -> bool:
        """Whether many starts came to no point, beside several points."""
        lost = self._used - self._converged > MOST_LOST * self._used
        return self.problem.settings.mode == "exact" and len(self.found) > SEVERAL and lost

    def _independent_starts(self, count: int) -> Float:
        """Return at most ``count`` starts along collective directions, all over the region."""
        rnn = self.problem.rnn
        bases = self.found.points
        if not len(bases) or self._level % 2:
            anywhere = self._spread * self._rng.standard_normal((8, rnn.N))
            bases = np.vstack([bases, anywhere])
        most = 2 * count // 3 if self._loses else count // 3
        scans = self._collective.scans(bases, most, self._rng)[:most]
        # what relaxes comes to the attractors, which are known best
        relaxed = 0.25 if self._loses else 0.75
        patterns = self._collective.patterns(count - len(scans), relaxed, self._rng)
        return np.vstack([scans, patterns])

    def take(self, ends: Roots) -> None:
        """Add the results of a round, and decide whether another round is needed."""
        opts, found = self.problem.settings, self.found
        self._used += len(ends.points)
        self._level += 1
        self._converged += int(ends.converged.sum())
        found.count(ends.known[ends.known >= 0])
        fresh = ends.converged & (ends.known < 0)
        new = 0
        for some in np.array_split(np.flatnonzero(fresh), fresh.sum() // ADDED_TOGETHER + 1):
            new += found.add(ends.points[some], ends.residual[some])
            members = int(found.is_flat(opts.eig_cutoff).sum())
            if members >= CONTINUUM and members > 0.5 * len(found):
                break  # further samples of a continuum say nothing more about it
        self._quiet = 0 if new else self._quiet + int(ends.converged.sum())
        own = int(ends.converged[self._own].sum())
        self._independent = 0 if new else self._independent + own
        flat = found.is_flat(opts.eig_cutoff)
        expected = self.problem.index_expected
        total = index_sum(found.index(opts.eig_cutoff, expected), opts.mode)
        agrees = expected is None or total is None or total == expected
        unseen = max(1.0 - opts.coverage, 1e-4)  # share of further hits that may be of new points
        # points are not met equally often: the more there are, the rarer is the rarest
        each = self._quiet >= HITS_OF_EACH * len(found) and not (found.hits == 1).any()
        quiet = self._quiet * unseen >= RULE_OF_THREE and (each or opts.mode != "exact")
        self._probably = agrees and quiet and good_turing(found.hits) >= opts.coverage
        often = found.hits.min(initial=LEAST_HITS) >= LEAST_HITS
        enough = opts.mode != "exact" or (self._independent >= INDEPENDENT_HITS and often)
        # at a degenerate point there may be two, or none: no certificate says
        unsure = opts.mode == "exact" and bool(flat.any())
        unsure |= opts.mode == "exact" and len(found) > self._most
        unsure |= self._loses
        self._complete = self._probably and enough and not unsure
        self._waited = self._waited + 1 if self._probably else 0
        # a continuum gives new points for ever: stop sampling it
        members = int(flat.sum())
        endless = self._level > 1 and new > 0 and flat.sum() > 0.5 * len(flat)
        endless |= members >= CONTINUUM and members > 0.5 * len(flat)
        spent = self._used >= opts.max_starts or len(found) > MAX_POINTS
        none = not len(found) and expected in (None, 0) and self._level >= NONE_ROUNDS
        waited = self._waited > PATIENT_ROUNDS or (self._probably and enough and unsure)
        self.finished = self._complete or waited or endless or spent or none

    def _unseen(self) -> float:
        """Return what share of further hits is of new points at most, with 95 % confidence."""
        known = not self._enumerated and self._quiet > RULE_OF_THREE
        return RULE_OF_THREE / self._quiet if known else float("nan")

    def _polish(self) -> None:
        """Move points to the exact solutions of their regions; what becomes one point is one."""
        solved = solve_in_region(self.problem.rnn, self.problem.u, self.found.points)
        self._replace(solved.points + 0.0, self.found.hits)  # no -0

    def _replace(self, points: Float, hits: NDArray[np.int64]) -> None:
        rnn, u = self.problem.rnn, self.problem.u
        self.found = Found(rnn, u, self.found.diff_cutoff, self.found.fun_tol)
        self.found.add(points, np.linalg.norm(rnn.rhs_at(points, u), axis=1), hits)

    def result(self) -> FixedPointSet:
        """Return the set as it is now."""
        rnn, opts = self.problem.rnn, self.problem.settings
        if opts.mode == "exact" and self._has_regions and not self._enumerated:
            self._polish()
        found = self.found
        unstable = found.n_unstable(opts.eig_cutoff)
        order = np.lexsort((-found.hits, unstable))
        points, residual, values = found.points[order], found.residual[order], found.values[order]
        index = found.index(opts.eig_cutoff, self.problem.index_expected)[order]
        kinks = [found.kinks[i] for i in order]
        exists: Float = np.full(len(points), np.nan)
        unique: Float = exists.copy()
        if opts.mode == "exact" and self._has_regions:
            solved = solve_in_region(rnn, self.problem.u, points)
            exists, unique = solved.existence_radius, solved.uniqueness_radius
        elif opts.mode == "exact":
            exists, unique = found.radii[order].T
        kind = np.array([kink.kind for kink in kinks], dtype=np.str_)
        growth = values.real[:, 0].copy() if len(values) else np.empty(0)
        growth = np.where(kind == NOT_ON_KINK, growth, [kink.growth for kink in kinks])
        proven = np.array([kink.proven for kink in kinks], dtype=bool)
        stability = np.where(
            kind == NOT_ON_KINK, named(growth, opts.eig_cutoff), at_kinks(kind, proven)
        )
        directions = found.leading[order, :, 0].real
        directions /= np.maximum(np.linalg.norm(directions, axis=1), 1e-300)[:, None]
        status = "complete" if self._complete else PROBABLY if self._probably else "incomplete"
        if not len(points):
            status = "none_found"
        grows = self.problem.grows and not self._enumerated
        if grows:
            status = GROWING
        return FixedPointSet(
            points=points,
            residual=residual,
            hits=found.hits[order],
            eigenvalues=values,
            directions=directions,
            n_unstable=unstable[order],
            stability=stability.astype(np.str_),
            kink=kind,
            growth=growth,
            index=index,
            degenerate=index != 1 - 2 * (unstable[order] % 2),
            existence_radius=exists,
            uniqueness_radius=unique,
            enumerated=self._enumerated,
            coverage=float("nan") if grows else good_turing(found.hits),
            unseen=self._unseen(),
            index_sum=index_sum(index, opts.mode) if len(points) else None,
            index_expected=self.problem.index_expected,
            is_bounded=is_bounded(rnn),
            n_starts=self._used,
            n_converged=self._converged,
            seconds=time.perf_counter() - self._began,
            status=status,
            input=np.array(self.problem.u, dtype=np.float64),
            mode=opts.mode,
            fun_tol=opts.tolerance,
            diff_cutoff=opts.diff_cutoff,
            eig_cutoff=opts.eig_cutoff,
            alpha=rnn.alpha,
        )
