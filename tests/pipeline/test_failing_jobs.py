"""Jobs that would end their worker, wait for ever, or be left behind: none does."""

from __future__ import annotations

import os

import datajoint as dj
import numpy as np
import pytest
import torch
from datajoint.errors import LostConnectionError

from pipeline.database import server
from pipeline.database.connection import second_connection
from pipeline.tables import training
from pipeline.tables.current_job import current_job
from pipeline.transient import retry
from pipeline.workers import finding, reaper, worker_sql
from pipeline.workers.heartbeat import Heartbeat, Host
from pipeline.workers.queue import Queue
from pipeline.workers.reports import report_job
from pipeline.workers.worker import WorkLoop, checked_device, running_loop
from tasks_lib import ParameterError
from tests.pipeline.workers import assert_identical, files_of_arrays, referenced_files

pytestmark = pytest.mark.either_backend


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def failing(error):
    def train(*arguments, **options):
        raise error

    return train


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SystemExit("enough"), "SystemExit: enough"),
        (Unprintable(), "Unprintable: its text cannot be had"),
        (ValueError("a \0 and half a \udc80"), "ValueError: a \\x00 and half a \\udc80"),
    ],
)
def test_a_job_cannot_end_its_worker(database, submission, monkeypatch, error, message):
    p = database
    p.submit(submission)
    monkeypatch.setattr(training, "train_from_rows", failing(error))
    ((table, _, said),) = p.fill((p.Training,)).errors
    assert (table, said) == ("Training", message)
    (failure,) = p.failures()
    assert failure.message == message.partition(": ")[2]
    assert "train_from_rows" in failure.traceback
    assert len(p.Training()) == 0


def test_a_job_that_failed_is_not_broken_off_as_deleted(database, submission, monkeypatch):
    """The heartbeat that looks right then finds a job that its worker has no more."""
    p, fail = database, Queue.fail

    def written(self, *arguments):
        done = fail(self, *arguments)
        job = running_loop().job
        job.deleted.set()
        job.interrupt()
        return done

    p.submit(submission)
    monkeypatch.setattr(training, "train_from_rows", failing(ValueError("no")))
    monkeypatch.setattr(Queue, "fail", written)
    assert [said for _, _, said in p.fill((p.Training,)).errors] == ["ValueError: no"]
    assert [failure.message for failure in p.failures()] == ["no"]


@pytest.mark.parametrize("n_times", [1, 3])
def test_short_memory_is_tried_again_and_then_fails(
    database, submission, monkeypatch, store, n_times
):
    """What asks for too much is one line; what memory came back for is as if nothing had been."""
    p = database
    del submission["trainings"]["short"]["penalties"]
    p.submit(submission)
    train, n_calls = training.train_from_rows, []

    def short(*arguments, **options):
        n_calls.append(1)
        if len(n_calls) <= n_times:
            np.empty(2**62, dtype=np.int8) if len(n_calls) == 1 else torch.empty(2**60)
        return train(*arguments, **options)

    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(training, "train_from_rows", short)
    errors = p.fill((p.Training,)).errors
    if n_times == 1:
        assert not errors and len(n_calls) == 2 and len(p.Training()) == 1
        assert files_of_arrays(store) == referenced_files()
        assert_identical()
        return
    ((_, _, message),) = errors
    assert message.startswith("OutOfMemory: 3 times ")
    assert message.endswith("`rnn retry --error OutOfMemory`")
    assert "\n" not in message
    assert len(n_calls) == 3 and not len(p.Training()) and not files_of_arrays(store)
    assert p.retry(error="OutOfMemory")
    assert not p.fill((p.Training,)).errors
    assert_identical()


def test_what_fails_for_reasons_of_its_own_is_not_waited_for_for_ever(
    database, submission, monkeypatch
):
    p = database
    p.submit(submission)
    n_calls = []

    def train(*arguments, **options):
        n_calls.append(1)
        raise ConnectionRefusedError("nobody at home")

    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT", 0.02)
    monkeypatch.setattr(training, "train_from_rows", train)
    ((_, _, message),) = p.fill((p.Training,)).errors
    assert len(n_calls) == 5
    assert "5 times ConnectionRefusedError: nobody at home" in message


def taken_elsewhere(p, submission, beat_seconds):
    """Return a worker that beat once, when it took the one job that there is; and the queue."""
    p.submit(submission)
    queue = Queue(p.Training)
    connection = p.database.connection.connection()
    assert queue.enter(connection) == 1
    worker = Heartbeat(
        second_connection, Host("elsewhere", 1, "cpu", 1, "0"), [queue], beat_seconds
    )
    worker._register(None)
    (key,) = queue.jobs.pending.keys()
    assert queue.take(connection, key, worker.worker_id, "0", 1)
    return worker, queue


def test_a_job_of_a_worker_that_has_just_died_is_waited_for(database, submission):
    p = database
    dead, _ = taken_elsewhere(p, submission, 0.5)
    assert WorkLoop((p.Training,), beat_seconds=0.5).run().made == 1
    lost = p.LostJob.fetch1()
    assert (lost["worker_id"], lost["job_table"]) == (dead.worker_id, "Training")
    assert (p.Worker & {"worker_id": dead.worker_id}).fetch1("state") == "lost"
    dead.stop()


def test_one_that_comes_back_between_two_questions_is_done(database, submission, monkeypatch):
    """Nothing is pending; then it comes back; then nobody is at work who could bring anything."""
    p = database
    dead, queue = taken_elsewhere(p, submission, 60.0)
    connection = p.database.connection.connection()
    ask, came_back = finding.JobFinder._is_anyone_to_wait_for, []

    def asked_late(self):
        if not came_back:
            came_back.append(queue.give_back_all(connection, dead.worker_id))
        return ask(self)

    monkeypatch.setattr(finding.JobFinder, "_is_anyone_to_wait_for", asked_late)
    assert WorkLoop((p.Training,)).run().made == 1
    assert came_back == [1]
    dead.stop()


def test_so_is_one_among_those_that_are_asked_for(database, submission):
    p = database
    p.submit(submission)
    queue = Queue(p.Training)
    connection = p.database.connection.connection()
    queue.enter(connection)
    dead = Heartbeat(second_connection, Host("elsewhere", 1, "cpu", 1, "0"), [queue], 0.5)
    dead._register(None)
    (key,) = queue.jobs.pending.keys()
    queue.take(connection, key, dead.worker_id, "0", 1)
    assert WorkLoop((p.Training,), {"task_name": "no"}, beat_seconds=0.5).run().made == 0
    assert WorkLoop((p.Training,), {"task_name": "cddm"}, beat_seconds=0.5).run().made == 1
    dead.stop()


def test_a_crash_of_the_loop_counts_as_a_loss(database, submission, monkeypatch):
    p = database
    p.submit(submission)
    monkeypatch.setattr(training, "train_from_rows", failing(RuntimeError("CUDA error: broken")))
    with pytest.raises(RuntimeError, match="CUDA error"):
        p.fill((p.Training,))
    row = p.Worker.fetch1()
    assert (row["state"], row["pid"]) == ("lost", os.getpid())
    monkeypatch.undo()
    assert WorkLoop((p.Training,), beat_seconds=0.3).run().made == 1
    assert p.LostJob.fetch1("reason") == "RuntimeError: CUDA error: broken"


def test_a_crash_keeps_how_far_its_job_was(database, submission, monkeypatch):
    """So that workers which crash now and then, each further on, do not fail the job."""
    p = database
    p.submit(submission)
    reached = iter([11, 21])

    def crash(*rows, progress, **options):
        progress(next(reached), 10_000, 0.5)
        raise RuntimeError("CUDA error: broken")

    monkeypatch.setattr(training, "train_from_rows", crash)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="CUDA error"):
            WorkLoop((p.Training,), beat_seconds=0.3).run()
    monkeypatch.undo()
    assert WorkLoop((p.Training,), beat_seconds=0.3).run().made == 1
    assert sorted(p.LostJob.to_arrays("first_iteration")) == [10, 20]


@pytest.mark.parametrize(
    ("begun", "fails"),
    [
        ([0, 0, 0], True),
        ([0, 400, 400, 400], True),
        ([0, 0, 400, 400, 800, 800], False),
        ([400, 0, 400, 0], True),  # a GPU and a CPU take turns
        ([400, 0, 800, 0, 800], True),
        ([400, 0, 800, 0, 1200, 100, 1200], False),
        ([0, None, 0], True),  # one died before it had begun
    ],
)
def test_a_job_fails_that_gets_no_further(database, submission, begun, fails):
    """Whatever kinds of devices take turns with it, each from a state of its own."""
    p = database
    p.submit(submission)
    queue = Queue(p.Training)
    connection = p.database.connection.connection()
    queue.enter(connection)
    (key,) = queue.jobs.pending.keys()
    for number, first in enumerate(begun):
        heartbeat = Heartbeat(second_connection, Host("elsewhere", 1, "cpu", 1, "0"), [queue])
        heartbeat._register(None)
        assert queue.take(connection, key, heartbeat.worker_id, "0", 1)
        if first is not None:
            report_job(heartbeat, queue, key)
            heartbeat.report.first_iteration = first
            heartbeat._send()
        assert worker_sql.mark_dead(connection, heartbeat.worker_id, "killed") == 1
        heartbeat.stop()
        reaper.give_back_jobs_of_dead_workers(connection, [queue], max_losses=3)
        has_failed = bool(p.failures())
        assert has_failed == (fails and number == len(begun) - 1), number


@pytest.mark.both_backends
def test_files_of_a_commit_that_was_not_done_go(database, submission, store, monkeypatch):
    p = database
    p.submit(submission)
    commit, n_lost = dj.Connection.commit_transaction, []

    def lose_the_first(self):
        if current_job() is not None and not n_lost:
            n_lost.append(1)
            server.close_connection(self)
            raise LostConnectionError("gone before the server heard of it")
        commit(self)

    monkeypatch.setattr(dj.Connection, "commit_transaction", lose_the_first)
    assert p.fill((p.Training,)).errors == []
    assert n_lost
    assert files_of_arrays(store) == referenced_files()


def test_a_device_that_is_not_there_is_refused_before_any_job():
    with pytest.raises(ParameterError, match="device = 'cuda:99'"):
        checked_device("cuda:99")
    assert checked_device("cpu") == "cpu"
