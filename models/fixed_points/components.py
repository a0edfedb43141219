"""Networks that fall into parts without connections: each is searched alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..network.rnn_numpy import RNNNumpy
from .point_set import FixedPointSet, index_sum
from .search import MAX_POINTS, Problem
from .set_in_words import GROWING, PROBABLY

Float = NDArray[np.float64]
MOST_PARTS = 8  # the smallest of more are searched together


def parts_of(rnn: RNNNumpy) -> list[NDArray[np.int64]]:
    """Return the units of each part of a network that no weight connects to another part."""
    number, labels = connected_components(rnn.W_rec != 0.0, directed=False)
    parts = [np.flatnonzero(labels == k) for k in range(number)]
    parts.sort(key=len, reverse=True)
    if number > MOST_PARTS:
        rest = np.sort(np.concatenate(parts[MOST_PARTS - 1 :]))
        parts = [*parts[: MOST_PARTS - 1], rest]
    return parts


def split(problem: Problem) -> tuple[list[Problem], list[NDArray[np.int64]]]:
    """Return the problems of a network's parts, and the units of each."""
    parts = parts_of(problem.rnn) if problem.settings.mode == "exact" else []
    if len(parts) < 2:
        return [problem], [np.arange(problem.rnn.N)]
    return [_part(problem, units) for units in parts], parts


def _part(problem: Problem, units: NDArray[np.int64]) -> Problem:
    whole = problem.rnn
    rnn = RNNNumpy(
        W_rec=whole.W_rec[np.ix_(units, units)],
        W_inp=whole.W_inp[units],
        W_out=whole.W_out[:, units],
        b_rec=whole.b_rec[units],
        **vars(whole.equation),
    )
    return replace(
        problem, rnn=rnn, states=problem.states[units], index_expected=None, index_asked=False
    )


def combined(
    problem: Problem, sets: list[FixedPointSet], parts: list[NDArray[np.int64]]
) -> FixedPointSet | None:
    """Return the set of a network from those of its parts: every combination of their points.

    A ball that holds one root in each part holds one combination; a combination is as far from its
    root as the parts together. None where there are more than 4096 combinations.
    """
    if len(sets) == 1:
        return sets[0]
    if prod(len(s) for s in sets) > MAX_POINTS:
        return None
    n_units, first = problem.rnn.N, sets[0]
    chosen = np.array(list(product(*(range(len(s)) for s in sets))), dtype=np.int64)
    chosen = chosen.reshape(-1, len(sets))
    columns = [chosen[:, i] for i in range(len(sets))]

    def of(name: str) -> list[NDArray[np.generic]]:
        return [getattr(s, name)[rows] for s, rows in zip(sets, columns, strict=True)]

    points = np.empty((len(chosen), n_units))
    directions = np.zeros_like(points)
    values = np.concatenate(of("eigenvalues"), axis=1)
    order = np.lexsort((np.abs(values.imag), -values.real), axis=-1)
    tops = np.array([v.real[:, 0] for v in of("eigenvalues")]).reshape(len(sets), -1)
    leads = tops.argmax(axis=0)
    for i, units in enumerate(parts):
        points[:, units] = of("points")[i]
        directions[:, units] = np.where((leads == i)[:, None], of("directions")[i], 0.0)
    kinds = np.array(of("stability"))
    above, flat = (kinds == "unstable").any(axis=0), (kinds == "marginal").any(axis=0)
    stability = np.where(above, "unstable", np.where(flat, "marginal", "stable"))
    n_unstable = np.sum(of("n_unstable"), axis=0)
    index = np.prod(np.array(of("index"), dtype=np.float64), axis=0)
    enumerated = all(s.enumerated for s in sets)
    expected = [s.index_expected for s in sets]
    joined = FixedPointSet(
        points=points,
        residual=np.linalg.norm(of("residual"), axis=0),
        hits=np.min(of("hits"), axis=0),
        eigenvalues=np.take_along_axis(values, order, axis=1),
        directions=directions,
        n_unstable=n_unstable,
        stability=stability.astype(np.str_),
        kink=_kinks(kinds, np.array(of("kink"))),
        growth=np.max(of("growth"), axis=0),
        index=index,
        degenerate=index != 1 - 2 * (n_unstable % 2),
        existence_radius=np.linalg.norm(of("existence_radius"), axis=0),
        uniqueness_radius=np.min(of("uniqueness_radius"), axis=0),
        enumerated=enumerated,
        coverage=prod(s.coverage for s in sets if not np.isnan(s.coverage))
        if not all(np.isnan(s.coverage) for s in sets)
        else float("nan"),
        unseen=float(np.max([0.0 if s.enumerated else s.unseen for s in sets]))
        if not enumerated
        else float("nan"),
        index_sum=index_sum(index, first.mode) if len(chosen) else None,
        index_expected=None if None in expected else prod(e for e in expected if e is not None),
        is_bounded=all(s.is_bounded for s in sets),
        n_starts=sum(s.n_starts for s in sets),
        n_converged=sum(s.n_converged for s in sets),
        seconds=sum(s.seconds for s in sets),
        status=_status(sets),
        input=first.input,
        mode=first.mode,
        fun_tol=first.fun_tol,
        diff_cutoff=first.diff_cutoff,
        eig_cutoff=first.eig_cutoff,
        alpha=first.alpha,
    )
    rank = np.lexsort((-joined.hits, joined.n_unstable))
    return replace(joined.filter(rank), seconds=joined.seconds)


def _kinks(stability: NDArray[np.str_], kink: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return what combinations on kinks are, given the kinds of their parts (Q, P)."""
    kind = np.where(kink == "", stability, kink)
    names = np.array(["stable", "unknown", "marginal", "half-stable", "unstable"])
    worst = np.max([np.where(kind == name, i, 0) for i, name in enumerate(names)], axis=(0, 1))
    return np.asarray(np.where((kink != "").any(axis=0), names[worst], ""), dtype=np.str_)


def _status(sets: list[FixedPointSet]) -> str:
    """Return the status of the combinations: the least sure of the parts'."""
    if any(not len(s) for s in sets):
        return "none_found" if any(s.enumerated and not len(s) for s in sets) else sets[0].status
    for status in (GROWING, "incomplete", PROBABLY):
        if any(s.status == status for s in sets):
            return status
    return "complete"
