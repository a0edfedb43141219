"""Jobs that failed are rows that say why, and are done again when asked."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.database.connection import connection
from pipeline.tables.provenance import code_version
from pipeline.workers.failures import failures, retry
from pipeline.workers.queue import Queue, job_hash
from tasks_lib import ParameterError
from tests.pipeline import own

pytestmark = pytest.mark.either_backend


@pytest.fixture
def failing(database, submission, monkeypatch, own_classes_allowed):
    """Two cohorts: one of a task that raises when it is trained, one that is sound."""
    p = database
    submission["tasks"]["echo"] = {"class": "tests.pipeline.own:Echo", "n_steps": 10}
    submission["cohorts"].append({**submission["cohorts"][0], "task": "echo"})
    p.submit(submission)

    def broken(self, value):
        raise RuntimeError(f"no stream of 100%_{value}")

    monkeypatch.setattr(own.Echo, "generate_input_target_stream", broken)
    filled = p.fill((p.Training,))
    assert filled.made == 1 and len(filled.errors) == 1
    return p


@pytest.fixture
def run(arguments, monkeypatch):
    """Run `rnn` on the same database, and connect again afterwards."""
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def run(*words):
        try:
            return CliRunner().invoke(app, list(words))
        finally:
            connect(**arguments)

    return run


def test_a_failure_says_what_where_and_with_which_code(failing):
    (failure,) = failures()
    assert failure.table == "Training"
    assert failure.key["task_name"] == "echo" and failure.key["first_seed"] == 3
    assert failure.error == "RuntimeError"
    assert failure.message.startswith("no stream of 100%_")
    assert "in broken" in failure.traceback and "Traceback" in failure.traceback
    assert failure.code_version == code_version()[0]
    assert failure.host and failure.when is not None
    assert failures({"task_name": "cddm"}) == []
    assert failures({"seed": 3}) == []  # no field of this table: selects nothing, not everything
    assert failures(tables=(failing.Validation,)) == []


def test_what_failed_is_left_alone_until_it_is_retried(failing, monkeypatch):
    p = failing
    monkeypatch.undo()  # mended
    assert p.fill((p.Training,)).made == 0
    assert len(failures()) == 1
    assert retry({"task_name": "cddm"}) == {}
    assert retry(error="another thing") == {}
    assert retry(error="100__") == {}  # signs of patterns mean themselves
    assert retry(error="RUNTIMEERROR: no stream of 100%_") == {"Training": 1}
    assert failures() == []
    (job,) = p.Training().jobs.to_dicts()
    assert (job["status"], job["error_message"], job["error_stack"]) == ("pending", "", None)
    assert p.fill((p.Training,)).made == 1
    assert len(p.Training & {"task_name": "echo"}) == 1


def test_a_retried_job_may_fail_again_and_says_why_anew(failing):
    assert retry(everything=True) == {"Training": 1}
    assert len(failing.fill((failing.Training,)).errors) == 1
    assert len(failures()) == 1


def test_nothing_is_retried_without_a_selection(failing):
    with pytest.raises(ParameterError, match="--all"):
        retry()
    with pytest.raises(ParameterError, match="stuck jobs have none"):
        retry(stuck=True, error="x")
    assert len(failures()) == 1


def test_earlier_losses_do_not_count_after_a_retry(failing):
    p = failing
    (failure,) = failures()
    lost = {
        "job_key": json.loads(json.dumps(failure.key)),
        "lost_at": "2026-01-01 00:00:00",
        "reason": "no heartbeat",
    }
    ours, other = job_hash(failure.key), job_hash({**failure.key, "first_seed": 99})
    for worker_id, digest in ((1, ours), (2, ours), (3, other)):
        p.LostJob.insert1(
            {"job_table": "Training", "job_hash": digest, "worker_id": worker_id, **lost}
        )
    retry(everything=True)
    counting = p.LostJob.to_dicts(order_by="worker_id")
    assert [bool(row["counts"]) for row in counting] == [False, False, True]


@pytest.mark.both_backends
def test_jobs_reserved_by_nobody_are_given_back_and_no_others(failing, monkeypatch):
    """A plain populate that was killed leaves its connection's number, which is no worker's."""
    p = failing
    monkeypatch.undo()
    retry(everything=True)
    queue = Queue(p.Training)
    here = connection()
    (key,) = queue.jobs.pending.keys()
    assert queue.take(here, key, 4711, "", 1)
    assert retry({"task_name": "cddm"}, stuck=True) == {}
    assert p.fill((p.Training,)).made == 0  # no worker looks after it
    assert retry(everything=True) == {}  # it has not failed
    assert retry(stuck=True) == {"Training": 1}
    # One that a worker has is that worker's, alive or dead.
    worker_id = int(p.Worker.to_arrays("worker_id")[0])
    assert queue.take(here, key, worker_id, "", 1)
    assert retry(stuck=True) == {}
    assert queue.give_back(here, key, worker_id)
    assert p.fill((p.Training,)).made == 1


@pytest.mark.both_backends
@pytest.mark.usefixtures("failing")
def test_the_commands_print_failures_and_retry_them(run):
    listed = run("failures", "--table", "Training", "--task", "echo")
    assert listed.exit_code == 0
    assert "RuntimeError: no stream of 100%_" in listed.output
    assert "task_name echo" in listed.output and "1 job failed." in listed.output
    assert "in broken" not in listed.output
    assert "in broken" in run("failures", "--traceback").output
    assert "0 jobs failed." in run("failures", "--task", "cddm").output
    refused = run("retry")
    assert refused.exit_code == 1 and "--all" in refused.output
    wrong = run("retry", "--table", "Trainings")
    assert wrong.exit_code == 1 and "is no computed table" in wrong.output
    unknown = run("retry", "--network", "large")
    assert unknown.exit_code == 1 and "use small" in unknown.output
    assert "Training: 1" in run("retry", "--error", "no stream", "--training", "short").output
    assert "0 jobs failed." in run("failures").output
    assert "0 jobs are pending" in run("retry", "--stuck").output
