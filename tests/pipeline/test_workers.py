"""Worker processes that are told to end, or killed: nothing is lost, nothing is different."""

from __future__ import annotations

import signal
import time

import pytest

from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.workers.registry import Errand, LostJob, Worker
from pipeline.workers.worker import fill
from tests.pipeline.workers import (
    Laboratory,
    assert_all_right,
    assert_identical,
    jobs,
    submission,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("own_classes_allowed")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def assert_given_back() -> None:
    assert not jobs("reserved")
    assert not jobs("error")
    assert jobs("pending")


@pytest.mark.either_backend
def test_signals_while_training(database, lab: Laboratory, store):
    database.submit(submission(800))
    done = 0
    for number in SIGNALS:
        (worker,) = lab.start("--table=Training")
        reached = wait_until(lambda w=worker: lab.iteration(w))
        assert reached > done  # it went on from where the one before had stopped
        worker.send_signal(number)
        lab.ended(worker)
        assert_given_back()
        assert lab.has_checkpoint()
        done = reached
    (worker,) = lab.start("--table=Training")
    lab.ended(worker, 90)
    assert_all_right(1, store)
    assert_identical()


@pytest.mark.either_backend
def test_signals_while_analysing_and_idle(database, lab: Laboratory, store):
    database.submit(submission(5, n_cohorts=2))
    fill([Training])
    lab.order("validation", "sleep")
    analysing = lab.start("--table=Validation", n=3)
    for worker in analysing:
        wait_until(lambda w=worker: lab.sleeps("validation", w))
    for worker, number in zip(analysing, SIGNALS, strict=True):
        worker.send_signal(number)
    for worker in analysing:
        lab.ended(worker)
    assert_given_back()
    assert not len(Validation())
    lab.order("validation", None)
    idle = lab.start("--table=Validation", "--forever", n=3)
    wait_until(lambda: len(Validation()) == 4)
    for worker in idle:
        wait_until(lambda w=worker: lab.is_idle(w))
    for worker, number in zip(idle, SIGNALS, strict=True):
        worker.send_signal(number)
    for worker in idle:
        lab.ended(worker)
    assert {row["state"] for row in Worker().to_dicts()} == {"ended"}
    assert not jobs("error") and not jobs("reserved")


@pytest.mark.either_backend
def test_killed_while_training(database, lab: Laboratory, store):
    database.submit(submission(800))
    killed, other = lab.start("--table=Training", "--forever", n=2)
    wait_until(lambda: lab.iteration(killed) > 50 or lab.iteration(other) > 50)
    if not lab.iteration(killed):
        killed, other = other, killed
    wait_until(lab.has_checkpoint)
    wait_until(lambda: lab.is_idle(other))  # it has a heartbeat that can find the other dead
    killed.kill()
    first = wait_until(lambda: lab.row(other).get("first_iteration"))
    assert 0 < first < 800
    wait_until(lambda: len(Training()))
    lab.end()
    lost = LostJob().fetch1()
    assert lost["job_table"] == "Training"
    assert lost["worker_id"] == (Worker & {"pid": killed.pid}).fetch1("worker_id")
    assert_all_right(1, store, lost=1)
    assert_identical()


@pytest.mark.either_backend
def test_killed_while_writing_a_checkpoint(database, lab: Laboratory, store):
    database.submit(submission(300))
    (killed,) = lab.start("--table=Training")
    wait_until(lambda: lab.iteration(killed) > 0 and lab.has_checkpoint())
    lab.order("training", "once checkpoint")
    assert killed.wait(30) == -signal.SIGKILL
    # The old state is whole; the new one has no name yet.
    assert list(store.glob("checkpoints/*/*/.networks_*"))
    assert lab.has_checkpoint()
    (other,) = lab.start("--table=Training")
    wait_until(lambda: lab.row(other).get("first_iteration") or other.poll() is not None)
    lab.ended(other, 90)
    assert_all_right(1, store, lost=1)
    assert_identical()


def test_only_one_worker_enters_jobs(database, lab: Laboratory, store):
    """Four wait for more; together they look for it as often as one would."""
    workers = lab.start("--table=Training", "--forever", n=4)
    for worker in workers:
        wait_until(lambda w=worker: lab.is_idle(w))
    turns, seconds = set(), 12.0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        turns.add((Errand & {"errand": "enter_jobs"}).fetch1("began_at"))
        time.sleep(0.1)
    assert 2 <= len(turns) <= seconds / 5 + 2
    database.submit(submission(5, n_cohorts=8))
    wait_until(lambda: len(Training()) == 8)
    lab.end()
    assert_all_right(8, store)


def test_first_workers_of_a_fresh_database(database, lab: Laboratory, store):
    """All of them declare the jobs tables at the same time."""
    database.submit(submission(5, n_cohorts=6))
    for worker in lab.start("--table=Training", n=6):
        lab.ended(worker, 90)
    assert_all_right(6, store)
