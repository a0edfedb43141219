"""Progress of the pipeline: finished and pending jobs, and the workers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..database.connection import connection
from ..database.schemas import title_of
from ..database.types import Populated
from ..tables.computed import COMPUTED
from .queue import Queue, key_of
from .registry import MISSED_HEARTBEATS
from .worker_sql import workers_to_show

# How long workers that were lost are shown.
LOST_SHOWN_SECONDS = 3600.0


@dataclass(frozen=True)
class TableStatus:
    """Number of rows of one table that are done, pending, running and failed."""

    table: str
    done: int
    pending: int
    running: int
    failed: int


@dataclass(frozen=True)
class WorkerStatus:
    """One worker, as its last heartbeat reported it.

    Attributes
    ----------
    worker_id, host, pid, device : int, str, int, str
    state : str
        "idle", "working", "waiting" for a server or store, "silent" where heartbeats are missing,
        or "lost".
    note : str
        What it waits for, or how it was lost.
    table : str
        Table that it works on; empty: none.
    key : dict or None
        That job's key.
    iteration, n_iterations : int or None
        Of a training, over the networks that are trained one after the other.
    loss : float or None
        Mean loss of the cohort.
    speed : float or None
        Iterations a second since this worker has the job.
    seconds_left : float or None
        Until the training is at its last iteration, at that speed.
    silent_seconds : float
        Since its last heartbeat, by the server's clock.
    n_done : int
        Jobs that it finished.
    """

    worker_id: int
    host: str
    pid: int
    device: str
    state: str
    note: str
    table: str
    key: dict[str, Any] | None
    iteration: int | None
    n_iterations: int | None
    loss: float | None
    speed: float | None
    seconds_left: float | None
    silent_seconds: float
    n_done: int


def table_status(tables: Sequence[type[Populated]] = COMPUTED) -> list[TableStatus]:
    """Count the keys of each computed table."""
    result = []
    for table in tables:
        instance = table()
        remaining, total = instance.progress(display=False)
        jobs = Queue(table).jobs
        # A job whose row has come in meanwhile is neither running nor failed.
        left = jobs.restrict((instance.key_source - instance.proj()).proj(), semantic_check=False)
        running, failed = len(left & {"status": "reserved"}), len(left & {"status": "error"})
        pending = max(remaining - running - failed, 0)
        result.append(TableStatus(title_of(table), total - remaining, pending, running, failed))
    return result


def worker_status() -> list[WorkerStatus]:
    """Return the workers that are alive, and those lost within the last hour."""
    return [_worker_status(row) for row in workers_to_show(connection(), LOST_SHOWN_SECONDS)]


def _worker_status(row: dict[str, Any]) -> WorkerStatus:
    silent, working = float(row["silent"]), row["working"]
    state = str(row["state"])
    if state != "lost" and silent > MISSED_HEARTBEATS * row["beat_seconds"] / 2:
        state = "silent"
    speed = left = None
    if row["iteration"] is not None and working is not None and state != "lost":
        done = row["iteration"] - (row["first_iteration"] or 0)
        seconds = float(working) - silent  # at the last heartbeat
        if done > 0 and seconds > 0:
            speed = done / seconds
            left = max((row["n_iterations"] - row["iteration"]) / speed - silent, 0.0)
    return WorkerStatus(
        worker_id=int(row["worker_id"]),
        host=row["host"],
        pid=int(row["pid"]),
        device=row["device"],
        state=state,
        note=row["note"],
        table=row["job_table"],
        key=None if row["job_key"] is None else key_of(row["job_key"]),
        iteration=row["iteration"],
        n_iterations=row["n_iterations"],
        loss=row["loss"],
        speed=speed,
        seconds_left=left,
        silent_seconds=silent,
        n_done=int(row["n_done"]),
    )


class Pace:
    """Measures the jobs a minute of each table, from one call to the next."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[float, int]] = {}

    def of(self, status: TableStatus) -> tuple[float | None, float | None]:
        """Return the jobs a minute of a table since it was first seen, and the seconds left."""
        moment = time.monotonic()
        began, done = self._first.setdefault(status.table, (moment, status.done))
        made, seconds = status.done - done, moment - began
        if made <= 0 or seconds <= 0:
            return None, None
        a_minute = 60.0 * made / seconds
        return a_minute, 60.0 * (status.pending + status.running) / a_minute
