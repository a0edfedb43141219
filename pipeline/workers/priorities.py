"""Priorities: whose jobs are done first.

A priority is that of a cohort, and of all jobs of it and of its networks: those that are there, and
those that are entered later. A worker takes the lowest one of the first table that has jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import datajoint as dj

from tasks_lib.errors import ParameterError, check_int

from ..database.connection import connection
from ..database.dialects import dialect_of
from ..database.server import transaction
from ..database.types import Populated
from ..tables.computed import COMPUTED
from ..tables.keys import COHORT, cohort_key
from ..tables.priorities import MOST_PRIORITY, JobPriority
from ..tables.rows import in_chunks
from ..tables.selections import Selection
from .queue import Queue


def check_priority(priority: int) -> int:
    """Return a priority, or say what is wrong with it."""
    return check_int("priority", priority, 0, MOST_PRIORITY)


def prioritize(
    restriction: Selection | Mapping[str, Any] | Iterable[Mapping[str, Any]] | None,
    priority: int,
    tables: Sequence[type[Populated]] = COMPUTED,
) -> tuple[int, int]:
    """Give cohorts a priority, with all jobs of them that are not done, now and later.

    Parameters
    ----------
    restriction : Selection, mapping or iterable of mapping, optional
        Which cohorts: a selection, or their keys.
    priority : int
        0 to 127: the lower, the sooner. Jobs have DataJoint's ``jobs.default_priority``, 5, where
        nothing else was said.
    tables : sequence of tables
        Whose jobs that are there are changed.

    Returns
    -------
    n_cohorts, n_jobs : int

    Raises
    ------
    ParameterError
        For a priority that is none, and where single networks are selected.
    """
    check_priority(priority)
    here = connection()
    keys = sorted({cohort_key(row) for row in _cohorts(restriction)})
    queues = [queue for queue in map(Queue, tables) if {*COHORT} <= {*queue.primary_key}]
    columns = ", ".join(map(here.adapter.quote_identifier, COHORT))
    n_jobs = 0
    for some in in_chunks(keys):
        values = tuple(each for key in some for each in key)
        with transaction(here):
            _enter(here, some, priority)
            for queue in queues:
                marks = ", ".join([f"({', '.join(['%s'] * len(COHORT))})"] * len(some))
                changed = here.query(
                    f"UPDATE {queue.sql_name} SET {queue.quoted('priority')}=%s "
                    f"WHERE {queue.quoted('status')} IN ('pending', 'error') "
                    f"AND {queue.quoted('priority')} <> %s AND ({columns}) IN ({marks})",
                    args=(priority, priority, *values),
                )
                n_jobs += max(int(changed.rowcount), 0)
    return len(keys), n_jobs


def _cohorts(
    restriction: Selection | Mapping[str, Any] | Iterable[Mapping[str, Any]] | None,
) -> Iterator[Mapping[str, Any]]:
    if not (restriction is None or isinstance(restriction, Selection | Mapping)):
        yield from restriction
        return
    selection = Selection.of(restriction)
    if selection.is_of_networks:
        problem = "is of single networks, and a priority that of a cohort"
        raise ParameterError(
            "selection", selection.in_words(), problem, "choose cohorts, with --first-seed say"
        )
    yield from selection.cohorts().proj().to_dicts()


def _enter(here: dj.Connection, keys: Sequence[tuple[Any, ...]], priority: int) -> None:
    quoted = here.adapter.quote_identifier
    names = ", ".join(map(quoted, (*COHORT, "job_priority")))
    marks = ", ".join([f"({', '.join(['%s'] * (len(COHORT) + 1))})"] * len(keys))
    statement = dialect_of(here).insert_or_change(
        f"{JobPriority.full_table_name} ({names})",
        f"VALUES {marks}",
        [quoted(name) for name in COHORT],
        quoted("job_priority"),
    )
    here.query(statement, args=tuple(each for key in keys for each in (*key, priority)))
