"""Leases: tasks that one worker does for all, now and then, such as entering new jobs."""

from __future__ import annotations

import hashlib

import datajoint as dj

from ..database.dialects import dialect_of
from .registry import Errand, Worker
from .worker_sql import is_alive

# Seconds after which a lease that was taken and not ended is free again.
LEASE_SECONDS = 120.0


def take_lease(connection: dj.Connection, name: str, worker_id: int, pause: float) -> bool:
    """Return whether this worker is to do a task now, because it was not done for some seconds.

    A lease that was taken and not ended is free where it was taken long ago, where its worker is
    dead, or where that is this worker, which asks because it failed.

    Parameters
    ----------
    name : str
        As in the table: "enter_jobs", "reap", or that of a lab's own table (`lease_name`).
    pause : float
        Seconds from the end of one to the next.
    """
    since, table = dialect_of(connection).seconds_since, Errand.full_table_name
    alive = (
        f"SELECT 1 FROM {Worker.full_table_name} AS w "
        f"WHERE w.worker_id = {table}.worker_id AND {is_alive(connection)}"
    )
    is_free = (
        f"({since('began_at')} >= {LEASE_SECONDS} OR worker_id = {int(worker_id)} "
        f"OR NOT EXISTS ({alive}))"
    )
    where = (
        f"WHERE errand=%s AND (began_at IS NULL OR {since('finished_at')} >= {float(pause)} "
        f"OR (finished_at IS NULL AND {is_free}))"
    )
    # Looked at first: hundreds of workers are not to lock the row to find that nothing is due.
    if connection.query(f"SELECT 1 FROM {table} {where}", args=(name,)).fetchone() is None:
        return False
    taken = connection.query(
        f"UPDATE {table} SET began_at={dialect_of(connection).now}, finished_at=NULL, "
        f"worker_id=%s {where}",
        args=(worker_id, name),
    ).rowcount
    return bool(taken == 1)


def lease_name(task: str, table: str | None) -> str:
    """Return the name of the lease of a task: of all tables of the pipeline, or one of a lab's own.

    Workers that do not know a lab's table cannot do the task for those that do.

    Parameters
    ----------
    task : str
        "enter_jobs" or "reap".
    table : str, optional
        Full name of the lab's table.
    """
    if table is None:
        return task
    return f"{task} {hashlib.sha256(table.encode()).hexdigest()[:12]}"


def add_lease(connection: dj.Connection, name: str) -> None:
    """Add the row of a lease, where it is not there yet."""
    connection.query(
        dialect_of(connection).insert_new(f"{Errand.full_table_name} (errand)", "VALUES (%s)"),
        args=(name,),
    )


def end_lease(connection: dj.Connection, name: str, worker_id: int) -> None:
    """Record that a task is done whose lease this worker has."""
    connection.query(
        f"UPDATE {Errand.full_table_name} SET finished_at={dialect_of(connection).now} "
        "WHERE errand=%s AND worker_id=%s",
        args=(name, worker_id),
    )


def was_done_since(connection: dj.Connection, name: str, moment: str) -> bool:
    """Return whether a task was begun after a server time, and is done."""
    done = connection.query(
        f"SELECT 1 FROM {Errand.full_table_name} WHERE errand=%s AND began_at >= %s "
        f"AND began_at <= {dialect_of(connection).now} AND finished_at IS NOT NULL",
        args=(name, moment),
    ).fetchone()
    return done is not None
