"""SQL on the rows of workers: heartbeats, deaths, and the jobs that were lost with a worker."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import datajoint as dj
from datajoint.errors import DuplicateError

from ..database.dialects import dialect_of
from .registry import LIVE_STATES, MISSED_HEARTBEATS, LostJob, MissingClass, Worker

Key = dict[str, Any]

STATUS_COLUMNS = (
    "worker_id", "host", "pid", "device", "state", "note", "job_table", "job_key",
    "first_iteration", "iteration", "n_iterations", "loss", "live_curves", "n_done",
    "beat_seconds",
)  # fmt: skip
NO_JOB = (
    "job_table='', job_key=NULL, job_began_at=NULL, first_iteration=NULL, iteration=NULL, "
    "n_iterations=NULL, loss=NULL, live_curves=NULL"
)


# A worker's own row ------------------------------------------------------------------------------


def enter_worker(connection: dj.Connection, worker_id: int, values: Mapping[str, Any]) -> None:
    """Insert the row of a worker that starts; not twice, where an answer was lost."""
    now = dialect_of(connection).now
    names = ", ".join(["worker_id", *values, "started_at", "beat_at"])
    marks = ", ".join(["%s"] * (1 + len(values)))
    with suppress(DuplicateError):  # nobody else has this number
        connection.query(
            f"INSERT INTO {Worker.full_table_name} ({names}) VALUES ({marks}, {now}, {now})",
            args=(worker_id, *values.values()),
        )


def last_heartbeat(connection: dj.Connection, worker_id: int) -> tuple[str, float] | None:
    """Return a worker's state, and the seconds since its last heartbeat; None: it has no row."""
    since = dialect_of(connection).seconds_since("beat_at")
    row = connection.query(
        f"SELECT state, {since} FROM {Worker.full_table_name} WHERE worker_id=%s",
        args=(worker_id,),
    ).fetchone()
    return None if row is None else (str(row[0]), float(row[1]))


def write_heartbeat(
    connection: dj.Connection, worker_id: int, values: Mapping[str, Any], job_seconds: float | None
) -> bool:
    """Write a heartbeat, and since when the worker has its job; return whether it counts as alive.

    Parameters
    ----------
    job_seconds : float, optional
        Seconds since it took its job; None where it has none.
    """
    now = dialect_of(connection).now
    began = "NULL" if job_seconds is None else f"{now} - INTERVAL '{job_seconds:.3f}' SECOND"
    written = connection.query(
        f"UPDATE {Worker.full_table_name} SET {', '.join(f'{name}=%s' for name in values)}, "
        f"beat_at={now}, job_began_at={began} WHERE worker_id=%s AND state IN {LIVE_STATES}",
        args=(*values.values(), worker_id),
    ).rowcount
    return bool(written != 0)


def write_end(connection: dj.Connection, worker_id: int, note: str, n_done: int) -> None:
    """Write that a worker has ended, with or without a job."""
    connection.query(
        f"UPDATE {Worker.full_table_name} SET state='ended', note=%s, n_done=%s, "
        f"beat_at={dialect_of(connection).now}, {NO_JOB} WHERE worker_id=%s AND state <> 'lost'",
        args=(note[:255], n_done, worker_id),
    )


def write_missing_class(
    connection: dj.Connection, worker_id: int, class_name: str, reason: str
) -> None:
    """Write that a worker cannot import a class; not twice."""
    dialect = dialect_of(connection)
    statement = dialect.insert_new(
        f"{MissingClass.full_table_name} (worker_id, class_name, reason, missed_at)",
        f"VALUES (%s, %s, %s, {dialect.now})",
    )
    connection.query(statement, args=(worker_id, class_name, reason[:500]))


# Other workers -----------------------------------------------------------------------------------


def mark_silent_workers_dead(
    connection: dj.Connection, in_contact: float, own_id: int, own_beat_seconds: float
) -> int:
    """Mark workers as lost that have missed heartbeats; return how many.

    After an outage everybody's last heartbeat is old. A worker is marked only if the server was
    there, as seen from here, for as long as it takes to count that worker as dead; and only while
    the heartbeat of the worker that asks is new, since the server may stand still before it does
    what it is asked.

    Parameters
    ----------
    in_contact : float
        Seconds for which the server has answered the worker that asks.
    own_id, own_beat_seconds : int, float
        The worker that asks, and the time between its heartbeats (s).
    """
    own = connection.query(
        f"SELECT beat_at FROM {Worker.full_table_name} WHERE worker_id=%s", args=(own_id,)
    ).fetchone()
    if own is None:
        return 0
    since, until_dead = dialect_of(connection).seconds_since, f"{MISSED_HEARTBEATS} * beat_seconds"
    own_beat = f"TIMESTAMP '{own[0]}'"
    return _mark(
        connection,
        f"{since('beat_at')} > {until_dead} AND {until_dead} <= {float(in_contact)} "
        f"AND {since(own_beat)} < 2 * {float(own_beat_seconds)}",
        "no heartbeat",
    )


def mark_dead(connection: dj.Connection, worker_id: int, reason: str) -> int:
    """Mark a worker as lost that is known to be dead; return 1, or 0 where it was marked before."""
    return _mark(connection, f"worker_id = {int(worker_id)}", reason)


def mark_ended(connection: dj.Connection, worker_id: int, note: str) -> int:
    """Mark a worker as ended that was killed because it was to end: its job does not count it."""
    return _mark(connection, f"worker_id = {int(worker_id)}", note, "ended")


def _mark(connection: dj.Connection, which: str, note: str, state: str = "lost") -> int:
    return int(
        connection.query(
            f"UPDATE {Worker.full_table_name} SET state=%s, note=%s "
            f"WHERE state IN {LIVE_STATES} AND {which}",
            args=(state, note[:255]),
        ).rowcount
    )


def is_alive(connection: dj.Connection) -> str:
    """Return the condition that the worker ``w`` is alive: it has missed few heartbeats."""
    since = dialect_of(connection).seconds_since("w.beat_at")
    return f"(w.state IN {LIVE_STATES} AND {since} <= {MISSED_HEARTBEATS} * w.beat_seconds)"


def was_not_heard(since: str, until: str) -> str:
    """Return the condition that the worker ``w`` sent no heartbeat between two server times."""
    heard = f"w.beat_at > '{since}' AND w.beat_at <= '{until}'"
    return f"(w.state IN ('lost', 'ended') OR NOT ({heard}))"


def is_another(worker_id: int) -> str:
    """Return the condition that the worker ``w`` is not this one."""
    return f"w.worker_id <> {int(worker_id)}"


def live_workers(connection: dj.Connection) -> list[tuple[str, int]]:
    """Return host and process of each worker that is alive."""
    rows = connection.query(
        f"SELECT host, pid FROM {Worker.full_table_name} AS w WHERE {is_alive(connection)}"
    ).fetchall()
    return [(str(host), int(pid)) for host, pid in rows]


def workers_to_show(connection: dj.Connection, lost_seconds: float) -> list[dict[str, Any]]:
    """Return the rows of workers that are not marked dead, and of those lost since so long.

    Each with ``silent``, the seconds since its last heartbeat, and ``working``, those since it took
    its job.
    """
    since = dialect_of(connection).seconds_since
    silent, working = since("beat_at"), since("job_began_at")
    rows = connection.query(
        f"SELECT {', '.join(STATUS_COLUMNS)}, {silent}, {working} FROM {Worker.full_table_name} "
        f"WHERE state IN {LIVE_STATES} OR (state = 'lost' AND {silent} < {float(lost_seconds)}) "
        "ORDER BY host, pid"
    ).fetchall()
    return [dict(zip((*STATUS_COLUMNS, "silent", "working"), row, strict=True)) for row in rows]


# Jobs that were lost with a worker ---------------------------------------------------------------


def earlier_losses(connection: dj.Connection, table: str, job_hash: str) -> list[int | None]:
    """Return the iterations from which workers went on that died with a job, as far as they count.

    In the order of their deaths; None where a worker had not begun.
    """
    rows = connection.query(
        f"SELECT first_iteration FROM {LostJob.full_table_name} "
        "WHERE job_table=%s AND job_hash=%s AND counts ORDER BY lost_at",
        args=(table, job_hash),
    ).fetchall()
    return [first for (first,) in rows]


def lost_jobs(connection: dj.Connection, table: str) -> set[str]:
    """Return the hashes of a table's jobs with which a worker has died, as far as that counts."""
    rows = connection.query(
        f"SELECT DISTINCT job_hash FROM {LostJob.full_table_name} WHERE job_table=%s AND counts",
        args=(table,),
    ).fetchall()
    return {str(digest) for (digest,) in rows}


def record_loss(
    connection: dj.Connection, table: str, job_hash: str, key: Key, worker: Mapping[str, Any],
    first_iteration: int | None,
) -> None:  # fmt: skip
    """Record that a worker died with a job.

    Once only: a worker that was taken for dead may take the same job again before it knows.
    """
    dialect = dialect_of(connection)
    statement = dialect.insert_new(
        f"{LostJob.full_table_name} (job_table, job_hash, worker_id, job_key, lost_at, "
        "first_iteration, reason, counts)",
        f"VALUES (%s, %s, %s, %s, {dialect.now}, %s, %s, TRUE)",
    )
    reason = str(worker["note"])[:255]
    connection.query(
        statement,
        args=(table, job_hash, worker["worker_id"], json.dumps(key), first_iteration, reason),
    )


def reset_losses(connection: dj.Connection, table: str, job_hashes: Collection[str]) -> None:
    """Have earlier losses of jobs not count against them any more."""
    lost = LostJob.full_table_name
    for digest in lost_jobs(connection, table) & set(job_hashes):
        connection.query(
            f"UPDATE {lost} SET counts=FALSE WHERE job_table=%s AND job_hash=%s",
            args=(table, digest),
        )
