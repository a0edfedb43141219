"""The heartbeat of a worker: a thread with its own connection that reports the worker as alive."""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import datajoint as dj

from ..database.server import (
    close_connection,
    end_earlier_session,
    reconnect,
    session_number,
)
from ..transient.errors import is_transient
from . import worker_sql
from .job_table import Key
from .live_curves import LiveCurves
from .queue import Queue
from .reaper import reap
from .registry import LIVE_STATES, MISSED_HEARTBEATS

Result = TypeVar("Result")
HEARTBEAT_SECONDS = 10.0
MIN_HEARTBEAT_SECONDS = 1.0  # seconds from one heartbeat to one that was asked for
log = logging.getLogger(__name__)


@dataclass
class Report:
    """What the next heartbeat of a worker reports."""

    state: str = "idle"
    note: str = ""
    session_id: int = 0
    session_since: float = 0.0  # by this process's own clock, as the next time
    n_done: int = 0
    job_table: str = ""
    job_key: Key | None = None
    job_began: float | None = None
    first_iteration: int | None = None
    iteration: int | None = None
    n_iterations: int | None = None
    loss: float | None = None
    curves: LiveCurves = field(default_factory=LiveCurves)


@dataclass(frozen=True)
class Host:
    """The process of a worker: machine, device and code version."""

    host: str
    pid: int
    device: str
    n_threads: int
    code_version: str


@dataclass
class Heartbeat:
    """Sends a worker's heartbeats, and gives back the jobs of workers whose heartbeat has stopped.

    Parameters
    ----------
    open_connection : callable
        Opens a connection that nobody else uses.
    host : Host
    queues : sequence of Queue
        Where jobs of dead workers are looked for.
    beat_seconds : float
        Time between heartbeats (s); a worker is dead after `MISSED_HEARTBEATS` of its own.
    max_losses : int
        A job that was lost so often without getting any further fails.
    first_id : int, optional
        Number of the worker; drawn by default.
    """

    open_connection: Callable[[], dj.Connection]
    host: Host
    queues: Sequence[Queue]
    beat_seconds: float = HEARTBEAT_SECONDS
    max_losses: int = 5
    first_id: int | None = None
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.worker_id = 0
        self.declared_dead = threading.Event()  # our jobs may be another worker's by now
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._using = threading.RLock()  # the connection: one at a time
        self._connection: dj.Connection | None = None
        self._thread: threading.Thread | None = None
        self._contact_since: float | None = None
        # Asked after each heartbeat, on its connection: whether the worker's job is still wanted.
        self.look: Callable[[dj.Connection], Any] | None = None

    # Start and end -------------------------------------------------------------------------------

    def start(self) -> None:
        """Insert the worker's row and start sending heartbeats."""
        self._register(self.first_id)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def register_again(self) -> None:
        """Continue under a new worker number: the old one counts as dead."""
        self._register(None)

    def stop(self, note: str = "", crashed: bool = False) -> None:
        """Stop; write that the worker has ended or, if it crashed, is lost with its job."""
        self._ending.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        if crashed:
            self._report_crash(note)
        else:
            self.report_end(note)
        if self._connection is not None:
            close_connection(self._connection)

    def report_end(self, note: str) -> None:
        """Write that the worker has ended; other workers then give back a job that it left."""
        if not self.worker_id:
            return  # it has not begun
        with self._using, _transient_errors_ignored():
            worker_sql.write_end(self._open(), self.worker_id, note, self.report.n_done)

    def _report_crash(self, note: str) -> None:
        """Write that the worker crashed, and the iteration of its job: its job counts one loss."""
        if not self.worker_id:
            return
        with self._using, _transient_errors_ignored():
            self._send()
            worker_sql.mark_dead(self._open(), self.worker_id, note)

    def send_soon(self) -> None:
        """Send the next heartbeat soon, because the report has changed."""
        self._wake.set()

    def on_connection(self, action: Callable[[dj.Connection], Result]) -> Result:
        """Run an action on the heartbeat's connection; for any thread."""
        with self._using:
            return action(self._open())

    def session_age(self) -> float:
        """Return for how long the worker's own session has been open (s)."""
        return time.monotonic() - self.report.session_since

    # Inside --------------------------------------------------------------------------------------

    def _open(self) -> dj.Connection:
        if self._connection is None:
            self._connection = self.open_connection()
        else:
            reconnect(self._connection)
        return self._connection

    def _register(self, worker_id: int | None) -> None:
        number = secrets.randbits(62) + 1 if worker_id is None else worker_id
        with self._using:
            row = {**vars(self.host), "state": "idle", "beat_seconds": self.beat_seconds}
            worker_sql.enter_worker(self._open(), number, row)
            self.worker_id = number
            self.declared_dead.clear()
            self._contact_since = time.monotonic()

    def _run(self) -> None:
        wait, last = self.beat_seconds, 0.0
        while not self._ending.is_set():
            self._wake.wait(wait)
            self._ending.wait(max(last + min(MIN_HEARTBEAT_SECONDS, wait) - time.monotonic(), 0.0))
            self._wake.clear()
            if self._ending.is_set():
                return
            last = time.monotonic()
            try:
                with self._using:
                    self._send()
                    look = self.look
                    if look is not None:
                        look(self._open())
                    self._reap()
                wait = self.beat_seconds
            except Exception as error:
                if not is_transient(error):
                    log.exception("heartbeat")
                self._contact_since = None
                wait = min(2.0, self.beat_seconds)

    def _send(self) -> None:
        connection, report = self._open(), self.report
        before = worker_sql.last_heartbeat(connection, self.worker_id)
        # A worker that missed heartbeats itself, because it or the server stood still, marks nobody
        # as dead yet.
        if before is None or before[1] > MISSED_HEARTBEATS / 2 * self.beat_seconds:
            self._contact_since = None
        values: dict[str, Any] = {
            "state": report.state,
            "note": report.note[:255],
            "session_id": report.session_id,
            "n_done": report.n_done,
            "job_table": report.job_table,
            "job_key": None if report.job_key is None else json.dumps(report.job_key),
            "first_iteration": report.first_iteration,
            "iteration": report.iteration,
            "n_iterations": report.n_iterations,
            "live_curves": report.curves.as_json(),
            # NaN is no number to MySQL.
            "loss": report.loss if report.loss is not None and abs(report.loss) < 1e300 else None,
        }
        job_seconds = None
        if report.job_began is not None:
            job_seconds = max(time.monotonic() - report.job_began, 0.0)
        is_alive = worker_sql.write_heartbeat(connection, self.worker_id, values, job_seconds)
        if before is None or before[0] not in LIVE_STATES or not is_alive:
            self.declared_dead.set()
        if self._contact_since is None:
            self._contact_since = time.monotonic()

    def _reap(self) -> None:
        since = self._contact_since
        if since is None or self.declared_dead.is_set():
            return
        in_contact, connection = time.monotonic() - since, self._open()
        reap(
            connection, self.queues, self.worker_id, self.max_losses, in_contact, self.beat_seconds
        )


@contextmanager
def _transient_errors_ignored() -> Iterator[None]:
    """Ignore transient errors inside: missing heartbeats will show it later."""
    try:
        yield
    except Exception as error:
        if not is_transient(error):
            raise


def renew_session(heartbeat: Heartbeat, connection: dj.Connection) -> None:
    """Open a worker's broken connection again; the next heartbeat reports its session's number."""
    report = heartbeat.report
    reconnect(connection)
    number = session_number(connection)
    if number == report.session_id:
        return
    if report.session_id:
        end_earlier_session(connection, report.session_id, heartbeat.session_age())
    report.session_id, report.session_since = number, time.monotonic()
