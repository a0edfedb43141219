"""Taking the next job, of the first table that has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import datajoint as dj

from ..tables.selections import Chosen, Selection
from .job_table import Key, Sets
from .missing_classes import MissingClasses
from .queue import Queue, with_pending_jobs
from .selected_jobs import SelectedJobs


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
    restriction: Sequence[Chosen]
    version: str
    pid: int
    missing: MissingClasses | None = None
    _selected: dict[str, SelectedJobs] = field(default_factory=dict, init=False)
    _last: list[int] = field(default_factory=list, init=False)  # place of the queue of the last job

    def pending(self, connection: dj.Connection) -> list[Queue]:
        """Return the queues that have a job for this worker."""
        if not self._is_selection:
            return with_pending_jobs(connection, self.queues, self.restriction, self._excluded)
        return [
            queue
            for queue in with_pending_jobs(connection, self.queues, (), self._excluded)
            if self._jobs_of(queue).first(connection, 1, self._excluded)
        ]

    def take(self, connection: dj.Connection, worker_id: int) -> tuple[Queue, Key] | None:
        """Reserve a job of the first queue that has one, and return it; None if there is none.

        One that turns out to need a class which cannot be imported here is given back at once, and
        no other of its parameter set is taken.
        """
        is_whole = not self._last or self._last[0] == len(self.queues) - 1
        while queues := self._to_look_at(connection, is_whole):
            for queue in queues:
                key = self._take_next(connection, queue, worker_id)
                if key is None:
                    continue
                if self.missing is None or not self.missing.needed_by(key):
                    self._last[:] = [self.queues.index(queue)]
                    return queue, key
                queue.give_back(connection, key, worker_id)
                break
            else:
                if is_whole and self._is_selection:  # not all of the jobs that are there are of it
                    return None
                is_whole = True
        self._last.clear()
        return None

    def _to_look_at(self, connection: dj.Connection, is_whole: bool) -> list[Queue]:
        """Return the queues that have jobs, of a selection perhaps no job for this worker.

        Those that come after the one of the last job are not asked, unless all are to be: jobs are
        mostly of one table for a long time, and a query that names all takes a server longer than
        all else. Of the first one nothing needs to be asked before a job is taken.
        """
        chosen = () if self._is_selection else self.restriction
        if not is_whole:
            before = self.queues[: self._last[0] + 1]
            if len(before) == 1:
                return list(before)
            if found := with_pending_jobs(connection, before, chosen, self._excluded):
                return found
        return with_pending_jobs(connection, self.queues, chosen, self._excluded)

    def _take_next(self, connection: dj.Connection, queue: Queue, worker_id: int) -> Key | None:
        whose = (worker_id, self.version, self.pid)
        if self._is_selection:
            return self._jobs_of(queue).take_next(connection, *whose, self._excluded)
        return queue.take_next(connection, *whose, self.restriction, self._excluded)

    @property
    def _is_selection(self) -> bool:
        return any(isinstance(each, Selection) for each in self.restriction)

    def _jobs_of(self, queue: Queue) -> SelectedJobs:
        return self._selected.setdefault(queue.name, SelectedJobs(queue, self.restriction))

    def waiting(self, connection: dj.Connection) -> dict[str, int]:
        """Return how many jobs are pending for each class that cannot be imported here."""
        if self.missing is None:
            return {}
        return self.missing.waiting(connection, self.queues, self.restriction)

    @property
    def _excluded(self) -> Sets:
        return {} if self.missing is None else self.missing.excluded_sets
