"""How the rows of a table are made: with one ``make``, or in steps that are apart."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ..database.types import Populated
from ..tables.current_job import CurrentJobs
from ..transient.errors import PermanentError
from .job_table import Key, Sets


@runtime_checkable
class Tripartite(Protocol):
    """A computed table whose computation is apart from its reading and its inserting."""

    def make_fetch(self, key: Key) -> tuple[Any, ...]:
        """Fetch what the computation needs."""

    def make_compute(self, key: Key, *fetched: Any) -> tuple[Any, ...]:
        """Compute, without the database."""

    def make_insert(self, key: Key, *computed: Any) -> None:
        """Insert what was computed."""


@runtime_checkable
class ComputedTogether(Tripartite, Protocol):
    """A table several of whose rows can be computed at once, with the result that each has alone.

    A room is counted in whatever unit the table likes.
    """

    def may_share(self, key: Key, *fetched_device_pays: Any) -> bool:
        """Return whether it is worth looking for others: after what was fetched, the device.

        And whether only where it pays. Asks no database, and calls no code of the rows' own.
        """

    def alike(self, key: Key, *fetched: Any) -> Sets:
        """Return the parameter sets of keys that may be computed together with this one."""

    def room(self, key: Key, *fetched_device_pays: Any) -> int:
        """Return how much more can be computed at once; parameters as of `may_share`.

        May call code of the rows' own; asks no database.
        """

    def companions(self, key: Key, *fetched_candidates_room: Any) -> Sequence[Key]:
        """Return those of some candidates, keys, that can be computed together with this one."""

    def make_compute_together(
        self, keys: Sequence[Key], fetched: Sequence[Any], jobs: CurrentJobs
    ) -> Iterator[tuple[int, tuple[Any, ...] | None]]:
        """Compute several; yield the place of each, and what `make_insert` takes, as it is done.

        None: it has to be computed alone. An error: so have all that are left.
        """


class NothingInserted(PermanentError):
    """A ``make`` returned without inserting the row of its key."""


def make_row(table: Populated, key: Key) -> None:
    """Call ``make``, which may ask ``self.upstream`` meanwhile."""
    table._upstream_key, table._upstream = dict(key), None
    try:
        table.make(key)
    finally:
        table._upstream_key = table._upstream = None


def refuse_nothing(table: Populated, key: Key) -> None:
    """Refuse a ``make`` that inserted nothing: its job would come back again and again."""
    if not len(table & key):
        raise NothingInserted(
            f"make of {type(table).__name__} returned without inserting the row of its key; insert "
            "a row that says so, or leave such keys out of key_source"
        )


def steps_of(table: Populated) -> Tripartite | None:
    """Return a table's fetch, compute and insert, where they are apart."""
    if isinstance(table, Tripartite):
        return table
    return _GeneratorSteps(table) if inspect.isgeneratorfunction(table.make) else None


@dataclass
class _GeneratorSteps:
    """The steps of a ``make`` that is a generator: it yields what it fetched, then its result."""

    table: Populated

    def make_fetch(self, key: Key) -> tuple[Any, ...]:
        """Fetch what the computation needs."""
        return (next(self.table.make(key)),)

    def make_compute(self, key: Key, *fetched: Any) -> tuple[Any, ...]:
        """Compute."""
        steps = self.table.make(key)
        next(steps)
        return (next(steps),)

    def make_insert(self, key: Key, *computed: Any) -> None:
        """Insert what was computed."""
        steps = self.table.make(key)
        next(steps)
        with suppress(StopIteration):
            steps.send(*computed)
