"""Capsules: what goes in comes out of them to the bit, whole or not at all, on both back ends."""

from __future__ import annotations

import json
import socket
import zipfile
from pathlib import PurePosixPath

import numpy as np
import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli.commands import app
from pipeline.database.schemas import SCHEMAS
from pipeline.sharing import capsule_insert, capsule_open
from pipeline.sharing import target as targets
from pipeline.sharing.capsule_file import check_capsule, opened_capsule
from pipeline.sharing.capsule_rows import pipeline_tables
from pipeline.sharing.manifest import CAPSULE, MANIFEST, read_manifest
from pipeline.upkeep.verify import verify
from tasks_lib import ParameterError
from tests.kept_schemas import session
from tests.pipeline.test_capsule_files import (
    CAPSULES,
    KEPT,
    contents,
    every_capsule,
    manifest_of,
    packed,
)
from tests.pipeline.test_imported import SEED_FILE

N_NETWORKS = 6  # of the kept capsule
FILLED = ("Training", "Validation", "TrialPlot", "FixedPoints", "Linearization")


@pytest.fixture
def analysed(database, submission, prepared, tmp_path):
    """Two networks with scores, figures and fixed points, an imported one, and a recording."""

    def fill():
        database.submit(submission)
        assert not database.fill([named(database, name) for name in FILLED]).errors
        database.import_network(SEED_FILE, "cddm", "theirs")
        path = tmp_path / "own.nwb"
        database.export_recording({"seed": 3}, path, n_repeats=2, max_trials=8)
        database.enter_recording(path, "cddm", min_rate=0.0)
        recorded = (database.RecordedPopulation, database.RecordingDistance)
        assert not database.fill(recorded).errors

    prepared(fill)
    return database


def named(p, name):
    from pipeline.tables.computed import tables_named

    return tables_named([name])[0]


def everything():
    """Return all rows of all tables, arrays and figures as their bytes."""
    return {title: [plain(row) for row in sorted_rows(t)] for title, t in pipeline_tables().items()}


def sorted_rows(table):
    return sorted(table().to_dicts(), key=lambda row: [str(row[k]) for k in table.primary_key])


def plain(row):
    found = {}
    for name, value in row.items():
        if hasattr(value, "png"):
            value = value.png
        elif hasattr(value, "load") or isinstance(value, np.ndarray):
            array = np.asarray(value)
            value = (str(array.dtype), array.shape, array.tobytes())
        found[name] = value
    return found


def rows_in(path):
    """Return the hash of the rows of each table."""
    files = read_manifest(path, CAPSULE)["files"]
    return {name: file["sha256"] for name, file in files.items() if name.startswith("rows/")}


def rows_of(path):
    """Return the rows of each table, as the capsule has them."""
    with zipfile.ZipFile(path) as archive:
        return {
            PurePosixPath(name).stem: [json.loads(line) for line in archive.read(name).splitlines()]
            for name in archive.namelist()
            if "/rows/" in name
        }


def schemas_of(server, prefix):
    with session(server) as opened:
        exists = opened.adapter.schema_exists_sql
        names = [f"{prefix}_{name}" for name in SCHEMAS]
        return [name for name in names if opened.query(exists(name)).rowcount]


def test_what_goes_in_comes_out_to_the_bit(analysed, tmp_path, arguments, elsewhere):
    p = analysed
    made = p.make_capsule(tmp_path / "paper.zip")
    assert (made.n_networks, made.n_cohorts, made.n_others, made.packages) == (3, 2, 0, [])
    assert check_capsule(made.path).is_whole
    before = everything()
    assert len(before["Linearization.Point"]) > 0 and len(before["Training.Source"]) == 1
    assert len(before["RecordedPopulation"]) == 1 and len(before["RecordingDistance"]) == 3

    opened = p.open_capsule(made.path, **elsewhere)
    assert (opened.n_networks, opened.n_rows, opened.sha256) == (3, made.n_rows, made.sha256)
    assert opened.differences == []  # of this machine
    prefix, store = elsewhere["prefix"], elsewhere["store"]
    assert opened.variables == {"RNN_PREFIX": prefix, "RNN_STORE": str(store)}
    with pytest.raises(p.DatabaseError, match="not connected"):
        p.database.connection.connection()

    p.connect(**{**arguments, "prefix": prefix, "store": store})
    assert everything() == before
    trained = (p.Training.Network & "iterations_done > 0").keys()
    assert len(trained) == 2
    for key in trained:
        assert verify(key).identical
    assert p.verify_rows().is_whole and p.verify_files().is_whole
    assert not (store / "capsules").exists() or not [*(store / "capsules").iterdir()]
    again = p.make_capsule(tmp_path / "second.zip")
    assert rows_in(again.path) == rows_in(made.path)

    for changes, message in (
        ({}, rf"--prefix = '{prefix}': is there already \({prefix}_task, "),
        ({"prefix": None}, "--prefix = None: is not given, which a server needs"),
        ({"prefix": "no-name"}, "is not a name for schemas"),
        ({"home": tmp_path / "home"}, "is for an embedded database, and a server is configured"),
    ):
        with pytest.raises((ParameterError, p.DatabaseError), match=message):
            p.open_capsule(made.path, **{**elsewhere, **changes})
    p.connect(**{**arguments, "prefix": prefix, "store": store})
    assert len(p.Training.Network()) == 3


def interrupt(done, total):
    if done > 300:
        raise KeyboardInterrupt


def interrupted_and_killed(server, elsewhere):
    """Have opening the kept capsule interrupted, which leaves nothing, and killed."""
    store = elsewhere["store"]
    with pytest.raises(KeyboardInterrupt):
        pipeline.open_capsule(KEPT, **elsewhere, progress=interrupt)
    assert not store.exists() and not schemas_of(server, elsewhere["prefix"])

    with pytest.MonkeyPatch.context() as patch:  # nobody takes anything back
        patch.setattr(capsule_open, "_take_back", lambda *_: None)
        patch.setattr(capsule_open, "_remove_empty", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            pipeline.open_capsule(KEPT, **elsewhere, progress=interrupt)
    assert schemas_of(server, elsewhere["prefix"])
    marks = [f"{elsewhere['prefix']}.opening"]
    assert [path.name for path in (store / "capsules").iterdir()] == marks


@pytest.fixture
def report_without_drawings(monkeypatch):
    """Capsules whose report has tables and curves: to draw the rest takes a second a network."""
    monkeypatch.setattr("pipeline.report.write.MOST_NETWORKS", 0)


@pytest.mark.either_backend
@every_capsule
@pytest.mark.usefixtures("report_without_drawings")
def test_the_kept_capsule_opens(kept, server, tmp_path, arguments, elsewhere):
    """All tables that there are, as a release made it: every later one has to open it.

    What a kill has left is no obstacle, and parts of the last one are capsules again.
    """
    p = pipeline
    if kept == CAPSULES[-1]:
        interrupted_and_killed(server, elsewhere)
    opened = p.open_capsule(kept, **elsewhere)
    assert opened.packages == ["tests"]  # and nothing of it was imported
    with opened_capsule(kept) as capsule:
        n_networks = capsule.tables["Training.Network"].n_rows
    assert opened.n_networks == n_networks >= N_NETWORKS
    assert not [*(elsewhere["store"] / "capsules").iterdir()]
    with pytest.raises(ParameterError, match="is there already"):
        p.open_capsule(kept, **elsewhere)
    place = {**arguments, "prefix": elsewhere["prefix"], "store": elsewhere["store"]}
    p.connect(**place)
    with opened_capsule(kept) as capsule:
        for title, table in pipeline_tables().items():
            known = title in capsule.tables  # others are of a later version
            at_least = capsule.tables[title].n_rows if known else 0
            assert len(table()) >= at_least
            assert len(table()) == at_least or title.endswith("Params")
    assert p.verify_rows().is_whole and p.verify_files().is_whole
    # Another capsule has the same, and what later versions have added.
    second, first = rows_of(p.make_capsule(tmp_path / "second.zip").path), rows_of(kept)
    assert {name for name, rows in first.items() if rows} <= {*second}
    for name, rows in first.items():
        for before, now in zip(rows, second.get(name, []), strict=True):
            assert before == {column: now[column] for column in before}, name
    assert not [name for name in second.keys() - first.keys() if second[name]]
    if kept == CAPSULES[-1]:
        parts_of_it_are_capsules(kept, tmp_path)


def parts_of_it_are_capsules(kept, tmp_path):
    p = pipeline
    # A part of it has nothing of other tasks.
    one = p.make_capsule(tmp_path / "one.zip", {"task_name": "cddm"})
    assert (one.n_networks, one.n_cohorts, one.n_others) == (1, 1, 0)
    with opened_capsule(one.path) as capsule:
        assert [row["task_name"] for row in capsule.rows("Task")] == ["cddm"]
        assert not [*capsule.rows("Comparison")] and not [*capsule.rows("Sweep")]
    # A network takes its cohort with it, its snapshots, and the networks it is compared with.
    chosen = {"training_name": "recorded", "seed": 0}
    compared = p.make_capsule(tmp_path / "compared.zip", chosen)
    assert (compared.n_networks, compared.n_cohorts, compared.n_others) == (4, 3, 2)
    with opened_capsule(compared.path) as capsule, opened_capsule(kept) as whole:
        for title in ("NetworkPair", "EmbeddingPoint", "SnapshotNetwork", "SweepPoint"):
            assert [*capsule.rows(title)] == [*whole.rows(title)] != []
        assert "exact" in {row["search_name"] for row in capsule.rows("FixedPointParams")}


@pytest.fixture
def without_network(monkeypatch):
    """No server of any network answers, and no variable names one."""
    connect = socket.socket.connect

    def refused(self, address):
        if self.family != socket.AF_UNIX:
            raise AssertionError(f"asked for {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("asked for a name"))


def test_without_a_server_it_gets_a_database_of_its_own(
    home, tmp_path, without_network, monkeypatch
):
    for name in ("DJ_HOST", "RNN_HOME", "RNN_STORE", "RNN_PREFIX", "RNN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    folder = home.parent

    def run(*words):
        result = CliRunner().invoke(app, ["capsule", "open", *map(str, words)])
        return result.exit_code, result.output

    # Of a capsule that was made up the database refuses the rows: nothing of it is left.
    files = contents()
    files["rows/NetworkParams.jsonl"] = b""
    tables = json.loads(files[MANIFEST])["tables"]
    tables["NetworkParams"]["rows"] = 0
    manifest_of(files, tables=tables)
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        pipeline.open_capsule(packed(tmp_path, files), home=home)
    assert not [*folder.iterdir()]
    status, said = run(KEPT, "--home", home)
    assert status == 0, said
    for text in (
        f"{N_NETWORKS} networks in 5 cohorts: ", f"export RNN_HOME={home}",
        "rnn verify --all --files --retrain 3", "rnn verify --task flips",
        "rows name classes of the package tests",
    ):  # fmt: skip
        assert text in said
    assert [path.name for path in folder.iterdir()] == ["home"]
    assert home.stat().st_mode & 0o077 == 0
    status, said = run(KEPT, "--home", home)
    assert status == 1 and "is there already" in said
    monkeypatch.setenv("RNN_HOME", str(home))
    monkeypatch.setenv("RNN_STORE", str(home / "store"))
    pipeline.connect()
    try:
        assert len(pipeline.Training.Network()) == N_NETWORKS
        assert pipeline.verify_rows().is_whole and pipeline.verify_files().is_whole
    finally:
        pipeline.disconnect()


def test_rows_of_other_versions(database, monkeypatch):
    """What a migration does to rows is done to those of a capsule that was made before it."""
    with opened_capsule(KEPT) as capsule:

        def fitting(title="Cohort", *changes):
            table = pipeline_tables()[title]
            return [*capsule_insert._fitting(capsule, title, table, [*changes])]

        rows = fitting()
        known = capsule_insert.known_migrations()
        monkeypatch.setattr(capsule_insert, "known_migrations", lambda: (*known, "m9999_next"))

        class Next:
            @staticmethod
            def migrate_row(title, row):
                return {**row, "n_networks": 7} if title == "Cohort" else row

        monkeypatch.setattr(capsule_insert, "migration", lambda name: Next)
        changed = fitting("Cohort", *capsule_insert._changes(capsule))
        assert changed == [{**row, "n_networks": 7} for row in rows] != rows
        # A column that was added since has its default, and one of a later version is refused.
        before = fitting("NetworkParams")
        lacking = fitting("NetworkParams", lambda _, row: without(row, "max_rank"))
        assert [row["max_rank"] for row in before] == [0, 1]
        assert [row["max_rank"] for row in lacking] == [0, 0]
        for change, message in (
            (lambda _, row: {**row, "more": 1}, "'more' is a column of a later version; update"),
            (lambda _, row: without(row, "n_networks"), "an earlier version made it, and has no"),
        ):
            with pytest.raises(ParameterError, match=message):
                fitting("Cohort", change)
        capsule.migrations.append("m9999_other")
        with pytest.raises(ParameterError, match=r"later version .* \(it has 'm9999_other'\)"):
            capsule_insert.check_fits(capsule)


def without(row, name):
    return {column: value for column, value in row.items() if column != name}


@pytest.mark.either_backend
@pytest.mark.usefixtures("report_without_drawings")
def test_what_cannot_be_made_is_refused_and_leaves_nothing(analysed, tmp_path, store, monkeypatch):
    p, out = analysed, tmp_path / "x.zip"
    (tmp_path / "other.zip").write_bytes(b"mine")
    before = {path.name for path in tmp_path.iterdir()}

    def stop(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(targets, "pack", stop)
        with pytest.raises(KeyboardInterrupt):
            p.make_capsule(out)
    for target, selection, update, message in (
        (tmp_path / "x", None, False, r"does not end in .zip; name it x.zip"),
        (tmp_path / "x.tar.gz", None, False, "does not end in .zip"),
        (tmp_path / "none" / "x.zip", None, False, "there is no folder"),
        (tmp_path / "other.zip", None, False, "is there already; .*replace an earlier capsule"),
        (tmp_path / "other.zip", None, True, "is no capsule that could be replaced"),
        (out, {"seed": 77}, False, "has no cohort"),
        (out, {"sed": 1}, False, "did you mean seed"),
    ):
        with pytest.raises(ParameterError, match=message):
            p.make_capsule(target, selection, update)
    lost = next(path for path in store.rglob("*.npy") if "w_rec" in path.name)
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(Exception, match="is missing"):
        p.make_capsule(out)
    assert {path.name for path in tmp_path.iterdir()} == before
    lost.write_bytes(kept)
    first = p.make_capsule(out)
    assert p.make_capsule(tmp_path / "again.zip").sha256 == first.sha256
    assert out.read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert p.make_capsule(out, {"network_name": "small"}, update=True).n_networks == 2
    with zipfile.ZipFile(out) as archive:
        names = {entry.partition("/")[2] for entry in archive.namelist()}
    for name in ("report/index.html", "environment.json", "requirements.txt", "README.txt",
                 "submission.yaml", "rows/FixedPoints.Point.jsonl", MANIFEST):  # fmt: skip
        assert name in names


@pytest.mark.either_backend
@pytest.mark.usefixtures("report_without_drawings")
def test_the_command_writes_one(analysed, tmp_path, arguments, monkeypatch):
    connect = pipeline.connect
    monkeypatch.setattr(pipeline, "connect", lambda **_: connect(**arguments))
    out = tmp_path / "paper.zip"
    for words, status, message in (
        (("--network", "small", "-o", out), 0, "2 networks in 1 cohort: "),
        (("-o", out), 1, "is there already"),
        (("-o", out, "--update"), 0, "3 networks in 2 cohorts: "),
        (("-o", out, "--task", "cdm"), 1, "did you mean cddm"),
    ):
        result = CliRunner().invoke(app, ["capsule", *map(str, words)])
        assert (result.exit_code, message in result.output.replace("\n", " ")) == (status, True)
    connect(**arguments)
