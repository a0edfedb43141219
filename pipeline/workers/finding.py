"""How a worker finds jobs: new ones are entered, the next is taken, more is waited for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import datajoint as dj

from ..database import connection as database
from ..database.server import server_time
from ..tables.selections import Chosen
from .dispatch import Dispatcher
from .entering import with_news
from .heartbeat import Heartbeat
from .job_table import Key
from .leases import add_lease, end_lease, lease_name, take_lease, was_done_since
from .queue import Queue, with_running_jobs
from .reports import report_idle
from .worker_sql import is_another, was_not_heard

Until = Literal["nothing pending", "nothing running", "forever"]

ENTER_SECONDS = 1.0  # from the end of one entering of new jobs to the next, of all workers
IDLE_ENTER_SECONDS = 5.0  # the same where all wait for more
# A worker without a job looks again after about so many seconds: the longer it has had none, the
# rarer, so that hundreds of idle workers do not keep the server busy.
FIRST_POLL, LONGEST_POLL = 0.4, 3.0
ENTERING = "enter_jobs"
AGAIN_SECONDS = 30.0  # until it is asked again what excluded parameter sets name


@dataclass
class JobFinder:
    """Finds jobs for one worker.

    Parameters
    ----------
    queues : sequence of Queue
        In the order in which they are emptied.
    dispatcher : Dispatcher
        Of these queues.
    heartbeat : Heartbeat
        Its queues are those in which new jobs are entered for all.
    conditions : sequence of restrictions
        Which keys.
    until : {"nothing pending", "nothing running", "forever"}
        When there is nothing more to wait for.
    shares : bool
        Whether new jobs are entered for all workers by one of them, in turn.
    stop : Event
        Ends all waiting.
    get_connection : callable
        Returns the worker's own connection; the heartbeat has another.
    """

    queues: Sequence[Queue]
    dispatcher: Dispatcher
    heartbeat: Heartbeat
    conditions: Sequence[Chosen]
    until: Until
    shares: bool
    stop: threading.Event
    get_connection: Callable[[], dj.Connection] = database.connection
    _may_hold: bool = field(default=False, init=False)
    _found_nothing: str | None = field(default=None, init=False)  # the server's time
    _idle_since: float = field(default=0.0, init=False)
    _looked_again: float = field(default=0.0, init=False)

    @property
    def connection(self) -> dj.Connection:
        """The worker's own connection."""
        return self.get_connection()

    def prepare(self) -> None:
        """Declare what is missing: jobs tables, and the leases of a lab's own tables."""
        for queue in self.heartbeat.queues:
            queue.prepare()
            if not queue.is_ours:
                for task in (ENTERING, "reap"):
                    add_lease(self.connection, lease_name(task, queue.lease_table))

    def enter_first(self) -> None:
        """Enter new jobs as a worker begins."""
        if self.shares:
            self._enter_in_turn(ENTER_SECONDS)
        else:
            self._enter(self.queues)

    def take(self) -> tuple[Queue, Key] | None:
        """Take a job of the first table that has one; None if there is none."""
        if self._may_hold:  # the answer to an earlier attempt was lost
            for queue in self.queues:
                queue.give_back_all(self.connection, self.heartbeat.worker_id)
        self._may_hold = True
        taken = self.dispatcher.take(self.connection, self.heartbeat.worker_id)
        self._may_hold = False
        if taken is not None:
            self._found_nothing = None
        return taken

    def is_more_to_come(self) -> bool:
        """Have new jobs entered, by this worker or another; return whether to look again."""
        report_idle(self.heartbeat)
        if self._found_nothing is None:
            self._found_nothing, self._idle_since = server_time(self.connection), time.monotonic()
        self._look_again_at_excluded()
        forever = self.until == "forever"
        if not self.shares:
            look_again = bool(self._enter(self.queues))
        elif forever:
            look_again = self._enter_in_turn(IDLE_ENTER_SECONDS)
        else:
            # Afterwards all jobs that there are were entered after this worker had found none.
            look_again = not self._have_entered()
        if look_again or (not forever and self._is_pending()):
            return True
        if forever or self._is_anyone_to_wait_for():
            self._pause()
            return True
        # A job that came back between the two questions was in neither answer.
        return self._is_pending()

    def _is_pending(self) -> bool:
        return bool(self.dispatcher.pending(self.connection))

    def _look_again_at_excluded(self) -> None:
        missing = self.dispatcher.missing
        if missing and missing.excluded and time.monotonic() - self._looked_again > AGAIN_SECONDS:
            self._looked_again = time.monotonic()
            missing.look_again()

    def _have_entered(self) -> bool:
        """Wait until someone has entered all new jobs; return False where there are some before."""
        began = server_time(self.connection)
        while not self.stop.is_set():
            began = min(began, server_time(self.connection))  # it may be set back meanwhile
            self._enter_in_turn(ENTER_SECONDS)
            if all(was_done_since(self.connection, name, began) for name in self._leases):
                return True
            self._pause()
            if self._is_pending():
                return False
        return True

    def _pause(self) -> None:
        idle = time.monotonic() - self._idle_since
        seconds = min(max(idle / 10, FIRST_POLL), LONGEST_POLL)
        self.stop.wait(random.uniform(0.5, 1.5) * seconds)

    @property
    def _leases(self) -> dict[str, list[Queue]]:
        """The leases of entering new jobs, and the tables of each."""
        leases: dict[str, list[Queue]] = {}
        for queue in self.heartbeat.queues:
            leases.setdefault(lease_name(ENTERING, queue.lease_table), []).append(queue)
        return leases

    def _enter_in_turn(self, pause: float) -> bool:
        """Enter the new jobs of all tables whose turn it is here; return whether there were any."""
        entered = False
        for name, queues in self._leases.items():
            if take_lease(self.connection, name, self.heartbeat.worker_id, pause):
                # For all workers: whatever this one is to take.
                for queue in with_news(self.connection, queues):
                    queue.enter(self.connection)
                end_lease(self.connection, name, self.heartbeat.worker_id)
                entered = True
        return entered

    def _enter(self, queues: Sequence[Queue]) -> int:
        changed = with_news(self.connection, queues, self.conditions)
        return sum(queue.enter(self.connection, self.conditions) for queue in changed)

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
        queues = self.queues if self.conditions else self.heartbeat.queues
        return bool(with_running_jobs(self.connection, queues, condition, self.conditions))
