"""The loop of a worker: take a job, run it, take the next."""

from __future__ import annotations

import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import datajoint as dj

from models.machine.devices import checked_device
from models.training.checkpoints import CHECKPOINT_SECONDS, TrainingStopped
from tasks_lib.errors import kind_and_text, text_of

from ..database import connection as database
from ..database import schemas
from ..database.server import close_connection, reconnect, server_time
from ..database.types import Restriction
from ..progress import TableBar
from ..tables.computed import COMPUTED, load_code
from ..tables.provenance import code_version
from ..transient.errors import is_transient
from ..transient.retry import retry_transient
from .dispatch import Dispatcher
from .heartbeat import HEARTBEAT_SECONDS, Heartbeat, Host, renew_session
from .job import (
    Job,
    JobStopped,
    JobTakenOver,
    remove_left_checkpoints,
    report_idle,
    report_job,
    report_resumed,
    report_waiting,
    run_job,
)
from .job_table import Key
from .leases import end_lease, take_lease, was_done_since
from .queue import Queue
from .worker_sql import is_another, was_not_heard

Until = Literal["nothing pending", "nothing running", "forever"]

Result = TypeVar("Result")
ENTER_SECONDS = 1.0  # from the end of one entering of new jobs to the next, of all workers
IDLE_ENTER_SECONDS = 5.0  # the same where all wait for more
# A worker without a job looks again after about so many seconds: the longer it has had none, the
# rarer, so that hundreds of idle workers do not keep the server busy.
FIRST_POLL, LONGEST_POLL = 0.4, 3.0
MAX_LOSSES = 5
ENTERING = "enter_jobs"


@dataclass(frozen=True)
class Filled:
    """Result of `fill`: number of rows made, and the errors of jobs that failed."""

    made: int
    errors: list[tuple[str, dict[str, Any], str]]  # table, key, message


@dataclass
class WorkLoop:
    """The loop of a worker: takes jobs and runs them until none is left.

    Parameters
    ----------
    tables : sequence of Computed tables
        In the order in which they depend on each other.
    restriction : restriction, optional
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
    stop : Event
        Set to have it end: at the next iteration of a training, or after the present job.
    """

    tables: Sequence[type[dj.Computed]] = COMPUTED
    restriction: Restriction = None
    until: Until = "nothing pending"
    announce: Callable[[str, int], None] | None = None
    waiting: Callable[[BaseException, float], Any] | None = None
    beat_seconds: float = HEARTBEAT_SECONDS
    max_losses: int = MAX_LOSSES
    worker_id: int | None = None
    shares: bool = False
    device: str | None = None
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.job: Job | None = None
        self.made = 0
        self.errors: list[tuple[str, Key, str]] = []
        self._queues = [Queue(table) for table in self.tables]
        self._conditions = [] if self.restriction is None else [self.restriction]
        self._may_hold = False
        self._found_nothing: str | None = None  # the server's time
        self._idle_since = 0.0
        self._bar = TableBar(shown=self.announce is not None)
        # Dead workers may have left a job in any table, not only in ours.
        everywhere = {queue.name: queue for queue in map(Queue, COMPUTED)}
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
        self._dispatcher = Dispatcher(self._queues, self._conditions, host.code_version, host.pid)
        self.heartbeat = Heartbeat(
            database.second_connection,
            host,
            list(everywhere.values()),
            self.beat_seconds,
            self.max_losses,
            self.worker_id,
        )

    @property
    def connection(self) -> dj.Connection:
        """The worker's own connection; the heartbeat has another."""
        return database.connection()

    # The loop ------------------------------------------------------------------------------------

    def run(self) -> Filled:
        """Work until nothing is left, or until `stop` is set."""
        note, crashed = "nothing left", False
        _running.append(self)
        # A connection is opened again here, which reports its new number, and not by DataJoint.
        with dj.config.override(database__reconnect=False):
            try:
                self._work()
                if self.stop.is_set():
                    note = "was asked to end"
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
        return Filled(self.made, self.errors)

    def _prepare(self) -> None:
        for queue in self.heartbeat.queues:
            queue.prepare()

    def _work(self) -> None:
        self._retry_transient(database.check_writing)
        self._retry_transient(schemas.load_headings)
        self._retry_transient(self._prepare)
        self._retry_transient(self.heartbeat.start)
        self._retry_transient(self._renew_session)
        self._retry_transient(
            lambda: self._enter_in_turn(ENTER_SECONDS) if self.shares else self._enter(self._queues)
        )
        while not self.stop.is_set():
            if self.heartbeat.declared_dead.is_set():
                self._retry_transient(self.heartbeat.register_again)
            taken = self._retry_transient(self._take)
            if taken is not None:
                self._found_nothing = None
                self._do(*taken)
            elif not self._retry_transient(self._is_more_to_come):
                break

    def _do(self, queue: Queue, key: Key) -> None:
        job = Job(queue, key, self.heartbeat, self.stop, self.device, self.checkpoint_seconds)
        report_job(self.heartbeat, queue, key)
        made = False
        self.job = job
        try:
            made = run_job(job, self.connection, self._retry_transient)
            self.made += made
        except JobTakenOver:
            self.heartbeat.declared_dead.set()  # what the next heartbeat would find
            self._retry_transient(lambda: remove_left_checkpoints(job))
        except (JobStopped, KeyboardInterrupt) as error:
            close_connection(self.connection)  # a reply may have been read by half
            self._give_back(job)
            if not isinstance(error, JobStopped):
                raise
            self.stop.set()  # whoever heard the signal too is another thread, and may come later
        except BaseException as error:  # also SystemExit, by which a job would end its worker
            if is_device_broken(error):
                raise  # this process can compute nothing any more; its job is lost with it
            if isinstance(error, TrainingStopped) or (self.stop.is_set() and is_transient(error)):
                self._give_back(job)
                if self.heartbeat.declared_dead.is_set() and not self.stop.is_set():
                    self._retry_transient(lambda: remove_left_checkpoints(job))
            else:
                self._fail(job, error)
        finally:
            self.job = None
            self._bar.advance()
            self.heartbeat.report.n_done += made

    def _give_back(self, job: Job) -> None:
        """Give a job back; where the server does not answer, others find it later."""
        give = lambda c: job.queue.give_back(c, job.key, self.heartbeat.worker_id)  # noqa: E731
        for _ in range(3):  # the row may be locked until the server has rolled back
            try:
                self.heartbeat.on_connection(give)
                return
            except Exception as error:
                if not is_transient(error):
                    raise
                time.sleep(0.2)

    def _fail(self, job: Job, error: BaseException) -> None:
        message = storable(kind_and_text(error))
        stack = storable("".join(traceback.format_exception(error)))
        fail = lambda: job.queue.fail(  # noqa: E731
            self.connection, job.key, self.heartbeat.worker_id, message, stack
        )
        if self._retry_transient(fail):
            self.errors.append((job.queue.name, dict(job.key), message))

    # Finding jobs --------------------------------------------------------------------------------

    def _take(self) -> tuple[Queue, Key] | None:
        """Take a job of the first table that has one; None if there is none."""
        if self._may_hold:  # the answer to an earlier attempt was lost
            for queue in self._queues:
                queue.give_back_all(self.connection, self.heartbeat.worker_id)
        self._may_hold = True
        taken = self._dispatcher.take(self.connection, self.heartbeat.worker_id)
        if taken is not None:
            self._go_on_to(taken[0])
        self._may_hold = False
        return taken

    def _go_on_to(self, queue: Queue) -> None:
        if self.announce is not None and self._bar.title != queue.name:
            n_jobs = queue.n_pending(self.connection, self._conditions) + 1
            self.announce(queue.name, n_jobs)
            self._bar.begin(queue.name, n_jobs)

    def _is_more_to_come(self) -> bool:
        """Have new jobs entered, by this worker or another; return whether to look again."""
        report_idle(self.heartbeat)
        if self._found_nothing is None:
            self._found_nothing, self._idle_since = server_time(self.connection), time.monotonic()
        forever = self.until == "forever"
        if not self.shares:
            look_again = bool(self._enter(self._queues))
        elif forever:
            look_again = self._enter_in_turn(IDLE_ENTER_SECONDS)
        else:
            # Afterwards all jobs that there are were entered after this worker had found none.
            look_again = not self._have_entered()
        if look_again or (not forever and self._dispatcher.pending(self.connection)):
            return True
        if forever or self._is_anyone_to_wait_for():
            self._pause()
            return True
        return False

    def _have_entered(self) -> bool:
        """Wait until someone has entered all new jobs; return False where there are some before."""
        began = server_time(self.connection)
        while not self.stop.is_set():
            began = min(began, server_time(self.connection))  # it may be set back meanwhile
            if self._enter_in_turn(ENTER_SECONDS) or was_done_since(
                self.connection, ENTERING, began
            ):
                return True
            self._pause()
            if self._dispatcher.pending(self.connection):
                return False
        return True

    def _pause(self) -> None:
        idle = time.monotonic() - self._idle_since
        seconds = min(max(idle / 10, FIRST_POLL), LONGEST_POLL)
        self.stop.wait(random.uniform(0.5, 1.5) * seconds)

    def _enter_in_turn(self, pause: float) -> bool:
        """Enter the new jobs of all tables, if it is this worker's turn; return whether it was."""
        if not take_lease(self.connection, ENTERING, self.heartbeat.worker_id, pause):
            return False
        self._enter(self.heartbeat.queues)
        end_lease(self.connection, ENTERING, self.heartbeat.worker_id)
        return True

    def _enter(self, queues: Sequence[Queue]) -> int:
        return sum(queue.enter(self.connection, self._conditions) for queue in queues)

    def _is_anyone_to_wait_for(self) -> bool:
        """Return whether a job of another worker may yet come back, or bring new ones."""
        # A worker is alive that has beaten since this one found nothing to do. The server's clock
        # may have been set back meanwhile: then what lies ahead was before.
        present = server_time(self.connection)
        self._found_nothing = min(str(self._found_nothing), present)
        condition = was_not_heard(self._found_nothing, present)
        if self.until == "nothing running":
            condition = is_another(self.heartbeat.worker_id)
        # Those of other tables may bring jobs of ours, but not where only some keys are wanted.
        queues = self._queues if self._conditions else self.heartbeat.queues
        return any(q.n_running(self.connection, condition, self._conditions) for q in queues)

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
    tables: Sequence[type[dj.Computed]] = COMPUTED,
    restriction: Restriction = None,
    announce: Callable[[str, int], None] | None = None,
) -> Filled:
    """Fill tables until nothing is left, sharing the work with whoever else fills them.

    Parameters
    ----------
    tables : sequence of Computed tables
        In the order in which they depend on each other.
    restriction : restriction, optional
        Which keys; all by default.
    announce : callable, optional
        Called with a table's name and the number of its jobs, when it goes on to a table.
    """
    return WorkLoop(tables, restriction, announce=announce).run()


def is_device_broken(error: BaseException) -> bool:
    """Return whether an error left the GPU unusable for this process; out of memory does not."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return False
    broken = getattr(torch, "AcceleratorError", ())
    return isinstance(error, broken) or (
        isinstance(error, RuntimeError) and "CUDA error" in text_of(error)
    )


def storable(text: str) -> str:
    """Return a text that both back ends can store: no NUL, no unpaired surrogates."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
