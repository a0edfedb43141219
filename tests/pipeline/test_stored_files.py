"""Stored arrays and figures are what was stored, or their file and their row are named."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress

import numpy as np
import pytest
from datajoint.errors import MissingExternalFile
from datajoint.hash_registry import get_store_backend
from datajoint.storage import StorageBackend
from deepdiff import DeepHash
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.database import schemas
from pipeline.database.connection import connection
from pipeline.store.checked_files import DamagedFile, row_of
from pipeline.store.codecs import StoredArray
from pipeline.transient.errors import is_transient
from pipeline.upkeep import verify_files as module
from pipeline.upkeep.verify_files import verify_files
from tasks_lib import ParameterError
from tests.pipeline.test_imported import SEED_FILE
from tests.s3_server import S3_BUCKET

pytestmark = pytest.mark.either_backend

BUCKET = f"s3://{S3_BUCKET}/hashed"
TABLES = ("Training", "TrialPlot")
SEED = {"seed": 3}


@pytest.fixture
def filled(database, submission, prepared):
    def fill():
        database.submit(submission)
        assert database.fill([getattr(database, name) for name in TABLES]).errors == []

    prepared(fill)
    return database


@pytest.fixture(params=["folder", "bucket"])
def stored(request, filled, arguments):
    """The same in a folder and in a bucket, whose files are those of the folder."""
    if request.param == "folder":
        yield filled
        return
    request.getfixturevalue("s3")
    folder = arguments["store"]
    filled.disconnect()
    where = {**arguments, "store": BUCKET, "prefix": f"{arguments['prefix']}s"}
    filled.connect(**where)
    filled.submit(request.getfixturevalue("submission"))
    assert filled.fill([getattr(filled, name) for name in TABLES]).errors == []
    yield filled
    schemas.drop()
    filled.disconnect()
    filled.connect(**{**arguments, "store": folder})


def network(p):
    return p.Training.Network & SEED


def figure_of(p):
    return (p.TrialPlot & SEED & {"validation_name": "noisy"}).fetch1("figure")


def array_of(p, column="w_rec"):
    return network(p).fetch1(column)


def flip(content, place, bit=0):
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    return bytes(changed)


def put(backend, content, path):
    backend.remove(path)  # DataJoint writes no file of a folder that is there
    backend.put_buffer(content, path)


def forget_hash(table, column, *more):
    """Write what a row keeps of its files as earlier versions did."""
    name, quote = table.full_table_name, connection().adapter.quote_identifier
    rows = connection().query(f"SELECT DISTINCT {quote(column)} FROM {name}").fetchall()
    for (value,) in rows:
        known = value if isinstance(value, dict) else json.loads(value)
        old = {k: known[k] for k in ("path", "store", *more)}
        connection().query(
            f"UPDATE {name} SET {quote(column)} = %s WHERE {text_of(column)} LIKE %s",
            args=(json.dumps(old), f"%{known['path']}%"),
        )


def text_of(column):
    here = connection().adapter
    kind = "CHAR" if here.backend == "mysql" else "TEXT"
    return f"CAST({here.quote_identifier(column)} AS {kind})"


def test_one_flipped_bit_is_found_in_arrays_and_figures(stored, tmp_path):
    p, backend = stored, get_store_backend("main")
    reads = {
        array_of(p).path: lambda: array_of(p).load(),
        array_of(p, "score_curve").path: lambda: array_of(p, "score_curve")[:1],
        figure_of(p).path: lambda: figure_of(p).save(tmp_path / "figure.png"),
    }
    for path, read in reads.items():
        whole = bytes(backend.get_buffer(path))
        for place, bit in ((0, 0), (len(whole) // 2, 3), (-1, 7)):
            put(backend, flip(whole, place, bit), path)
            with pytest.raises(DamagedFile) as caught:
                read()
            message = str(caught.value)
            assert path in message and hashlib.sha256(whole).hexdigest() in message
            assert "task_name cddm, network_name small, training_name short" in message
            assert "seed 3" in message and "\n" not in message
            assert "backup" in message and "delete the row" in message
        for content in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\0"):
            put(backend, content, path)
            with pytest.raises(DamagedFile, match=f"it has {len(content)} bytes, and had"):
                read()
        backend.remove(path)
        with pytest.raises(MissingExternalFile, match=r"is missing; .* of T.*seed 3[;,].* rest"):
            read()
        put(backend, whole, path)
        read()
    assert (tmp_path / "figure.png").read_bytes() != b""
    # One row's file in another's place: of the same size, and whole.
    rows = p.Training.Network.to_dicts(order_by="seed")
    paths = [row["w_rec"].path for row in rows]
    one, other = (bytes(backend.get_buffer(path)) for path in paths)
    assert len(one) == len(other) and one != other
    for path, content in zip(paths, (other, one), strict=True):
        put(backend, content, path)
    for seed in (3, 4):
        with pytest.raises(DamagedFile, match=f"w_rec of Training.Network, .*seed {seed};"):
            (p.Training.Network & {"seed": seed}).load()


def test_what_is_mapped_is_checked_and_cannot_change_the_file(stored):
    p, backend = stored, get_store_backend("main")
    array = array_of(p).load()
    for mode in ("r", "c"):
        mapped = array_of(p).load(mmap_mode=mode)
        assert isinstance(mapped, np.memmap) and np.array_equal(mapped, array)
    mapped[:] = 0.0
    assert np.array_equal(array_of(p).load(), array)
    with pytest.raises(Exception, match=r"mmap_mode = 'r\+'"):
        array_of(p).load(mmap_mode="r+")
    path = array_of(p).path
    whole = bytes(backend.get_buffer(path))
    put(backend, flip(whole, len(whole) // 2), path)
    with pytest.raises(DamagedFile):
        array_of(p).load(mmap_mode="r")
    backend.remove(path)
    with pytest.raises(MissingExternalFile, match="is missing"):
        array_of(p).load(mmap_mode="r")


def test_rows_of_an_earlier_version_are_read_and_checked_as_far_as_can_be(filled, store, tmp_path):
    p = filled
    before, png = array_of(p).load(), figure_of(p).png
    forget_hash(p.Training.Network, "w_rec", "dtype", "shape")
    forget_hash(p.TrialPlot, "figure", "n_bytes")
    assert np.array_equal(array_of(p).load(), before)
    assert np.array_equal(array_of(p).load(mmap_mode="r"), before)
    assert figure_of(p).png == png
    result = verify_files()
    assert result.is_whole is True and result.n_without_hash == 2 + 4
    path = store / array_of(p).path
    whole = path.read_bytes()
    for content, problem in (
        (b"no array", "no array"),
        (b"", "no array"),
        (whole[:100], "no array"),
        (whole[:-1], "are not those of"),
        (flip(whole, 6), "unknown version"),
        (whole.replace(b"(12, 12)", b"(24, 06)"), "no array"),
        (whole.replace(b"(12, 12)", b"(12, 10)"), r"\[12, 10\] float32, and held \[12, 12\]"),
        (b"PK\x03\x04" + whole, "no array"),
    ):
        path.write_bytes(content)
        for mode in (None, "r"):
            with pytest.raises(DamagedFile, match=problem if mode is None or content else ""):
                array_of(p).load(mode)
    path.write_bytes(whole)
    # A PNG has checksums of its own.
    path = store / figure_of(p).path
    path.write_bytes(flip(png, len(png) // 2))
    with pytest.raises(DamagedFile, match="not a whole PNG file"):
        figure_of(p).save(tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()


def test_a_job_over_a_damaged_file_is_an_error_and_no_number(filled, store):
    p = filled
    path = store / array_of(p).path
    whole = path.read_bytes()
    path.write_bytes(flip(whole, -1, 5))
    filled_now = p.fill((p.Validation,))
    assert len(p.Validation & SEED) == 0 and len(p.Validation & {"seed": 4}) == 2
    assert len(filled_now.errors) == 2
    for failure in p.failures():
        assert (failure.table, failure.error, failure.key["seed"]) == (
            "Validation",
            "DamagedFile",
            3,
        )
        assert str(path) in failure.message and "restore it from a backup" in failure.message
    path.write_bytes(whole)  # the backup
    p.retry(everything=True)
    assert p.fill((p.Validation,)).errors == []
    assert len(p.Validation & SEED) == 2


def test_such_an_error_does_not_pass_by_itself():
    assert not is_transient(DamagedFile("file = 'x': is damaged"))


def test_a_job_still_sees_whether_what_it_was_computed_from_has_changed():
    def digest(**changes):
        kept = {"path": "a", "store": "main", "sha256": "1", **changes}
        reference = StoredArray({**kept, "shape": [1], "dtype": "float64"}, None)
        return DeepHash(reference)[reference]

    assert digest() == digest()
    assert len({digest(), digest(path="b"), digest(sha256="2")}) == 3


def test_the_row_is_told_by_the_path():
    path = "_schema/rnn_training/__training__network/task_name=a%2Fb/seed=3/w_rec_-a_b_c_d.npy"
    assert row_of(path, "_schema") == "w_rec of Training.Network, task_name a/b, seed 3"
    for unknown in (
        "",
        "x.png",
        "_schema/x.png",
        "_schema/a/b.png",
        "_schema/lab=1/a/b/c_12345678.npy",
    ):
        assert row_of(unknown, "_schema") == "not said by its path of which row"


@pytest.fixture
def run(filled, arguments, monkeypatch):
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))

    def run(*words):
        result = CliRunner().invoke(app, ["verify", *words])
        connect(**arguments)
        return result

    return run


def test_the_command_reads_all_files_or_those_of_a_selection(filled, run, store, monkeypatch):
    p = filled
    key = p.import_network(SEED_FILE, "cddm", "theirs")
    result = run("--files")
    n_files = len([f for f in store.rglob("*.*") if f.suffix in (".npy", ".png")])
    assert result.exit_code == 0, result.output
    assert f"{n_files} files, " in result.output and "none damaged" in result.output
    imported = (p.Training.Network & key).fetch1("w_inp").path
    (store / imported).write_bytes(flip((store / imported).read_bytes(), -1))
    figure = figure_of(p).path
    shutil.move(store / figure, store / "away.png")
    result = run("--files")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.startswith("damaged: w_inp of Training.Network,") for line in lines)
    assert any(line.startswith("missing: figure of TrialPlot, task_name cddm") for line in lines)
    assert lines[-1].endswith("1 damaged, 1 missing")
    assert run("--files", "--network", "theirs").exit_code == 1
    assert run("--files", "--network", "small", "--seed", "4").exit_code == 0
    assert run("--files", "--seed", "3").exit_code == 1
    shutil.move(store / "away.png", store / figure)
    assert run("--files", "--task", "cddm", "--seed", "3").exit_code == 0
    result = run("--files", "--task", "cdmm")
    assert result.exit_code == 2 and "has not been entered; use cddm" in result.stderr
    assert run("--files", "--device", "cpu").exit_code == 2

    read = StorageBackend.get_buffer

    def refused(self, path):
        if path == figure:
            raise PermissionError(13, "Permission denied", path)
        return read(self, path)

    monkeypatch.setattr(StorageBackend, "get_buffer", refused)
    result = run("--files", "--network", "small")
    assert result.exit_code == 2 and "unreadable: figure" in result.output


def test_a_store_that_goes_away_says_nothing_of_its_files(filled, run, store, monkeypatch):
    away, read = store.with_name("away"), StorageBackend.get_buffer

    def as_the_share_is_unmounted(self, path):
        with suppress(FileNotFoundError):  # files are read on several threads
            store.rename(away)
        return read(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(StorageBackend, "get_buffer", as_the_share_is_unmounted)
        with pytest.raises(MissingExternalFile):
            verify_files()
    away.rename(store)
    assert verify_files().is_whole


def test_the_function_reads_files_in_a_bucket_and_tells_how_far_it_is(stored):
    p, backend = stored, get_store_backend("main")
    path, steps, said = figure_of(p).path, [], []
    put(backend, flip(bytes(backend.get_buffer(path)), 100), path)
    result = verify_files(SEED, lambda *step: steps.append(step), said.append)
    (fault,) = result.faults
    assert said == [fault] and result.is_whole is False
    assert (fault.kind, fault.table, fault.column, fault.path) == (
        "damaged", "TrialPlot", "figure", path,
    )  # fmt: skip
    assert fault.key["seed"] == 3 and str(fault).startswith("damaged: figure of TrialPlot, task")
    assert steps[-1] == (result.n_files, result.n_files)
    assert result.n_without_hash == 0
    assert verify_files({"seed": 4}).is_whole
    with pytest.raises(ParameterError, match="selects no stored file"):
        verify_files({"seed": 99})
    with pytest.raises(ParameterError, match="selects nothing"):
        verify_files({"colour": 1})


@pytest.mark.both_backends
def test_a_row_that_was_deleted_meanwhile_is_no_fault(filled, store, monkeypatch):
    p, read = filled, StorageBackend.get_buffer
    figure = p.TrialPlot & SEED & {"validation_name": "noisy"}
    path = figure.fetch1("figure").path
    where = figure.where_clause()

    def gone(self, one):
        if one == path and len(files := list(store.rglob(path.rsplit("/", 1)[1]))):
            files[0].unlink()
        return read(self, one)

    monkeypatch.setattr(StorageBackend, "get_buffer", gone)
    assert [fault.kind for fault in verify_files(SEED).faults] == ["missing"]

    def values(table, columns, chosen=None, kept=module.kept_values):
        yield from kept(table, columns, chosen)
        if "figure" in columns:  # they are read, and their files are not
            connection().query(f"DELETE FROM {p.TrialPlot.full_table_name}{where}")

    monkeypatch.setattr(module, "kept_values", values)
    result = verify_files(SEED)
    assert result.is_whole and len(p.TrialPlot & SEED) == 1
