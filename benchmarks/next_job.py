"""How long a worker takes to get its next job, where many are pending: all, or of a selection.

    python benchmarks/next_job.py [--pending 100000] [--takes 30]

Uses the server that DJ_HOST and its kin name, the embedded database otherwise, and schemas of its
own, which it drops. The pending jobs are trainings of as many cohorts, in a hundred sets of
training parameters; each set is a sweep. What is chosen stands at the end of the queue, where it is
found last. A take is that of a worker: which tables have jobs, the next one, and its reservation.

Beside the times of a clock, which say as much about what else a machine does, it prints what a take
costs whatever happens there: statements, on MySQL the rows that these read, and the processor time
of this process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import pipeline
from pipeline.database import schemas
from pipeline.database.connection import connection
from pipeline.tables.computed import COMPUTED
from pipeline.tables.rows import in_chunks
from pipeline.tables.selections import Selection
from pipeline.workers.dispatch import Dispatcher
from pipeline.workers.queue import Queue

N_SETS = 100
NAMES = {"task_name": "memory", "network_name": "n8"}
MOST_MS = 50.0
SELECTIONS: dict[str, dict[str, Any] | None] = {
    "all": None,
    "--task memory": {"task_name": "memory"},
    "--training t99": {"training_name": "t99"},
    "--sweep s99": {"sweep_name": "s99"},
    "--sweep s0": {"sweep_name": "s0"},
    "--sweep everything": {"sweep_name": "everything"},
    "--sweep s99 --seed LAST": {"sweep_name": "s99", "seed": -1},
    '--where "lr > 0.985"': {"where": "lr > 0.985"},
    '--where "r2 > 0.9"': {"where": "r2 > 0.9"},
}


def enter(n_pending: int) -> int:
    """Enter so many cohorts and their jobs; return the last seed."""
    pipeline.submit(
        {
            "tasks": {"memory": {"class": "NBitFlipFlop", "n_steps": 20, "params": {"pulse": 3}}},
            "networks": {"n8": {"n_units": 8}},
            "trainings": {
                f"t{n}": {"max_iter": 3, "lr": (n + 1) / (N_SETS + 1)} for n in range(N_SETS)
            },
        }
    )
    each = max(n_pending // N_SETS, 1)
    rows = [
        {**NAMES, "training_name": f"t{n}", "first_seed": seed, "n_networks": 1,
         "origin": "trained"}
        for n in range(N_SETS) for seed in range(each)
    ]  # fmt: skip
    axis = {"axis": "training.lr"}
    sweeps = [*(f"s{n}" for n in range(N_SETS)), "everything"]
    pipeline.Sweep.insert({"sweep_name": name} for name in sweeps)
    pipeline.Sweep.Axis.insert({"sweep_name": name, **axis, "axis_number": 0} for name in sweeps)
    for some in in_chunks(rows):
        pipeline.Cohort().store(some)
        points = [
            {**{k: row[k] for k in pipeline.Cohort.primary_key}, **axis, "value": 0.1,
             "value_text": "0.1"}
            for row in some
        ]  # fmt: skip
        for name in (lambda row: f"s{row['training_name'][1:]}", lambda _: "everything"):
            pipeline.SweepPoint.insert({**point, "sweep_name": name(point)} for point in points)
    began = time.perf_counter()
    new = Queue(pipeline.Training).enter(connection())
    print(f"{new} jobs entered in {time.perf_counter() - began:.1f} s")
    adapter = connection().adapter
    for table in (pipeline.Cohort, pipeline.SweepPoint, Queue(pipeline.Training).jobs):
        word = "ANALYZE TABLE" if adapter.backend == "mysql" else "ANALYZE"
        connection().query(f"{word} {table.full_table_name}")
    return each - 1


@dataclass(frozen=True)
class Take:
    """What a take cost: times (ms), statements, and rows that they read (0: it is not known)."""

    wall: float
    own: float
    n_statements: int
    n_rows: int


class Counter:
    """Counts the statements of a connection, and the rows that a MySQL server reads for it."""

    def __init__(self) -> None:
        self.n_statements = 0
        self._connection = connection()
        self._query = self._connection.query

    def __enter__(self) -> Counter:
        def query(*arguments: Any, **options: Any) -> Any:
            self.n_statements += 1
            return self._query(*arguments, **options)

        setattr(self._connection, "query", query)  # noqa: B010
        return self

    def __exit__(self, *_: object) -> None:
        delattr(self._connection, "query")

    def rows_read(self) -> int:
        """Return how many rows have been read in this session."""
        if self._connection.adapter.backend != "mysql":
            return 0
        rows = self._query("SHOW SESSION STATUS LIKE 'Handler_read%%'").fetchall()
        return sum(int(value) for _, value in rows)


def plan() -> str:
    """Return the server's plan of the query that finds the next job: the index, and no sorting."""
    rows = connection().query(f"EXPLAIN {Queue(pipeline.Training).next_pending()}").fetchall()
    return "plan: " + "; ".join(" ".join(str(v) for v in row if v is not None) for row in rows)


def one_take(dispatcher: Dispatcher) -> tuple[Take, bool]:
    """Take a job; return what it cost, and whether there was one."""
    with Counter() as counter:
        before = counter.rows_read()
        began, own = time.perf_counter(), time.process_time()
        taken = dispatcher.take(connection(), 1)
        wall, own = time.perf_counter() - began, time.process_time() - own
        read = counter.rows_read() - before
        return Take(1e3 * wall, 1e3 * own, counter.n_statements, read), taken is not None


def takes(given: dict[str, Any] | None, last_seed: int, number: int) -> list[Take]:
    """Return so many takes of a selection, those that found a job and the first one in any case.

    The first one reads what is chosen, which is kept for a few seconds.
    """
    if given is not None:
        given = {k: last_seed if v == -1 else v for k, v in given.items()}
    chosen = () if given is None else (Selection.of(given),)
    queues = [Queue(table) for table in COMPUTED]
    for queue in queues:
        queue.prepare()
    dispatcher = Dispatcher(queues, chosen, "benchmark", 1)
    found = []
    for _ in range(number):
        take, is_found = one_take(dispatcher)
        found += [take] * (is_found or not found)
        if not is_found:
            break
    Queue(pipeline.Training).give_back_all(connection(), 1)
    return found


def main() -> None:
    """Measure and print; fail where a median is above the bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pending", type=int, default=100_000)
    parser.add_argument("--takes", type=int, default=30)
    options = parser.parse_args()
    slow = []
    with tempfile.TemporaryDirectory() as store:
        pipeline.connect(prefix="rnn_next_job", store=store)
        try:
            last_seed = enter(options.pending)
            print(plan())
            print(f"{connection().adapter.backend}: the first take, and the next ones (median)")
            print(
                f"{'':28} {'ms':>7}   {'ms':>7} {'least':>7} {'own ms':>7} {'statements':>10} "
                f"{'rows':>5}"
            )
            for name, given in SELECTIONS.items():
                first, *others = takes(given, last_seed, options.takes)
                print(f"{name:28} {first.wall:7.1f}", end="  ", flush=True)
                if not others:
                    print(f" {'no other job':>14}")
                    continue
                middle = [
                    statistics.median(getattr(take, field) for take in others)
                    for field in ("wall", "own", "n_statements", "n_rows")
                ]
                middle.insert(1, min(take.wall for take in others))
                print("{:8.1f} {:7.1f} {:7.1f} {:10.0f} {:5.0f}".format(*middle), flush=True)
                slow += [name] * (middle[0] > MOST_MS)
        finally:
            schemas.drop()
            pipeline.disconnect()
    if slow:
        raise SystemExit(f"more than {MOST_MS:.0f} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main()
