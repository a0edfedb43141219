"""The output of `rnn status`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tasks_lib.errors import printable

from ..database.connection import connection
from ..database.schemas import title_of
from ..database.types import Populated
from ..tables.computed import COMPUTED
from ..workers.missing_classes import WaitingJobs, waiting_jobs
from ..workers.queue import Queue
from ..workers.status import Pace, TableStatus, WorkerStatus, table_status, worker_status
from .base import cut

STYLES = {"working": "green", "waiting": "yellow", "silent": "yellow", "lost": "red"}


def status_page(
    pace: Pace, n_failures: int, tables: Sequence[type[Populated]] = COMPUTED
) -> RenderableType:
    """Return tables, workers, jobs that no worker could do and the latest failures, as one page."""
    counts, workers = table_status(tables), worker_status()
    parts: list[RenderableType] = [_tables(counts, pace)]
    if workers:
        parts += ["", _workers(workers)]
    waiting = waiting_jobs(connection(), [Queue(table) for table in tables])
    if waiting:
        parts += ["", _waiting(waiting)]
    failures = _failures(counts, n_failures, tables)
    if failures is not None:
        parts += ["", failures]
    return Group(*parts)


def _tables(tables: list[TableStatus], pace: Pace) -> Table:
    paces = [pace.of(s) for s in tables]
    is_seen = any(a_minute is not None for a_minute, _ in paces)
    page = Table("table")
    for heading in ("done", "pending", "running", "failed", *["a minute", "left"] * is_seen):
        page.add_column(heading, justify="right")
    for s, (a_minute, seconds) in zip(tables, paces, strict=True):
        speed = ["" if a_minute is None else f"{a_minute:.1f}", _duration(seconds)]
        page.add_row(
            s.table,
            *(str(n) for n in (s.done, s.pending, s.running)),
            Text(str(s.failed), style="red" if s.failed else ""),
            *speed * is_seen,
        )
    return page


def _workers(workers: list[WorkerStatus]) -> Table:
    page = Table("worker", "state", "job")
    for heading in ("iteration", "a second", "loss", "left", "done"):
        page.add_column(heading, justify="right")
    for w in workers:
        state = w.state
        if w.state in ("silent", "lost"):
            state += f" for {_duration(w.silent_seconds)}"
        if w.note:
            state += f": {w.note}"
        page.add_row(
            f"{w.host} {w.pid} {w.device}",
            Text(printable(state), style=STYLES.get(w.state, "")),
            Text(printable(f"{w.table} {_values(w.key)}") if w.table else ""),
            "" if w.iteration is None else f"{w.iteration}/{w.n_iterations}",
            "" if w.speed is None else f"{w.speed:.1f}",
            "" if w.loss is None else f"{w.loss:.4g}",
            _duration(w.seconds_left),
            str(w.n_done),
        )
    return page


def _waiting(waiting: list[WaitingJobs]) -> Table:
    """Return the classes for which jobs wait, and why workers could not import them."""
    page = Table("class", title="waiting for a worker that can import", title_justify="left")
    page.add_column("jobs", justify="right")
    page.add_column("workers that cannot", justify="right")
    page.add_column("reason")
    for w in waiting:
        page.add_row(
            Text(printable(w.class_name)),
            str(w.n_jobs),
            str(len(w.worker_ids)),
            Text(printable(w.reason), style="yellow"),
        )
    return page


def _failures(
    counts: list[TableStatus], n_failures: int, tables: Sequence[type[Populated]]
) -> Table | None:
    """Return the latest failures, by the time at which they failed."""
    failed = {s.table for s in counts if s.failed}
    rows: list[tuple[Any, str, dict[str, Any], str]] = []
    for table in tables:
        if title_of(table) in failed and n_failures:
            jobs = Queue(table).jobs
            latest = (jobs & {"status": "error"}).proj("completed_time", "error_message")
            for row in latest.to_dicts(order_by="completed_time DESC", limit=n_failures):
                key = {name: row[name] for name in jobs.primary_key}
                rows.append((row["completed_time"], title_of(table), key, row["error_message"]))
    if not rows:
        return None
    page = Table("failed", "key", "reason", title="rnn failures says more", title_justify="left")
    rows.sort(key=lambda row: str(row[0]), reverse=True)
    for _, name, key, message in rows[:n_failures]:
        page.add_row(
            name, Text(printable(_values(key))), Text(printable(cut(message, 300)), style="red")
        )
    return page


def _values(key: dict[str, Any] | None) -> str:
    return "/".join(str(value) for value in (key or {}).values())


def _duration(seconds: float | None) -> str:
    """Return a duration in its two largest units."""
    if seconds is None:
        return ""
    whole = round(seconds)
    for unit, size, smaller, small_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small_size} {smaller}"
    return f"{whole} s"
