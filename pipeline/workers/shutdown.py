"""Ending a worker at a signal: soon, and without losing its job."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import datajoint as dj

from ..database.dialects import dialect_of
from ..database.server import end_earlier_session
from .job import JobStopped
from .worker import WorkLoop, running_loop

# Seconds until a worker that has not ended gives its job back as it is, and leaves.
GRACE_SECONDS = 6.0
# That takes so long at most, after the grace and after a second signal.
GIVE_UP_SECONDS, AT_ONCE_SECONDS = 1.5, 0.6
INTERRUPTED = 130  # the exit status of what was ended by Ctrl-C


class Stopper:
    """Ends a worker at a signal.

    A training writes its state after the iteration that it is at; other computations are broken
    off; an insert is finished. What takes longer than ``grace`` seconds is left as it is: its job
    is given back, an insert that is still going on is rolled back, and the process ends. A second
    signal does that at once.

    Attributes
    ----------
    loop : WorkLoop, optional
        Set where it begins; until then there is nothing to give back, and a signal just ends it.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self.grace = grace
        self.loop: WorkLoop | None = None
        self.is_asked = False  # whether there was a signal
        self._is_signalled = False

    def in_main_thread(self, number: int, frame: FrameType | None) -> None:
        """Interrupt a computation that does not check ``stop`` itself; once."""
        if self._is_signalled:
            return
        loop = self.loop
        if loop is None:
            self._is_signalled = True
            raise SystemExit(0)
        job = loop.job
        if job is not None and job.phase == "computing" and not job.checks_stop:
            self._is_signalled = True
            raise JobStopped

    def at_first(self) -> None:
        """Make the loop end."""
        self.is_asked = True
        if self.loop is not None:
            self.loop.stop.set()

    def at_second(self) -> None:
        """Leave at once."""
        exit_process(self.loop, 0, AT_ONCE_SECONDS)

    def at_deadline(self) -> None:
        """Leave: the time is over."""
        exit_process(self.loop, 0, GIVE_UP_SECONDS)


class Interrupter:
    """Ends a command at a signal as Ctrl-C does, and after ``grace`` seconds in any case.

    Parameters
    ----------
    grace : float
        Seconds.
    last_words : callable, optional
        Called before a process ends that has not ended by itself.
    """

    def __init__(
        self, grace: float = GRACE_SECONDS, last_words: Callable[[], None] | None = None
    ) -> None:
        self.grace = grace
        self._last_words = last_words
        self._is_signalled = False

    def in_main_thread(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, once; a training writes its state instead, and its loop ends."""
        if self._is_signalled:
            return
        self._is_signalled = True
        loop = running_loop()
        job = None if loop is None else loop.job
        if loop is not None and job is not None and job.phase == "computing" and job.checks_stop:
            loop.stop.set()
        else:
            raise KeyboardInterrupt

    def at_first(self) -> None:
        """Leave it to the main thread."""

    def at_second(self) -> None:
        """Leave at once."""
        exit_process(running_loop(), INTERRUPTED, AT_ONCE_SECONDS, self._last_words)

    def at_deadline(self) -> None:
        """Leave: the time is over."""
        exit_process(running_loop(), INTERRUPTED, GIVE_UP_SECONDS, self._last_words)


def exit_process(
    loop: WorkLoop | None,
    status: int,
    seconds: float,
    last_words: Callable[[], None] | None = None,
) -> None:
    """Give a loop's job back, within so many seconds at most, and end the process.

    From any thread, whatever the main thread is doing.
    """
    # In a thread: the server may not answer, nor whoever reads what we print.
    last = threading.Thread(target=_give_back_and_flush, args=(loop, last_words), daemon=True)
    last.start()
    last.join(seconds)
    os._exit(status)


def _give_back_and_flush(loop: WorkLoop | None, last_words: Callable[[], None] | None) -> None:
    if loop is not None:
        with suppress(Exception):  # then others find the job
            _give_back(loop)
    if last_words is not None:
        with suppress(Exception):
            last_words()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _give_back(loop: WorkLoop) -> None:
    """Give the jobs back on the heartbeat's connection, and say that the worker has ended."""
    heartbeat, jobs = loop.heartbeat, list(loop.jobs)

    def give(connection: dj.Connection) -> None:
        report = heartbeat.report
        if not jobs:
            return
        if report.session_id:  # an insert that is still going on holds the row: it is rolled back
            end_earlier_session(connection, report.session_id, heartbeat.session_age())
        connection.query(dialect_of(connection).limit_lock_wait(1))
        for job in jobs:
            job.queue.give_back(connection, job.key, heartbeat.worker_id)

    try:
        heartbeat.on_connection(give)
    finally:
        heartbeat.report_end("was asked to end, and left at once")
