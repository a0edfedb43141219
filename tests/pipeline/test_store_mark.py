"""A store and a database know each other, and no other is taken for either."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import datajoint as dj
import pytest
from datajoint.storage import StorageBackend
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.database import roles, schemas, store_mark
from pipeline.database.configuration import DatabaseError
from pipeline.database.connection import connection, second_connection
from pipeline.database.store_mark import StoreMark, mark_store
from pipeline.store import mounts as store_watch
from pipeline.store import pending_files as written
from pipeline.store.mounts import MARKS, StoreAway, check_store
from pipeline.transient.errors import is_transient
from pipeline.transient.retry import retry_transient
from pipeline.upkeep import gc
from tests import preloaded
from tests.pipeline.workers import run_commands, settings_of

pytestmark = pytest.mark.either_backend


def marks(store):
    return sorted(path.name for path in (store / MARKS).glob("*"))


def age(store):
    moment = time.time() - 30 * 3600
    for path in store.rglob("*"):
        os.utime(path, (moment, moment))


@pytest.mark.both_backends
def test_the_first_connection_marks_both(database, store, arguments):
    (row,) = StoreMark.to_dicts()
    assert marks(store) == [f"{arguments['prefix']}.{row['database_id']}"]
    assert (
        json.loads((store / MARKS / marks(store)[0]).read_text())["prefix"] == (arguments["prefix"])
    )
    database.connect(**arguments)
    database.connect(**arguments, declare=True)
    assert StoreMark.to_dicts() == [row] and len(marks(store)) == 1


@pytest.mark.both_backends
def test_processes_that_mark_at_once_agree(database, store, arguments):
    StoreMark().delete_quick()
    (store / MARKS / marks(store)[0]).unlink()
    connections = [second_connection() for _ in range(6)]
    start = threading.Barrier(6)

    def mark(own):
        start.wait()
        return mark_store(arguments["prefix"], own)

    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(mark, connections))
    for own in connections:
        own.close()
    (row,) = StoreMark.to_dicts()
    assert found == {f"{MARKS}/{arguments['prefix']}.{row['database_id']}"}
    assert marks(store) == [f"{arguments['prefix']}.{row['database_id']}"]


def test_a_bare_mount_point_is_not_the_store(database, store, arguments):
    """As a worker sees it that starts before the share is mounted."""
    p, away = database, store.with_name("away")
    check_store()
    store.rename(away)
    store.mkdir()
    with pytest.raises(StoreAway, match=r"does not hold databases/.*the mark of this database"):
        check_store()
    for absent in (False, True):
        if absent:
            store.rmdir()
        with pytest.raises(DatabaseError) as caught:
            p.connect(**arguments)
        assert "\n" not in str(caught.value) and repr(str(store)) in str(caught.value)
        assert absent or "`rnn declare`" in str(caught.value)
        assert is_transient(caught.value)
        with pytest.raises(DatabaseError, match="not connected"):
            connection()
    assert not store.exists()

    waits = []

    def waiting(error, seconds):
        waits.append(str(error))
        store.mkdir() if len(waits) == 1 else (store.rmdir(), away.rename(store))

    retry_transient(lambda: p.connect(**arguments), threading.Event(), waiting)
    assert "is not a folder" in waits[0] and "does not hold databases/" in waits[1]
    check_store()


def test_the_folder_may_be_another_one_with_the_same_files(database, store):
    """As after a remount, when a file system may number its files anew."""
    copy = store.with_name("copy")
    shutil.copytree(store, copy)
    shutil.rmtree(store)
    with pytest.raises(StoreAway, match="is away"):
        check_store()
    copy.rename(store)
    check_store()
    store_watch.remember_mark(None)
    shutil.rmtree(store / MARKS)
    check_store()  # of what is not known nothing is asked


def test_declare_marks_a_store_that_was_moved(database, store, arguments, server, monkeypatch):
    other = store.with_name("other")
    other.mkdir()
    with pytest.raises(DatabaseError, match="does not hold databases/"):
        database.connect(**{**arguments, "store": other})
    environment = {**server.environment, "RNN_PREFIX": arguments["prefix"], "RNN_STORE": str(other)}
    for command, status in (("status", 1), ("declare", 0), ("status", 0)):
        done = preloaded.run(
            [sys.executable, "-W", "ignore", "-m", "pipeline.cli", command],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
    assert marks(other) == marks(store)


@pytest.mark.both_backends
def test_an_id_that_is_a_path_leads_nowhere(database, store, arguments, tmp_path):
    """As whoever may update the row could set it, for an administrator to write a file there."""
    connection().query(
        f"UPDATE {StoreMark.full_table_name} SET database_id=%s", args=("/../../../outside",)
    )
    with pytest.raises(DatabaseError, match="does not hold databases/"):
        database.connect(**arguments)
    database.connect(**arguments, declare=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]
    assert sorted(path.name for path in store.iterdir()) == [MARKS]
    assert len(marks(store)) == 2 and all(path.is_file() for path in (store / MARKS).iterdir())


def test_a_store_at_home_that_nobody_named_is_not_marked(server, arguments, monkeypatch, tmp_path):
    """An administrator declares on a server, from a machine of his own."""
    monkeypatch.setenv("RNN_HOME", str(tmp_path / "home"))
    at_home = {**arguments, "store": tmp_path / "home" / "store"}
    at_home["store"].mkdir(parents=True)
    pipeline.connect(**at_home, declare=True)
    try:
        assert len(StoreMark()) == 0 and marks(at_home["store"]) == []
        check_store()
        pipeline.connect(**arguments)
        assert len(StoreMark()) == len(marks(arguments["store"])) == 1
    finally:
        schemas.drop()
        pipeline.disconnect()


@pytest.mark.both_backends
def test_who_may_not_insert_marks_nothing_and_works(database, store, arguments):
    """On a database that was declared without a store."""
    p, prefix = database, arguments["prefix"]
    StoreMark().delete_quick()
    (store / MARKS / marks(store)[0]).unlink()
    admin, mysql = second_connection(), arguments["backend"] == "mysql"
    for statement in roles.roles_sql(arguments["backend"], prefix).splitlines():
        if not statement.startswith("--"):
            admin.query(statement.replace("%", "%%"))
    user = f"{prefix}_user"
    at = f"'{user}'@'%%'" if mysql else user
    by = "IDENTIFIED BY" if mysql else "PASSWORD"
    admin.query(f"CREATE USER {at} {by} 'secret'")
    own = {**arguments, "user": user, "password": "secret", "declare": False}
    try:
        for role, n_marks in (("analyst", 0), ("worker", 1), ("analyst", 1)):
            name = f"'{prefix}_{role}'" if mysql else f"{prefix}_{role}"
            admin.query(f"GRANT {name} TO {at}")
            if mysql:
                admin.query(f"SET DEFAULT ROLE {name} TO {at}")
            p.connect(**own)
            assert len(StoreMark()) == len(marks(store)) == n_marks
            admin.query(f"REVOKE {name} FROM {at}")
    finally:
        p.connect(**arguments)
        admin.query(f"DROP {'USER' if mysql else 'ROLE'} {at}")
        for role in roles.ROLES:
            if mysql:
                admin.query(f"DROP ROLE '{prefix}_{role}'")
            else:
                admin.query(f"REASSIGN OWNED BY {prefix}_{role} TO CURRENT_USER")
                admin.query(f"DROP OWNED BY {prefix}_{role}")
                admin.query(f"DROP ROLE {prefix}_{role}")
        admin.close()


def test_the_first_connection_needs_to_write(database, store, arguments, tmp_path):
    """Later ones do not: test_roles.py."""
    StoreMark().delete_quick()
    (store / MARKS / marks(store)[0]).unlink()
    store.chmod(0o555)
    ((status, _, errors),) = run_commands(
        [["status"]], settings_of(arguments), tmp_path / "results"
    )
    (line,) = errors.splitlines()
    assert status == 1 and f"store = {str(store)!r}: cannot be written" in line
    assert "no mark of this database yet" in line
    assert len(StoreMark()) == len(marks(store)) == 0
    store.chmod(0o755)
    database.connect(**arguments)
    assert len(StoreMark()) == len(marks(store)) == 1


def test_a_mark_that_cannot_be_written_leaves_no_row(database, store, arguments, monkeypatch):
    StoreMark().delete_quick()
    (store / MARKS / marks(store)[0]).unlink()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(store_mark, "_write", full)
        with pytest.raises(DatabaseError, match=r"cannot be marked .*No space left"):
            database.connect(**arguments)
    assert marks(store) == []
    database.connect(**arguments)
    assert len(StoreMark()) == len(marks(store)) == 1


@pytest.fixture
def unmarked(database, store, arguments):
    """A database that knows no store, and a store that knows no database."""
    StoreMark().delete_quick()
    (store / MARKS / marks(store)[0]).unlink()
    database.disconnect()
    return database


@pytest.mark.both_backends
@pytest.mark.parametrize("error", [OSError("no commit"), KeyboardInterrupt()], ids=type)
def test_a_mark_whose_row_is_not_committed_stands_in_nobodys_way(
    unmarked, store, arguments, monkeypatch, error
):
    """Where the commit fails, and where the process is ended before it."""

    def no_commit(self):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(dj.Connection, "commit_transaction", no_commit)
        with pytest.raises((DatabaseError, KeyboardInterrupt)):
            unmarked.connect(**arguments, declare=False)
    (stale,) = marks(store)
    (store / MARKS / f"{stale.removesuffix('.begun')}.saving").write_bytes(b"half of")
    unmarked.connect(**arguments)
    assert len(StoreMark()) == 1
    assert len(marks(store)) == 3
    assert gc.collect(delete=True).scan.orphans == []


def test_a_mark_is_completed_by_who_comes_next(unmarked, store, arguments, monkeypatch):
    p = unmarked

    def ended(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(store_mark, "_completed", ended)
        with pytest.raises(KeyboardInterrupt):
            p.connect(**arguments)
    (begun,) = marks(store)
    p.disconnect()

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as reading:  # who may write nothing completes nothing
        reading.setattr(StorageBackend, "put_buffer", refused)
        p.connect(**arguments)
        assert marks(store) == [begun] and store_watch.remembered_mark() is None
    p.connect(**arguments)
    assert [f"{name}.begun" for name in marks(store)] == [begun]
    check_store()
    assert store_watch.remembered_mark() == f"{MARKS}/{marks(store)[0]}"


# `rnn gc` --------------------------------------------------------------------------------------


def test_the_wrong_database_removes_nothing(database, store, arguments, submission):
    """Another database under the same prefix, empty, as one that was started by mistake."""
    p = database
    p.submit(submission)
    assert p.fill((p.Training,)).errors == []
    (mine,) = marks(store)
    age(store)
    before = sorted(store.rglob("*.npy"))
    # What another server's tables of this prefix look like.
    schemas.drop()
    p.connect(**arguments)
    assert len(marks(store)) == 2
    for delete in (False, True):
        with pytest.raises(DatabaseError, match=f"holds databases/{mine}: two databases share it"):
            gc.collect(delete=delete, empty=True)
    (store / MARKS / mine).unlink()  # as from before stores had marks
    found = gc.collect()
    assert len(found.scan.orphans) == len(before) > 0
    with pytest.raises(DatabaseError, match=r"rows = 0: none refers to any file.*--empty"):
        gc.collect(delete=True)
    assert sorted(store.rglob("*.npy")) == before
    assert gc.collect(delete=True, empty=True).n_removed == len(before)
    assert len(marks(store)) == 1


def test_checkpoints_alone_are_not_removed_by_an_empty_database(database, store):
    folder = store / "checkpoints" / gc.checkpoint_folder(database.Training) / "job"
    folder.mkdir(parents=True)
    (folder / "state.npz").write_bytes(b"state")
    age(store)
    with pytest.raises(DatabaseError, match="1 file would be removed"):
        gc.collect(delete=True)
    assert gc.collect(delete=True, empty=True).n_removed == 1


# What writes and removes -----------------------------------------------------------------------


def test_folders_are_on_disk_up_to_the_root(database, store, monkeypatch):
    synced = []
    monkeypatch.setattr(written, "_sync", lambda path: synced.append(path))
    files = written.WrittenFiles()
    place = store / "_schema" / "a" / "b"
    place.mkdir(parents=True)
    (place / "x.npy").write_bytes(b"x")
    with files.noting():
        written.note_file("_schema/a/b/x.npy")
    files.make_durable()
    assert synced == [place / "x.npy", place, place.parent, place.parent.parent, store]


def test_removing_goes_on_after_a_file_that_cannot_be(database, store, caplog):
    (store / "a.npy").mkdir()  # which cannot be unlinked
    (store / "b.npy").write_bytes(b"x")
    files = written.WrittenFiles()
    with files.noting():
        written.note_file("a.npy")
        written.note_file("b.npy")
    files.remove()
    assert not (store / "b.npy").exists()
    assert "1 files of an insert that failed cannot be removed" in caplog.text


def test_a_mistyped_store_is_one_line_at_once(server, arguments, monkeypatch, tmp_path):
    for name, value in {**server.environment, "RNN_PREFIX": arguments["prefix"]}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RNN_STORE", str(tmp_path / "mistyped"))
    monkeypatch.delenv("RNN_SUPERVISOR", raising=False)
    result = CliRunner().invoke(app, ["worker"])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "mistyped" in line and "is not a folder" in line
