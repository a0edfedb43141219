"""Taking the next job, of the first table that has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import datajoint as dj

from ..database.types import Restriction
from .job_table import Key, Sets
from .missing_classes import MissingClasses
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
    missing : MissingClasses, optional
        Jobs that need one of these are passed over.
    """

    queues: Sequence[Queue]
    restriction: Sequence[Restriction]
    version: str
    pid: int
    missing: MissingClasses | None = None

    def pending(self, connection: dj.Connection) -> list[Queue]:
        """Return the queues that have a job for this worker."""
        return with_pending_jobs(connection, self.queues, self.restriction, self._excluded)

    def take(self, connection: dj.Connection, worker_id: int) -> tuple[Queue, Key] | None:
        """Reserve a job of the first queue that has one, and return it; None if there is none.

        One that turns out to need a class which cannot be imported here is given back at once, and
        no other of its parameter set is taken.
        """
        while queues := self.pending(connection):
            for queue in queues:
                key = queue.take_next(
                    connection, worker_id, self.version, self.pid, self.restriction, self._excluded
                )
                if key is None:
                    continue
                if self.missing is None or not self.missing.needed_by(key):
                    return queue, key
                queue.give_back(connection, key, worker_id)
                break
        return None

    def waiting(self, connection: dj.Connection) -> dict[str, int]:
        """Return how many jobs are pending for each class that cannot be imported here."""
        return {} if self.missing is None else self.missing.waiting(connection, self.queues)

    @property
    def _excluded(self) -> Sets:
        return {} if self.missing is None else self.missing.excluded_sets
