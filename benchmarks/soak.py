"""What is lost where workers are killed again and again, and the server is stopped and started.

    python benchmarks/soak.py --backend mysql --workers 8 --cohorts 200 --seconds-between-kills 3

Every job must be done once, whatever happens. Writes benchmarks/soak.md, a section for each back
end; needs the back end's server as the tests have it (scripts/mysql.sh, or the embedded one).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pipeline
from pipeline.database import schemas
from pipeline.database.connection import connection
from pipeline.database.server import reconnect
from pipeline.tables.performance import Validation
from pipeline.tables.training import Cohort, Training
from pipeline.transient.retry import retry_transient
from pipeline.workers.queue import Queue, key_of
from pipeline.workers.registry import LostJob, Worker
from tests.pipeline.workers import (
    Laboratory,
    files_of_arrays,
    jobs,
    laboratory,
    referenced_files,
    submission,
)
from tests.servers import OwnServer, own_mysql_server, own_postgresql_server

TABLES = (Training, Validation)
PAGE = Path(__file__).with_name("soak.md")


@dataclass
class Killed:
    """A job whose worker was killed: when, how far it was, and what became of it."""

    queue: Queue
    key: dict[str, Any]
    worker_id: int
    at: float
    iteration: int | None
    speed: float | None  # iterations a second
    given_back: float | None = None  # seconds until the job was free again
    recovered: float | None = None  # seconds until another worker had it, or it was done
    first_iteration: int | None = None  # from where that one went on


@dataclass
class Outcome:
    """What a soak found."""

    backend: str
    n_workers: int
    n_jobs: int
    seconds: float = 0.0
    killed_pids: set[int] = field(default_factory=set)
    n_restarts: int = 0
    missing: int = 0  # keys without a row
    doubled: int = 0  # trainings computed to the end again, though who had done it first lived on
    cut_off: int = 0  # trainings computed to the end again, for who had done it was killed then
    stuck: int = 0  # jobs that are reserved when all workers have ended
    failed: list[str] = field(default_factory=list)
    n_losses: int = 0
    missing_files: int = 0
    files_left: int = 0  # of inserts in the middle of which a worker was killed
    killed: list[Killed] = field(default_factory=list)

    @property
    def n_kills(self) -> int:
        """Workers that were killed."""
        return len(self.killed_pids)

    @property
    def recovery_seconds(self) -> list[float]:
        """Seconds from a kill until the job was another worker's, or done."""
        return [k.recovered for k in self.killed if k.recovered is not None]

    @property
    def lost_seconds(self) -> list[float]:
        """Seconds of training done again, for each kill of a training."""
        return [
            max(k.iteration - k.first_iteration, 0) / k.speed
            for k in self.killed
            if k.iteration and k.first_iteration is not None and k.speed
        ]


@dataclass
class Soak:
    """Workers, and what is done to them.

    Parameters
    ----------
    laboratory : Laboratory
    server : OwnServer
    n_workers, n_cohorts, n_iterations : int
    seconds_between_kills : float
        On average.
    n_restarts : int
        Of the server, spread over the jobs.
    n_kills : int
        At least, where the jobs are done sooner than so many pauses between kills: spread over the
        jobs, as the restarts are.
    seed : int
        Of what is killed when.
    seconds : float
        After which it is given up.
    """

    laboratory: Laboratory
    server: OwnServer
    n_workers: int
    n_cohorts: int
    n_iterations: int
    seconds_between_kills: float
    n_restarts: int
    n_kills: int = 0
    seed: int = 0
    seconds: float = 600.0
    options: tuple[str, ...] = (
        "--table=Training", "--table=Validation", "--forever", "--heartbeat=1",
        "--max-losses=100",
    )  # fmt: skip

    def run(self) -> Outcome:
        """Run until all is done."""
        draws = random.Random(self.seed)
        self._ask(lambda: pipeline.submit(submission(self.n_iterations, self.n_cohorts)))
        n_jobs = 3 * self.n_cohorts  # a training and two validations each
        outcome = Outcome(self.server.backend, self.n_workers, n_jobs)
        began = time.monotonic()
        living = self.laboratory.start(*self.options, n=self.n_workers)
        next_kill = began + self._pause(draws)
        while time.monotonic() - began < self.seconds:
            done = self._ask(lambda: sum(len(table()) for table in TABLES))
            if done == n_jobs:
                break
            if done >= n_jobs * (outcome.n_restarts + 1) / (self.n_restarts + 1):
                self.server.restart(away=1.0)
                outcome.n_restarts += 1
            late = done >= n_jobs * (outcome.n_kills + 1) / (self.n_kills + 1)
            # Where nobody works just now, the next that does.
            if (late or time.monotonic() >= next_kill) and self._kill_one(draws, living, outcome):
                next_kill = time.monotonic() + self._pause(draws)
            self._follow(outcome.killed)
            time.sleep(0.1)
        outcome.seconds = time.monotonic() - began
        self._follow(outcome.killed)
        self.laboratory.end_living()
        self._count(outcome)
        return outcome

    def _pause(self, draws: random.Random) -> float:
        return self.seconds_between_kills * draws.uniform(0.5, 1.5)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask the server, whether it is there now or not."""
        return retry_transient(question, threading.Event(), before=lambda: reconnect(connection()))

    def _kill_one(self, draws: random.Random, living: list[Any], outcome: Outcome) -> bool:
        """Kill one of those that work, and start another in its place; return whether one did."""
        working = self._ask(lambda: (Worker & "state = 'working'").to_dicts(order_by="pid"))
        pids = {process.pid: process for process in living if process.poll() is None}
        working = [row for row in working if row["pid"] in pids]
        if not working:
            return False
        row = draws.choice(working)
        process = pids[row["pid"]]
        process.send_signal(signal.SIGSTOP)  # so that what it has is what it had
        outcome.killed += self._ask(lambda: self._jobs_of(row["worker_id"]))
        process.kill()
        process.wait()
        outcome.killed_pids.add(process.pid)
        living.remove(process)
        living += self.laboratory.start(*self.options)
        return True

    def _jobs_of(self, worker_id: int) -> list[Killed]:
        row = (Worker & {"worker_id": worker_id}).fetch1()
        found = []
        for queue in map(Queue, TABLES):
            held = queue.jobs & {"status": "reserved", "connection_id": worker_id}
            for job in held.to_dicts():
                key = {name: job[name] for name in queue.primary_key}
                said = row["job_key"] is not None and key_of(row["job_key"]) == key
                iteration = row["iteration"] if said else None
                speed = None
                if iteration and row["job_began_at"] is not None:
                    seconds = (row["beat_at"] - row["job_began_at"]).total_seconds()
                    speed = (iteration - (row["first_iteration"] or 0)) / max(seconds, 1e-3)
                found.append(Killed(queue, key, worker_id, time.monotonic(), iteration, speed))
        return found

    def _follow(self, killed: list[Killed]) -> None:
        """See which jobs of those killed have been taken again."""
        for one in killed:
            if one.recovered is None:
                rows = self._ask(lambda one=one: (one.queue.jobs & one.key).to_dicts())
                if one.given_back is None and not self._is_held(rows, one.worker_id):
                    one.given_back = time.monotonic() - one.at
                again = not rows or (
                    rows[0]["status"] == "reserved" and rows[0]["connection_id"] != one.worker_id
                )
                if again:
                    one.recovered = time.monotonic() - one.at
            elif one.first_iteration is None and one.iteration:
                for row in self._ask(
                    lambda: (
                        Worker & "state = 'working' AND first_iteration IS NOT NULL"
                    ).to_dicts()
                ):
                    if row["worker_id"] != one.worker_id and key_of(row["job_key"]) == one.key:
                        one.first_iteration = row["first_iteration"]

    @staticmethod
    def _is_held(rows: list[dict[str, Any]], worker_id: int) -> bool:
        return any(
            row["status"] == "reserved" and row["connection_id"] == worker_id for row in rows
        )

    def _count(self, outcome: Outcome) -> None:
        outcome.missing = (len(Cohort()) - len(Training())) + (
            2 * len(Training.Network()) - len(Validation())
        )
        for pids in self.laboratory.trained().values():
            survived = sum(pid not in outcome.killed_pids for pid in pids)
            outcome.doubled += max(survived - 1, 0)
            outcome.cut_off += len(pids) - max(survived, 1)
        outcome.stuck = len(jobs("reserved"))
        outcome.failed = [job["error_message"] for job in jobs("error")]
        outcome.n_losses = len(LostJob())
        store = Path(self.laboratory.arguments["store"])
        present, wanted = files_of_arrays(store), referenced_files()
        outcome.missing_files = len(wanted - present)
        outcome.files_left = len(present - wanted)


def section(outcome: Outcome) -> str:
    """Return the section of the page about one back end."""

    def spread(values: list[float]) -> str:
        if not values:
            return "-"
        return f"{statistics.median(values):.1f} / {max(values):.1f}"

    rows = {
        "workers": outcome.n_workers,
        "jobs": outcome.n_jobs,
        "time (s)": f"{outcome.seconds:.0f}",
        "workers killed (SIGKILL)": outcome.n_kills,
        "of them with a job": len(outcome.killed),
        "restarts of the server": outcome.n_restarts,
        "jobs lost": outcome.missing,
        "trainings computed to the end twice": outcome.doubled,
        "the same, because of a kill between the end and the insert": outcome.cut_off,
        "jobs stuck": outcome.stuck,
        "jobs failed": len(outcome.failed),
        "files missing": outcome.missing_files,
        "files left of inserts that were cut": outcome.files_left,
        "from the kill until the job is free again (s), median / max": spread(
            [k.given_back for k in outcome.killed if k.given_back is not None]
        ),
        "from the kill until another has the job (s), median / max": spread(
            outcome.recovery_seconds
        ),
        "training done again per kill (s), median / max": spread(outcome.lost_seconds),
    }
    lines = [f"## {outcome.backend}", "", "| what | |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows.items()), ""])


TITLE = """# Workers that are killed

`benchmarks/soak.py`: workers train small networks and validate them, while some of them are killed
and the server is stopped and started. A killed worker is replaced. Each job must be done once.
"""


def write_page(outcome: Outcome, page: Path = PAGE) -> None:
    """Write the section of a back end in place of the one that is there."""
    text = page.read_text(encoding="utf-8") if page.exists() else TITLE
    title, *sections = text.split("\n## ")
    kept = [s for s in sections if not s.startswith(outcome.backend)]
    new = section(outcome).removeprefix("## ")
    parts = sorted([*(s.rstrip() + "\n" for s in kept), new])
    page.write_text("\n## ".join([title.rstrip() + "\n", *parts]), encoding="utf-8")


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", choices=("mysql", "postgresql"), default="postgresql")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--cohorts", type=int, default=300, help="three jobs each")
    parser.add_argument("--iterations", type=int, default=3000, help="of a training")
    parser.add_argument("--seconds-between-kills", type=float, default=5.0)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most-seconds", type=float, default=3600.0)
    given = parser.parse_args()
    os.environ["RNN_ALLOWED_PACKAGES"] = "tests"  # its task is the tests'
    start = {"mysql": own_mysql_server, "postgresql": own_postgresql_server}[given.backend]
    with start() as server, tempfile.TemporaryDirectory(prefix="rnnsoak") as folder:
        store = Path(folder) / "store"
        store.mkdir()
        arguments = {**server.arguments, "prefix": f"soak{os.getpid()}", "store": store}
        pipeline.connect(**arguments)
        with laboratory(arguments, Path(folder)) as made:
            outcome = Soak(
                made,
                server,
                given.workers,
                given.cohorts,
                given.iterations,
                given.seconds_between_kills,
                given.restarts,
                given.seed,
                given.most_seconds,
            ).run()
        with suppress(Exception):
            schemas.drop()
        pipeline.disconnect()
    write_page(outcome)
    print(section(outcome))


if __name__ == "__main__":
    main()
