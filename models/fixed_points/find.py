"""Find all fixed points of a network at a constant input, or of many networks at many inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..machine.threads import blas_on_one
from ..network.rnn_numpy import RNNNumpy
from .batch import in_parallel, search_all
from .components import combined, split
from .index import expected_index
from .point_set import FixedPointSet
from .search import Problem
from .settings import SearchSettings

Float = NDArray[np.float64]


def find_fixed_points(
    rnn: RNNNumpy,
    u: Float,
    states: Float,
    settings: SearchSettings | None = None,
    index: int | None = None,
) -> FixedPointSet:
    """Search for all fixed points at the constant input ``u`` (n_inputs,).

    Rounds of damped Newton: first from ``states`` plus noise, then from what was found
    (combinations, slow and unstable directions) and from noisier states, until enough hits in a row
    were of known points, the Good-Turing coverage reaches its goal and the index sum is as
    expected, or the budget is spent.

    Parameters
    ----------
    rnn : RNNNumpy
        The network.
    u : array (n_inputs,)
        Constant input.
    states : array (N, M)
        States to start from, e.g. of the network's own trajectories.
    settings : SearchSettings, optional
        Tolerances, budget and seed.
    index : int, optional
        Index sum of a complete set, where it is known; by default what `expected_index` says.
    """
    problem = Problem(rnn, u, states, settings or SearchSettings(), index)
    return find_fixed_points_of_many([problem])[0]


def find_fixed_points_of_many(
    problems: Sequence[Problem], device: str | None = None, n_threads: int | None = None
) -> list[FixedPointSet]:
    """Search for all fixed points of many networks and inputs in one call.

    On a CPU each search runs on a core, and comes out as it does alone. On a GPU the starts of all
    searches of networks of one kind (units, equation, tolerance) are solved in one batch.

    Parameters
    ----------
    problems : sequence of Problem
        What to search; where a problem has no ``index_expected``, `expected_index` is asked.
    device : str, optional
        A torch device for the solves of ``exact`` mode, such as "cuda"; the CPU by default.
    n_threads : int, optional
        Searches at a time on the CPU; torch's number of threads by default.

    Returns
    -------
    sets : list of FixedPointSet
        One a problem, in order.
    """
    split_up = [split(problem) for problem in problems]
    smaller = [part for parts, _ in split_up for part in parts]
    sets = iter(_search(smaller, device, n_threads))
    joined = [
        combined(problem, [next(sets) for _ in parts], units)
        for problem, (parts, units) in zip(problems, split_up, strict=True)
    ]
    # too many combinations to list: the search of the whole says how far it comes
    left = [i for i, found in enumerate(joined) if found is None]
    whole = iter(_search([problems[i] for i in left], device, n_threads))
    return [next(whole) if found is None else found for found in joined]


def _search(
    problems: Sequence[Problem], device: str | None, n_threads: int | None
) -> list[FixedPointSet]:
    """Search problems after asking for the index sums that they lack."""
    asked = {
        id(p.rnn): p.rnn
        for p in problems
        if p.index_expected is None and not p.index_asked and p.settings.mode == "exact"
    }
    with blas_on_one:  # matrices are small: eigenvalues, too, are for one thread each
        sums = in_parallel(expected_index, list(asked.values()), n_threads)
        expected = dict(zip(asked, sums, strict=True))
        known = [
            replace(p, index_expected=expected[id(p.rnn)]) if id(p.rnn) in expected else p
            for p in problems
        ]
        return search_all(known, device, n_threads)
