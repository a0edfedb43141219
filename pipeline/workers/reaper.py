"""Giving back the jobs of workers that died."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import datajoint as dj

from ..database.server import end_session, now, seconds_since, transaction
from ..transient.errors import is_transient
from .leases import end_lease, take_lease
from .queue import Key, Queue, job_hash, key_of
from .registry import LIVE_STATES, MISSED_HEARTBEATS, LostJob, Worker

REAP_SECONDS = 5.0


def reap(
    connection: dj.Connection,
    queues: Sequence[Queue],
    worker_id: int,
    max_losses: int,
    in_contact: float,
    pause: float = REAP_SECONDS,
) -> int:
    """Find workers whose heartbeat has stopped and give their jobs back; return how many jobs.

    One worker does it for all, every few seconds.

    Parameters
    ----------
    in_contact : float
        Seconds for which this worker has heard the server without a gap; see `mark_dead`.
    pause : float
        Seconds from one reaping to the next.
    """
    if not take_lease(connection, "reap", worker_id, pause):
        return 0
    try:
        mark_silent_workers_dead(connection, in_contact, worker_id)
        return give_back_jobs_of_dead_workers(connection, queues, max_losses)
    finally:
        end_lease(connection, "reap", worker_id)


def mark_silent_workers_dead(connection: dj.Connection, in_contact: float, worker_id: int) -> int:
    """Mark workers as lost whose heartbeat has stopped.

    After an outage everybody's last heartbeat is old. Of a worker it is said only if the server was
    there, as seen from here, for as long as it takes to count that worker as dead; and only while
    the judge's own heartbeat is new: the server may stand still before it does what it is told.
    """
    death = f"{MISSED_HEARTBEATS} * beat_seconds"
    old = f"{seconds_since(connection, 'beat_at')} > {death} AND {death} <= {float(in_contact)}"
    own = connection.query(
        f"SELECT beat_at, beat_seconds FROM {Worker.full_table_name} WHERE worker_id=%s",
        args=(worker_id,),
    ).fetchone()
    if own is None:
        return 0
    beaten = f"TIMESTAMP '{own[0]}'"
    old += f" AND {seconds_since(connection, beaten)} < 2 * {float(own[1])}"
    return _declare(connection, old, "no heartbeat")


def mark_dead(connection: dj.Connection, worker_id: int, reason: str) -> int:
    """Mark a worker as lost of which it is known."""
    return _declare(connection, f"worker_id = {int(worker_id)}", reason)


def mark_ended(connection: dj.Connection, worker_id: int, note: str) -> int:
    """Mark a worker as ended that was killed because it was to end: no loss of its job's."""
    return _declare(connection, f"worker_id = {int(worker_id)}", note, "ended")


def _declare(connection: dj.Connection, which: str, note: str, state: str = "lost") -> int:
    return int(
        connection.query(
            f"UPDATE {Worker.full_table_name} SET state=%s, note=%s "
            f"WHERE state IN {LIVE_STATES} AND {which}",
            args=(state, note[:255]),
        ).rowcount
    )


def give_back_jobs_of_dead_workers(
    connection: dj.Connection, queues: Sequence[Queue], max_losses: int
) -> int:
    """Give back every job whose worker is lost or has ended; return how many.

    A job that was lost ``max_losses`` times without getting any further fails instead.
    """
    given = 0
    for queue in queues:
        for row in _jobs_of_dead_workers(connection, queue):
            given += _give_back(connection, queue, max_losses, **row)
    return given


def _jobs_of_dead_workers(connection: dj.Connection, queue: Queue) -> list[dict[str, Any]]:
    quoted = connection.adapter.quote_identifier
    names = ["worker_id", "state", "note", "host", "pid", "session_id", "job_table", "job_key",
             "first_iteration"]  # fmt: skip
    columns = [f"w.{quoted(n)}" for n in names] + [f"j.{quoted(n)}" for n in queue.primary_key]
    rows = connection.query(
        f"SELECT {', '.join(columns)} FROM {queue.sql_name} AS j "
        f"JOIN {Worker.full_table_name} AS w ON w.worker_id = j.{quoted('connection_id')} "
        f"WHERE j.{quoted('status')}='reserved' AND w.{quoted('state')} IN ('lost', 'ended')"
    ).fetchall()
    return [
        {
            "worker": dict(zip(names, row, strict=False)),
            "key": dict(zip(queue.primary_key, row[len(names) :], strict=True)),
        }
        for row in rows
    ]


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
    """Record that a worker was lost with a job; return how many since the job last got further."""
    # Else it had just begun: what was said last is of the job before.
    said = None if worker["job_key"] is None else key_of(worker["job_key"])
    known = worker["job_table"] == queue.name and said == key
    first = worker["first_iteration"] if known else None
    lost = LostJob.full_table_name
    before = connection.query(
        f"SELECT first_iteration FROM {lost} WHERE job_table=%s AND job_hash=%s AND counts "
        "ORDER BY lost_at",
        args=(queue.name, job_hash(key)),
    ).fetchall()
    # A worker that was taken for dead may take the same job again before it knows: once is enough.
    mysql = connection.adapter.backend == "mysql"
    connection.query(
        f"INSERT {'IGNORE ' if mysql else ''}INTO {lost} (job_table, job_hash, worker_id, job_key, "
        f"lost_at, first_iteration, reason, counts) VALUES (%s, %s, %s, %s, {now(connection)}, "
        f"%s, %s, TRUE){'' if mysql else ' ON CONFLICT DO NOTHING'}",
        args=(
            queue.name,
            job_hash(key),
            worker["worker_id"],
            json.dumps(key),
            first,
            str(worker["note"])[:255],
        ),
    )
    # It got further where a worker began at an iteration at which none had begun before. To compare
    # with the last one alone is not enough: each kind of device goes on from states of its own, and
    # where two take turns, every loss would seem to be news.
    begun = [earlier or 0 for (earlier,) in before] + [first or 0]
    return len(begun) - max(begun.index(iteration) for iteration in begun)
