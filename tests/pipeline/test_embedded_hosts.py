"""One home folder under several hosts and containers: one of them runs the server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from tests.pipeline.embedded_processes import Process, keeper_of

pytestmark = pytest.mark.postgresql

QUICK = "embedded.RENEWED_EVERY = 0.2; embedded.GONE_AFTER = 2.0; embedded.QUIET = 60"
OTHER_HOST = f"{QUICK}; embedded.this_host = lambda folder: 'another running system'"
# A file system on which the locks of one host are not those of the other.
NO_COMMON_LOCKS = f"""
{OTHER_HOST}
import alone.embedded_files as files
embedded.SERVER, embedded.USERS, embedded.STARTING = 'b.server', 'b.users', 'b.start'
embedded.KEEPER = embedded.KEEPER.replace('from keeper', (
    "import keeper.embedded_files as f; f.SERVER, f.USERS = 'b.server', 'b.users'; from keeper"))
"""
CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--")


def commit(process: Process, n: int) -> None:
    for _ in range(n):
        assert process("query('INSERT INTO kept VALUES (1)')") == []


def rows(process: Process) -> int:
    return process("query('SELECT count(*) FROM kept')")[0][0]


@pytest.mark.parametrize("second", [OTHER_HOST, NO_COMMON_LOCKS], ids=["locks", "no locks"])
def test_a_second_host_is_refused_and_let_in_once_the_first_has_ended(home, second, started):
    first = Process(home, QUICK)
    started.append(first)
    first("query('CREATE TABLE kept (n int)')")
    commit(first, 20)
    refused = Process(home, second)
    error = refused.said["error"]
    assert "runs on host" in error and "DJ_HOST" in error and "\n" not in error
    commit(first, 20)
    assert rows(first) == 40
    first.end()
    began = time.monotonic()
    later = Process(home, second)
    started.append(later)
    assert rows(later) == 40
    assert "used" not in later.end() and time.monotonic() - began < 20


@pytest.mark.parametrize("second", [OTHER_HOST, NO_COMMON_LOCKS], ids=["locks", "no locks"])
def test_a_second_host_is_let_in_once_the_first_is_seen_to_be_gone(home, second, started):
    first = Process(home, QUICK)
    started.append(first)
    first("query('CREATE TABLE kept (n int)')")
    commit(first, 20)
    postmaster = first.said["postmaster"]
    keeper = keeper_of(postmaster)
    os.kill(keeper, signal.SIGSTOP)  # as when a host loses its power: nobody clears anything up
    os.kill(postmaster, signal.SIGKILL)
    first.kill()
    while any("postgres" in child.name() and child.status() != psutil.STATUS_ZOMBIE
              for child in psutil.Process(keeper).children(recursive=True)):  # fmt: skip
        time.sleep(0.02)
    os.kill(keeper, signal.SIGKILL)
    assert (home / "embedded" / "owner").exists()
    began = time.monotonic()
    later = Process(home, second)
    started.append(later)
    assert time.monotonic() - began > 2.0
    assert rows(later) == 20
    commit(later, 20)
    assert rows(later) == 40


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs namespaces of processes"
)
def test_containers_whose_numbers_repeat_share_one_server(home, started):
    if subprocess.run([*CONTAINER, "true"], capture_output=True).returncode:
        pytest.skip("no namespace of processes may be made here")
    one = Process(home, prefix=CONTAINER)
    started.append(one)
    one("query('CREATE TABLE kept (n int)')")
    two = Process(home, prefix=CONTAINER)
    started.append(two)
    assert one.said["pid"] == two.said["pid"] == 1
    assert one.said["postmaster"] == two.said["postmaster"] < 100
    for process in (one, two):
        commit(process, 10)
    one.kill()  # the container and all that is in it, the server too
    while any(str(home) in " ".join(p.info["cmdline"] or ())
              for p in psutil.process_iter(["cmdline"]) if p.name() == "postgres"):  # fmt: skip
        time.sleep(0.02)
    found = two("server.start() or query('SELECT count(*) FROM kept')")
    assert found == [[20]]
    commit(two, 10)
    assert rows(two) == 30
