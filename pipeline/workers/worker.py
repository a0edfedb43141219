"""The loop of a worker: take a job, run it, take the next."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import datajoint as dj

from models.machine.devices import checked_device
from models.training.checkpoints import CHECKPOINT_SECONDS
from tasks_lib.brief import brief
from tasks_lib.errors import kind_and_text

from ..database import connection as database
from ..database import schemas
from ..database.server import close_connection, reconnect
from ..database.types import Populated
from ..progress import TableBar
from ..tables.computed import COMPUTED, load_code
from ..tables.provenance import code_version
from ..tables.selections import Chosen
from ..transient.errors import is_transient
from ..transient.retry import retry_transient
from .dispatch import Dispatcher
from .doing import DoesJobs
from .finding import JobFinder, Until
from .heartbeat import HEARTBEAT_SECONDS, Heartbeat, Host, renew_session
from .interrupting import interruptible
from .job import (
    Job,
)
from .job_table import Key
from .missing_classes import MissingClasses
from .queue import Queue
from .reports import report_resumed, report_waiting
from .together import CompanionFinder
from .worker_sql import write_missing_class

log = logging.getLogger(__name__)
Result = TypeVar("Result")
MAX_LOSSES = 5


@brief
@dataclass(frozen=True)
class Filled:
    """Result of `fill`.

    Attributes
    ----------
    made : int
        Number of rows made.
    errors : list of tuple
        Of jobs that failed: table, key, message.
    waiting : dict
        Class -> number of jobs that are left because it cannot be imported here.
    """

    made: int
    errors: list[tuple[str, dict[str, Any], str]]
    waiting: dict[str, int] = field(default_factory=dict)


def log_missing_class(name: str, reason: str) -> None:
    """Log that jobs are left to other workers."""
    log.warning("%s: %s; jobs that need it are left to other workers", name, reason)


@dataclass
class WorkLoop(DoesJobs):
    """The loop of a worker: takes jobs and runs them until none is left.

    Parameters
    ----------
    tables : sequence of Computed or Imported tables
        In the order in which they depend on each other.
    restriction : Selection or restriction, optional
        Which keys; all by default.
    until : {"nothing pending", "nothing running", "forever"}
        When it ends: where it finds no job and all running ones have a living worker, where no
        job runs, or never.
    announce : callable, optional
        Called with a table's name and the number of its jobs, when it goes on to a table.
    waiting : callable, optional
        Called with the error and the seconds when server or store fail and it waits.
    beat_seconds : float
        Time between heartbeats (s).
    max_losses : int
        Workers that may die one after the other with a job, without getting any further, until
        the job fails.
    worker_id : int, optional
        Number of this worker; drawn by default.
    shares : bool
        Whether new jobs are entered for all workers by one of them, in turn: for hundreds of
        workers. Otherwise this one enters its own.
    device : str, optional
        Torch device of trainings; the GPU where there is one.
    checkpoint_seconds : float
        Time from one state of a training to the next in the store (s).
    missing : callable
        Called once for each class that cannot be imported here, with its name and the reason: jobs
        that need it are left to other workers.
    also : sequence of tables
        A lab's own tables that this worker knows besides: it looks after their jobs.
    together : int, optional
        Jobs of one table that it does at once at most; as many as pay by default.
    stop : Event
        Set to have it end: at the next iteration of a training, or after the present job.
    """

    tables: Sequence[type[Populated]] = COMPUTED
    restriction: Chosen = None
    until: Until = "nothing pending"
    announce: Callable[[str, int], None] | None = None
    waiting: Callable[[BaseException, float], Any] | None = None
    beat_seconds: float = HEARTBEAT_SECONDS
    max_losses: int = MAX_LOSSES
    worker_id: int | None = None
    shares: bool = False
    device: str | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    missing: Callable[[str, str], Any] = log_missing_class
    also: Sequence[type[Populated]] = ()
    together: int | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.job: Job | None = None  # the present one
        self.jobs: list[Job] = []  # all that it has
        self.made = 0
        self.errors: list[tuple[str, Key, str]] = []
        self._queues = [Queue(table) for table in self.tables]
        self._conditions = [] if self.restriction is None else [self.restriction]
        self._bar = TableBar(shown=self.announce is not None)
        # Dead workers may have left a job in any table, not only in ours.
        everywhere = {queue.name: queue for queue in map(Queue, COMPUTED)}
        everywhere |= {queue.name: queue for queue in map(Queue, self.also)}
        everywhere |= {queue.name: queue for queue in self._queues}
        load_code()
        import torch

        code, _ = code_version()
        device = checked_device(self.device)
        host = Host(
            host=os.uname().nodename[:255],
            pid=os.getpid(),
            device=device,
            n_threads=torch.get_num_threads(),
            code_version=code[:64],
        )
        self.heartbeat = Heartbeat(
            database.second_connection,
            host,
            list(everywhere.values()),
            self.beat_seconds,
            self.max_losses,
            self.worker_id,
        )
        dispatcher = Dispatcher(
            self._queues,
            self._conditions,
            host.code_version,
            host.pid,
            MissingClasses(self._note_missing_class),
        )
        self.finder = JobFinder(
            self._queues,
            dispatcher,
            self.heartbeat,
            self._conditions,
            self.until,
            self.shares,
            self.stop,
            lambda: self.connection,
        )
        self._companions = CompanionFinder(dispatcher, self.together, self.device)
        self._interrupt: Callable[[], Any] = lambda: None

    @property
    def connection(self) -> dj.Connection:
        """The worker's own connection; the heartbeat has another."""
        return database.connection()

    # The loop ------------------------------------------------------------------------------------

    def run(self) -> Filled:
        """Work until nothing is left, or until `stop` is set."""
        note, crashed = "nothing left", False
        waiting: dict[str, int] = {}
        _running.append(self)
        # A connection is opened again here, which reports its new number, and not by DataJoint.
        with (
            dj.config.override(database__reconnect=False),
            interruptible(lambda: self.job) as self._interrupt,
        ):
            try:
                self._work()
                if self.stop.is_set():
                    note = "was asked to end"
                elif waiting := self._retry_transient(self._jobs_left):
                    note = f"cannot import {', '.join(waiting)}"
            except BaseException as error:
                if not isinstance(error, Exception):  # a reply may have been read by half
                    close_connection(self.connection)
                if not (self.stop.is_set() and is_transient(error)):
                    note = kind_and_text(error)
                    crashed = isinstance(error, Exception)
                    raise
                note = "was asked to end"
            finally:
                _running.remove(self)
                self._bar.close()
                self.heartbeat.stop(note, crashed)
                self._bring_back_connection()
        return Filled(self.made, self.errors, waiting)

    def _jobs_left(self) -> dict[str, int]:
        return self.finder.dispatcher.waiting(self.connection)

    def _work(self) -> None:
        self._retry_transient(database.check_writing)
        self._retry_transient(schemas.load_headings)
        self._retry_transient(self.finder.prepare)
        self._retry_transient(self.heartbeat.start)
        self._retry_transient(self._renew_session)
        self._retry_transient(self.finder.enter_first)
        while not self.stop.is_set():
            if self.heartbeat.declared_dead.is_set():
                self._retry_transient(self.heartbeat.register_again)
            taken = self._retry_transient(self.finder.take)
            if taken is not None:
                self._go_on_to(taken[0])
                self._do(*taken)
            elif not self._retry_transient(self.finder.is_more_to_come):
                break

    def _go_on_to(self, queue: Queue) -> None:
        if self.announce is not None and self._bar.title != queue.name:
            count = lambda: queue.n_pending(self.connection, self._conditions)  # noqa: E731
            n_jobs = self._retry_transient(count) + 1
            self._bar.close()  # first: it would be drawn once more below the line
            self.announce(queue.name, n_jobs)
            self._bar.begin(queue.name, n_jobs)

    def _note_missing_class(self, name: str, reason: str) -> None:
        write_missing_class(self.connection, self.heartbeat.worker_id, name, reason)
        self.missing(name, reason)

    # Failing servers -----------------------------------------------------------------------------

    def _retry_transient(self, attempt: Callable[[], Result]) -> Result:
        try:
            return retry_transient(attempt, self.stop, self._wait, self._renew_session)
        finally:
            report_resumed(self.heartbeat)

    def _wait(self, error: BaseException, seconds: float) -> None:
        report_waiting(self.heartbeat, f"{kind_and_text(error)}, again in {seconds:.0f} s")
        if self.waiting is not None:
            self.waiting(error, seconds)

    def _renew_session(self) -> None:
        renew_session(self.heartbeat, self.connection)

    def _bring_back_connection(self) -> None:
        """Reconnect after an interruption, so that a notebook can go on using the connection."""
        try:
            reconnect(self.connection)
        except Exception as error:
            if not is_transient(error):
                raise


_running: list[WorkLoop] = []


def running_loop() -> WorkLoop | None:
    """Return the loop that this process is in; None where there is none."""
    return _running[-1] if _running else None


def fill(
    tables: Sequence[type[Populated]] = COMPUTED,
    restriction: Chosen = None,
    announce: Callable[[str, int], None] | None = None,
) -> Filled:
    """Fill tables until nothing is left, sharing the work with whoever else fills them.

    Parameters
    ----------
    tables : sequence of Computed or Imported tables
        In the order in which they depend on each other; a lab's own too.
    restriction : Selection or restriction, optional
        Which keys; all by default.
    announce : callable, optional
        Called with a table's name and the number of its jobs, when it goes on to a table.
    """
    return WorkLoop(tables, restriction, announce=announce).run()
