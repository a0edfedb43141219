"""Clocks that are set back and forth by an hour while workers work."""

from __future__ import annotations

import time

import pytest

from pipeline import database as pipeline_database
from pipeline.performance import Validation
from pipeline.server import reconnect
from pipeline.status import worker_status
from pipeline.training import Training
from pipeline.work import LostJob, Worker
from pipeline.worker import fill
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
HOURS = (1, 0, -1, 0)
BEAT, DEATH = "--heartbeat=0.3", 1.2  # s


def assert_nobody_was_lost() -> None:
    assert not len(Worker & {"state": "lost"})
    assert not len(LostJob())


@pytest.fixture
def clock(own_lab, own_server):
    """The server's."""
    with own_server.with_clock() as made:
        reconnect(pipeline_database.connection())
        yield made
    reconnect(pipeline_database.connection())


def test_servers_clock_under_workers(own_lab: Laboratory, own_server, clock, store):
    """Nobody is taken for dead, and what is entered is done at once, whatever the time."""
    import pipeline

    lab = own_lab
    pipeline.submit(submission(5))
    fill([Training])
    lab.order("validation", "sleep")
    (analysing,) = lab.start("--table=Validation", "--forever", BEAT)
    (training,) = lab.start("--table=Training", "--forever", BEAT)
    wait_until(lambda: lab.sleeps("validation", analysing))
    for number, hours in enumerate(HOURS):
        name = {"training_name": f"short{number}"}
        pipeline.submit(submission(1500 + number, training=name["training_name"]))
        wait_until(lambda: lab.iteration(training) > 0)
        clock.set(hours)
        began = time.monotonic()
        wait_until(lambda n=name: len(Training & n), 30)
        wait_until(lambda: lab.is_idle(training), 30)
        time.sleep(max(began + 1.5 * DEATH - time.monotonic(), 0.0))
        assert_nobody_was_lost()
        wait_until(lambda: {w.state for w in worker_status()} == {"working", "idle"}, 5)
        assert len(jobs("reserved")) == 1
    lab.order("validation", None)
    wait_until(lambda: len(Validation()) == 10)
    lab.end()
    assert_nobody_was_lost()
    assert lab.trained() == {0: [training.pid] * len(HOURS)}
    assert_all_right(1 + len(HOURS), store)
    assert_identical()


def test_a_death_before_the_servers_clock_goes_back(own_lab: Laboratory, own_server, clock, store):
    """Its last heartbeat lies an hour ahead then, and does not make it live for that hour."""
    import pipeline

    lab = own_lab
    clock.set(1)
    pipeline.submit(submission(4000))
    (killed,) = lab.start("--table=Training", "--forever", BEAT)
    wait_until(lambda: lab.iteration(killed) > 0 and lab.has_checkpoint())
    (other,) = lab.start("--table=Training", "--forever", BEAT)
    wait_until(lambda: lab.is_idle(other))
    pipeline.submit(submission(20, n_cohorts=2, training="late"))  # entered an hour ahead
    killed.kill()
    clock.set(0)
    wait_until(lambda: len(Training()) == 3, 40)
    assert len(LostJob()) == 1
    lab.end()
    assert_all_right(3, store, lost=1)
    assert_identical()
