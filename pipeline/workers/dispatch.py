"""Taking the next job, of the first table that has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import datajoint as dj

from ..database.types import Restriction
from .job_table import Key
from .queue import Queue, with_pending_jobs


@dataclass(frozen=True)
class Dispatcher:
    """Takes jobs for one worker.

    Parameters
    ----------
    queues : sequence of Queue
        In the order in which they are emptied.
    restriction : sequence of restrictions
        Which keys.
    version : str
        Of the code, for the row of the job.
    pid : int
    """

    queues: Sequence[Queue]
    restriction: Sequence[Restriction]
    version: str
    pid: int

    def pending(self, connection: dj.Connection) -> list[Queue]:
        """Return the queues that have a job."""
        return with_pending_jobs(connection, self.queues, self.restriction)

    def take(self, connection: dj.Connection, worker_id: int) -> tuple[Queue, Key] | None:
        """Reserve a job of the first queue that has one, and return it; None if there is none."""
        while queues := self.pending(connection):
            for queue in queues:
                key = queue.take_next(
                    connection, worker_id, self.version, self.pid, self.restriction
                )
                if key is not None:
                    return queue, key
        return None
