"""Clocks that are set back and forth by an hour while workers work."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import pipeline
from pipeline.database import connection as pipeline_database
from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.workers.queue import Queue
from pipeline.workers.registry import Errand, LostJob, Worker
from pipeline.workers.status import worker_status
from pipeline.workers.worker import fill
from tests.clocks import Clock
from tests.pipeline.workers import (
    Laboratory,
    assert_all_right,
    assert_identical,
    jobs,
    submission,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("own_classes_allowed", "settable_clocks")
HOURS = (1, -1)
BEAT, DEATH = "--heartbeat=0.6", 2.4  # s
# Where nobody may be taken for dead, on machines where much else runs.
SLOW_BEAT, SLOW_DEATH = "--heartbeat=1.5", 6.0


def assert_nobody_was_lost() -> None:
    assert not len(Worker & {"state": "lost"})
    assert not len(LostJob())


class ShiftedTimes:
    """The clock of a server that cannot be run by another one: all times in its tables move.

    To whom compares them with the present, times that lie an hour later are a clock that was set
    back by an hour.
    """

    def __init__(self) -> None:
        self._hours = 0
        self._columns = {
            Worker.full_table_name: ("started_at", "beat_at", "job_began_at"),
            Errand.full_table_name: ("began_at", "finished_at"),
            LostJob.full_table_name: ("lost_at",),
        } | {
            Queue(table).sql_name: ("created_time", "scheduled_time", "reserved_time")
            for table in (Training, Validation)
        }

    def set(self, hours: int) -> None:
        """Set the clock to so many hours after the right time."""
        back, self._hours = self._hours - hours, hours
        for table, columns in self._columns.items():
            moved = ", ".join(f"{c} = {c} + INTERVAL '{back}' HOUR" for c in columns)
            # Reserved jobs are locked while their results are made; their times are not looked at.
            which = " WHERE status='pending'" if "scheduled_time" in columns else ""
            pipeline_database.connection().query(f"UPDATE {table} SET {moved}{which}")


@pytest.fixture
def clocked_lab(lab):
    """A laboratory on a server whose clock is to be set."""
    return lab


@pytest.fixture
def clock(clocked_lab):
    """The server's."""
    return ShiftedTimes()


def test_servers_clock_under_workers(clocked_lab: Laboratory, clock, store):
    """Nobody is taken for dead, and what is entered is done at once, whatever the time."""
    lab = clocked_lab
    pipeline.submit(submission(5))
    fill([Training])
    lab.order("validation", "sleep")
    (analysing,) = lab.start("--table=Validation", "--forever", SLOW_BEAT)
    (training,) = lab.start("--table=Training", "--forever", SLOW_BEAT)
    wait_until(lambda: lab.sleeps("validation", analysing))
    for number, hours in enumerate(HOURS):
        name = {"training_name": f"short{number}"}
        pipeline.submit(submission(120 + number, training=name["training_name"]))
        wait_until(lambda: lab.iteration(training) > 0)
        clock.set(hours)
        began = time.monotonic()
        wait_until(lambda n=name: len(Training & n))
        wait_until(lambda: lab.is_idle(training))
        time.sleep(max(began + 1.5 * SLOW_DEATH - time.monotonic(), 0.0))
        assert_nobody_was_lost()
        wait_until(lambda: {w.state for w in worker_status()} == {"working", "idle"})
        assert len(jobs("reserved")) == 1
    lab.order("validation", None)
    wait_until(lambda: len(Validation()) == 2 * (1 + len(HOURS)))
    lab.end()
    assert_nobody_was_lost()
    assert lab.trained() == {0: [training.pid] * len(HOURS)}
    assert_all_right(1 + len(HOURS), store)
    assert_identical()


def test_a_death_before_the_servers_clock_goes_back(clocked_lab: Laboratory, clock, store):
    """Its last heartbeat lies an hour ahead then, and does not make it live for that hour."""
    lab = clocked_lab
    clock.set(1)
    pipeline.submit(submission(600))
    (killed,) = lab.start("--table=Training", "--forever", BEAT)
    wait_until(lambda: lab.iteration(killed) > 0 and lab.has_checkpoint())
    (other,) = lab.start("--table=Training", "--forever", BEAT)
    wait_until(lambda: lab.is_idle(other))
    pipeline.submit(submission(20, n_cohorts=2, training="late"))  # entered an hour ahead
    killed.kill()
    clock.set(0)
    wait_until(lambda: len(Training()) == 3)
    assert len(LostJob()) == 1
    lab.end()
    assert_all_right(3, store, lost=1)
    assert_identical()


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def checkpoints(store: Path) -> set[tuple[str, int]]:
    """Return the states of trainings that are there, each with the time of its writing."""
    return {
        (str(path), path.stat().st_mtime_ns) for path in store.glob("checkpoints/*/*/networks_*")
    }


@pytest.mark.either_backend
def test_workers_clock_while_they_work(database, lab: Laboratory, store, tmp_path):
    """Nothing happens: leases go by the server's clock, and schedules by one that is never set."""
    clock = Clock(tmp_path / "clock", looks_each_second=True)
    (watching,) = lab.start("--table=Validation", "--forever", SLOW_BEAT)
    pipeline.submit(submission(1_000_000, training="long"))
    start = ("--table=Training", "--forever", SLOW_BEAT)
    training = lab.start_apart(*start, environment=clock.environment)
    wait_until(lambda: lab.iteration(training) > 0 and lab.has_checkpoint())
    other = lab.start_apart(*start, environment=clock.environment)
    wait_until(lambda: lab.is_idle(other))
    for number, hours in enumerate(HOURS):
        clock.set(hours)
        time.sleep(1.2)
        reached, written = lab.iteration(training), checkpoints(store)
        name = f"short{number}"
        pipeline.submit(submission(100 + number, training=name))
        began = time.monotonic()
        wait_until(lambda n=name: len(Training & {"training_name": n}))
        ahead = (Training & {"training_name": name}).fetch1("trained_at") - utc_now()
        assert abs(ahead - timedelta(hours=hours)) < timedelta(minutes=5)
        wait_until(lambda before=reached: lab.iteration(training) > before + 1)
        wait_until(lambda before=written: checkpoints(store) - before)
        time.sleep(max(began + SLOW_DEATH - time.monotonic(), 0.0))
        assert_nobody_was_lost()
        wait_until(lambda: {w.state for w in worker_status()} == {"working", "idle"})
        assert {w.pid for w in worker_status()} == {w.pid for w in (watching, training, other)}
        assert lab.row(training)["n_iterations"] == 1_000_000
    wait_until(lambda: len(Validation()) == 2 * len(HOURS))
    lab.end()
    assert_nobody_was_lost()
    assert lab.trained() == {0: [other.pid] * len(HOURS)}
    assert not jobs("reserved") and not jobs("error")
    assert_identical()
