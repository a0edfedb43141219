"""Ending a worker when it is told to: nothing lost, and soon."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import datajoint as dj

from .job import JobStopped
from .worker import WorkLoop

# From the terminal, from whoever ends processes, from SLURM before it preempts.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
    if hasattr(signal, name)
)
# Seconds until a worker that has not ended gives its job back as it is, and leaves.
GRACE_SECONDS = 6.0
GIVE_UP_SECONDS = 2.0
# A signal that comes sooner after the first is the same: what ends a job or a container tells the
# supervisor, which passes it on, and its workers.
SAME_SIGNAL_SECONDS = 1.0


class Stopper:
    """Ends a loop at a signal.

    A training writes its state after the iteration that it is at; other computations are broken
    off; an insert is finished. What takes longer than ``grace`` seconds is left as it is: its job
    is given back, and goes on from its last checkpoint. A second signal does that at once.
    """

    def __init__(self, loop: WorkLoop, grace: float = GRACE_SECONDS) -> None:
        self.loop = loop
        self.grace = grace
        self._lock = threading.Lock()
        self._began: float | None = None

    def __call__(self, number: int, frame: Any) -> None:
        """Handle a signal."""
        loop, moment = self.loop, time.monotonic()
        if self._began is not None:
            if moment - self._began >= SAME_SIGNAL_SECONDS:
                threading.Thread(target=self.give_up, daemon=True).start()
            return
        self._began = moment
        # First, because the event may be in the hands of the very code that is interrupted.
        watchdog = threading.Timer(self.grace, self.give_up)
        watchdog.daemon = True
        watchdog.start()
        loop.stop.set()
        job = loop.job
        if job is not None and job.phase == "computing" and not job.yields:
            raise JobStopped

    def give_up(self) -> None:
        """Give the job back on the heart's connection, as far as that is possible, and leave."""
        with self._lock:
            giving = threading.Thread(target=self._give_back, daemon=True)
            giving.start()
            giving.join(GIVE_UP_SECONDS)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    def _give_back(self) -> None:
        heart, job = self.loop.heart, self.loop.job

        def give(connection: dj.Connection) -> None:
            mysql = connection.adapter.backend == "mysql"
            # The row is locked while the results are inserted: whoever finds it gives it back.
            connection.query("SET innodb_lock_wait_timeout=1" if mysql else "SET lock_timeout='1s'")
            if job is not None:
                job.queue.give_back(connection, job.key, heart.worker_id)

        try:
            heart.on_connection(give)
        finally:
            heart.say_ended("was asked to end, and left at once")


def stopping_at_signals(
    loop: WorkLoop, grace: float = GRACE_SECONDS
) -> AbstractContextManager[None]:
    """Inside, the loop ends at a signal."""
    return handling_signals(Stopper(loop, grace))


@contextmanager
def handling_signals(handle: Callable[[int, Any], Any]) -> Iterator[None]:
    """Inside, signals that are to end this process are handled so; not SIGHUP under `nohup`."""
    before = {}
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
