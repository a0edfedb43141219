"""Running one job: fetch, compute, and insert, unless another worker has inserted it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import datajoint as dj

from models.machine.memory import is_short_of_memory
from models.training.checkpoints import CHECKPOINT_SECONDS
from tasks_lib.errors import kind_and_text, text_of

from ..database.server import transaction
from ..database.types import Populated
from ..store.mounts import check_store, store_answers
from ..store.pending_files import WrittenFiles
from ..tables.current_job import working_on
from ..transient.errors import PermanentError, ShortOfMemory, is_transient
from .checkpoints import StoredCheckpoints, checkpoint_folder
from .heartbeat import Heartbeat
from .job_table import Key
from .queue import Queue, job_hash
from .steps import Tripartite, make_row, refuse_nothing, steps_of

MOST_FAILURES = 5  # errors of a computation itself that look transient
MOST_SHORT = 3  # times that a computation may lack memory


class OutOfMemory(PermanentError):
    """A computation ran out of memory several times."""


class JobTakenOver(Exception):
    """Another worker has taken over the job."""


class JobStopped(BaseException):
    """The computation must end at once, because its process ends."""


class JobDeleted(BaseException):
    """The computation must end at once: what it is computed from, or its job, was deleted."""


@dataclass(frozen=True)
class Fetched:
    """What a computation needs from the database, and the hash that it had when it was fetched."""

    values: tuple[Any, ...]
    hash: str

    @classmethod
    def by(cls, steps: Tripartite, key: Key) -> Fetched:
        """Fetch it, with the steps of a table."""
        values = steps.make_fetch(dict(key))
        return cls(values, _hash(values))  # now: references remember what they have loaded


@dataclass
class Job:
    """The job that a worker is running.

    Attributes
    ----------
    queue : Queue
    key : dict
    heartbeat : Heartbeat
        Its report is sent with the next heartbeat.
    stop : Event
        Set when the process is to end.
    device : str, optional
        Torch device of a training; the GPU where there is one.
    checkpoint_seconds : float
        Time from one state of a training to the next in the store (s).
    phase : str
        "fetching", "computing" or "inserting".
    checks_stop : bool
        Whether the computation checks `must_stop` itself, and saves its state before it ends.
    uncertain_files : WrittenFiles
        Files of an insert whose commit may or may not have been done.
    deleted : Event
        Set when its key, or its job, is found to be deleted.
    interrupt : callable, optional
        Called then: ends a computation that does not check `must_stop`.
    fetched : Fetched, optional
        What its computation needs, once it is fetched.
    computed : tuple, optional
        What is to be inserted, where it was computed together with other jobs.
    """

    queue: Queue
    key: Key
    heartbeat: Heartbeat
    stop: threading.Event
    device: str | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    phase: str = "fetching"
    checks_stop: bool = False
    uncertain_files: WrittenFiles = field(default_factory=WrittenFiles, init=False)
    deleted: threading.Event = field(default_factory=threading.Event, init=False)
    interrupt: Callable[[], Any] | None = None
    fetched: Fetched | None = None
    computed: tuple[Any, ...] | None = None

    @cached_property
    def checkpoints(self) -> StoredCheckpoints:
        """The checkpoints of its training."""
        folder = checkpoint_folder(self.queue.table)

        def is_ours() -> bool:
            return not (self.heartbeat.declared_dead.is_set() or self.deleted.is_set())

        return StoredCheckpoints(folder, job_hash(self.key), is_ours)

    def report(self, step: int, n_steps: int, loss: float) -> None:
        """Report the progress of a training."""
        report = self.heartbeat.report
        if report.first_iteration is None:
            report.first_iteration = step - 1
            self.heartbeat.send_soon()
        report.n_iterations, report.loss, report.iteration = n_steps, loss, step

    def watch(self, iteration: int, n_iterations: int, values: Mapping[str, float]) -> None:
        """Have the next heartbeat write the loss of an iteration and its terms."""
        self.heartbeat.report.curves.add(iteration, values)

    def must_stop(self) -> bool:
        """Return whether the computation must end.

        Its process ends, or counts as dead, or what it computes is not wanted any more.
        """
        return self.stop.is_set() or self.heartbeat.declared_dead.is_set() or self.deleted.is_set()

    @cached_property
    def wanted(self) -> tuple[str, tuple[Any, ...]]:
        """The query, with its arguments, that has a row while the key is to be computed."""
        return self.queue.wanted_key(self.key)

    def look_whether_deleted(self, connection: dj.Connection) -> None:
        """Notice that the job is not ours any more, or that its key has gone; with a heartbeat.

        Its computation ends then: its result could not be inserted.
        """
        query, arguments = self.wanted
        if self.deleted.is_set() or (
            self.queue.is_held(connection, self.key, self.heartbeat.worker_id)
            and connection.query(query, args=arguments).fetchone() is not None
        ):
            return
        self.deleted.set()
        if self.interrupt is not None:
            self.interrupt()

    @contextmanager
    def checking_stop(self) -> Iterator[dict[str, Any]]:
        """Mark that the computation inside checks `must_stop`; yield the options of a training."""
        self.checks_stop = True
        try:
            yield {
                "device": self.device,
                "checkpoints": self.checkpoints,
                "checkpoint_seconds": self.checkpoint_seconds,
                "stop": self.must_stop,
            }
        finally:
            self.checks_stop = False


def run_job(
    job: Job,
    connection: dj.Connection,
    retry: Callable[[Callable[[], Any]], Any],
) -> bool:
    """Run a job; return whether its row was inserted, and was not there already.

    After a transient error it waits and continues: with the computation if that failed, with the
    insert alone if the computation was done.

    Parameters
    ----------
    job : Job
    connection : Connection
        The worker's own; the heartbeat has another.
    retry : callable
        Runs an action, and repeats it after transient errors, as `retry_transient` does.

    Raises
    ------
    JobTakenOver
        Where another worker has the job.
    Exception
        Whatever the table's ``make`` raises.
    """
    table = job.queue.table()
    with working_on(job):
        if retry(lambda: len(table & job.key)):
            retry(lambda: job.queue.finish(connection, job.key, job.heartbeat.worker_id))
            job.checkpoints.remove()  # of a worker that was killed between the two
            return False
        steps = steps_of(table)
        if steps is not None:
            fetched = job.fetched or retry(lambda: Fetched.by(steps, job.key))
            computed = job.computed
            if computed is None:
                values = fetched.values
                compute = _with_limited_retries(lambda: steps.make_compute(dict(job.key), *values))
                with computing(job):
                    if job.stop.is_set():  # a signal that came before is not raised any more
                        raise JobStopped
                    computed = retry(compute)
            retry(lambda: _insert(job, connection, table, steps, computed, fetched.hash))
        else:
            make = _with_limited_retries(lambda: make_row(table, dict(job.key)))
            retry(lambda: _make(job, connection, table, make))
        if "checkpoints" in vars(job):
            job.checkpoints.remove()
        return True


@contextmanager
def computing(job: Job) -> Iterator[None]:
    """Mark a job as one that computes; not any more where an error ends it, whose end is written.

    A job that failed is not ours any more, which the heartbeat notices as if it were deleted.
    """
    job.phase = "computing"
    try:
        if job.deleted.is_set():
            raise JobDeleted
        yield
    finally:
        job.phase = "inserting"


def _with_limited_retries(compute: Callable[[], Any]) -> Callable[[], Any]:
    """Return a computation that is retried only a few times after errors of its own.

    A task or a penalty of a user's own may open files and connections too. Memory that others on
    the machine have taken may come back; the next attempt is planned for what is free then.
    """
    n_failures = n_short = 0

    def attempt() -> Any:
        nonlocal n_failures, n_short
        try:
            return compute()
        except Exception as error:
            if is_short_of_memory(error):
                n_short += 1
                message = text_of(error)[:300]
                if n_short >= MOST_SHORT:
                    raise OutOfMemory(
                        f"{n_short} times {message}; run it where more memory is free, then "
                        "`rnn retry --error OutOfMemory`"
                    ) from error
                raise ShortOfMemory(message) from error
            if isinstance(error, OSError) and is_transient(error) and store_answers():
                n_failures += 1
                if n_failures >= MOST_FAILURES:
                    raise PermanentError(
                        f"{n_failures} times {kind_and_text(error)}; the store answers"
                    ) from error
            raise

    return attempt


def remove_left_checkpoints(job: Job) -> None:
    """Remove our checkpoints of a job that another worker has taken over and finished."""
    if "checkpoints" in vars(job) and len(job.queue.table() & job.key):
        job.checkpoints.remove()


@contextmanager
def _inserting(job: Job, connection: dj.Connection, table: Populated) -> Iterator[bool]:
    """Open a transaction that inserts and ends the job; yield False if the rows are there."""
    files = WrittenFiles()
    is_committing = False
    try:
        with transaction(connection):
            if not job.queue.finish(connection, job.key, job.heartbeat.worker_id):
                if len(table & job.key):  # the answer to an earlier commit was lost
                    yield False
                    return
                job.uncertain_files.remove()
                raise JobTakenOver
            job.uncertain_files.remove()  # the job is still there: that commit was not done
            check_store()
            type(table)._allow_insert = True
            try:
                with files.noting():
                    yield True
            finally:
                type(table)._allow_insert = False
            files.make_durable()
            check_store()
            is_committing = True
    except BaseException:
        if is_committing:  # the next attempt shows whether the rows are in
            job.uncertain_files.add(files)
        else:
            files.remove()
        raise


def _insert(
    job: Job,
    connection: dj.Connection,
    table: Populated,
    steps: Tripartite,
    computed: tuple[Any, ...],
    before: str,
) -> None:
    with _inserting(job, connection, table) as is_new:
        if is_new:
            if _hash(steps.make_fetch(dict(job.key))) != before:
                raise dj.DataJointError(
                    "what the job was computed from has changed meanwhile; retry it"
                )
            steps.make_insert(dict(job.key), *computed)
            refuse_nothing(table, job.key)


def _make(job: Job, connection: dj.Connection, table: Populated, make: Callable[[], Any]) -> None:
    """Compute and insert a row in one transaction, for tables with a single ``make``."""
    with _inserting(job, connection, table) as is_new:
        if is_new:
            with computing(job):
                make()
            refuse_nothing(table, job.key)


def _hash(fetched: Any) -> str:
    from deepdiff import DeepHash  # it takes longer to import than most workers take to begin

    return str(DeepHash(fetched, ignore_iterable_order=False)[fetched])
