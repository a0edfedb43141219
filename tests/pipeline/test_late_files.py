"""A store whose file system answers late, or for long not at all: workers wait for it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from pipeline.tables.training import Training
from pipeline.workers.registry import LostJob, Worker
from tests.needs import skip_unless_required
from tests.pipeline.workers import (
    DEATH_SECONDS,
    ORDERS,
    Laboratory,
    assert_all_right,
    assert_identical,
    files_of_arrays,
    jobs,
    referenced_files,
    run_commands,
    settings_of,
    submission,
    wait_until,
)
from tests.slow_files import SlowFiles, missing, slow_files

pytestmark = [pytest.mark.either_backend, pytest.mark.usefixtures("own_classes_allowed")]
PROMISED = 10.0  # seconds from a signal until a job is pending again
ARRAY = "*.npy*"


@pytest.fixture
def files(tmp_path):
    if problem := missing():
        skip_unless_required("fuse", problem)
    (tmp_path / "late").mkdir()
    with slow_files(tmp_path / "late") as made:
        yield made


@pytest.fixture
def store(files: SlowFiles) -> Path:
    return files.mount


@pytest.fixture
def late_lab(lab: Laboratory, files: SlowFiles):
    """A laboratory whose processes can be killed in the end: the file system answers."""
    yield lab
    files.go_on()


def waits(files: SlowFiles, what: str) -> bool:
    return any(what in path for path in files.waiting())


def cannot_die(pid: int) -> bool:
    """Return whether a process is in a call that it does not leave even when it is killed."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D"


def test_training_and_insert_wait_for_the_store(database, late_lab: Laboratory, files, store):
    """For longer than a worker may be silent; and each tenth answer comes late in any case."""
    lab = late_lab
    files.stall("/checkpoints/*")
    database.submit(submission(80))
    (training,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: waits(files, "checkpoints"))
    (other,) = lab.start("--table=Training", "--forever")
    wait_until(lambda: lab.is_idle(other))
    files.stall("*")
    began = time.monotonic()
    settings = settings_of(lab.arguments) | {ORDERS: str(lab.orders)}
    ((status, output, said),) = run_commands([["status"]], settings, lab.logs / "status")
    assert status == 0 and "working" in output, said
    assert "has not answered for 3 s" in said
    time.sleep(max(began + 2.5 * DEATH_SECONDS - time.monotonic(), 0.0))
    assert lab.row(training)["state"] == "working"
    files.delay(25, 0.3)
    files.stall(ARRAY, "write")
    wait_until(lambda: waits(files, ".npy"))
    time.sleep(1.5 * DEATH_SECONDS)
    assert not len(Training()) and len(jobs("reserved")) == 1
    n_late = files.n_late()
    files.stall("/nothing")
    wait_until(lambda: len(Training()) == 1)
    assert files.n_late() > n_late > 0
    files.go_on()
    lab.end()
    assert not len(Worker & {"state": "lost"})
    assert lab.trained() == {0: [training.pid]}
    assert_all_right(1, store)
    assert_identical()


def test_signals_while_the_store_does_not_answer(
    database, backend, late_lab: Laboratory, files, store
):
    """Jobs are pending in time. Processes end then too, or as soon as the system lets them."""
    lab = late_lab
    workers = lab.start("--table=Training", "--forever")
    if backend == "postgresql":
        workers += lab.start("--processes=2", "--table=Training", "--forever")
    else:
        workers += lab.start("--table=Training", "--forever", n=2)
    wait_until(lambda: len(Worker & {"state": "idle"}) == 3)
    files.stall(ARRAY, "write")
    database.submit(submission(50))
    wait_until(lambda: waits(files, ".npy"))  # one of the three inserts, two write checkpoints
    files.stall("*", "write")
    database.submit(submission(50, n_cohorts=3))
    wait_until(lambda: sum("checkpoints" in path for path in files.waiting()) == 2)
    began = time.monotonic()
    for process in workers:
        process.terminate()
    wait_until(lambda: len(jobs("pending")) == 3, PROMISED)
    wait_until(lambda: {row["state"] for row in Worker().to_dicts()} == {"ended"}, 2.0)
    time.sleep(max(began + PROMISED - time.monotonic(), 0.0))
    for process in workers:
        assert process.poll() is not None or cannot_die(process.pid)
    assert not len(Training())
    files.go_on()
    for process in workers:
        lab.ended(process)
    (other,) = lab.start("--table=Training")
    lab.ended(other, 60)
    assert len(Training()) == 3 and not len(LostJob())
    assert referenced_files() <= files_of_arrays(store)  # `rnn gc` removes the rest
    assert not jobs("reserved") and not jobs("error")
    assert_identical()


def test_killed_while_its_insert_waits_for_the_store(database, late_lab: Laboratory, files, store):
    """Its session stays open with it: it is ended by the one who finds that its heart has."""
    lab = late_lab
    killed, other = lab.start("--table=Training", "--forever", n=2)
    wait_until(lambda: lab.is_idle(killed) and lab.is_idle(other))
    files.stall(ARRAY, "write")
    database.submit(submission(5))
    wait_until(lambda: waits(files, ".npy"))
    workers = (killed, other)  # which of them works is seen with its next heartbeat
    killed = wait_until(lambda: next((w for w in workers if not lab.is_idle(w)), None))
    (other,) = (w for w in workers if w is not killed)
    killed.kill()
    time.sleep(0.1)
    assert cannot_die(killed.pid)
    wait_until(lambda: len(LostJob()) == 1, 6 * DEATH_SECONDS)
    wait_until(lambda: len(files.waiting()) == 2)  # the other one inserts
    assert not len(Training()) and cannot_die(killed.pid)
    files.go_on()
    wait_until(lambda: len(Training()) == 1)
    lab.ended(killed, status=-signal.SIGKILL)
    lab.end()
    assert lab.trained() == {0: [killed.pid, other.pid]}
    assert referenced_files() <= files_of_arrays(store)
    assert_identical()
