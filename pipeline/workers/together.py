"""Jobs that a worker does at once: which others it takes beside one, and computing them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import datajoint as dj

from .checkpoints import StoredCheckpoints
from .dispatch import Dispatcher
from .job import Job
from .job_table import Key
from .queue import Queue, job_hash
from .steps import ComputedTogether
from .worker_sql import live_workers, lost_jobs

MOST_CANDIDATES = 1000  # pending jobs that are counted for the companions of one
SOME_MORE = 4  # times as many as there is room for are looked at closely


@dataclass(frozen=True)
class CompanionFinder:
    """Finds and takes the jobs that a worker does together with one that it has.

    Parameters
    ----------
    dispatcher : Dispatcher
    most : int, optional
        Jobs that are done at once at most, where it pays or not; as many as pay by default.
    device : str, optional
        Torch device.
    """

    dispatcher: Dispatcher
    most: int | None = None
    device: str | None = None

    def room(self, table: ComputedTogether, job: Job) -> int:
        """Return how much can be computed beside a job, whose rows are fetched."""
        assert job.fetched is not None
        return table.room(dict(job.key), *job.fetched.values, self.device, self.most is None)

    def candidates(self, table: ComputedTogether, job: Job, connection: dj.Connection) -> list[Key]:
        """Return the keys of pending jobs that may be done together with one.

        None where a worker has died with it, nor those with which one has: whichever job killed
        it, the others are to be spared the next time.
        """
        assert job.fetched is not None
        values = job.fetched.values
        if not table.may_share(dict(job.key), *values, self.device, self.most is None):
            return []
        lost = lost_jobs(connection, job.queue.name)
        if job_hash(job.key) in lost:
            return []
        missing = self.dispatcher.missing
        found = job.queue.pending_with(
            connection,
            job.key,
            table.alike(dict(job.key), *values),
            self.dispatcher.restriction,
            {} if missing is None else missing.excluded_sets,
            MOST_CANDIDATES,
        )
        return [key for key in found if job_hash(key) not in lost] if lost else found

    def choose(
        self,
        table: ComputedTogether,
        job: Job,
        candidates: Sequence[Key],
        room: int,
        connection: dj.Connection,
    ) -> list[Key]:
        """Return the companions of a job that are to be taken: no more than this worker's share."""
        if room < 1:
            return []
        assert job.fetched is not None
        # Other workers that live are left their share of the jobs that wait.
        n_workers = max(1, len(live_workers(connection)))
        share = -(-(1 + len(candidates)) // n_workers)
        if len(candidates) == MOST_CANDIDATES:  # there are more than were looked at
            share = len(candidates)
        most = min(share, self.most or share) - 1
        values, missing = job.fetched.values, self.dispatcher.missing
        chosen: list[Key] = []
        looked_at = candidates[: SOME_MORE * min(room, most)]
        for key in table.companions(dict(job.key), *values, looked_at, room):
            if len(chosen) < most and (missing is None or not missing.needed_by(key)):
                chosen.append(key)
        return chosen

    def take(
        self, queue: Queue, keys: Sequence[Key], connection: dj.Connection, worker_id: int
    ) -> list[Key]:
        """Reserve jobs, those of them that no other worker is taking; return their keys."""
        of = self.dispatcher
        return queue.take_some(connection, keys, worker_id, of.version, of.pid)


@dataclass(frozen=True)
class JobsTogether:
    """Jobs that are computed together (`pipeline.tables.current_job.CurrentJobs`)."""

    jobs: Sequence[Job]

    @property
    def device(self) -> str | None:
        """The torch device of their worker; None: the GPU where there is one."""
        return self.jobs[0].device

    def report(self, step: int, n_steps: int, loss: float) -> None:
        """Report the progress of all, as that of the first."""
        self.jobs[0].report(step, n_steps, loss)

    def watch(self, iteration: int, n_iterations: int, values: Mapping[str, float]) -> None:
        """Report loss and terms of all, as those of the first."""
        self.jobs[0].watch(iteration, n_iterations, values)

    def checkpoints(self, i: int) -> StoredCheckpoints:
        """Return those of one job."""
        return self.jobs[i].checkpoints

    def is_unwanted(self, i: int) -> bool:
        """Return whether one job, or what it is computed from, was deleted."""
        return self.jobs[i].deleted.is_set()

    def must_stop(self) -> bool:
        """Return whether all must end: the process ends, or counts as dead."""
        first = self.jobs[0]
        return first.stop.is_set() or first.heartbeat.declared_dead.is_set()

    @contextmanager
    def checking_stop(self) -> Iterator[dict[str, Any]]:
        """Mark that the computation inside checks `must_stop`; yield the options of a training."""
        first = self.jobs[0]
        with ExitStack() as stack:
            for job in self.jobs:
                stack.enter_context(job.checking_stop())
            yield {
                "device": first.device,
                "checkpoint_seconds": first.checkpoint_seconds,
                "stop": self.must_stop,
            }


def computed_together(table: ComputedTogether, jobs: Sequence[Job]) -> Generator[Job, None, None]:
    """Compute several jobs at once; yield each that is settled: computed, or deleted meanwhile.

    Those that are never yielded are to be done one by one.
    """
    keys = [dict(job.key) for job in jobs]
    fetched = [job.fetched.values for job in jobs if job.fetched is not None]
    for job in jobs:
        job.phase = "computing"
    try:
        for i, computed in table.make_compute_together(keys, fetched, JobsTogether(jobs)):
            jobs[i].computed = computed
            if computed is not None or jobs[i].deleted.is_set():
                jobs[i].phase = "inserting"
                yield jobs[i]
    finally:
        for job in jobs:
            job.phase = "inserting"
