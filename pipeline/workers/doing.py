"""Doing the jobs that a worker has: one alone, or several together, each to an end of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import datajoint as dj

from models.training.checkpoints import TrainingStopped
from tasks_lib.errors import kind_and_text

from ..database.server import close_connection
from ..progress import TableBar
from ..transient.errors import is_transient
from .heartbeat import Heartbeat
from .job import (
    Fetched,
    Job,
    JobDeleted,
    JobStopped,
    JobTakenOver,
    computing,
    remove_left_checkpoints,
    run_job,
)
from .job_ends import discard_deleted, fail, give_back, is_device_broken, storable
from .job_table import Key
from .queue import Queue
from .reports import report_job
from .steps import ComputedTogether
from .together import CompanionFinder, computed_together

log = logging.getLogger(__name__)


class DoesJobs:
    """Does the jobs that a worker has taken; base of `WorkLoop`.

    Attributes
    ----------
    jobs : list of Job
        All that it has.
    job : Job or None
        The present one.
    made : int
        Rows made.
    errors : list of tuple
        Of jobs that failed: table, key, message.
    """

    jobs: list[Job]
    job: Job | None
    made: int
    errors: list[tuple[str, Key, str]]
    heartbeat: Heartbeat
    stop: threading.Event
    device: str | None
    checkpoint_seconds: float
    _bar: TableBar
    _companions: CompanionFinder
    _interrupt: Callable[[], Any]

    @property
    def connection(self) -> dj.Connection:
        """The worker's own connection; the heartbeat has another."""
        raise NotImplementedError

    def _retry_transient(self, attempt: Callable[[], Any]) -> Any:
        raise NotImplementedError

    def _renew_session(self) -> None:
        raise NotImplementedError

    def _do(self, queue: Queue, key: Key) -> None:
        """Do a job, and whatever others can be done together with it."""
        self.jobs = [self._job(queue, key)]
        report_job(self.heartbeat, queue, key)
        self.heartbeat.look = self._look_whether_deleted
        try:
            self._do_together()
            while self.jobs:
                job = self.jobs[0]
                if self.heartbeat.report.job_key != job.key:
                    report_job(self.heartbeat, queue, job.key)
                self._finish(job)
        finally:
            left, self.jobs = self.jobs, []
            self.heartbeat.look = self.job = None
            for job in left:
                give_back(job)

    def _job(self, queue: Queue, key: Key) -> Job:
        job = Job(queue, key, self.heartbeat, self.stop, self.device, self.checkpoint_seconds)
        job.interrupt = self._interrupt
        return job

    def _look_whether_deleted(self, connection: dj.Connection) -> None:
        for job in list(self.jobs):
            if "wanted" in vars(job):  # asked on the worker's own connection
                job.look_whether_deleted(connection)

    def _do_together(self) -> None:
        """Compute what can be computed together with the first job, and finish it.

        Those that are left are to be done one by one.
        """
        first = self.jobs[0]
        table = first.queue.table()
        if self._companions.most == 1 or not isinstance(table, ComputedTogether):
            return
        self.job = first
        try:
            self._take_companions(table, first)
            if len(self.jobs) > 1:
                self._compute_together(table)
        except (TrainingStopped, JobStopped, KeyboardInterrupt) as error:
            for job in list(self.jobs):
                self._finish(job, error)
        except JobDeleted:  # of the first job, which finds it too
            self._give_others_back()
        except Exception as error:
            if is_device_broken(error):
                self.jobs.pop(0)  # as in `_finish`
                raise
            # It is no job's own error: the first is done alone, and may tell more.
            log.warning("%s; jobs are given back", kind_and_text(error))
            self._give_others_back()

    def _give_others_back(self) -> None:
        while len(self.jobs) > 1:
            give_back(self.jobs.pop())

    def _take_companions(self, table: ComputedTogether, first: Job) -> None:
        """Take the jobs that are to be done together with the first one."""
        find, retry = self._companions, self._retry_transient
        if not self._fetch(table, first):
            return
        candidates = retry(lambda: find.candidates(table, first, self.connection))
        if not candidates:
            return
        try:
            with computing(first):
                room = find.room(table, first)
        except (Exception, SystemExit) as error:  # of somebody's task, say: its job will tell
            log.info("%s: %s", first.key, kind_and_text(error))
            return
        chosen = retry(lambda: find.choose(table, first, candidates, room, self.connection))
        worker_id = self.heartbeat.worker_id
        keys = retry(lambda: find.take(first.queue, chosen, self.connection, worker_id))
        # Known as ours before anything else is asked of them.
        others = [self._job(first.queue, key) for key in keys]
        self.jobs += others
        for job in others:
            self._fetch(table, job)

    def _fetch(self, table: ComputedTogether, job: Job) -> bool:
        """Fetch what a job is computed from; return False where it cannot be, as it finds too."""
        try:
            self._retry_transient(lambda: job.wanted)
            job.fetched = self._retry_transient(lambda: Fetched.by(table, job.key))
        except Exception as error:
            if is_transient(error):
                raise
            return False
        return True

    def _compute_together(self, table: ComputedTogether) -> None:
        together = [job for job in self.jobs if job.fetched is not None]
        self.heartbeat.report.note = f"{len(together)} at once"
        with closing(computed_together(table, together)) as settled:
            for job in settled:
                self._finish(job)
                self.job = self.jobs[0] if self.jobs else None
        for job in self.jobs:
            job.fetched = None  # of those that are left; it may have changed

    def _finish(self, job: Job, ended_by: BaseException | None = None) -> None:
        """Bring one job to its end: run what is left of it, or end it because of an error."""
        made = False
        self.job = job
        try:
            if ended_by is not None:
                raise ended_by
            self._retry_transient(lambda: job.wanted)
            made = run_job(job, self.connection, self._retry_transient)
            self.made += made
        except JobTakenOver:
            if not self._retry_transient(lambda: discard_deleted(job, self.connection)):
                self.heartbeat.declared_dead.set()  # what the next heartbeat would find
                self._retry_transient(lambda: remove_left_checkpoints(job))
        except JobDeleted:
            close_connection(self.connection)  # a reply may have been read by half
            self._retry_transient(self._renew_session)
            if not self._retry_transient(lambda: discard_deleted(job, self.connection)):
                give_back(job)
        except (JobStopped, KeyboardInterrupt) as error:
            close_connection(self.connection)  # a reply may have been read by half
            give_back(job)
            if not isinstance(error, JobStopped):
                raise
            self.stop.set()  # whoever heard the signal too is another thread, and may come later
        except BaseException as error:  # also SystemExit, by which a job would end its worker
            if is_device_broken(error):
                raise  # this process can compute nothing any more; its job is lost with it
            if self.stop.is_set() and is_transient(error):
                give_back(job)
            elif self._retry_transient(lambda: discard_deleted(job, self.connection)):
                pass
            elif isinstance(error, TrainingStopped):
                give_back(job)
                if self.heartbeat.declared_dead.is_set() and not self.stop.is_set():
                    self._retry_transient(lambda: remove_left_checkpoints(job))
            else:
                self._fail(job, error)
        finally:
            self.jobs.remove(job)
            self.job = None
            if made or not self.stop.is_set():  # else it was given back, and is still to be done
                self._bar.advance()
            self.heartbeat.report.n_done += made

    def _fail(self, job: Job, error: BaseException) -> None:
        message = storable(kind_and_text(error))
        if self._retry_transient(lambda: fail(job, self.connection, message, error)):
            self.errors.append((job.queue.name, dict(job.key), message))
