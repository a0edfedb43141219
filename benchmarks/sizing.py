"""How many workers one server holds: taking jobs, heartbeats, entering jobs, inserting results.

    python benchmarks/sizing.py [--workers 300] [--jobs 100000] [--seconds 30] [--write FILE]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. The workers are simulated: threads in a few processes, each with connections
of its own, that take jobs with the pipeline's own queue, send heartbeats with its statement and end
jobs in the pipeline's transaction; they compute nothing. The clients share the cores with the
server.

Measured:

- entering all jobs with one statement, beside DataJoint's ``jobs.refresh`` (``--refresh``: slow);
- the time to take the next job, at the pace of jobs that last ``--job-seconds`` and without pause;
- heartbeats a second;
- what workers without a job ask of the server: the real loop of workers that wait for more;
- results a second: a row of `Training`, without arrays, and the end of its job in one transaction.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pipeline
from pipeline.database import connection as database
from pipeline.database import schemas
from pipeline.database.dialects import dialect_of
from pipeline.database.server import transaction
from pipeline.tables.computed import COMPUTED
from pipeline.workers.dispatch import Dispatcher
from pipeline.workers.finding import LONGEST_POLL
from pipeline.workers.heartbeat import Heartbeat, Host
from pipeline.workers.queue import Key, Queue
from pipeline.workers.worker import WorkLoop

PREFIX = "rnn_sizing"
PROCESSES = 4
NAMES = {"task_name": "t", "network_name": "n", "training_name": "r"}


def enter_cohorts(number: int) -> None:
    """Enter so many cohorts with one statement."""
    submission = {
        "tasks": {"t": {"class": "NBitFlipFlop", "n_steps": 20}},
        "networks": {"n": {"n_units": 10}},
        "trainings": {"r": {"max_iter": 1}},
        "cohorts": [],
    }
    pipeline.submit(submission)
    connection = database.connection()
    numbers = f"SELECT generate_series(0, {number - 1}) AS i"
    if connection.adapter.backend == "mysql":
        connection.query(f"SET SESSION cte_max_recursion_depth = {number + 1}")
        numbers = (
            f"WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n "
            f"WHERE i < {number - 1}) SELECT i FROM n"
        )
    connection.query(
        f"INSERT INTO {pipeline.Cohort.full_table_name} (task_name, network_name, training_name, "
        f"first_seed, n_networks) SELECT 't', 'n', 'r', i, 1 FROM ({numbers}) AS numbers"
    )


class SimulatedWorker(threading.Thread):
    """Takes jobs, holds each for a time, and ends it as a worker does."""

    def __init__(self, queues: list[Queue], job_seconds: float, until: float) -> None:
        super().__init__(daemon=True)
        self.queues, self.job_seconds, self.until = queues, job_seconds, until
        self.taking: list[float] = []
        self.ending: list[float] = []
        self.beating: list[float] = []
        self.looking: list[float] = []
        self.asked = 0
        self.connection = database.second_connection()
        host = Host("simulated", os.getpid(), "cpu", 1, "0")
        self.heartbeat = Heartbeat(database.second_connection, host, [], beat_seconds=10.0)
        self.heartbeat._register(None)

    def run(self) -> None:
        """Work until the time is over."""
        dispatcher = Dispatcher(self.queues, (), "0", 1)
        self._rest()  # they have not all begun at once
        while time.time() < self.until:
            began = time.perf_counter()
            taken = dispatcher.take(self.connection, self.heartbeat.worker_id)
            if taken is None:
                return
            self.taking.append(time.perf_counter() - began)
            if self.job_seconds:
                self._rest(whole=True)
                if time.time() > self.until:
                    return
            began = time.perf_counter()
            self._end(taken[1])
            self.ending.append(time.perf_counter() - began)

    def _end(self, key: Key) -> None:
        with transaction(self.connection):
            assert self.queues[0].finish(self.connection, key, self.heartbeat.worker_id)
            row = {**key, "device": "cpu", "iterations": 1, "seconds": 1.0, "code_version": "0",
                   "code_dirty": 0, "python_version": "0", "torch_version": "0",
                   "numpy_version": "0"}  # fmt: skip
            names, marks = ", ".join([*row, "trained_at"]), ", ".join(["%s"] * len(row))
            values = tuple(bool(v) if n == "code_dirty" else v for n, v in row.items())
            self.connection.query(
                f"INSERT INTO {pipeline.Training.full_table_name} ({names}) "
                f"VALUES ({marks}, {dialect_of(self.connection).jobs_now})",
                args=values,
            )

    def _rest(self, whole: bool = False) -> None:
        left = self.job_seconds if whole else random.random() * self.job_seconds
        end = time.time() + left
        while time.time() < min(end, self.until):
            time.sleep(max(min(10.0, end - time.time(), self.until - time.time()), 0.0))
            began = time.perf_counter()
            self.heartbeat._send()
            self.beating.append(time.perf_counter() - began)


_entering = threading.Lock()


class IdleLoop(WorkLoop):
    """The loop of a worker, on a connection of its own, that counts what it asks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.own = database.second_connection()
        super().__init__(*args, **options)
        self.n_queries = 0
        self._enter = self.finder._enter
        self.finder._enter = self._enter_alone
        query = self.own.query

        def counted(*given: Any, **named: Any) -> Any:
            self.n_queries += 1
            return query(*given, **named)

        self.own.query = counted

    @property
    def connection(self) -> Any:
        """The loop's own."""
        return self.own

    def _enter_alone(self, queues: Any) -> int:
        with _entering:  # threads of a process share what DataJoint looks up of its tables
            return self._enter(queues)


class IdleWorker(SimulatedWorker):
    """Finds nothing to do, and waits for more; it has already waited for a while."""

    def __init__(self, queues: list[Queue], job_seconds: float, until: float) -> None:
        super().__init__(queues, job_seconds, until)
        self.loop = IdleLoop([queue.table for queue in queues], until="forever", shares=True)
        self.loop.heartbeat.worker_id = self.heartbeat.worker_id
        finder = self.loop.finder
        finder._found_nothing, finder._idle_since = "", time.monotonic() - 600.0
        for queue in self.loop.heartbeat.queues:
            _ = queue.sql_name, queue.primary_key, queue.is_pending()

    def run(self) -> None:
        """Look for jobs until the time is over."""
        loop = self.loop
        self.loop.stop.wait(random.random() * LONGEST_POLL)  # they have not all begun at once
        while time.time() < self.until:
            before, began = loop.n_queries, time.perf_counter()
            assert loop.finder.take() is None
            self.looking.append(time.perf_counter() - began)
            loop.finder.is_more_to_come()
            self.asked += loop.n_queries - before


class EndlessHeartbeats(SimulatedWorker):
    """Sends heartbeats without pause."""

    def run(self) -> None:
        """Send heartbeats until the time is over."""
        while time.time() < self.until:
            began = time.perf_counter()
            self.heartbeat._send()
            self.beating.append(time.perf_counter() - began)


def _in_process(
    kind: type[SimulatedWorker], arguments: dict[str, Any], number: int, job_seconds: float,
    seconds: float, ready: Any, results: Any,
) -> None:  # fmt: skip
    pipeline.connect(**arguments)
    queues = [Queue(table) for table in COMPUTED]
    for queue in queues:
        _ = queue.sql_name, queue.primary_key, queue.is_pending()
    workers = [kind(queues, job_seconds, 0.0) for _ in range(number)]
    ready.wait()
    for worker in workers:
        worker.until = time.time() + seconds
        worker.start()
    for worker in workers:
        worker.join()
    results.put(
        {what: [t for w in workers for t in getattr(w, what)]
         for what in ("taking", "ending", "beating", "looking")}
        | {"asked": [sum(worker.asked for worker in workers)]}
    )  # fmt: skip


def simulate(
    kind: type[SimulatedWorker], arguments: dict[str, Any], workers: int, job_seconds: float,
    seconds: float,
) -> dict[str, list[float]]:  # fmt: skip
    """Run simulated workers in a few processes; return all times by what was done (s)."""
    context = multiprocessing.get_context("spawn")
    shares = [workers // PROCESSES + (i < workers % PROCESSES) for i in range(PROCESSES)]
    shares = [n for n in shares if n]
    ready, results = context.Barrier(len(shares)), context.Queue()
    processes = [
        context.Process(
            target=_in_process, args=(kind, arguments, n, job_seconds, seconds, ready, results)
        )
        for n in shares
    ]
    for process in processes:
        process.start()
    parts = [results.get(timeout=seconds + 300) for _ in processes]
    for process in processes:
        process.join()
    return {what: [t for part in parts for t in part[what]] for what in parts[0]}


def _line(name: str, times: list[float], seconds: float) -> dict[str, Any]:
    times = sorted(times)
    at = lambda q: 1e3 * times[min(int(q * len(times)), len(times) - 1)]  # noqa: E731
    return {
        "what": name,
        "number": len(times),
        "a second": round(len(times) / seconds, 1),
        "median (ms)": round(at(0.5), 1),
        "95 % (ms)": round(at(0.95), 1),
        "99 % (ms)": round(at(0.99), 1),
    }


def _timed(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--workers", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--job-seconds", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--refresh", action="store_true")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        arguments = {"prefix": PREFIX, "store": store}
        pipeline.connect(**arguments)
        for table in COMPUTED:
            _ = table().jobs  # declared before the others look for them
        try:
            result = _measure(options, arguments)
        finally:
            schemas.drop()
            pipeline.disconnect()
    text = json.dumps(result, indent=1)
    print(text)
    if options.write:
        options.write.write_text(text + "\n")


def _measure(options: argparse.Namespace, arguments: dict[str, Any]) -> dict[str, Any]:
    connection = database.connection()
    enter_cohorts(options.jobs)
    queue = Queue(pipeline.Training)
    entering = _timed(lambda: queue.enter(connection))
    again = statistics.median(_timed(lambda: queue.enter(connection)) for _ in range(3))
    alone = statistics.median(
        _timed(lambda: queue.take_next(connection, 1, "0", 1)) for _ in range(20)
    )
    queue.give_back_all(connection, 1)
    result: dict[str, Any] = {
        "server": connection.adapter.backend,
        "jobs": options.jobs,
        "workers": options.workers,
        "connections": 2 * options.workers,
        "entering all jobs (s)": round(entering, 2),
        "entering again, nothing new (s)": round(again, 2),
        "taking a job, one worker alone (ms)": round(1e3 * alone, 2),
    }
    if options.refresh:
        queue.jobs.delete()
        refresh = _timed(lambda: queue.jobs.refresh(delay=-1))
        result["DataJoint's jobs.refresh (s)"] = round(refresh, 1)
    lines = []
    for name, kind, job_seconds in (
        (f"jobs of {options.job_seconds:.0f} s", SimulatedWorker, options.job_seconds),
        ("jobs of no length", SimulatedWorker, 0.0),
        ("heartbeats without pause", EndlessHeartbeats, 0.0),
        ("no jobs", IdleWorker, 0.0),
    ):
        if kind is IdleWorker:
            for table in (queue.jobs, pipeline.Training(), pipeline.Cohort()):
                table.delete_quick()
        times = simulate(kind, arguments, options.workers, job_seconds, options.seconds)
        n_asked = sum(times.pop("asked"))
        if n_asked:
            result[f"{name}: questions a second"] = round(n_asked / options.seconds)
        for what, values in times.items():
            if values:
                lines.append(_line(f"{name}: {what}", values, options.seconds))
    result["times"] = lines
    return result


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Prints the docstring as it is."""


if __name__ == "__main__":
    main()
