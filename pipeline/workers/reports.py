"""What a worker's heartbeats report of its job."""

from __future__ import annotations

import time

from .heartbeat import Heartbeat
from .job_table import Key
from .queue import Queue


def report_job(heartbeat: Heartbeat, queue: Queue, key: Key) -> None:
    """Report the job in the next heartbeats; soon, if it is of another table than the last one."""
    report = heartbeat.report
    is_other_table = report.job_table != queue.name
    # How far the job before was goes first: a heartbeat may come in between.
    report.first_iteration = report.iteration = report.n_iterations = report.loss = None
    report.curves.clear()
    report.state, report.note = "working", ""
    report.job_table, report.job_key, report.job_began = queue.name, key, time.monotonic()
    if is_other_table:
        heartbeat.send_soon()


def report_waiting(heartbeat: Heartbeat, note: str) -> None:
    """Report that the worker waits for the server or the store."""
    report = heartbeat.report
    report.state, report.note = "waiting", note[:255]


def report_resumed(heartbeat: Heartbeat) -> None:
    """Report that the worker waits no longer, if it did."""
    report = heartbeat.report
    if report.state == "waiting":
        report.state, report.note = "working" if report.job_table else "idle", ""


def report_idle(heartbeat: Heartbeat) -> None:
    """Report that the worker has no job."""
    report = heartbeat.report
    report.state, report.note = "idle", ""
    report.job_table, report.job_key, report.job_began = "", None, None
    report.curves.clear()
    report.first_iteration = report.iteration = report.n_iterations = report.loss = None
