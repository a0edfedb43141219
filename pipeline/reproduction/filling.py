"""Entering a study, and filling the tables that its measures read."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from tasks_lib.errors import ParameterError, renamed

from ..database import connection as database
from ..submission import dry_run as run_dry
from ..submission import submit
from ..submitted import Submitted
from ..sweeps.cost import Cost
from ..tables.computed import tables_named
from ..tables.rows import Row
from ..tables.training import Training
from ..workers.worker import Filled, WorkLoop
from .analyses import checked_analyses, enter_analyses
from .checks import as_written, checked_study
from .study import Study

Errors = list[tuple[str, Row, str]]


def enter(study: Study) -> tuple[Submitted, dict[str, list[Row]]]:
    """Enter a study; return what is new, and the keys of the networks of each of its cohorts.

    Sets and networks that are there under other names are used. Where something is refused,
    nothing is entered.
    """
    analyses = checked_analyses(study.analyses)
    with _as_written(study):
        done = submit(study.submission, equal="use")
    enter_analyses(analyses)
    networks = {}
    for label, cohort in study.cohorts.items():
        first, number = int(cohort["first_seed"]), int(cohort["n_networks"])
        names = {
            f"{each}_name": done.names[f"{each}s"].get(cohort[each], cohort[each])
            for each in ("task", "network", "training")
        }
        own = [key for key in done.cohorts if names.items() <= key.items()]
        networks[label] = [
            {**key, "seed": seed} for key in own for seed in range(first, first + number)
        ]
    return done, networks


def dry_run(study: Study) -> tuple[Submitted, Cost]:
    """Return what a study would enter, and what its cohorts cost; nothing is written.

    Raises
    ------
    ParameterError
        Where `reproduce` would refuse it.
    """
    checked_study(study)
    with _as_written(study):
        return run_dry(study.submission, "use")


@contextmanager
def _as_written(study: Study) -> Iterator[None]:
    """Name fields of its submission as the study's file does, where one is refused."""
    try:
        yield
    except ParameterError as error:
        raise renamed(error, partial(as_written, study)) from error


def fill_tables(
    study: Study,
    networks: dict[str, list[Row]],
    workers: int = 1,
    announce: Callable[[str, int], None] | None = None,
) -> Filled:
    """Fill the tables of a study, one after the other; return how many rows were new.

    Parameters
    ----------
    study : Study
    networks : dict of str to list of dict
        From `enter`.
    workers : int
        Processes.
    announce : callable, optional
        Called with a table's name and the number of its jobs.

    Raises
    ------
    KeyboardInterrupt
        Where it was stopped before everything was done.
    """
    cohorts = {
        tuple(sorted((n, v) for n, v in key.items() if n != "seed")): None
        for keys in networks.values()
        for key in keys
    }
    wanted: dict[str, list[Row]] = {Training.__name__: [{}], **study.tables}
    restrictions = {
        name: [{**dict(cohort), **study.settings, **key} for cohort in cohorts for key in keys]
        for name, keys in wanted.items()
    }
    return fill(restrictions, workers, announce)


def fill(
    restrictions: Mapping[str, Sequence[Row]],
    workers: int = 1,
    announce: Callable[[str, int], None] | None = None,
) -> Filled:
    """Fill tables, one after the other, each of the keys that belong to one of its restrictions.

    Raises
    ------
    KeyboardInterrupt
        Where it was stopped before everything was done.
    """
    made, errors = 0, Errors()
    pool: AbstractContextManager[ProcessPoolExecutor | None] = nullcontext(None)
    if workers > 1:
        # Not forked: a fork has the connection of its parent, and no GPU.
        spawned = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers - 1, spawned, _connect)
    with pool as others:
        for table in tables_named(restrictions):
            name = table.__name__
            restriction = list(restrictions[name])
            futures = (
                [others.submit(_fill, name, restriction) for _ in range(workers - 1)]
                if others is not None
                else []
            )
            loop = WorkLoop((table,), restriction, announce=announce)
            filled = loop.run()
            if loop.stop.is_set():
                raise KeyboardInterrupt
            for each in (filled, *(future.result() for future in futures)):
                made += each.made
                errors += each.errors
    return Filled(made, errors)


def _connect() -> None:
    from models.machine.threads import set_threads

    set_threads(1)
    database.connect(declare=False)


def _fill(table: str, restriction: Sequence[Row]) -> Filled:
    filled = WorkLoop(tables_named([table]), list(restriction)).run()
    return Filled(filled.made, [(t, dict(key), str(text)) for t, key, text in filled.errors])


def solves(row: Any, limits: dict[str, float]) -> bool:
    """Return whether a row of `Validation` reaches all limits; one that has no score does not."""
    return all(row[name] is not None and row[name] >= least for name, least in limits.items())
