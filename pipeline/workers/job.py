"""One job: fetch, compute, and insert what no other worker has inserted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import datajoint as dj
from deepdiff import DeepHash

from models.machine.memory import is_short_of_memory
from models.training.checkpoints import CHECKPOINT_SECONDS
from tasks_lib.errors import kind_and_text, text_of

from ..database.server import transaction
from ..store.mounts import check_store, store_answers
from ..store.pending_files import WrittenFiles
from ..tables.current_job import working_on
from ..transient.errors import PermanentError, ShortOfMemory, is_transient
from .checkpoints import StoredCheckpoints, checkpoint_folder
from .heartbeat import Heart
from .queue import Key, Queue, job_hash

MOST_FAILURES = 5  # of a computation that look as if they passed by themselves
MOST_SHORT = 3  # times that a computation may lack memory
TRIPARTITE = ("make_fetch", "make_compute", "make_insert")


class OutOfMemory(PermanentError):
    """A computation that could not have its memory, again and again."""


class JobLost(Exception):
    """The job is another worker's by now."""


class JobStopped(BaseException):
    """The computation is to end at once, because its process is."""


@dataclass
class Job:
    """The job that a worker works on.

    Attributes
    ----------
    queue : Queue
    key : dict
    heart : Heart
        What it reports is said with the next heartbeat.
    stop : Event
        Set when the process is to end.
    device : str, optional
        Torch device of a training; the GPU where there is one.
    checkpoint_seconds : float
        Time from one state of a training to the next in the store (s).
    phase : str
        "fetching", "computing" or "inserting".
    yields : bool
        Whether the computation itself looks at `must_stop`, and keeps what it has done.
    doubtful : WrittenFiles
        Files of an insert of which nobody knows yet whether its commit was done.
    """

    queue: Queue
    key: Key
    heart: Heart
    stop: threading.Event
    device: str | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    phase: str = "fetching"
    yields: bool = False
    doubtful: WrittenFiles = field(default_factory=WrittenFiles, init=False)

    @cached_property
    def checkpoints(self) -> StoredCheckpoints:
        """Where the states of its training are."""
        folder = checkpoint_folder(self.queue.table)
        is_ours = lambda: not self.heart.lost.is_set()  # noqa: E731
        return StoredCheckpoints(folder, job_hash(self.key), is_ours)

    def report(self, step: int, n_steps: int, loss: float) -> None:
        """Say how far a training is."""
        said = self.heart.report
        if said.first_iteration is None:
            said.first_iteration = step - 1
            self.heart.beat_now()
        said.n_iterations, said.loss, said.iteration = n_steps, loss, step

    def must_stop(self) -> bool:
        """Return whether the computation is to end: the process ends, or the job is lost."""
        return self.stop.is_set() or self.heart.lost.is_set()

    @contextmanager
    def yielding(self) -> Iterator[dict[str, Any]]:
        """Inside, the computation itself looks at `must_stop`; yields what a training is given."""
        self.yields = True
        try:
            yield {
                "device": self.device,
                "checkpoints": self.checkpoints,
                "checkpoint_seconds": self.checkpoint_seconds,
                "stop": self.must_stop,
            }
        finally:
            self.yields = False


def run_job(
    job: Job,
    connection: dj.Connection,
    patient: Callable[[Callable[[], Any]], Any],
) -> bool:
    """Do a job; return whether its row was made, and not there already.

    Where the server or the store fails for a while, it waits and goes on: with the computation
    where that failed, with the insert alone where the computation was done.

    Parameters
    ----------
    job : Job
    connection : Connection
        The worker's own; the heart has another.
    patient : callable
        Does an action, again and again where server or store fail; `server.retry_transient` is one.

    Raises
    ------
    JobLost
        Where another worker has the job.
    Exception
        Whatever the table's ``make`` raises.
    """
    table = job.queue.table()
    with working_on(job):
        if patient(lambda: len(table & job.key)):
            patient(lambda: job.queue.finish(connection, job.key, job.heart.worker_id))
            job.checkpoints.remove()  # of a worker that was killed between the two
            return False
        if all(hasattr(table, name) for name in TRIPARTITE):
            fetched = patient(lambda: table.make_fetch(dict(job.key)))
            before = _hash(fetched)  # now: references remember what they have loaded
            job.phase = "computing"
            if job.stop.is_set():  # a signal that came before is not raised any more
                raise JobStopped
            compute = _not_for_ever(lambda: table.make_compute(dict(job.key), *fetched))
            computed = patient(compute)
            job.phase = "inserting"
            patient(lambda: _insert(job, connection, table, computed, before))
        else:
            make = _not_for_ever(lambda: table.make(dict(job.key)))
            patient(lambda: _make(job, connection, table, make))
        if "checkpoints" in vars(job):
            job.checkpoints.remove()
        return True


def _not_for_ever(compute: Callable[[], Any]) -> Callable[[], Any]:
    """Return a computation whose own failures are waited for a few times only.

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
                said = text_of(error)[:300]
                if n_short >= MOST_SHORT:
                    raise OutOfMemory(
                        f"{n_short} times {said}; run it where more memory is free, then "
                        "`rnn retry --error OutOfMemory`"
                    ) from error
                raise ShortOfMemory(said) from error
            if isinstance(error, OSError) and is_transient(error) and store_answers():
                n_failures += 1
                if n_failures >= MOST_FAILURES:
                    raise PermanentError(
                        f"{n_failures} times {kind_and_text(error)}; the store answers"
                    ) from error
            raise

    return attempt


def leave_nothing_behind(job: Job) -> None:
    """Remove what we wrote of a job that another worker has taken over, if that one is done."""
    if "checkpoints" in vars(job) and len(job.queue.table() & job.key):
        job.checkpoints.remove()


@contextmanager
def _inserting(job: Job, connection: dj.Connection, table: Any) -> Iterator[bool]:
    """Inside, rows can be inserted, together with the end of the job; False: they are there."""
    files = WrittenFiles()
    is_committing = False
    try:
        with transaction(connection):
            if not job.queue.finish(connection, job.key, job.heart.worker_id):
                if len(table & job.key):  # the answer to an earlier commit was lost
                    yield False
                    return
                job.doubtful.remove()
                raise JobLost
            job.doubtful.remove()  # the job is still there: that commit was not done
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
            job.doubtful.add(files)
        else:
            files.remove()
        raise


def _insert(job: Job, connection: dj.Connection, table: Any, computed: Any, before: str) -> None:
    with _inserting(job, connection, table) as is_new:
        if is_new:
            if _hash(table.make_fetch(dict(job.key))) != before:
                raise dj.DataJointError(
                    "what the job was computed from has changed meanwhile; retry it"
                )
            table.make_insert(dict(job.key), *computed)


def _make(job: Job, connection: dj.Connection, table: Any, make: Callable[[], Any]) -> None:
    """Make a row in one transaction, as tables without a computation of their own do."""
    with _inserting(job, connection, table) as is_new:
        if is_new:
            job.phase = "computing"
            make()
            job.phase = "inserting"


def _hash(fetched: Any) -> str:
    return str(DeepHash(fetched, ignore_iterable_order=False)[fetched])


def begin(heart: Heart, queue: Queue, key: Key) -> None:
    """Say with the next heartbeats that a job is worked on; soon, where it is of another table."""
    said = heart.report
    is_news = said.job_table != queue.name
    # How far the job before was goes first: a heartbeat may come in between.
    said.first_iteration = said.iteration = said.n_iterations = said.loss = None
    said.state, said.note = "working", ""
    said.job_table, said.job_key, said.job_began = queue.name, key, time.monotonic()
    if is_news:
        heart.beat_now()


def wait(heart: Heart, note: str) -> None:
    """Say, if it can be said, that the worker waits for the server or the store."""
    said = heart.report
    said.state, said.note = "waiting", note[:255]


def go_on(heart: Heart) -> None:
    """Say that the waiting is over, where there was any."""
    said = heart.report
    if said.state == "waiting":
        said.state, said.note = "working" if said.job_table else "idle", ""


def rest(heart: Heart) -> None:
    """Say that no job is worked on."""
    said = heart.report
    said.state, said.note = "idle", ""
    said.job_table, said.job_key, said.job_began = "", None, None
    said.first_iteration = said.iteration = said.n_iterations = said.loss = None
