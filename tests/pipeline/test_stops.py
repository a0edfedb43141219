"""Signals during one long native call: a worker ends in its time, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.tables.performance import Validation
from pipeline.tables.training import Training
from pipeline.workers.registry import LostJob, Worker
from pipeline.workers.worker import fill
from tests import preloaded
from tests.pipeline.workers import (
    Laboratory,
    files_of_arrays,
    jobs,
    referenced_files,
    submission,
    wait_until,
)

BACKENDS = ("postgresql",)  # what is tested here is the process, but for the session that is ended
PROMISED = 10.0  # seconds, after the first signal
AT_LAST = 60.0  # for one that is killed where it breaks that promise: its status says which it was
APART = 2.0  # one signal from the next: more than the second within which they are the same
AT_ONCE = 5.0  # after the second: one, and what this machine is busy with; for the first it is more


@pytest.mark.usefixtures("own_classes_allowed")
def test_signals_during_a_native_call(database, lab: Laboratory, store):
    database.submit(submission(5, n_cohorts=3))
    fill([Training])
    workers = []
    for order in ("locked", "native", "native"):
        lab.order("validation", order)
        workers += lab.start("--table=Validation")
        wait_until(lambda newest=workers[-1]: lab.sleeps("validation", newest))
    time.sleep(0.2)  # the file comes before the call
    for worker in workers:
        worker.terminate()
    locked, once, twice = workers
    time.sleep(APART)
    twice.terminate()
    lab.ended(twice, AT_ONCE)
    lab.ended(once, AT_LAST)
    locked.wait(AT_LAST)  # nine seconds after its signal
    assert locked.poll() == -signal.SIGKILL
    # That of the killed one: it had no heartbeat meanwhile, and another may have given it back.
    assert len(jobs("reserved")) <= 1
    assert jobs("pending") and not jobs("error")
    assert not len(Validation())


@pytest.mark.usefixtures("own_classes_allowed")
@pytest.mark.parametrize("n_signals", [1, 2])
def test_signals_to_a_supervisor(database, lab: Laboratory, n_signals):
    """Its workers cannot hear: they are killed, which is no loss of their jobs'."""
    database.submit(submission(5, n_cohorts=2))
    fill([Training])
    lab.order("validation", "locked")
    (process,) = lab.start("--processes=2", "--table=Validation")
    wait_until(lambda: len(list(lab.orders.glob("validation.*"))) == 2)
    time.sleep(0.2)  # the file comes before the call
    process.terminate()
    if n_signals == 2:
        time.sleep(APART)
        process.terminate()
    lab.ended(process, AT_LAST if n_signals == 1 else AT_ONCE)
    if n_signals == 2 and jobs("reserved"):
        # A second is kept for giving them back; where that is too short, the next finds them.
        (lab.orders / "validation").unlink()
        lab.start("--table=Validation")
        wait_until(lambda: len(Validation()) == 2 * len(Training.Network()))
        assert not jobs("reserved") and not jobs("error")
    else:
        assert {row["state"] for row in Worker().to_dicts()} == {"ended"}
        assert not len(LostJob())
        assert jobs("pending") and not jobs("reserved") and not jobs("error")


@pytest.mark.usefixtures("own_classes_allowed")
def test_signal_during_an_insert_that_takes_long(database, lab: Laboratory, store):
    """It is rolled back, and done again."""
    database.submit(submission(5))
    lab.order("insert", "once native")
    (worker,) = lab.start("--table=Training")
    wait_until(lambda: lab.sleeps("insert", worker))
    worker.terminate()
    lab.ended(worker, AT_LAST)
    assert len(jobs("pending")) == 1 and not jobs("reserved")
    assert not len(Training())
    (other,) = lab.start("--table=Training")
    lab.ended(other, 60)
    assert len(Training()) == 1
    assert referenced_files() < files_of_arrays(store)  # `rnn gc` removes the rest
    assert not jobs("error")


def ending(code: str) -> subprocess.Popen[str]:
    """Start a process that ends at signals as an ``ending`` says, and wait until it is busy."""
    program = f"""
import os, time
from pipeline.workers.signals import ending_at_signals
from pipeline.workers.shutdown import Interrupter, Stopper
from tests.pipeline.workers import native_call
def busy(locked):
    print("busy", flush=True)
    native_call(locked)
{code}
"""
    process = preloaded.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "busy\n", process.stderr.read()
    return process


def status_after(process: subprocess.Popen[str], *signals: int, seconds: float) -> int:
    """Send signals, APART, and return the exit status, which comes within so many seconds."""
    with process:
        try:
            for n, number in enumerate(signals):
                time.sleep(1.0 if n == 0 else APART)
                process.send_signal(number)
            return process.wait(seconds)
        finally:
            process.kill()


@pytest.mark.parametrize("locked", [False, True])
def test_second_signal_ends_a_worker_that_has_no_job(locked):
    code = f"with ending_at_signals(Stopper()):\n    busy({locked})"
    status = status_after(ending(code), signal.SIGTERM, signal.SIGUSR1, seconds=AT_ONCE)
    assert status == (-signal.SIGKILL if locked else 0)


def test_interrupted_command_ends_at_its_deadline():
    code = "with ending_at_signals(Interrupter(grace=1.0)):\n    busy(locked=False)"
    assert status_after(ending(code), signal.SIGINT, seconds=1.0 + AT_ONCE) == 130


def test_interrupted_command_can_clean_up():
    """The usual KeyboardInterrupt, once, where the main thread is not in such a call."""
    code = """
try:
    with ending_at_signals(Interrupter()):
        print("busy", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    raise SystemExit(7)
"""
    assert status_after(ending(code), signal.SIGTERM, seconds=PROMISED) == 7


def test_signal_to_a_forked_child_is_its_own():
    """As a pool of processes of a user's task ends its own."""
    code = """
with ending_at_signals(Stopper(grace=0.5)):
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(1)
    time.sleep(0.2)
    os.kill(child, 15)
    ended = os.waitpid(child, 0)[1]
    print("busy", flush=True)
    time.sleep(1.5)  # longer than its grace
    raise SystemExit(40 + ended)
"""
    assert status_after(ending(code), seconds=10.0) == 40 + signal.SIGTERM


def test_nothing_is_left_behind():
    """Handlers, the descriptor of wakeups and the process beside are those of before."""
    from pipeline.workers.shutdown import Interrupter
    from pipeline.workers.signals import SIGNALS, ending_at_signals

    before = [signal.getsignal(number) for number in SIGNALS]
    descriptors = set(os.listdir("/dev/fd"))
    with ending_at_signals(Interrupter()):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert set(os.listdir("/dev/fd")) == descriptors
