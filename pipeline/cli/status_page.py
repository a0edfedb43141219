"""The output of `rnn status`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tasks_lib.errors import printable
from tasks_lib.sizes import counted

from ..database.connection import connection
from ..database.schemas import title_of
from ..database.types import Populated
from ..tables.computed import COMPUTED
from ..tables.selections import Selection
from ..workers.live_curves import ITERATION, LOSS, sparkline
from ..workers.missing_classes import WaitingJobs, waiting_jobs
from ..workers.queue import Queue
from ..workers.status import Pace, TableStatus, WorkerStatus, table_status, worker_status
from .base import cut

MOST_CELLS = 10_000  # more than any row takes
STYLES = {"working": "green", "waiting": "yellow", "silent": "yellow", "lost": "red"}


def status_page(
    pace: Pace,
    n_failures: int,
    tables: Sequence[type[Populated]] = COMPUTED,
    selection: Selection | None = None,
) -> RenderableType:
    """Return tables, workers, jobs that no worker could do and the latest failures, as one page.

    Of a selection what belongs to it.
    """
    counts, workers = table_status(tables, selection), worker_status(tables, selection)
    parts: list[RenderableType] = [_tables(counts, pace)]
    if workers:
        parts += ["", _Workers(workers)]
    asked = () if selection is None else (selection,)
    waiting = waiting_jobs(connection(), [Queue(table) for table in tables], asked)
    if waiting:
        parts += ["", _waiting(waiting)]
    failures = _failures(counts, n_failures, tables, selection)
    if failures is not None:
        parts += ["", failures]
    return Group(*parts)


def _tables(tables: list[TableStatus], pace: Pace) -> Table:
    paces = [pace.of(s) for s in tables]
    is_seen = any(a_minute is not None for a_minute, _ in paces)
    page = Table("table")
    for heading in ("done", "pending", "running", "failed", *["a minute", "left"] * is_seen):
        page.add_column(heading, justify="right")
    is_left_out = any(s.n_not_wanted for s in tables)
    if is_left_out:
        page.add_column("not wanted", justify="right")
    for s, (a_minute, seconds) in zip(tables, paces, strict=True):
        speed = ["" if a_minute is None else f"{a_minute:.1f}", duration(seconds)]
        page.add_row(
            s.table,
            *(str(n) for n in (s.done, s.pending, s.running)),
            Text(str(s.failed), style="red" if s.failed else ""),
            *speed * is_seen,
            *[_cohorts(s.n_not_wanted)] * is_left_out,
        )
    return page


def _cohorts(number: int) -> str:
    return f"by {counted(number, 'cohort')}" if number else ""


class _Workers:
    """The table of workers; where a terminal is narrow, without the columns that can be spared."""

    def __init__(self, workers: list[WorkerStatus]) -> None:
        self._workers = workers

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        page = _workers(self._workers)
        if Measurement.get(console, options.update(max_width=MOST_CELLS), page).maximum > (
            options.max_width
        ):
            page = _workers(self._workers, is_narrow=True)
        yield page


def _workers(workers: list[WorkerStatus], is_narrow: bool = False) -> Table:
    page = Table("worker")
    page.add_column("state", min_width=max(map(len, STYLES)))
    page.add_column("job")
    has_curves = any(w.curves for w in workers) and not is_narrow
    has_speed = not is_narrow
    for heading in ("iteration", *["a second"] * has_speed, "loss", *["curve"] * has_curves):
        justify: JustifyMethod = "left" if heading == "curve" else "right"
        page.add_column(heading, justify=justify, no_wrap=True)
    for heading in ("left", "done"):
        page.add_column(heading, justify="right", no_wrap=True)
    for w in workers:
        state = w.state
        if w.state in ("silent", "lost"):
            state += f" for {duration(w.silent_seconds)}"
        if w.note:
            state += f": {w.note}"
        page.add_row(
            f"{w.host} {w.pid} {w.device}",
            Text(printable(state), style=STYLES.get(w.state, "")),
            Text(printable(f"{w.table} {_values(w.key)}") if w.table else ""),
            "" if w.iteration is None else f"{w.iteration}/{w.n_iterations}",
            *["" if w.speed is None else f"{w.speed:.1f}"] * has_speed,
            "" if w.loss is None else f"{w.loss:.4g}",
            *[_curves(w)] * has_curves,
            duration(w.seconds_left),
            str(w.n_done),
        )
    return page


def _curves(worker: WorkerStatus) -> Text:
    """Return the learning curve of a running training, and those of its terms, a line each."""
    names = [name for name in worker.curves if name != ITERATION]
    if names == [LOSS]:
        return Text(sparkline(worker.curves[LOSS]))
    return Text(printable_lines(f"{sparkline(worker.curves[name])} {name}" for name in names))


def printable_lines(lines: Iterable[str]) -> str:
    """Return lines as one text, each as the terminal may have it."""
    return "\n".join(map(printable, lines))


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
    counts: list[TableStatus],
    n_failures: int,
    tables: Sequence[type[Populated]],
    selection: Selection | None,
) -> Table | None:
    """Return the latest failures, by the time at which they failed."""
    failed = {s.table for s in counts if s.failed}
    rows: list[tuple[Any, str, dict[str, Any], str]] = []
    for table in tables:
        if title_of(table) in failed and n_failures:
            queue = Queue(table)
            jobs = queue.chosen(queue.jobs & {"status": "error"}, selection)
            latest = jobs.proj("completed_time", "error_message")
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


def duration(seconds: float | None) -> str:
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
