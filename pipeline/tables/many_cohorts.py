"""Entering many cohorts with few queries: the time grows in proportion to their number."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tasks_lib.errors import ParameterError

from .keys import SET_COLUMNS
from .rows import Row, in_chunks
from .training import Cohort

Refused = list[tuple[int, ParameterError]]  # number of a row, what is wrong with it


def is_refused(which: str, name: str, errors: Iterable[ParameterError]) -> bool:
    """Return whether an error speaks of a parameter set of a submission: "task", its name."""
    return any(f"{error.field}.".startswith(f"{which}s.{name}.") for error in errors)


def not_entered(which: str, name: str) -> ParameterError:
    """Return the error that a parameter set is named and not there."""
    remedy = f"add it under {which}s: or name one that exists"
    return ParameterError(which, name, "has not been entered", remedy)


def enter_cohorts(rows: Sequence[Row], refused: Refused) -> int:
    """Enter cohorts to train, unless one is refused; return the number of new ones.

    What is there with as many networks is left as it is.

    Parameters
    ----------
    rows : sequence of dict
        Whole rows but for the origin, of parameter sets that are there.
    refused : list
        What is refused is appended.
    """
    there = _cohorts_of(rows)
    largest: dict[tuple[Any, ...], int] = {}  # task, network -> number of the row of most networks
    for number, row in enumerate(rows):
        sizes = (row["task_name"], row["network_name"])
        if row["n_networks"] > rows[largest.setdefault(sizes, number)]["n_networks"]:
            largest[sizes] = number
    for number in largest.values():
        _collect(refused, number, lambda row=rows[number]: Cohort().refuse_size(row))
    new = []
    for number, row in enumerate(rows):
        seeds = there[tuple(row[name] for name in SET_COLUMNS)]
        if _collect(refused, number, lambda row=row, seeds=seeds: seeds.add(row)):
            new.append({**row, "origin": "trained"})
    if not refused:
        for some in in_chunks(new):
            Cohort().store(some)
    return len(new)


def _collect(refused: Refused, number: int, do: Any) -> Any:
    try:
        return do()
    except ParameterError as error:
        refused.append((number, error))
    return None


class _Seeds:
    """Seeds of the cohorts of three parameter sets."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._numbers: dict[int, int] = {}  # first seed -> number of networks

    def put(self, first: int, number: int) -> None:
        """Have the seeds of a cohort that is there."""
        bisect.insort(self._starts, first)
        self._numbers[first] = number

    def add(self, row: Row) -> bool:
        """Have the seeds of a cohort; return whether it is new, and refuse one that shares some."""
        first, number = row["first_seed"], row["n_networks"]
        there = self._numbers.get(first)
        if there is not None:
            if there != number:
                raise ParameterError(
                    "n_networks",
                    number,
                    f"this cohort exists with {there} networks",
                    "enter the further networks as a cohort with another first_seed",
                )
            return False
        place = bisect.bisect(self._starts, first)
        near = self._starts[max(place - 1, 0) : place + 1]
        Cohort.refuse_shared_seeds(first, number, [(s, self._numbers[s]) for s in near])
        self.put(first, number)
        return True


def _cohorts_of(rows: Sequence[Row]) -> dict[tuple[Any, ...], _Seeds]:
    """Return the seeds of the cohorts that are there, by the names of their parameter sets."""
    there: dict[tuple[Any, ...], _Seeds] = defaultdict(_Seeds)
    # Of the names that rows differ in most each has the fewest cohorts.
    column = max(SET_COLUMNS, key=lambda name: len({row[name] for row in rows}))
    for names in in_chunks(sorted({row[column] for row in rows})):
        for row in (Cohort & [{column: name} for name in names]).to_dicts():
            seeds = there[tuple(row[name] for name in SET_COLUMNS)]
            seeds.put(int(row["first_seed"]), int(row["n_networks"]))
    return there
