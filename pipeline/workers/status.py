"""Progress of the pipeline: finished and pending jobs, and the workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..database.connection import connection
from ..database.schemas import title_of
from ..database.types import Populated
from ..tables.computed import COMPUTED
from ..tables.left_out import LeftOut, not_wanted
from ..tables.selections import Selection, restriction_for
from .live_curves import read_curves
from .queue import Queue, job_hash, key_of
from .registry import MISSED_HEARTBEATS
from .worker_sql import workers_to_show

# How long workers that were lost are shown.
LOST_SHOWN_SECONDS = 3600.0


@dataclass(frozen=True)
class TableStatus:
    """Number of rows of one table that are done, pending, running and failed.

    ``n_not_wanted`` is the number of cohorts that do without it.
    """

    table: str
    done: int
    pending: int
    running: int
    failed: int
    n_not_wanted: int = 0


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
    curves : dict
        Of its training so far: "iteration", "loss" and its terms -> values; None is not finite.
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
    curves: dict[str, list[float | None]]


def table_status(
    tables: Sequence[type[Populated]] = COMPUTED, selection: Selection | None = None
) -> list[TableStatus]:
    """Count the keys of each computed table, or those of them that belong to a selection."""
    without = Counter(
        name for names in not_wanted(restriction_for(LeftOut, selection)).values() for name in names
    )
    asked = " UNION ALL ".join(
        f"SELECT {number}, {_counts(table, selection)}" for number, table in enumerate(tables)
    )
    rows = sorted(connection().query(asked).fetchall()) if tables else []
    result = []
    for table, (_, total, *left) in zip(tables, rows, strict=True):
        remaining, running, failed = map(int, left)
        pending = max(remaining - running - failed, 0)
        done, title = int(total) - remaining, title_of(table)
        result.append(TableStatus(title, done, pending, running, failed, without[title]))
    return result


def _counts(table: type[Populated], selection: Selection | None) -> str:
    """Return the SQL of the numbers of all keys, of those without a row, reserved and failed."""
    instance = table()
    keys = instance.key_source
    if selection is not None:
        keys &= selection.restriction(table)
    # A job whose row has come in meanwhile is neither running nor failed.
    undone = (keys - instance.proj()).proj()
    left = Queue(table).jobs.restrict(undone, semantic_check=False)
    counted = (keys.proj(), undone, *((left & {"status": s}).proj() for s in ("reserved", "error")))
    return ", ".join(f"(SELECT COUNT(*) FROM ({query.make_sql()}) AS counted)" for query in counted)


def worker_status(
    tables: Sequence[type[Populated]] = COMPUTED, selection: Selection | None = None
) -> list[WorkerStatus]:
    """Return the workers that are alive, and those lost within the last hour.

    Of a selection those that have a job of it.
    """
    workers = [_worker_status(row) for row in workers_to_show(connection(), LOST_SHOWN_SECONDS)]
    if selection is None:
        return workers
    theirs = set()
    for queue in map(Queue, tables):
        reserved = queue.chosen(queue.jobs & {"status": "reserved"}, selection)
        theirs |= {(queue.name, job_hash(key)) for key in reserved.keys()}
    return [w for w in workers if w.key and (w.table, job_hash(w.key)) in theirs]


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
        curves=read_curves(row["live_curves"]),
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
