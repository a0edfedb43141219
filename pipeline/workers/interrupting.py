"""Breaking off the computation of a job that was deleted while it runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .job import Job, JobDeleted

# Of no other use here: `signals.SIGNALS` end the process.
SIGNAL = getattr(signal, "SIGUSR2", None)


@contextmanager
def interruptible(present_job: Callable[[], Job | None]) -> Iterator[Callable[[], Any]]:
    """Give a function that breaks off the present job's computation, from any thread.

    It has the system send the main thread a signal, whose handler raises `JobDeleted` there: only
    while the job computes, is known to be deleted, and does not check that itself. In another
    thread than the main one, where Python sets no handlers, such a computation goes on to its end.

    Parameters
    ----------
    present_job : callable
        Returns the job that is being worked on.
    """
    main = threading.main_thread()
    if SIGNAL is None or threading.current_thread() is not main:
        yield lambda: None
        return

    def in_main_thread(number: int, frame: FrameType | None) -> None:
        job = present_job()
        if job is None or not job.deleted.is_set():
            return
        if job.phase == "computing" and not job.checks_stop:
            raise JobDeleted

    lock = threading.Lock()
    before = signal.signal(SIGNAL, in_main_thread)
    is_open = True

    def interrupt() -> None:
        with lock:
            if is_open:
                signal.pthread_kill(main.ident or 0, SIGNAL)

    try:
        yield interrupt
    finally:
        with lock:
            is_open = False
        signal.signal(SIGNAL, before)
