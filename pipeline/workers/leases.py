"""What one worker does for all: entering new jobs, looking for the dead."""

from __future__ import annotations

import datajoint as dj

from ..database.server import now, seconds_since
from .registry import LIVING, MISSED_BEATS, Errand, Worker

# Seconds after which whoever took an errand and has not done it is taken for dead.
GIVEN_UP_AFTER = 120.0


def take_errand(connection: dj.Connection, errand: str, worker_id: int, pause: float) -> bool:
    """Return whether this worker is to do it now, because it was not done for some seconds.

    An errand that was begun and not done is due again where whoever took it took long, is dead, or
    is this worker itself, which asks because it failed.
    """
    rested = f"{seconds_since(connection, 'finished_at')} >= {float(pause)}"
    given_up = f"{seconds_since(connection, 'began_at')} >= {GIVEN_UP_AFTER}"
    lives = (
        f"SELECT 1 FROM {Worker.full_table_name} AS w WHERE w.worker_id = "
        f"{Errand.full_table_name}.worker_id AND w.state IN {LIVING} "
        f"AND {seconds_since(connection, 'w.beat_at')} <= {MISSED_BEATS} * w.beat_seconds"
    )
    given_up += f" OR worker_id = {int(worker_id)} OR NOT EXISTS ({lives})"
    due = f"(began_at IS NULL OR {rested} OR (finished_at IS NULL AND ({given_up})))"
    where = f"WHERE errand=%s AND {due}"
    table = Errand.full_table_name
    # Looked at first: hundreds of workers are not to lock the row to find that nothing is due.
    if connection.query(f"SELECT 1 FROM {table} {where}", args=(errand,)).fetchone() is None:
        return False
    taken = connection.query(
        f"UPDATE {table} SET began_at={now(connection)}, finished_at=NULL, worker_id=%s {where}",
        args=(worker_id, errand),
    ).rowcount
    return bool(taken == 1)


def end_errand(connection: dj.Connection, errand: str, worker_id: int) -> None:
    """Say that an errand which this worker took is done."""
    connection.query(
        f"UPDATE {Errand.full_table_name} SET finished_at={now(connection)} "
        "WHERE errand=%s AND worker_id=%s",
        args=(errand, worker_id),
    )


def server_time(connection: dj.Connection) -> str:
    """Return the present time by the server's clock, as text that sorts as the times do."""
    return str(connection.query(f"SELECT CAST({now(connection)} AS CHAR(23))").fetchone()[0])


def was_done_since(connection: dj.Connection, errand: str, moment: str) -> bool:
    """Return whether an errand was begun after a moment, and is done."""
    done = connection.query(
        f"SELECT 1 FROM {Errand.full_table_name} WHERE errand=%s AND began_at >= %s "
        f"AND began_at <= {now(connection)} AND finished_at IS NOT NULL",
        args=(errand, moment),
    ).fetchone()
    return done is not None
