"""Failed jobs: listing their errors, and retrying them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from datajoint.condition import Not

from tasks_lib.brief import brief
from tasks_lib.errors import ParameterError

from ..database import connection as database
from ..database.types import Job, Populated
from ..tables.computed import COMPUTED
from ..tables.selections import Chosen
from .job_table import Key
from .queue import Queue
from .registry import Worker


@brief
@dataclass(frozen=True)
class Failure:
    """A job that failed.

    Attributes
    ----------
    table : str
        Name of the computed table.
    key : dict
        Which row could not be made.
    error : str
        Name of the exception's class.
    message : str
    traceback : str
        Empty where there is none.
    code_version : str
        Package version and commit that failed; empty for jobs of a plain ``populate``.
    host : str
        Machine that it failed on.
    when : datetime or None
        By the clock of the database server.
    """

    table: str
    key: Key
    error: str
    message: str
    traceback: str
    code_version: str
    host: str
    when: datetime | None


def failures(
    restriction: Chosen = None, tables: Sequence[type[Populated]] = COMPUTED
) -> list[Failure]:
    """Return the jobs that failed, the tables in their order and the latest failure last.

    Parameters
    ----------
    restriction : Selection or restriction, optional
        Which keys. A dictionary selects nothing from a table that lacks one of its fields.
    tables : sequence of Computed tables
    """
    found = []
    for table in tables:
        queue = Queue(table)
        rows = _failed(queue, restriction).to_dicts(order_by="completed_time")
        for row in rows:
            error, _, message = row["error_message"].partition(": ")
            found.append(
                Failure(
                    table=queue.name,
                    key={name: row[name] for name in queue.primary_key},
                    error=error,
                    message=message,
                    traceback=row["error_stack"] or "",
                    code_version=row["version"],
                    host=row["host"],
                    when=row["completed_time"],
                )
            )
    return found


def retry(
    restriction: Chosen = None,
    tables: Sequence[type[Populated]] | None = None,
    error: str | None = None,
    everything: bool = False,
    stuck: bool = False,
) -> dict[str, int]:
    """Make failed jobs pending again, for any worker; return how many of each table.

    Workers that died with one of these jobs before do not count against it any more.

    Parameters
    ----------
    restriction : Selection or restriction, optional
        Which keys. A dictionary selects nothing from a table that lacks one of its fields.
    tables : sequence of Computed tables, optional
        All by default.
    error : str, optional
        Only jobs whose error, its class's name included, contains this, in capitals or not.
    everything : bool
        Required where nothing else selects jobs.
    stuck : bool
        Not the failed jobs, but those reserved by nobody: a plain ``populate(reserve_jobs=True)``
        was killed. Where such a populate still runs, its job is then done twice, and the second
        to finish fails.

    Raises
    ------
    ParameterError
        Where nothing is selected.
    """
    if stuck and error is not None:
        raise ParameterError("error", error, "stuck jobs have none", "leave out one of the two")
    if restriction is None and tables is None and error is None and not (everything or stuck):
        raise ParameterError(
            "retry",
            "nothing",
            "is selected",
            "name a table, an error or what jobs are of (a sweep, a task), or say --all",
        )
    given = {}
    for table in COMPUTED if tables is None else tables:
        queue = Queue(table)
        selected = _stuck(queue, restriction) if stuck else _failed(queue, restriction)
        number = queue.put_back(database.connection(), selected, error)
        if number:
            given[queue.name] = number
    return given


def _failed(queue: Queue, restriction: Chosen) -> Job:
    """Return the query of jobs that failed and whose row has not come in meanwhile."""
    failed = queue.jobs & {"status": "error"}
    return queue.chosen(
        failed.restrict(Not(queue.table().proj()), semantic_check=False), restriction
    )


def _stuck(queue: Queue, restriction: Chosen) -> Job:
    """Return the query of reserved jobs whose number is no worker's."""
    workers = Worker.proj(connection_id="worker_id")
    reserved = (queue.jobs & {"status": "reserved"}).restrict(Not(workers), semantic_check=False)
    return queue.chosen(reserved, restriction)
