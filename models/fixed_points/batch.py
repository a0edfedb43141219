"""Searches of one network or of many, on all cores or on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks_lib.errors import check_int

from ..machine.devices import checked_device
from ..machine.memory import SHARE, check_fits, free_bytes
from ..machine.threads import blas_on_one
from ..machine.threads import n_threads as threads_of_torch
from .chunks import CACHE_BYTES, slices
from .field import ConstantInputs
from .newton import Roots, find_roots
from .point_set import FixedPointSet
from .search import Problem, Search
from .slow_points import minimise_speed

Float = NDArray[np.float64]
CACHE_ROWS = 256  # starts that are solved together at most
ROWS_BY_UNITS = 16  # and where no stack of Jacobians is formed (`ConstantInputs.steps`)
DEVICE_BYTES = 2_000_000_000  # the same on a GPU, where a large batch is what is wanted
# Matrices (N, N) that a search holds for its points, and stacks of Jacobians that each thread holds
# at a time, at the peak: measured on searches of 500 and 1000 units.
SEARCH_MATRICES, THREAD_STACKS = 8, 4
Chunks = Callable[[Callable[[slice], Roots], Sequence[slice]], list[Roots]]


def in_parallel(
    call: Callable[[Any], Any], items: Sequence[Any], n_threads: int | None = None
) -> list[Any]:
    """Call a function of each item, on as many threads as there are for them.

    The matrices are small: products and solves have one thread of BLAS each.
    """
    number = threads_of_torch() if n_threads is None else n_threads
    number = min(check_int("n_threads", number, minimum=1), len(items))
    with blas_on_one:
        if number <= 1:
            return [call(item) for item in items]
        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(call, items))


def threads_that_fit(n_units: int, n_threads: int, n_searches: int = 1) -> int:
    """Return on how many threads searches fit into the memory that is free.

    Parameters
    ----------
    n_units : int
        Of the largest network.
    n_threads : int
        Wanted.
    n_searches : int
        One is shared among the threads; of several, each thread has one of its own.

    Raises
    ------
    ParameterError
        Where not even one thread fits; it says what would.
    """
    matrix = 8 * n_units**2
    own = SEARCH_MATRICES * matrix
    each = THREAD_STACKS * max(matrix, min(CACHE_BYTES, CACHE_ROWS * matrix))
    cpu = torch.device("cpu")
    check_fits(n_units, "a search for fixed points", own + each, cpu)
    left = SHARE * free_bytes(cpu)
    number = left // (own + each) if n_searches > 1 else (left - own) // each
    return max(1, min(n_threads, int(number)))


def _one_by_one(solve: Callable[[slice], Roots], slices: Sequence[slice]) -> list[Roots]:
    return [solve(part) for part in slices]


def _joined(parts: Sequence[Roots]) -> Roots:
    return Roots(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("points", "residual", "converged", "known")
        )
    )


def _slow(problem: Problem, starts: Float, max_step: float) -> Roots:
    """Return the slow points that ``starts`` (P, N) lead to."""
    ends = minimise_speed(problem.rnn, starts, problem.u, max_step)
    good = ends.converged & (0.5 * ends.residual**2 <= problem.settings.tolerance)
    return Roots(ends.points, ends.residual, good, np.full(len(starts), -1))


def _run(problem: Problem, chunks: Chunks) -> FixedPointSet:
    """Search on the CPU."""
    search = Search(problem)
    field = ConstantInputs([(problem.rnn, problem.u)])
    opts = problem.settings
    while not search.finished:
        starts = search.starts()
        pieces = slices(len(starts), field.N, CACHE_BYTES, CACHE_ROWS)
        if field.by_units is not None:
            pieces = slices(len(starts), 1, CACHE_BYTES, ROWS_BY_UNITS)

        def solve(part: slice, starts: Float = starts) -> Roots:
            some = starts[part]
            if opts.mode == "approx":
                return _slow(problem, some, search.max_step)
            longest = np.full(len(some), search.max_step)
            return find_roots(
                field, some, search.tolerance, longest, recognise=search.found.recognise
            )

        search.take(_joined(chunks(solve, pieces)))
    return search.result()


def _run_on_device(problems: Sequence[Problem], device: str) -> list[FixedPointSet]:
    """Search all problems round by round, the starts of all of them in one batch."""
    searches = [Search(problem) for problem in problems]
    field = ConstantInputs([(p.rnn, p.u) for p in problems], device)
    # one tolerance for the batch: of the smallest states
    fun_tol = min(search.tolerance for search in searches)
    free = SHARE * free_bytes(torch.device(device))
    check_fits(
        field.N, "a search for fixed points", 8 * THREAD_STACKS * field.N**2, torch.device(device)
    )
    stack_bytes = min(DEVICE_BYTES, int(free) // THREAD_STACKS)
    while live := [i for i, search in enumerate(searches) if not search.finished]:
        starts = [searches[i].starts() for i in live]
        counts = [len(some) for some in starts]
        rows = np.vstack(starts)
        which = np.repeat(np.array(live), counts)
        longest = np.repeat(np.array([searches[i].max_step for i in live]), counts)
        ends = _joined(
            [
                find_roots(field, rows[part], fun_tol, longest[part], which[part])
                for part in slices(len(rows), field.N, stack_bytes)
            ]
        )
        edges = np.cumsum([0, *counts])
        for i, first, last in zip(live, edges[:-1], edges[1:], strict=True):
            own = slice(first, last)
            searches[i].take(
                Roots(ends.points[own], ends.residual[own], ends.converged[own], ends.known[own])
            )
    return [search.result() for search in searches]


def search_all(
    problems: Sequence[Problem], device: str | None = None, n_threads: int | None = None
) -> list[FixedPointSet]:
    """Run the searches of all problems; see `find_fixed_points_of_many`."""
    sets: dict[int, FixedPointSet] = {}
    if device is not None and torch.device(checked_device(device)).type != "cpu":
        kinds: dict[object, list[int]] = {}
        for i, problem in enumerate(problems):
            if problem.settings.mode == "exact":
                kind = (problem.rnn.N, repr(problem.rnn.equation), problem.settings.tolerance)
                kinds.setdefault(kind, []).append(i)
        for numbers in kinds.values():
            found = _run_on_device([problems[i] for i in numbers], device)
            sets.update(zip(numbers, found, strict=True))
    left = [i for i in range(len(problems)) if i not in sets]
    if left:
        wanted = (
            threads_of_torch()
            if n_threads is None
            else check_int("n_threads", n_threads, minimum=1)
        )
        n_units = max(problems[i].rnn.N for i in left)
        n_threads = threads_that_fit(n_units, wanted, len(left))
    if len(left) == 1:  # its starts are shared among the threads
        sets[left[0]] = _run(
            problems[left[0]], lambda solve, slices: in_parallel(solve, slices, n_threads)
        )
    else:
        found = in_parallel(lambda i: _run(problems[i], _one_by_one), left, n_threads)
        sets.update(zip(left, found, strict=True))
    return [sets[i] for i in range(len(problems))]
