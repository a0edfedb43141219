"""Several workers under one supervisor: it starts them again, gives up, and takes them along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from pipeline.tables.training import Training
from pipeline.workers import supervisor
from pipeline.workers.registry import LostJob, Worker
from tests.pipeline.workers import Laboratory, jobs, submission, wait_until

pytestmark = [pytest.mark.either_backend, pytest.mark.usefixtures("own_classes_allowed")]


def deadly() -> dict:
    """One cohort that kills its worker, and three others."""
    made, other = submission(20, n_cohorts=3), submission(20, task="Deadly")
    made["tasks"]["deadly"] = other["tasks"]["echo"]
    made["cohorts"].append(other["cohorts"][0] | {"task": "deadly"})
    return made


def test_job_that_kills_its_workers(database, lab: Laboratory):
    database.submit(deadly())
    (process,) = lab.start("--processes=2", "--max-losses=3", "--table=Training")
    lab.ended(process, 120, status=supervisor.JOBS_FAILED)
    assert len(Training()) == 3
    (failed,) = jobs("error")
    assert failed["task_name"] == "deadly"
    assert "3 workers died" in failed["error_message"]
    assert "SIGKILL" in failed["error_message"]
    assert len(LostJob()) == 3
    assert not jobs("reserved")
    assert lab.log(process).count("started again") == 3


def test_ends_with_its_workers(database, lab: Laboratory):
    database.submit(submission(1_000_000, n_cohorts=2))
    (process,) = lab.start("--processes=2", "--table=Training")
    wait_until(lambda: len(Worker & "iteration > 0") == 2)
    lab.ended_after_signal(process)
    assert {row["state"] for row in Worker().to_dicts()} == {"ended"}
    assert not jobs("reserved") and not jobs("error")


def test_workers_end_with_it(database, lab: Laboratory):
    database.submit(submission(1_000_000, n_cohorts=2))
    (process,) = lab.start("--processes=2", "--table=Training")
    wait_until(lambda: len(Worker & "iteration > 0") == 2)
    workers = [psutil.Process(int(pid)) for pid in Worker.to_arrays("pid")]
    process.kill()
    _, living = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2 and not living
    assert {row["state"] for row in Worker().to_dicts()} == {"ended"}
    assert not jobs("reserved") and not jobs("error")


def test_one_signal_that_comes_twice(database, lab: Laboratory):
    """As from what ends a container: to the supervisor, which passes it on, and to the workers."""
    database.submit(submission(1_000_000, n_cohorts=2))
    (process,) = lab.start("--processes=2", "--checkpoint-seconds=1000", "--table=Training")
    wait_until(lambda: len(Worker & "iteration > 0") == 2)
    for pid in Worker.to_arrays("pid"):
        os.kill(int(pid), signal.SIGTERM)
    lab.ended_after_signal(process)
    assert lab.has_checkpoint()  # they were given the time to write it


def test_worker_that_dies_at_once_is_given_up(database, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    said: list[str] = []
    watcher = supervisor.Supervisor(
        2, [], say=said.append, command=(sys.executable, "-c", "raise SystemExit(2)")
    )
    assert watcher.run() == 1
    assert sum("given up" in line for line in said) == 2
    assert len(said) == 2 * supervisor.MOST_DEATHS


def test_deaths_in_an_outage_do_not_count(database, monkeypatch):
    """A worker that cannot connect dies too; when the server is back it is started again."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.1)
    away = iter([True] * 2 * supervisor.MOST_DEATHS)
    give_back = supervisor.give_back_jobs_of_dead_workers

    def answer(*args):
        if next(away, False):
            raise ConnectionError("the server is away")
        return give_back(*args)

    monkeypatch.setattr(supervisor, "give_back_jobs_of_dead_workers", answer)
    said: list[str] = []
    watcher = supervisor.Supervisor(
        1, [], say=said.append, command=(sys.executable, "-c", "raise SystemExit(2)")
    )
    assert watcher.run() == 1
    assert len(said) == 3 * supervisor.MOST_DEATHS


def test_status_tells_failed_jobs_from_other_trouble(database):
    failing = (sys.executable, "-c", f"raise SystemExit({supervisor.JOBS_FAILED})")
    said: list[str] = []
    assert supervisor.Supervisor(2, [], say=said.append, command=failing).run() == 3
    assert said == []


def supervising(handler) -> subprocess.Popen[str]:
    """Start a supervisor of one process that says that it lives, under a handler of SIGHUP."""
    living = (sys.executable, "-c", "import time; print('there', flush=True); time.sleep(300)")
    program = (
        "from pipeline.workers.supervisor import Supervisor; "
        f"raise SystemExit(Supervisor(1, [], command={living!r}).run())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, handler),
    )


@pytest.mark.slow
@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_terminal_that_closes_ends_it_unless_nohup(handler):
    with supervising(handler) as process:
        try:
            assert process.stdout.readline() == "there\n"
            process.send_signal(signal.SIGHUP)
            if handler is signal.SIG_DFL:
                assert process.wait(60) == 0
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(2)
                process.terminate()
                assert process.wait(60) == 0
        finally:
            process.kill()


def test_who_dies_of_the_signal_is_not_started_again(database, monkeypatch):
    """The signal comes between two looks, and its worker has not yet set its own handler."""
    said: list[str] = []
    sleeping = (sys.executable, "-c", "import time; time.sleep(300)")
    watcher = supervisor.Supervisor(1, [], say=said.append, command=sleeping)
    (slot,) = watcher._slots

    sleep, first = time.sleep, iter([True])

    def signalled(seconds):
        if next(first, False):
            process = slot.process
            os.kill(os.getpid(), signal.SIGTERM)
            process.wait()
        else:
            sleep(seconds)

    monkeypatch.setattr(supervisor.time, "sleep", signalled)
    assert watcher.run() == 0
    assert said == []
