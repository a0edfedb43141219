"""A job that was taken away from a worker which still lives: it is done once, by whoever has it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from datajoint.errors import LostConnectionError
from datajoint.storage import StorageBackend

from models import TrainingStopped
from models.machine.atomic_file import write_atomically
from pipeline.database import connection as pipeline_database
from pipeline.store.mounts import StoreAway
from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.transient.retry import retry_transient
from pipeline.workers.checkpoints import StoredCheckpoints
from pipeline.workers.heartbeat import renew_session
from pipeline.workers.job import Job, JobTakenOver, run_job
from pipeline.workers.queue import Queue
from pipeline.workers.registry import LostJob, Worker
from pipeline.workers.worker import WorkLoop, fill
from tests.pipeline.workers import (
    Laboratory,
    assert_all_right,
    assert_identical,
    files_of_arrays,
    jobs,
    submission,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("own_classes_allowed")


def stop(process) -> None:
    os.kill(process.pid, signal.SIGSTOP)


def go_on(process) -> None:
    os.kill(process.pid, signal.SIGCONT)


def numbers(process) -> list[str]:
    """Return the states of all workers that a process has been, the first one first."""
    return list((Worker & {"pid": process.pid}).to_arrays("state", order_by="started_at"))


def test_stopped_while_training(database, lab: Laboratory, store):
    database.submit(submission(400))
    (stopped,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: lab.iteration(stopped) > 0 and lab.has_checkpoint())
    stop(stopped)
    (other,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: len(Training()) == 1)
    lab.ended_after_signal(other)
    row = Training().fetch1()
    database.submit(submission(400, n_cohorts=2))
    go_on(stopped)
    wait_until(lambda: len(Training()) == 2)
    wait_until(lambda: numbers(stopped) == ["lost", "idle"])
    lab.end()
    assert row in Training().to_dicts()
    assert_all_right(2, store, lost=1)
    assert_identical()


def test_stopped_while_its_transaction_is_open(database, lab: Laboratory, store):
    """The server is told to end its session, or the job would stay locked."""
    database.submit(submission(5))
    fill([Training])
    lab.order("validation", "sleep")
    (stopped,) = lab.start("--table=Validation", "--forever")
    wait_until(lambda: lab.sleeps("validation", stopped))
    wait_until(lambda: lab.row(stopped).get("state") == "working")
    stop(stopped)
    lab.order("validation", None)
    (other,) = lab.start("--table=Validation", "--forever")
    wait_until(lambda: len(Validation()) == 2)
    wait_until(lambda: lab.is_idle(other))
    before = Validation().to_dicts(order_by="KEY")
    go_on(stopped)
    wait_until(lambda: numbers(stopped) == ["lost", "idle"])
    database.submit(submission(5, n_cohorts=2))
    fill([Training])
    wait_until(lambda: len(Validation()) == 4)
    lab.end()
    assert all(row in Validation().to_dicts() for row in before)
    assert len(Validation.Condition()) == 4 * len(Validation.Condition() & before[0])
    assert len(LostJob()) == 1
    assert not jobs("reserved") and not jobs("error")


def test_stopped_while_idle(database, lab: Laboratory, store):
    """It takes no job under the number of a dead worker."""
    stopped, other = lab.start("--table=Training", "--forever", n=2)
    for worker in (stopped, other):
        wait_until(lambda w=worker: lab.is_idle(w))
    stop(stopped)
    wait_until(lambda: numbers(stopped) == ["lost"])
    lab.ended_after_signal(other)
    go_on(stopped)
    wait_until(lambda: numbers(stopped) == ["lost", "idle"])
    database.submit(submission(5, n_cohorts=3))
    wait_until(lambda: len(Training()) == 3)
    lab.end()
    assert_all_right(3, store)


# Inside one process ------------------------------------------------------------------------------


@contextmanager
def taken(n_iterations: int = 20, database=None):
    """Give a job that a worker that sends heartbeats has taken, and its connection."""
    database.submit(submission(n_iterations))
    loop = WorkLoop([Training], beat_seconds=0.5)
    queue, connection = Queue(Training), pipeline_database.connection()
    queue.enter(connection)
    for everywhere in loop.heartbeat.queues:
        everywhere.prepare()
    loop.heartbeat.start()
    (key,) = queue.jobs.pending.keys()
    assert queue.take(connection, key, loop.heartbeat.worker_id, "", 0)
    try:
        yield Job(queue, key, loop.heartbeat, threading.Event()), connection
    finally:
        loop.heartbeat.stop()


def run(job: Job, connection, waiting=None) -> bool:
    """Do a job as a worker does."""
    again = lambda: renew_session(job.heartbeat, connection)  # noqa: E731
    return run_job(job, connection, lambda act: retry_transient(act, job.stop, waiting, again))


def taken_away(job: Job) -> None:
    """Give the job to another worker, as a reaper and that worker do."""
    other = pipeline_database.second_connection()
    assert job.queue.give_back(other, job.key, job.heartbeat.worker_id)
    assert job.queue.take(other, job.key, 12345, "", 0)
    other.close()


def test_job_taken_away_while_computing(database, store, monkeypatch):
    compute = Training.make_compute

    def computed_for_long(self, *args):
        result = compute(self, *args)
        taken_away(job)
        return result

    monkeypatch.setattr(Training, "make_compute", computed_for_long)
    with taken(database=database) as (job, connection):
        with pytest.raises(JobTakenOver):
            run(job, connection)
        assert not len(Training())
        assert not files_of_arrays(store)
        assert job.queue.is_held(connection, job.key, 12345)
        assert list(store.glob("checkpoints/*/*"))  # the other one goes on with them
        monkeypatch.setattr(Training, "make_compute", compute)
        job.heartbeat.worker_id, ours = 12345, job.heartbeat.worker_id
        assert run(job, connection)
        job.heartbeat.worker_id = ours
    assert_all_right(1, store)
    assert_identical()


def test_job_done_by_another_while_computing(database, store, monkeypatch):
    """Its state is not left in the store for ever."""
    compute = Training.make_compute
    with taken(database=database) as (job, connection):
        loop = WorkLoop([Training], beat_seconds=0.5)
        loop.heartbeat = job.heartbeat

        def done_by_another(self, *args):
            result = compute(self, *args)
            monkeypatch.setattr(Training, "make_compute", compute)
            taken_away(job)
            ours, job.heartbeat.worker_id = job.heartbeat.worker_id, 12345
            assert run(Job(job.queue, job.key, job.heartbeat, job.stop), connection)
            job.heartbeat.worker_id = ours
            # What a worker writes that was in the middle of it when it stood still.
            Path(job.checkpoints._backend._full_path(job.checkpoints.folder)).mkdir(parents=True)
            return result

        monkeypatch.setattr(Training, "make_compute", done_by_another)
        monkeypatch.setattr("pipeline.workers.worker.Job", lambda *args: job)
        loop._do(job.queue, job.key)
    assert_all_right(1, store)


def failing(monkeypatch, owner, name, fail):
    """Have a method call something the first time that it is called."""
    original, calls = getattr(owner, name), []

    def method(*args, **kwargs):
        calls.append(1)
        return fail(original, *args, **kwargs) if len(calls) == 1 else original(*args, **kwargs)

    monkeypatch.setattr(owner, name, method)
    return calls


def test_answer_to_the_commit_is_lost(database, store, monkeypatch):
    def committed_and_lost(original):
        original()
        raise LostConnectionError("the answer never came")

    with taken(database=database) as (job, connection):
        calls = failing(monkeypatch, connection, "commit_transaction", committed_and_lost)
        assert run(job, connection)
    assert len(calls) == 2  # the second time there was nothing left to commit
    assert_all_right(1, store)


def test_answer_to_the_reservation_is_lost(database, store, monkeypatch):
    """The worker cannot know that the job is its own: nobody may wait for it to end."""

    def reserved_and_lost(original, *args):
        assert original(*args)
        raise LostConnectionError("the answer never came")

    database.submit(submission(10, n_cohorts=3))
    calls = failing(monkeypatch, Queue, "take", reserved_and_lost)
    assert fill([Training]).made == 3
    assert len(calls) == 4
    assert_all_right(3, store)


def test_lease_of_a_worker_that_failed_in_its_task(database, store, monkeypatch):
    """Jobs are entered at once by whoever failed, not when it has been given up."""

    def fails(original, *args):
        raise LostConnectionError("in the middle of it")

    database.submit(submission(10))
    failing(monkeypatch, Queue, "enter", fails)
    began = time.monotonic()
    assert WorkLoop([Training], shares=True).run().made == 1
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("nth", [1, 4])
def test_disk_full_while_inserting(database, store, monkeypatch, nth):
    """It waits, and leaves nothing on the disk that is full."""
    put, calls, seen = StorageBackend.put_buffer, [], []

    def full(self, buffer, path):
        calls.append(path)
        if len(calls) == nth:
            half = Path(self._full_path(f"{path}.saving"))
            half.parent.mkdir(parents=True, exist_ok=True)
            half.write_bytes(buffer[: len(buffer) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, buffer, path)

    def waiting(error, seconds):
        seen.append((type(error), files_of_arrays(store), len(Training())))

    monkeypatch.setattr(StorageBackend, "put_buffer", full)
    with taken(database=database) as (job, connection):
        assert run(job, connection, waiting)
    assert seen == [(OSError, set(), 0)]
    assert_all_right(1, store)
    assert_identical()


def test_disk_full_at_a_checkpoint(database, store, monkeypatch, caplog):
    """The training goes on without it."""

    def full(path, write):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.workers.checkpoints.write_atomically", full)
    with taken(database=database) as (job, connection):
        assert run(job, connection)
    assert "No space left" in caplog.text
    assert_all_right(1, store)
    assert_identical()


def test_told_to_end_while_a_checkpoint_fails(database, store, monkeypatch):
    """It is written once more, so that nothing of the training is lost."""
    failed = []

    def full(path, write):
        if path.name.startswith("networks_") and not failed:
            failed.append(path)
            job.stop.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        write_atomically(path, write)

    monkeypatch.setattr("pipeline.workers.checkpoints.write_atomically", full)
    with taken(database=database) as (job, connection):
        job.checkpoint_seconds = 1e-9
        with pytest.raises(TrainingStopped) as stopped:
            run(job, connection)
        (state,) = store.glob("checkpoints/*/*/networks_*")
        assert int(np.load(state)["iteration"]) == stopped.value.iteration == 1
        job.stop.clear()
        assert run(job, connection)
    assert_all_right(1, store)
    assert_identical()


def test_a_job_that_another_kind_of_device_had(database, store, monkeypatch):
    """That one finds its state as it was, until the job is done; then it goes with the rest.

    There is no GPU: a training on the CPU says that it is on one.
    """

    def states():
        return {path.name: path.read_bytes() for path in store.glob("checkpoints/*/*/*")}

    def removed(original, *args):
        assert theirs.items() < states().items()
        original(*args)

    with taken(database=database) as (job, connection):
        with monkeypatch.context() as patch:
            for module in ("training.cohort", "training.state"):
                patch.setattr(f"models.{module}.kind_of", lambda device: "cuda")
            compute = Training.make_compute

            def stopped(self, *args):
                job.stop.set()
                return compute(self, *args)

            patch.setattr(Training, "make_compute", stopped)
            with pytest.raises(TrainingStopped):
                run(job, connection)
        theirs = states()
        assert theirs.keys() == {"division_cuda.json", "networks_0_0_seeds_0_0_cuda.npz"}
        job.stop.clear()
        calls = failing(monkeypatch, StoredCheckpoints, "remove", removed)
        assert run(job, connection)
        assert len(calls) == 1
    assert_all_right(1, store)
    assert_identical()


def test_store_goes_away_while_inserting(database, store, monkeypatch):
    """Files that were written beside it are not taken for stored."""
    away = store.with_name("away")
    seen = []

    def unmounted(original, *args):
        store.rename(away)
        return original(*args)  # which makes the folders that are missing

    def waiting(error, seconds):
        seen.append((type(error), len(Training())))
        if len(seen) == 2:
            shutil.rmtree(store, ignore_errors=True)
            away.rename(store)

    with taken(database=database) as (job, connection):
        job.checkpoints.write("a", b"b")  # it has seen the store
        failing(monkeypatch, StorageBackend, "put_buffer", unmounted)
        assert run(job, connection, waiting)
    assert seen == [(StoreAway, 0), (StoreAway, 0)]
    assert_all_right(1, store)
