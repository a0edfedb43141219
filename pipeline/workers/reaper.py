"""Giving back the jobs of workers that died."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import datajoint as dj

from ..database.server import end_session, transaction
from ..transient.errors import is_transient
from .job_table import Key
from .leases import end_lease, lease_name, take_lease
from .queue import Queue, job_hash, key_of
from .worker_sql import earlier_losses, mark_silent_workers_dead, record_loss

REAP_SECONDS = 5.0  # from one search for dead workers to the next


def reap(
    connection: dj.Connection,
    queues: Sequence[Queue],
    worker_id: int,
    max_losses: int,
    in_contact: float,
    beat_seconds: float,
) -> int:
    """Find workers whose heartbeat has stopped and give their jobs back; return how many jobs.

    One worker does it for all that know the tables, every few seconds.

    Parameters
    ----------
    connection : Connection
    queues : sequence of Queue
        Where such jobs are looked for.
    worker_id : int
        The worker that does it.
    max_losses : int
        A job that was lost so often without getting any further fails.
    in_contact : float
        Seconds for which the server has answered this worker; see `mark_silent_workers_dead`.
    beat_seconds : float
        Time between this worker's heartbeats (s).
    """
    given = 0
    for name, of_lease in groupby(queues, lambda queue: lease_name("reap", queue.lease_table)):
        if take_lease(connection, name, worker_id, min(REAP_SECONDS, beat_seconds)):
            try:
                mark_silent_workers_dead(connection, in_contact, worker_id, beat_seconds)
                given += give_back_jobs_of_dead_workers(connection, list(of_lease), max_losses)
            finally:
                end_lease(connection, name, worker_id)
    return given


def give_back_jobs_of_dead_workers(
    connection: dj.Connection, queues: Sequence[Queue], max_losses: int
) -> int:
    """Give back every job whose worker is lost or has ended; return how many.

    A job that was lost ``max_losses`` times without getting any further fails instead.
    """
    given = 0
    for queue in queues:
        for row in queue.jobs_of_dead_workers(connection):
            given += _give_back(connection, queue, max_losses, **row)
    return given


def _give_back(
    connection: dj.Connection, queue: Queue, max_losses: int, worker: dict[str, Any], key: Key
) -> bool:
    with transaction(connection):
        if queue.lock(connection, key, worker["worker_id"]):
            if worker["state"] == "ended":
                return queue.give_back(connection, key, worker["worker_id"])
            losses = _record_loss(connection, queue, worker, key)
            if losses < max_losses:
                return queue.give_back(connection, key, worker["worker_id"])
            reason = (
                f"WorkerLost: {losses} workers died one after the other while they had this job, "
                f"the last one on {worker['host']}, process {worker['pid']}: {worker['note']}"
            )
            stack = "The workers left no traceback; see the rows of LostJob."
            return queue.fail(connection, key, worker["worker_id"], reason, stack)
    # It died in the middle of its transaction, and the server has not noticed: it holds the row.
    # Not where somebody else has given the job back meanwhile: its session may be another's now.
    if worker["session_id"] and queue.is_held(connection, key, worker["worker_id"]):
        try:
            end_session(connection, int(worker["session_id"]))
        except Exception as error:  # not ours to end, or gone: the server ends it in its own time
            if is_transient(error):
                raise
    return False


def _record_loss(connection: dj.Connection, queue: Queue, worker: dict[str, Any], key: Key) -> int:
    """Record that a worker died with a job; return how many have since the job last advanced."""
    # Else it had just begun: its last heartbeat speaks of the job before.
    last_key = None if worker["job_key"] is None else key_of(worker["job_key"])
    had_begun = worker["job_table"] == queue.name and last_key == key
    first = worker["first_iteration"] if had_begun else None
    before = earlier_losses(connection, queue.name, job_hash(key))
    record_loss(connection, queue.name, job_hash(key), key, worker, first)
    # The job advanced where a worker began at an iteration at which none had begun before. To
    # compare with the last one alone is not enough: each kind of device goes on from states of its
    # own, and where two take turns, every loss would seem to be an advance.
    begun = [earlier or 0 for earlier in before] + [first or 0]
    return len(begun) - max(begun.index(iteration) for iteration in begun)
