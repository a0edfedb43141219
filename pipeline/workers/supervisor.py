"""Running several worker processes on one machine, and restarting those that die."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from models.machine.devices import n_gpus

from ..database import connection as database
from ..database.server import reconnect
from ..database.types import Populated
from ..tables.computed import COMPUTED
from ..transient.errors import is_transient
from .queue import Queue
from .reaper import give_back_jobs_of_dead_workers
from .shutdown import GIVE_UP_SECONDS, GRACE_SECONDS, exit_process
from .signals import KILLED_AT_ONCE, ending_at_signals
from .worker import MAX_LOSSES
from .worker_sql import mark_dead, mark_ended

# Environment of a supervised worker: its number, and the process that watches it.
WORKER_ID = "RNN_WORKER_ID"
SUPERVISOR = "RNN_SUPERVISOR"
# Exit status where jobs failed, or are left for workers that can import their classes: rows say
# why, and the worker has ended as it should.
JOBS_FAILED = 3

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a dead worker is started again
HEALTHY_SECONDS = 60.0  # after which an earlier death is forgotten
# From the first signal: until workers that have not ended are killed, and until it ends itself.
PATIENCE_SECONDS = GRACE_SECONDS + GIVE_UP_SECONDS + 0.5
LAST_SECONDS = 1.0
MOST_DEATHS = 5  # of one slot in a row, within that time, without a job done: it is given up


@dataclass
class _Slot:
    """One of the worker processes, with a count of how often it died."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    worker_id: int = 0
    started: float = 0.0
    deaths: int = 0  # in a row, each soon after the start
    deaths_without_job: int = 0  # of those, in a row, without a job
    restart_at: float = 0.0
    ended: bool = False
    is_signalled: bool = False  # to end
    is_killed: bool = False  # because it was signalled, and did not end


@dataclass
class Supervisor:
    """Runs several worker processes, and restarts those that die.

    Parameters
    ----------
    n_processes : int
    arguments : sequence of str
        Of ``rnn worker``, without ``--processes``.
    forever : bool
        Whether a worker that ended in peace is started again.
    say : callable
        Called with a line where something happens.
    max_losses : int
        As for each of the workers.
    own : sequence of tables
        A lab's own, which the workers fill too.
    command : sequence of str, optional
        The program itself.
    """

    n_processes: int
    arguments: Sequence[str]
    forever: bool = False
    say: Callable[[str], Any] = print
    max_losses: int = MAX_LOSSES
    own: Sequence[type[Populated]] = ()
    # Not from the current directory first, as -m would have it: -P.
    command: Sequence[str] = (sys.executable, "-P", "-m", "rnn_start", "worker")

    def __post_init__(self) -> None:
        self._has_given_up = self._have_jobs_failed = False
        self._is_stopped = False
        self._kill_at = float("inf")
        self._slots = [_Slot(i) for i in range(self.n_processes)]
        self._queues = [Queue(table) for table in (*COMPUTED, *self.own)]
        self._devices = _visible_devices()
        self._worker_ids: set[int] = set()

    def run(self) -> int:
        """Run the workers until all have ended, or until a signal; return the exit status."""
        with ending_at_signals(_EndingOfAll(self), guarded=False):
            try:
                while not all(slot.ended for slot in self._slots):
                    for slot in self._slots:
                        if self._is_stopped:
                            return self._end_all()
                        self._check(slot)
                    time.sleep(0.1)
            except BaseException:
                self._end_all()
                raise
        if self._has_given_up:
            return 1
        return JOBS_FAILED if self._have_jobs_failed or self._has_failed_jobs() else 0

    def stop(self) -> None:
        """Signal all workers to end; for any thread."""
        self._is_stopped = True
        self._kill_at = min(self._kill_at, time.monotonic() + PATIENCE_SECONDS)
        for slot in self._slots:
            self._signal(slot)

    def stop_at_once(self) -> None:
        """Signal them again, so that they end at once."""
        self._kill_at = time.monotonic() + KILLED_AT_ONCE
        for slot in self._slots:
            self._signal(slot, again=True)

    def wait_and_kill(self) -> None:
        """Wait until all workers have ended, and kill those that do not.

        One that waits for its file system ends when that answers: it is not waited for.
        """
        while left := [p for p in self._slots if p.process and p.process.poll() is None]:
            late = time.monotonic() - self._kill_at
            if late >= LAST_SECONDS / 2:
                return
            for slot in left:
                if late >= 0 and not slot.is_killed and slot.process is not None:
                    slot.process.kill()
                    slot.is_killed = True
            time.sleep(0.02)

    def _signal(self, slot: _Slot, again: bool = False) -> None:
        """Signal a worker to end, once: at a second signal it would not save its state."""
        process = slot.process
        if process is not None and (again or not slot.is_signalled) and process.poll() is None:
            slot.is_signalled = True
            process.send_signal(signal.SIGTERM)

    def _check(self, slot: _Slot) -> None:
        if slot.ended:
            return
        if slot.process is None:
            if time.monotonic() >= slot.restart_at:
                self._start(slot)
            return
        status = slot.process.poll()
        if status is None or self._is_stopped:  # then it died of the signal
            return
        slot.process = None
        if status in (0, JOBS_FAILED):
            self._have_jobs_failed |= status == JOBS_FAILED
            slot.ended = not self.forever
            slot.restart_at = time.monotonic() + FIRST_PAUSE
            return
        self._handle_death(slot, status)

    def _start(self, slot: _Slot) -> None:
        slot.worker_id = secrets.randbits(62) + 1
        self._worker_ids.add(slot.worker_id)
        environment = {
            **os.environ,
            WORKER_ID: str(slot.worker_id),
            SUPERVISOR: str(os.getpid()),
        }
        if self._devices:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[slot.number % len(self._devices)]
        # A session of its own: a Ctrl-C of the terminal comes here, and is passed on once.
        slot.process = subprocess.Popen(
            [*self.command, *self.arguments], env=environment, start_new_session=True
        )
        slot.started = time.monotonic()

    def _handle_death(self, slot: _Slot, status: int) -> None:
        """Give back the job of a worker that died, and decide when to start another."""
        reason = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        if status == -signal.SIGKILL:
            reason += " (out of memory?)"
        had_job = self._give_back_its_job(slot.worker_id, reason)
        quick = time.monotonic() - slot.started < HEALTHY_SECONDS
        slot.deaths = slot.deaths + 1 if quick else 1
        if had_job or not quick:
            slot.deaths_without_job = 0
        elif had_job is False:  # not in an outage, where it dies because it cannot connect
            slot.deaths_without_job += 1
        pause = min(FIRST_PAUSE * 2 ** (slot.deaths - 1), LONGEST_PAUSE)
        if slot.deaths_without_job >= MOST_DEATHS:
            slot.ended = self._has_given_up = True
            n_times = slot.deaths_without_job
            self.say(f"worker {slot.number}: {reason}, {n_times} times; it is given up")
            return
        slot.restart_at = time.monotonic() + pause
        self.say(f"worker {slot.number}: {reason}; started again in {pause:.0f} s")

    def _give_back_its_job(self, worker_id: int, reason: str) -> bool | None:
        """Return whether it had a job; None where the server does not say."""
        connection = database.connection()
        try:
            reconnect(connection)
            mark_dead(connection, worker_id, reason)
            return give_back_jobs_of_dead_workers(connection, self._queues, self.max_losses) > 0
        except Exception as error:  # then it is found by its missing heartbeats
            if not is_transient(error):
                raise
            return None

    def _has_failed_jobs(self) -> bool:
        """Return whether jobs failed because they killed workers, which could not report it."""
        connection = database.connection()
        try:
            reconnect(connection)
            return any(queue.has_failed(connection, self._worker_ids) for queue in self._queues)
        except Exception as error:
            if not is_transient(error):
                raise
            return False

    def _end_all(self) -> int:
        """Pass the signal on, and wait until all have ended."""
        self.stop()
        self.wait_and_kill()
        killed = [slot.worker_id for slot in self._slots if slot.is_killed]
        if killed:
            self._give_back_of_killed(killed)
        return 0

    def _give_back_of_killed(self, worker_ids: Sequence[int]) -> None:
        """Give back the jobs of workers that had to be killed, without counting a loss."""
        connection = database.connection()
        try:
            reconnect(connection)
            for worker_id in worker_ids:
                mark_ended(connection, worker_id, "was asked to end, and had to be killed")
            for _ in range(3):  # a job's row may be locked: its session is ended then, and goes
                give_back_jobs_of_dead_workers(connection, self._queues, self.max_losses)
                time.sleep(0.1)
        except Exception as error:  # then it is found by others
            if not is_transient(error):
                raise


class _EndingOfAll:
    """Ends a supervisor and its workers at a signal, even while it waits for a server."""

    grace = PATIENCE_SECONDS + LAST_SECONDS

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def in_main_thread(self, number: int, frame: FrameType | None) -> None:
        """Go on: the loop sees that it is to end."""

    def at_first(self) -> None:
        """Tell the workers."""
        self._supervisor.stop()

    def at_second(self) -> None:
        """Have them leave at once; what does not is killed."""
        self._supervisor.stop_at_once()
        self.at_deadline()

    def at_deadline(self) -> None:
        """Leave, with all workers."""
        self._supervisor.wait_and_kill()
        time.sleep(LAST_SECONDS / 2)  # in which the main thread gives back the jobs of the killed
        exit_process(None, 0, LAST_SECONDS / 2)


def _visible_devices() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES may be for one worker: one GPU each."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(i) for i in range(n_gpus())]


def end_with_supervisor() -> None:
    """Have this process stop, as at a signal, when the supervisor that started it is gone."""
    parent = os.environ.get(SUPERVISOR)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor", daemon=True).start()
