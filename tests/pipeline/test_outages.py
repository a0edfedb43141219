"""Servers that stop and start, connections that are dropped, stores that go away: workers wait."""

from __future__ import annotations

import time
from contextlib import suppress

import pymysql
import pytest

from pipeline.database import connection as pipeline_database
from pipeline.database.server import end_session, reconnect
from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.workers.registry import LostJob, Worker
from pipeline.workers.worker import fill
from tests.pipeline.workers import (
    DEATH_SECONDS,
    Laboratory,
    assert_all_right,
    assert_identical,
    jobs,
    sessions_of_others,
    submission,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("own_classes_allowed")


@pytest.fixture
def lab(own_lab):
    return own_lab


CUT = 24  # connections that are ended, of four workers


def assert_nobody_was_lost() -> None:
    assert not len(Worker & {"state": "lost"})
    assert not len(LostJob())


def test_server_restarts(lab: Laboratory, own_server, store):
    """While one worker trains, two analyse in a transaction, and one waits for more."""
    import pipeline

    pipeline.submit(submission(5))
    fill([Training])
    pipeline.submit(submission(500, n_cohorts=2, training="long"))
    lab.order("validation", "sleep")
    analysing = lab.start("--table=Validation", "--forever", n=2)
    training, idle = lab.start("--table=Training", "--forever", n=2)
    for worker in analysing:
        wait_until(lambda w=worker: lab.sleeps("validation", w))
    wait_until(lambda: lab.iteration(training) > 0 and lab.iteration(idle) > 0)
    own_server.restart(away=2 * DEATH_SECONDS)
    reconnect(pipeline_database.connection())
    lab.order("validation", None)
    wait_until(lambda: len(Training()) == 3)
    wait_until(lambda: len(Validation()) == 6)
    time.sleep(2 * DEATH_SECONDS)  # whoever was silent meanwhile would have been found dead
    assert_nobody_was_lost()
    # Idle now.
    own_server.restart()
    reconnect(pipeline_database.connection())
    pipeline.submit(submission(7, n_cohorts=5, training="late"))
    wait_until(lambda: len(Training()) == 8)
    lab.end()
    assert_nobody_was_lost()
    assert_all_right(8, store)
    assert_identical()


def test_server_is_away_at_the_start_and_at_the_end(lab: Laboratory, own_server, store):
    import pipeline

    with own_server.away():
        (waiting,) = lab.start("--table=Training", "--forever")
        (impatient,) = lab.start("--table=Training")
        wait_until(lambda: "waiting" in lab.log(waiting))
        lab.ended(impatient, 30, status=1)  # it may be a wrong address: one line says so
        assert len(lab.log(impatient).splitlines()) == 1
    reconnect(pipeline_database.connection())
    pipeline.submit(submission(5))
    wait_until(lambda: len(Training()) == 1)
    pipeline.submit(submission(50_000, training="long"))
    wait_until(lambda: lab.row(waiting)["n_iterations"] == 50_000)
    with own_server.away():
        time.sleep(0.5)
        lab.ended_after_signal(waiting)
        assert lab.has_checkpoint()
    reconnect(pipeline_database.connection())
    # It could not say that it has ended: it is found by its missing heartbeats.
    assert len(jobs("reserved")) == 1
    (other,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: lab.row(other).get("first_iteration"))
    lab.end()


def test_connections_are_dropped_again_and_again(lab: Laboratory, own_server, store):
    import pipeline

    pipeline.submit(submission(100, n_cohorts=20))
    workers = lab.start("--table=Training", "--table=Validation", "--forever", n=4)
    connection = pipeline_database.connection()
    dropped, deadline = 0, time.monotonic() + 120
    while dropped < CUT:
        assert time.monotonic() < deadline, f"{dropped} of {CUT} sessions"
        for number in sessions_of_others():
            with suppress(pymysql.err.OperationalError):  # it has gone by itself
                end_session(connection, number)
                dropped += 1
        time.sleep(0.3)
    wait_until(lambda: len(Training()) == 20 and len(Validation()) == 40)
    for worker in workers:
        assert worker.poll() is None, lab.log(worker)
    lab.end()
    assert_nobody_was_lost()
    assert_all_right(20, store)
    assert_identical(Training.keys()[::8])


def test_server_that_ends_resting_sessions(lab: Laboratory, own_server, store):
    """A job that computes within its transaction rests longer, and is not computed again."""
    import pipeline

    connection = pipeline_database.connection()
    if own_server.backend == "mysql":
        limit, back = "SET GLOBAL wait_timeout=1", "SET GLOBAL wait_timeout=DEFAULT"
    else:
        what = f"ALTER ROLE {own_server.user} {{}} idle_in_transaction_session_timeout"
        limit, back = what.format("SET") + "='1s'", what.format("RESET")
    pipeline.submit(submission(5))
    fill([Training])
    connection.query(limit)
    try:
        lab.order("validation", "sleep")
        (worker,) = lab.start("--table=Validation", "--forever")
        wait_until(lambda: lab.sleeps("validation", worker))
        time.sleep(2.5)
        lab.order("validation", None)
        wait_until(lambda: len(Validation()) == 2)
    finally:
        connection.query(back)
    lab.end()
    assert "waiting" not in lab.log(worker)
    assert_nobody_was_lost()


@pytest.mark.either_backend
def test_store_is_away_for_some_seconds(lab: Laboratory, own_server, store):
    """Its folder is a mount point: nothing may be written where it was."""
    import pipeline

    pipeline.submit(submission(600, n_cohorts=2))
    workers = lab.start("--table=Training", "--table=Validation", "--forever", n=2)
    wait_until(lambda: all(lab.iteration(worker) > 0 for worker in workers))
    away = store.with_name("away")
    store.rename(away)
    for worker in workers:  # until it wants to insert
        wait_until(lambda w=worker: "StoreAway" in lab.row(w).get("note", ""))
        assert lab.row(worker)["state"] == "waiting"
    time.sleep(DEATH_SECONDS)
    assert not store.exists()
    away.rename(store)
    wait_until(lambda: len(Training()) == 2 and len(Validation()) == 4)
    lab.end()
    assert_nobody_was_lost()
    assert_all_right(2, store)
    assert_identical()


@pytest.mark.either_backend
def test_slow_worker_is_left_alone(lab: Laboratory, own_server, store):
    """It reports nothing of its job for long, and its heartbeats go on."""
    import pipeline

    pipeline.submit(submission(5))
    fill([Training])
    lab.order("validation", "sleep")
    workers = lab.start("--table=Validation", "--forever", n=3)  # one finds no job, and watches
    wait_until(lambda: sum(lab.sleeps("validation", worker) for worker in workers) == 2)
    wait_until(lambda: sum(lab.is_idle(worker) for worker in workers) == 1)
    time.sleep(3 * DEATH_SECONDS)
    assert_nobody_was_lost()
    assert len(jobs("reserved")) == 2
    lab.order("validation", None)
    wait_until(lambda: len(Validation()) == 2)
    lab.end()
    assert_nobody_was_lost()
