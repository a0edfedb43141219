"""Finding the next job, so that hundreds of workers do not all try for the same one."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import datajoint as dj

from ..database.types import Restriction
from .job_table import Key
from .queue import CANDIDATES, Queue, with_pending_jobs

CANDIDATES_LAST = 5.0  # seconds for which jobs that were seen are tried
MOST_MISSES = 3  # jobs that others had taken, until jobs are looked for again
WIDEST = 64 * CANDIDATES


class Dispatcher:
    """Takes jobs for one worker.

    A worker alone takes jobs in their order. Where others are quicker it looks further down the
    queue, at a place drawn at random, the further the more often that happens.

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

    def __init__(
        self, queues: Sequence[Queue], restriction: Sequence[Restriction], version: str, pid: int
    ) -> None:
        self.queues = list(queues)
        self.restriction = restriction
        self.version, self.pid = version, pid
        self._seen: dict[str, tuple[float, list[Key]]] = {}
        self._spread = 0

    def pending(self, connection: dj.Connection) -> list[Queue]:
        """Return the queues that have a job."""
        return with_pending_jobs(connection, self.queues, self.restriction)

    def forget(self) -> None:
        """Forget the jobs that were seen."""
        self._seen.clear()

    def take(self, connection: dj.Connection, worker_id: int) -> tuple[Queue, Key] | None:
        """Return a job that is now this worker's, of the first queue that has one; else None."""
        while queues := self.pending(connection):
            for queue in queues:
                key = self._take_of(connection, queue, worker_id)
                if key is not None:
                    return queue, key
        return None

    def _take_of(self, connection: dj.Connection, queue: Queue, worker_id: int) -> Key | None:
        keys = self._candidates(connection, queue)
        for misses in range(MOST_MISSES):
            if not keys:
                break
            key = keys.pop()
            if queue.take(connection, key, worker_id, self.version, self.pid):
                if not misses:
                    self._spread //= 2
                return key
        self._spread = min(max(2 * self._spread, CANDIDATES), WIDEST)
        self._seen.pop(queue.name, None)
        return None

    def _candidates(self, connection: dj.Connection, queue: Queue) -> list[Key]:
        since, keys = self._seen.get(queue.name, (0.0, []))
        if not keys or time.monotonic() - since > CANDIDATES_LAST:
            first = random.randrange(self._spread) if self._spread else 0
            keys = queue.candidates(connection, self.restriction, first)
            if not keys and first:
                self._spread = 0
                keys = queue.candidates(connection, self.restriction)
            self._seen[queue.name] = (time.monotonic(), keys)
        return keys
