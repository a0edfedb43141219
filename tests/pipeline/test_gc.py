"""`rnn gc` removes what nothing refers to, and never what something does."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import timedelta

import datajoint as dj
import fsspec
import numpy as np
import pytest
from datajoint import storage_adapter
from datajoint.storage_adapter import StorageAdapter
from matplotlib.figure import Figure
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.database import schemas
from pipeline.database.configuration import DatabaseError
from pipeline.database.connection import STORE, connection, second_connection
from pipeline.database.store_mark import mark_store
from pipeline.store.mounts import MARKS
from pipeline.store.settings import StoreError
from pipeline.upkeep import gc, store_files
from pipeline.upkeep import stored_paths as references
from pipeline.upkeep.stored_paths import checkpoint_folder
from pipeline.workers.checkpoints import StoredCheckpoints
from pipeline.workers.heartbeat import LIVE_STATES
from pipeline.workers.queue import Queue, job_hash
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend

HOUR = 3600.0


@pytest.fixture
def filled(database, submission, prepared):
    """Networks and figures in the store, made by a worker that has ended."""

    def fill():
        database.submit(submission)
        assert database.fill((database.Training, database.TrialPlot)).errors == []

    prepared(fill)
    return database


def age(store, hours):
    """Let everything in the store be so much older."""
    moment = time.time() - hours * HOUR
    for path in store.rglob("*"):
        os.utime(path, (moment, moment))


def files(store):
    """Return the content of every file but the marks, by its path from the store's root."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.parent != store / MARKS
    }


def rolled_back_insert(p):
    """Insert a row with arrays, and one with a figure, in a transaction that fails."""
    network = (p.Training.Network & {"seed": 3}).fetch1()
    plot = (p.TrialPlot & {"seed": 3}).to_dicts()[0]
    arrays = {n: np.asarray(v) for n, v in network.items() if hasattr(v, "dtype")}
    with suppress(InterruptedError), connection().transaction:
        p.Training.Network.insert1({**network, **arrays, "seed": 77})
        plot |= {"figure": Figure(), "seed": 77}
        p.TrialPlot.insert1(plot, allow_direct_insert=True)
        raise InterruptedError
    assert not p.Training.Network & {"seed": 77}


def checkpoint(table, key, name="networks_0_1.npz"):
    """Leave the checkpoint of a worker that was killed; return its folder."""
    place = StoredCheckpoints(checkpoint_folder(table), job_hash(key))
    place.write(name, b"state")
    return place.folder


@pytest.mark.both_backends
def test_orphans_go_and_live_files_stay(filled, store):
    p = filled
    live = files(store)
    rows = p.Training.Network.to_dicts(order_by="seed")
    weights = [np.asarray(row["w_rec"]).copy() for row in rows]
    rolled_back_insert(p)
    orphans = set(files(store)) - set(live)
    assert len(orphans) == 8
    age(store, 30)
    found = gc.scan()
    assert {orphan.path for orphan in found.orphans} == orphans
    assert all(30 * HOUR <= orphan.age < 31 * HOUR for orphan in found.orphans)
    assert {o.path: o.n_bytes for o in found.orphans} == {
        path: len(content) for path, content in files(store).items() if path in orphans
    }
    assert found.by_kind()["arrays"][0] == 7 and found.by_kind()["figures"][0] == 1
    assert found.n_live == len(live) and found.live_bytes == sum(map(len, live.values()))
    assert found.missing == [] and found.n_young == 0

    assert gc.collect().n_removed == 0  # a dry run
    assert set(files(store)) == set(live) | orphans
    done = gc.collect(delete=True)
    assert done.n_removed == 8
    assert files(store) == live
    assert not [path for path in store.rglob("seed=77*")]  # nor their empty folders
    assert gc.collect(delete=True).n_removed == 0
    for row, before in zip(p.Training.Network.to_dicts(order_by="seed"), weights, strict=True):
        assert np.array_equal(np.asarray(row["w_rec"]), before)
    assert all(figure.png for figure in p.TrialPlot.to_arrays("figure"))


def test_young_files_stay(filled, store):
    rolled_back_insert(filled)
    before = files(store)
    found = gc.collect(delete=True).scan
    assert found.orphans == [] and found.n_young == 8
    age(store, 2)
    assert gc.collect(older_than=2.5, delete=True).n_removed == 0
    assert files(store) == before
    assert gc.collect(older_than=1.5, delete=True).n_removed == 8
    with pytest.raises(ParameterError, match="older_than"):
        gc.collect(older_than=-1)


def test_a_checkpoint_stays_while_its_job_may_be_done(filled, store, submission):
    p = filled
    done = p.Training.keys()[0]
    submission["cohorts"] = [{**submission["cohorts"][0], "first_seed": 10}]
    p.submit(submission)
    (pending,) = (p.Cohort & {"first_seed": 10}).keys()
    live = checkpoint(p.Training, pending)
    dead = checkpoint(p.Training, done)
    gone = checkpoint(p.Training, {**pending, "first_seed": 99})
    for key in (pending, done):  # another kind of device had the job too
        checkpoint(p.Training, key, "networks_0_1_cuda.npz")
    for name in (f"{live}/.networks_0_1.npz.01abcdef", f"{dead}/.networks_0_1.npz.01abcdef"):
        (store / name).write_bytes(b"half of")
    # Of a table that is none of ours: nothing is known of it.
    foreign = checkpoint(p.Training, pending).replace("__training", "__other")
    (store / foreign).mkdir(parents=True)
    (store / foreign / "state").write_bytes(b"")
    array = next(path for path in files(store) if path.endswith(".npy"))
    (store / f"{array}.saving").write_bytes(b"half of")
    age(store, 30)
    done = gc.collect(delete=True)
    assert {o.path: o.kind for o in done.scan.orphans} == {
        f"{dead}/networks_0_1.npz": "checkpoints",
        f"{dead}/networks_0_1_cuda.npz": "checkpoints",
        f"{gone}/networks_0_1.npz": "checkpoints",
        f"{live}/.networks_0_1.npz.01abcdef": "unfinished files",
        f"{dead}/.networks_0_1.npz.01abcdef": "unfinished files",
        f"{array}.saving": "unfinished files",
    }
    left = {path for path in files(store) if path.startswith("checkpoints/")}
    states = {f"{live}/networks_0_1.npz", f"{live}/networks_0_1_cuda.npz"}
    assert left == {*states, f"{foreign}/state"}
    assert not (store / dead).exists() and not (store / gone).exists()
    # The killed worker's job is done from it.
    assert p.fill((p.Training,)).made == 1
    assert not (store / live).exists()


def test_a_checkpoint_whose_key_comes_back_meanwhile_stays(filled, store, monkeypatch):
    p = filled
    folder = checkpoint(p.Training, p.Training.keys()[0])
    age(store, 30)
    scan = gc._scan

    def deleted_after(*arguments):
        found = scan(*arguments)
        assert [orphan.kind for orphan in found.orphans] == ["checkpoints"]
        p.TrialPlot.delete_quick()
        for table in (p.Training.Term, p.Training.Network, p.Training):
            table().delete_quick()
        return found

    monkeypatch.setattr(gc, "_scan", deleted_after)
    assert gc.collect(delete=True).n_removed == 0
    assert (store / folder / "networks_0_1.npz").exists()


def test_a_checkpoint_that_is_written_again_meanwhile_stays(filled, store, monkeypatch):
    folder = checkpoint(filled.Training, filled.Training.keys()[0])
    age(store, 30)
    scan = gc._scan

    def written_after(*arguments):
        found = scan(*arguments)
        checkpoint(filled.Training, filled.Training.keys()[0])
        return found

    monkeypatch.setattr(gc, "_scan", written_after)
    assert gc.collect(delete=True).n_removed == 0
    assert (store / folder / "networks_0_1.npz").exists()


def test_nothing_is_removed_while_a_job_is_reserved(filled, store, submission):
    p = filled
    submission["cohorts"] = [{**submission["cohorts"][0], "first_seed": 10}]
    p.submit(submission)
    queue = Queue(p.Training)
    queue.enter(connection())
    (key,) = queue.jobs.pending.keys()
    rolled_back_insert(p)
    age(store, 30)
    before = files(store)
    assert queue.take(connection(), key, 4711, "", 1)
    with pytest.raises(DatabaseError, match=r"training\.training: 1 are reserved"):
        gc.collect(delete=True)
    dry = gc.collect()
    assert "1 are reserved" in dry.note and len(dry.scan.orphans) == 8
    assert files(store) == before
    queue.give_back(connection(), key, 4711)
    assert gc.collect(delete=True).n_removed == 8


@pytest.mark.both_backends
def test_nothing_is_removed_while_a_worker_lives(filled, store):
    p = filled
    rolled_back_insert(p)
    age(store, 30)
    before = files(store)
    (row,) = p.Worker.to_dicts()
    now = connection().query(f"SELECT {gc_now()}").fetchone()[0]
    for state in LIVE_STATES:
        p.Worker.update1({"worker_id": row["worker_id"], "state": state, "beat_at": now})
        with pytest.raises(DatabaseError, match=f"process {os.getpid()}, and may be writing"):
            gc.collect(delete=True)
    assert files(store) == before
    # One whose heartbeat has stopped is none.
    p.Worker.update1({"worker_id": row["worker_id"], "beat_at": "2026-01-01 00:00:00"})
    assert gc.collect().note == ""
    assert gc.collect(delete=True).n_removed == 8


def gc_now():
    from pipeline.database.dialects import dialect_of

    return dialect_of(connection()).now


@pytest.mark.both_backends
def test_a_worker_that_starts_meanwhile_stops_it(filled, store, monkeypatch):
    p = filled
    rolled_back_insert(p)
    age(store, 30)
    monkeypatch.setattr(gc, "REMOVED_AT_ONCE", 3)
    remove, removed = store_files.StoreFiles.remove, []
    (row,) = p.Worker.to_dicts()

    def slowly(self, path, *of_an_upload):
        remove(self, path, *of_an_upload)
        if path.startswith("_schema"):
            removed.append(path)
        if len(removed) == 2:
            now = connection().query(f"SELECT {gc_now()}").fetchone()[0]
            p.Worker.update1({"worker_id": row["worker_id"], "state": "idle", "beat_at": now})

    monkeypatch.setattr(store_files.StoreFiles, "remove", slowly)
    with pytest.raises(DatabaseError, match="3 files were removed before"):
        gc.collect(delete=True)
    assert len(removed) == 3


@pytest.mark.both_backends
def test_a_table_that_cannot_be_read_stops_it(filled, store):
    p = filled
    rolled_back_insert(p)
    age(store, 30)
    before = files(store)
    table = p.Training.Term
    name, other = table.full_table_name, table.table_name + "_away"
    quoted = connection().adapter.quote_identifier
    mysql = connection().adapter.backend == "mysql"
    away = connection().adapter.make_full_table_name(table.database, other)
    connection().query(f"ALTER TABLE {name} RENAME TO {away if mysql else quoted(other)}")
    with pytest.raises(DatabaseError, match=r"training\.__training__term: cannot be read"):
        gc.collect(delete=True)
    assert files(store) == before
    back = name if mysql else quoted(table.table_name)
    connection().query(f"ALTER TABLE {away} RENAME TO {back}")
    assert gc.collect(delete=True).n_removed == 8


@pytest.mark.both_backends
def test_a_table_that_may_not_be_read_stops_it(filled, store, arguments):
    """As a user who sees all tables but one: the server then leaves it out of its lists."""
    p = filled
    rolled_back_insert(p)
    age(store, 30)
    before = files(store)
    admin, user = second_connection(), f"u{arguments['prefix']}"
    mysql = admin.adapter.backend == "mysql"
    at = f"'{user}'@'%%'" if mysql else user
    by = "IDENTIFIED BY" if mysql else "PASSWORD"
    admin.query(f"CREATE USER {at} {by} 'secret'")
    try:
        for schema in references.schema_names():
            if not mysql:
                admin.query(f"GRANT USAGE ON SCHEMA {schema} TO {at}")
            for name in references.names_in_database(schema):
                full = admin.adapter.make_full_table_name(schema, name)
                admin.query(f"GRANT {'ALL' if mysql else 'ALL PRIVILEGES'} ON {full} TO {at}")
        p.connect(**{**arguments, "user": user, "password": "secret"})
        assert len(gc.collect().scan.orphans) == 8  # with all rights nothing is amiss
        admin.query(
            f"REVOKE {'ALL' if mysql else 'ALL PRIVILEGES'} "
            f"ON {p.Training.Network.full_table_name} FROM {at}"
        )
        with pytest.raises(DatabaseError, match=r"__training__network: cannot be read"):
            gc.collect(delete=True)
        assert files(store) == before
    finally:
        p.connect(**arguments)
        if not mysql:
            admin.query(f"DROP OWNED BY {at}")
        admin.query(f"DROP {'USER' if mysql else 'ROLE'} {at}")
        admin.close()
    assert gc.collect(delete=True).n_removed == 8


def test_a_store_that_cannot_be_listed_stops_it(filled, store, arguments, monkeypatch):
    rolled_back_insert(filled)
    age(store, 30)
    before = files(store)
    walk = os.walk

    def refused(top, *arguments, onerror=None, **options):
        yield from walk(top, *arguments, onerror=onerror, **options)
        if str(top).endswith("_performance"):
            onerror(PermissionError(13, "Permission denied", str(top)))

    monkeypatch.setattr(store_files.os, "walk", refused)
    with pytest.raises(DatabaseError, match=r"_performance: cannot be listed .*Permission denied"):
        gc.collect(delete=True)
    monkeypatch.undo()
    assert files(store) == before
    # A store that holds nothing of what the rows refer to is another one.
    store.rename(store.with_name("elsewhere"))
    with pytest.raises(DatabaseError, match="is away"):
        gc.collect(delete=True)
    store.mkdir()
    with pytest.raises(DatabaseError, match=r"does not hold databases/.*the mark of this database"):
        gc.collect(delete=True)
    filled.connect(**arguments, declare=True)  # which marks it
    with pytest.raises(DatabaseError, match=r"of \d+ files that rows refer to none is there"):
        gc.collect(delete=True)


def test_what_is_not_of_this_prefix_is_left_alone(filled, store, arguments, submission):
    p = filled
    other = {**arguments, "prefix": arguments["prefix"] + "_b"}
    p.connect(**other)
    p.submit(submission)
    assert p.fill((p.Training, p.TrialPlot)).errors == []
    theirs = checkpoint(p.Training, p.Training.keys()[0])
    rolled_back_insert(p)
    schema = p.Training.database
    for name in ("notes.txt", f"_schema/{schema}/dropped_table/x.npy", "unknown/x.npy"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(b"x")
    age(store, 30)
    before = files(store)
    p.connect(**arguments)
    assert gc.collect(delete=True).scan.orphans == []
    assert files(store) == before
    p.connect(**other)
    done = gc.collect(delete=True)
    assert done.n_removed == 9 and done.scan.n_foreign == 1
    assert not (store / theirs).exists()
    assert all((store / name).exists() for name in ("notes.txt", "unknown/x.npy"))
    schemas.drop()


def test_rows_are_read_some_at_a_time(filled, store, monkeypatch):
    """Whatever the size of the pieces, every row is seen: keys of text and numbers too."""
    rolled_back_insert(filled)
    age(store, 30)
    whole = gc.scan()
    for size in (1, 2, 3):
        monkeypatch.setattr(references, "ROWS_AT_ONCE", size)
        assert gc.scan().n_live == whole.n_live
        assert len(gc.scan().orphans) == 8


def test_missing_files_are_named(filled, store):
    path = (filled.Training.Network & {"seed": 3}).fetch1("w_out").path
    (store / path).unlink()
    assert gc.scan().missing == [path]


class InMemory(StorageAdapter):
    """An object store: no folders, names that begin with the bucket's."""

    protocol = "memory"

    def create_filesystem(self, spec):
        return fsspec.filesystem("memory")


def test_an_object_store_is_collected_too(database, arguments, submission, monkeypatch):
    p, memory = database, fsspec.filesystem("memory")
    monkeypatch.setitem(storage_adapter._adapter_registry, "memory", InMemory())
    monkeypatch.setitem(dj.config.stores, STORE, {"protocol": "memory", "location": "bucket/lab"})
    with pytest.raises(StoreError, match=r"bucket/lab': does not hold databases/"):
        mark_store(arguments["prefix"], connection())
    mark = mark_store(arguments["prefix"], connection(), anew=True)
    p.submit(submission)
    assert p.fill((p.Training, p.TrialPlot)).errors == []
    try:
        live = set(memory.find("bucket"))
        assert len(live) == 23 and f"/bucket/lab/{mark}" in live
        rolled_back_insert(p)
        dead = checkpoint(p.Training, p.Training.keys()[0])
        folder = f"/bucket/lab/_schema/{p.Training.database}"
        other = [f"{folder}_b/__training__network/x.npy", "/bucket/lab-old/_schema/x/y/z.npy"]
        for path in other:
            memory.pipe_file(path, b"x")
        assert gc.collect(delete=True).scan.n_young == 9
        for path in memory.find("bucket"):
            memory.store[path].created -= timedelta(hours=30)
        found = gc.collect().scan
        assert len(found.orphans) == 9 and found.n_live == 22 and found.missing == []
        assert f"{dead}/networks_0_1.npz" in {orphan.path for orphan in found.orphans}
        assert gc.collect(delete=True).n_removed == 9
        assert set(memory.find("bucket")) == live | set(other)
        assert all(np.asarray(w).shape == (12, 12) for w in p.Training.Network.to_arrays("w_rec"))
        with monkeypatch.context() as broken:
            broken.setattr(type(memory), "find", lambda *_, **__: 1 / 0)
            with pytest.raises(DatabaseError, match=r"cannot be listed .*division by zero"):
                gc.collect(delete=True)
    finally:
        memory.rm("bucket", recursive=True)


def test_the_command_removes_only_when_told(filled, store, arguments, monkeypatch):
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def run(*words):
        result = CliRunner().invoke(app, ["gc", *words])
        connect(**arguments)
        return result

    rolled_back_insert(filled)
    age(store, 30)
    before = files(store)
    result = run("--paths")
    assert result.exit_code == 0, result.output
    assert "arrays: 7," in result.output and "figures: 1," in result.output
    assert "8 files would be removed" in result.output
    assert result.output.count("seed=77") == 8
    assert files(store) == before
    assert "0 files would be removed" in run("--older-than", "31").output
    assert "8 files and 3 empty folders removed" in run("--delete").output
    assert len(files(store)) == len(before) - 8
    (row,) = filled.Worker.to_dicts()
    now = connection().query(f"SELECT {gc_now()}").fetchone()[0]
    filled.Worker.update1({"worker_id": row["worker_id"], "state": "idle", "beat_at": now})
    result = run("--delete")
    assert result.exit_code == 1 and "may be writing" in result.output
    result = run()
    assert result.exit_code == 0 and "may change: workers = 1" in result.output
