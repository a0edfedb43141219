"""Checkpoints and results in an object store that is away for a while, and workers that die."""

from __future__ import annotations

import os
import time

import pytest

import pipeline
from pipeline.database import schemas
from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.workers.registry import LostJob, Worker
from tests.middlemen import gate
from tests.pipeline.workers import (
    DEATH_SECONDS,
    assert_all_right,
    assert_identical,
    checkpoints_in,
    laboratory,
    submission,
    wait_until,
)
from tests.s3_server import S3Folder

# What is new here is the store; test_outages.py has the like on both.
BACKENDS = ("postgresql",)
pytestmark = pytest.mark.usefixtures("own_classes_allowed")


@pytest.fixture
def bucket(s3, arguments):
    return S3Folder(s3, arguments["prefix"])


@pytest.fixture
def door(s3):
    """The way by which workers reach the store."""
    with gate(s3.port) as made:
        yield made


@pytest.fixture
def lab(s3, arguments, bucket, door, tmp_path):
    """A place for workers whose store is a bucket; the test itself reaches it by another way."""
    arguments = {**arguments, "store": bucket.address}
    pipeline.connect(**arguments)
    with laboratory(arguments, tmp_path) as made:
        made.environment |= {k: v for k, v in os.environ.items() if k.startswith("AWS_")}
        made.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{door.port}"
        # Or S3's client itself tries again for so long that the workers hardly notice.
        made.environment["AWS_MAX_ATTEMPTS"] = "1"
        yield made
    pipeline.disconnect()
    pipeline.connect(**arguments)
    schemas.drop()
    pipeline.disconnect()


def states_in(bucket):
    return [path for path in checkpoints_in(bucket) if "/networks_" in path]


def test_the_store_is_away_at_the_start(lab, bucket, door):
    door.shut()
    waiting = [lab.start("--table=Training", option)[0] for option in ("--forever", "--patient")]
    (impatient,) = lab.start("--table=Training")
    lab.ended(impatient, 30, status=1)
    (line,) = lab.log(impatient).splitlines()
    assert "does not answer (EndpointConnectionError)" in line
    for worker in waiting:
        wait_until(lambda w=worker: "waiting" in lab.log(w))
    assert not len(Worker())
    pipeline.submit(submission(5, n_cohorts=4))
    door.open()
    wait_until(lambda: len(Training()) == 4)
    lab.ended(waiting[1])
    lab.environment["AWS_SECRET_ACCESS_KEY"] = "not it"
    (refused,) = lab.start("--table=Training", "--forever")
    lab.ended(refused, 30, status=1)
    (line,) = lab.log(refused).splitlines()
    assert "SignatureDoesNotMatch" in line
    lab.end()
    assert_all_right(4, bucket)


def test_the_store_is_away_in_the_middle_of_work(lab, bucket, door):
    pipeline.submit(submission(250, n_cohorts=2))
    lab.order("training", "sleep")
    workers = lab.start("--table=Training", "--table=Validation", "--forever", n=2)
    for worker in workers:
        wait_until(lambda w=worker: lab.sleeps("training", w))
    lab.order("training", None)
    wait_until(lambda: len(states_in(bucket)) == 2)
    door.shut()
    for worker in workers:  # until it wants to insert
        wait_until(lambda w=worker: "EndpointConnectionError" in lab.row(w).get("note", ""))
        assert lab.row(worker)["state"] == "waiting"
    time.sleep(1.2 * DEATH_SECONDS)
    assert not len(Training())
    door.open()
    wait_until(lambda: len(Training()) == 2 and len(Validation()) == 4)
    lab.end()
    assert not len(Worker & {"state": "lost"})
    assert not len(LostJob())
    assert_all_right(2, bucket)
    assert_identical(Training.keys()[:1])


def test_another_worker_goes_on_from_a_checkpoint_in_the_bucket(lab, bucket):
    lab.order("training", "sleep")
    pipeline.submit(submission(300))
    workers = lab.start("--table=Training", "--forever", n=2)
    wait_until(lambda: any(lab.sleeps("training", worker) for worker in workers))
    wait_until(lambda: any(lab.is_idle(worker) for worker in workers))
    other, killed = sorted(workers, key=lambda worker: lab.sleeps("training", worker))
    lab.order("training", None)
    wait_until(lambda: states_in(bucket))
    killed.kill()
    wait_until(lambda: lab.row(other).get("first_iteration"))
    wait_until(lambda: len(Training()) == 1)
    assert lab.trained() == {0: [other.pid]}
    lab.end()
    assert_all_right(1, bucket, lost=1)
    assert_identical()
