"""Several workers on one machine, each a process of its own that is started again if it dies."""

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
from typing import Any

import torch

from ..database import connection as database
from ..database.server import reconnect
from ..tables.computed import COMPUTED
from ..transient.errors import is_transient
from .queue import Queue
from .reaper import declare_dead, declare_ended, give_back_jobs_of_the_dead
from .shutdown import GIVE_UP_SECONDS, GRACE_SECONDS, leave
from .signals import KILLED_AT_ONCE, ending_at_signals
from .worker import MAX_LOSSES

# Environment of a supervised worker: its number, and the process that watches it.
WORKER_ID = "RNN_WORKER_ID"
SUPERVISOR = "RNN_SUPERVISOR"
# Exit status where jobs failed: their rows say why, and the worker has ended as it should.
JOBS_FAILED = 3

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a dead worker is started again
HEALTHY_SECONDS = 60.0  # after which an earlier death is forgotten
# From the first signal: until workers that have not ended are killed, and until it ends itself.
PATIENCE_SECONDS = GRACE_SECONDS + GIVE_UP_SECONDS + 0.5
LAST_SECONDS = 1.0
MOST_DEATHS = 5  # of one place in a row, within that time, without a job done: it is given up


@dataclass
class _Place:
    """One of the workers: who has it now, and how its predecessors fared."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    worker_id: int = 0
    started: float = 0.0
    deaths: int = 0  # in a row, each soon after the start
    in_vain: int = 0  # of those, in a row, without a job
    restart_at: float = 0.0
    ended: bool = False
    is_told: bool = False  # to end
    is_killed: bool = False  # because it had been told, and did not


@dataclass
class Supervisor:
    """Keeps workers going.

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
    command : sequence of str, optional
        The program itself.
    """

    n_processes: int
    arguments: Sequence[str]
    forever: bool = False
    say: Callable[[str], Any] = print
    max_losses: int = MAX_LOSSES
    # Not from the current directory first, as -m would have it: -P.
    command: Sequence[str] = (sys.executable, "-P", "-m", "pipeline.cli", "worker")

    def __post_init__(self) -> None:
        self._has_given_up = self._have_jobs_failed = False
        self._is_stopped = False
        self._kill_at = float("inf")
        self._places = [_Place(i) for i in range(self.n_processes)]
        self._queues = [Queue(table) for table in COMPUTED]
        self._devices = _visible_devices()
        self._worker_ids: set[int] = set()

    def run(self) -> int:
        """Run them until all have ended, or until a signal; return the exit status."""
        with ending_at_signals(_EndingOfAll(self), guarded=False):
            try:
                while not all(place.ended for place in self._places):
                    for place in self._places:
                        if self._is_stopped:
                            return self._end_all()
                        self._look_after(place)
                    time.sleep(0.1)
            except BaseException:
                self._end_all()
                raise
        if self._has_given_up:
            return 1
        return JOBS_FAILED if self._have_jobs_failed or self._has_failed_jobs() else 0

    def stop(self) -> None:
        """Tell all workers to end, from whatever thread."""
        self._is_stopped = True
        self._kill_at = min(self._kill_at, time.monotonic() + PATIENCE_SECONDS)
        for place in self._places:
            self._tell(place)

    def stop_at_once(self) -> None:
        """Tell them a second time, so that they leave their jobs as they are."""
        self._kill_at = time.monotonic() + KILLED_AT_ONCE
        for place in self._places:
            self._tell(place, again=True)

    def wait_and_kill(self) -> None:
        """Wait until all workers have ended, and kill those that do not.

        One that waits for its file system ends when that answers: it is not waited for.
        """
        while left := [p for p in self._places if p.process and p.process.poll() is None]:
            late = time.monotonic() - self._kill_at
            if late >= LAST_SECONDS / 2:
                return
            for place in left:
                if late >= 0 and not place.is_killed and place.process is not None:
                    place.process.kill()
                    place.is_killed = True
            time.sleep(0.02)

    def _tell(self, place: _Place, again: bool = False) -> None:
        """Tell a worker to end, once: a second signal would have it leave its job as it is."""
        process = place.process
        if process is not None and (again or not place.is_told) and process.poll() is None:
            place.is_told = True
            process.send_signal(signal.SIGTERM)

    def _look_after(self, place: _Place) -> None:
        if place.ended:
            return
        if place.process is None:
            if time.monotonic() >= place.restart_at:
                self._start(place)
            return
        status = place.process.poll()
        if status is None or self._is_stopped:  # then it died of the signal
            return
        place.process = None
        if status in (0, JOBS_FAILED):
            self._have_jobs_failed |= status == JOBS_FAILED
            place.ended = not self.forever
            place.restart_at = time.monotonic() + FIRST_PAUSE
            return
        self._mourn(place, status)

    def _start(self, place: _Place) -> None:
        place.worker_id = secrets.randbits(62) + 1
        self._worker_ids.add(place.worker_id)
        environment = {
            **os.environ,
            WORKER_ID: str(place.worker_id),
            SUPERVISOR: str(os.getpid()),
        }
        if self._devices:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[place.number % len(self._devices)]
        # A session of its own: a Ctrl-C of the terminal comes here, and is passed on once.
        place.process = subprocess.Popen(
            [*self.command, *self.arguments], env=environment, start_new_session=True
        )
        place.started = time.monotonic()

    def _mourn(self, place: _Place, status: int) -> None:
        """Give back the job of a worker that died, and decide when to start another."""
        reason = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        if status == -signal.SIGKILL:
            reason += " (out of memory?)"
        had_job = self._give_back_its_job(place.worker_id, reason)
        quick = time.monotonic() - place.started < HEALTHY_SECONDS
        place.deaths = place.deaths + 1 if quick else 1
        if had_job or not quick:
            place.in_vain = 0
        elif had_job is False:  # not in an outage, where it dies because it cannot connect
            place.in_vain += 1
        pause = min(FIRST_PAUSE * 2 ** (place.deaths - 1), LONGEST_PAUSE)
        if place.in_vain >= MOST_DEATHS:
            place.ended = self._has_given_up = True
            self.say(f"worker {place.number}: {reason}, {place.in_vain} times; it is given up")
            return
        place.restart_at = time.monotonic() + pause
        self.say(f"worker {place.number}: {reason}; started again in {pause:.0f} s")

    def _give_back_its_job(self, worker_id: int, reason: str) -> bool | None:
        """Return whether it had a job; None where the server does not say."""
        connection = database.connection()
        try:
            reconnect(connection)
            declare_dead(connection, worker_id, reason)
            return give_back_jobs_of_the_dead(connection, self._queues, self.max_losses) > 0
        except Exception as error:  # then it is found by its missing heartbeats
            if not is_transient(error):
                raise
            return None

    def _has_failed_jobs(self) -> bool:
        """Return whether jobs failed because they killed workers: none of these could say so."""
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
        killed = [place.worker_id for place in self._places if place.is_killed]
        if killed:
            self._give_back_of_killed(killed)
        return 0

    def _give_back_of_killed(self, worker_ids: Sequence[int]) -> None:
        """Give back the jobs of workers that had to be killed, which are not to blame for it."""
        connection = database.connection()
        try:
            reconnect(connection)
            for worker_id in worker_ids:
                declare_ended(connection, worker_id, "was asked to end, and had to be killed")
            for _ in range(3):  # a job's row may be locked: its session is ended then, and goes
                give_back_jobs_of_the_dead(connection, self._queues, self.max_losses)
                time.sleep(0.1)
        except Exception as error:  # then it is found by others
            if not is_transient(error):
                raise


class _EndingOfAll:
    """Ends a supervisor and its workers, also where its main thread waits for a server."""

    grace = PATIENCE_SECONDS + LAST_SECONDS

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def in_main_thread(self, number: int, frame: Any) -> None:
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
        leave(None, 0, LAST_SECONDS / 2)


def _visible_devices() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES may be for one worker: one GPU each."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(i) for i in range(torch.cuda.device_count())]


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
